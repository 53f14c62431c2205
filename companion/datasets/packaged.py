"""Real data that scikit-learn ships: no network is needed."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import numpy as np
import torch
from torch import Tensor

from companion.support.checks import integer, positive_integer
from companion.support.doors import door

__all__ = [
    "breast_cancer",
    "cell_sizes",
    "digits",
    "image_patches",
    "iris",
    "most_frequent_words",
    "orientations",
    "petal_proportions",
    "wine",
    "word_counts",
    "word_frequencies",
]


@door
def digits(binary: bool = False) -> Tensor:
    """1797 handwritten digits of 8 × 8 pixels, intensities 0 to 16, ``(1797, 64)``.

    ``binary=True`` thresholds at 8: pixels above are 1, the others 0.

    Source: UCI "Optical Recognition of Handwritten Digits" (test part), shipped by scikit-learn.

    >>> digits().shape, sorted(set(digits(binary=True).flatten().tolist()))
    (torch.Size([1797, 64]), [0.0, 1.0])
    """
    x = _sklearn("load_digits")
    return (x > 8).to(torch.float64) if binary else x


@door
def iris(standardize: bool = False) -> Tensor:
    """150 iris flowers, four lengths in cm, ``(150, 4)``. Source: Fisher (1936).

    >>> iris().shape
    torch.Size([150, 4])
    """
    return _sklearn("load_iris", standardize)


@door
def wine(standardize: bool = False) -> Tensor:
    """178 wines, 13 chemical measurements, ``(178, 13)``. Source: UCI, via scikit-learn.

    >>> wine().shape
    torch.Size([178, 13])
    """
    return _sklearn("load_wine", standardize)


@door
def breast_cancer(standardize: bool = False) -> Tensor:
    """569 cell images, 30 measurements, ``(569, 30)``. Source: UCI (WDBC), via scikit-learn.

    >>> breast_cancer().shape
    torch.Size([569, 30])
    """
    return _sklearn("load_breast_cancer", standardize)


@door
def image_patches(count: int = 10_000, size: int = 8, seed: int = 0) -> Tensor:
    """Grey patches, ``size`` × ``size`` pixels, cut from two photographs; ``(count, size²)``.

    The photographs (a Chinese temple, a dahlia) are those that scikit-learn ships. Intensities are
    logarithms, each patch has its mean removed, and all are divided by their common standard
    deviation.

    >>> image_patches(count=100, size=8).shape
    torch.Size([100, 64])
    """
    positive_integer(count, "count")
    positive_integer(size, "size")
    images = np.log1p(_photographs())
    height = images.shape[1]
    if not 2 <= size <= height:
        raise ValueError(f"size must lie between 2 and {height}, their height: got {size}")
    rng = np.random.default_rng(integer(seed, "seed"))
    which = rng.integers(len(images), size=count)
    row, column = rng.integers(np.subtract(images.shape[1:], size - 1), size=(count, 2)).T
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    patches = windows[which, row, column].reshape(count, -1)
    patches -= patches.mean(1, keepdims=True)
    return torch.from_numpy(patches / patches.std())


@door
def cell_sizes() -> Tensor:
    """Mean area and standard error of the area of the nuclei in 569 cell images, ``(569, 2)``.

    Positive and skewed: two columns of :func:`breast_cancer`, each divided by its average.

    >>> cell_sizes().shape, bool((cell_sizes() > 0).all())
    (torch.Size([569, 2]), True)
    """
    x = breast_cancer()[:, [3, 13]]
    return x / x.mean(0)


@door
def petal_proportions() -> Tensor:
    """Shapes of 150 iris flowers as ratios between 0 and 1, ``(150, 3)``.

    Petal width / petal length, petal length / sepal length, sepal width / sepal length, from
    :func:`iris`. The three species differ in them.

    >>> float(petal_proportions().max()) < 1
    True
    """
    sepal_length, sepal_width, petal_length, petal_width = iris().unbind(1)
    ratios = (petal_width / petal_length, petal_length / sepal_length, sepal_width / sepal_length)
    return torch.stack(ratios, 1)


@door
def orientations(count: int = 2000, seed: int = 0) -> Tensor:
    """Directions in which two photographs get brighter, angles in radians, ``(count, 1)``.

    ``count`` pixels are drawn among those where the gradient of the grey intensity, smoothed by a
    Gaussian of two pixels' standard deviation, is longer than the median of their photograph. The
    angle of the gradient lies in (−π, π]: 0 is to the right, π/2 down. The photographs are those of
    :func:`image_patches`.

    >>> orientations(count=50).shape
    torch.Size([50, 1])
    """
    from scipy.ndimage import gaussian_filter

    positive_integer(count, "count")
    angles = []
    for grey in _photographs():
        down, right = (gaussian_filter(grey, 2, order=order) for order in ((1, 0), (0, 1)))
        length = np.hypot(down, right)
        angles.append(np.arctan2(down, right)[length > np.median(length)])
    everything = np.concatenate(angles)
    if count > len(everything):
        raise ValueError(f"count must be at most {len(everything)}: got {count}")
    chosen = np.random.default_rng(integer(seed, "seed")).choice(
        len(everything), count, replace=False
    )
    return torch.from_numpy(everything[chosen, None])


@door
def most_frequent_words(words: int = 20) -> list[str]:
    """The most frequent words of the text of :func:`word_counts`, the most frequent first.

    >>> most_frequent_words(3)
    ['the', 'of', 'and']
    """
    positive_integer(words, "words")
    counts = _counts()
    if words > len(counts):
        raise ValueError(f"words must be at most {len(counts)}: got {words}")
    return [word for word, _ in counts[:words]]


@door
def word_counts(words: int = 20, length: int = 50) -> Tensor:
    """How often frequent words occur in passages of real prose, ``(passages, words + 1)``.

    The text is scikit-learn's descriptions of its data sets, in English, in the version that is
    installed; each is cut into passages of ``length`` words, an incomplete last one is left out.
    Column j counts the j-th of :func:`most_frequent_words`, the last column all other words, so
    that every row sums to ``length``.

    >>> bool((word_counts(words=5, length=40).sum(1) == 40).all())
    True
    """
    positive_integer(length, "length")
    column = {word: index for index, word in enumerate(most_frequent_words(words))}
    rows = []
    for text in _texts():
        for start in range(0, len(text) - length + 1, length):
            index = [column.get(word, words) for word in text[start : start + length]]
            rows.append(np.bincount(index, minlength=words + 1))
    if not rows:
        raise ValueError(f"length must be at most {max(map(len, _texts()))}: got {length}")
    return torch.from_numpy(np.array(rows, dtype=np.float64))


@door
def word_frequencies() -> Tensor:
    """How often each different word occurs in the text of :func:`word_counts`, ``(V, 1)``.

    One row for each word, the most frequent first; every entry is at least 1.

    >>> bool(word_frequencies()[0] > 100), int(word_frequencies().min())
    (True, 1)
    """
    return torch.tensor([[count] for _, count in _counts()], dtype=torch.float64)


def _counts() -> list[tuple[str, int]]:
    """Every word of the text and how often it occurs, the most frequent first, then by letters."""
    counts = Counter(word for text in _texts() for word in text)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


@cache
def _texts() -> tuple[tuple[str, ...], ...]:
    """The words, in lower case, of every description that scikit-learn ships."""
    from importlib.resources import files

    folder = files("sklearn.datasets") / "descr"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".rst"))
    texts = ((folder / name).read_text(encoding="utf-8").lower() for name in names)
    return tuple(tuple(re.findall(r"[a-z]+(?:'[a-z]+)?", text)) for text in texts)


def _sklearn(loader: str, standardize: bool = False) -> Tensor:
    from sklearn import datasets

    x = torch.from_numpy(getattr(datasets, loader)().data.astype(np.float64))
    return (x - x.mean(0)) / x.std(0, correction=0) if standardize else x


def _photographs() -> np.ndarray[tuple[int, int, int], np.dtype[np.float64]]:
    """Grey intensities of scikit-learn's two photographs, ``(2, 427, 640)``."""
    from sklearn.datasets import load_sample_images

    return np.stack(load_sample_images().images).astype(np.float64).mean(-1)
