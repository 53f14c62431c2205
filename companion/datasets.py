"""Real data that need no network, and seeded synthetic data; float64 tensors of shape (N, D)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.checks import positive_integer

__all__ = [
    "bars",
    "breast_cancer",
    "digits",
    "image_patches",
    "iris",
    "pca",
    "pca_ring",
    "wine",
]


def digits(binary: bool = False) -> Tensor:
    """1797 handwritten digits of 8 × 8 pixels, intensities 0 to 16, ``(1797, 64)``.

    ``binary=True`` thresholds at 8: pixels above are 1, the others 0.

    Source: UCI "Optical Recognition of Handwritten Digits" (test part), shipped by scikit-learn.

    >>> digits().shape, sorted(set(digits(binary=True).flatten().tolist()))
    (torch.Size([1797, 64]), [0.0, 1.0])
    """
    x = _sklearn("load_digits")
    return (x > 8).to(torch.float64) if binary else x


def iris(standardize: bool = False) -> Tensor:
    """150 iris flowers, four lengths in cm, ``(150, 4)``. Source: Fisher (1936)."""
    return _maybe_standardize(_sklearn("load_iris"), standardize)


def wine(standardize: bool = False) -> Tensor:
    """178 wines, 13 chemical measurements, ``(178, 13)``. Source: UCI, via scikit-learn."""
    return _maybe_standardize(_sklearn("load_wine"), standardize)


def breast_cancer(standardize: bool = False) -> Tensor:
    """569 cell images, 30 measurements, ``(569, 30)``. Source: UCI (WDBC), via scikit-learn."""
    return _maybe_standardize(_sklearn("load_breast_cancer"), standardize)


def image_patches(count: int = 10_000, size: int = 8, seed: int = 0) -> Tensor:
    """Grey patches, ``size`` × ``size`` pixels, cut from two photographs; ``(count, size²)``.

    The photographs (a Chinese temple, a dahlia) are those that scikit-learn ships. Intensities are
    logarithms, each patch has its mean removed, and all are divided by their common standard
    deviation.
    """
    from sklearn.datasets import load_sample_images

    positive_integer(count, "count")
    positive_integer(size, "size")
    rng = np.random.default_rng(seed)
    images = [np.log1p(image.astype(np.float64).mean(-1)) for image in load_sample_images().images]
    smallest = min(min(image.shape) for image in images)
    if size > smallest:
        raise ValueError(f"size must be at most {smallest}, the photographs' height: got {size}")
    patches = np.empty((count, size * size))
    for index, which in enumerate(rng.integers(len(images), size=count)):
        image = images[which]
        row, column = (rng.integers(extent - size + 1) for extent in image.shape)
        patches[index] = image[row : row + size, column : column + size].reshape(-1)
    patches -= patches.mean(1, keepdims=True)
    return torch.from_numpy(patches / patches.std())


def pca(
    count: int = 1000, observed: int = 10, latent: int = 2, noise_std: float = 0.1, seed: int = 0
) -> Tensor:
    """Draws from a linear-Gaussian model: x = Wz + μ + noise, W and μ uniform on [0, 1].

    Source: the PCA data of Damm et al. (arXiv:2010.14860), with their sizes as defaults except N.
    """
    return _linear(count, observed, latent, noise_std, seed, ring=False)


def pca_ring(
    count: int = 1000, observed: int = 10, latent: int = 2, noise_std: float = 0.1, seed: int = 0
) -> Tensor:
    """Like :func:`pca`, but with latents near the unit sphere: z ← z/10 + z/‖z‖.

    Source: the PCA-ring data of Damm et al. (arXiv:2010.14860).
    """
    return _linear(count, observed, latent, noise_std, seed, ring=True)


def bars(
    count: int = 500, size: int = 4, probability: float | None = None, seed: int = 0
) -> Tensor:
    """Binary images of horizontal and vertical bars, ``(count, size²)``.

    Each of the 2·size bars is present with ``probability``, by default two per image on average.

    >>> bars(3, size=4).shape
    torch.Size([3, 16])
    """
    positive_integer(count, "count")
    positive_integer(size, "size")
    chance = 1 / size if probability is None else probability
    if not 0 < chance < 1:
        raise ValueError(f"probability must lie between 0 and 1: got {probability}")
    present = np.random.default_rng(seed).random((count, 2, size)) < chance
    images = present[:, 0, :, None] | present[:, 1, None, :]
    return torch.from_numpy(images.reshape(count, -1).astype(np.float64))


def _sklearn(loader: str) -> Tensor:
    from sklearn import datasets

    bunch: Any = getattr(datasets, loader)()
    return torch.from_numpy(bunch.data.astype(np.float64))


def _maybe_standardize(x: Tensor, standardize: bool) -> Tensor:
    return (x - x.mean(0)) / x.std(0, correction=0) if standardize else x


def _linear(
    count: int, observed: int, latent: int, noise_std: float, seed: int, ring: bool
) -> Tensor:
    for value, name in ((count, "count"), (observed, "observed"), (latent, "latent")):
        positive_integer(value, name)
    if not noise_std >= 0:
        raise ValueError(f"noise_std must be at least 0: got {noise_std}")
    rng = np.random.default_rng(seed)
    weights = rng.random((observed, latent))
    mean = rng.random(observed)
    z = rng.standard_normal((count, latent))
    if ring:
        z = z / 10 + z / np.linalg.norm(z, axis=1, keepdims=True)
    x = z @ weights.T + mean + noise_std * rng.standard_normal((count, observed))
    return torch.from_numpy(x)
