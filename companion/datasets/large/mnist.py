"""MNIST: handwritten digits, in the layouts that people have them in."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from companion.datasets.large.files import (
    BAD_FILE,
    Folder,
    at_most,
    fetch,
    find,
    folder_or_cache,
    member,
    said,
)

__all__ = ["mnist"]

#: Of the unpacked files; many independent repositories agree on them.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
}
ADDRESSES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
#: Bytes of a file of images, and of one with labels written as a table, at most.
LARGEST, LARGEST_TABLE = 48_000_000, 250_000_000


def mnist(
    folder: Folder = None, *, train: bool = True, download: bool = False, count: int | None = None
) -> Tensor:
    """Handwritten digits of 28 × 28 pixels, intensities from 0 to 1, ``(60000, 784)``.

    The images must have the published SHA-256, so that data of the same format, such as
    Fashion-MNIST, or a part of them are not taken for MNIST. Read are the published files,
    compressed again or not, as torchvision and Kaggle lay them out, Keras' ``mnist.npz``, and the
    tables ``mnist_train.csv`` and ``mnist_test.csv``.

    Parameters
    ----------
    folder
        Where the files lie, themselves or up to three folders below; ``None`` for
        ``$COMPANION_DATA/mnist`` or else ``mnist`` in the user's cache.
    train
        Whether to give the 60 000 images to train on or the 10 000 to test with.
    download
        Whether a file that is not there or damaged is fetched to that folder; in a folder of your
        own, a file of that name that it takes the place of is kept with ``.replaced`` after it.
    count
        Give only the first so many; ``None`` for all.

    Raises
    ------
    FileNotFoundError
        If the file is not there and may not be downloaded.
    ConnectionError
        If it could not be downloaded.
    OSError
        If what was downloaded could not be written to the folder.
    ValueError
        If a file has another checksum, or ``count`` is too large.
    """
    content = _content(folder, train, download)
    # An IDX file of images begins with its type and three dimensions, in four bytes each.
    images = np.frombuffer(content, np.uint8, offset=16).reshape(-1, 28 * 28)
    return torch.from_numpy(images[: at_most(count, len(images))] / 255.0)


def _content(folder: Folder, train: bool, download: bool) -> bytes:
    """The images as a published file holds them: of the first file with the right content."""
    root, part = folder_or_cache(folder, "mnist"), "train" if train else "t10k"
    name, table = f"{part}-images-idx3-ubyte", f"mnist_{'train' if train else 'test'}.csv"
    dotted = name.replace("-idx", "?idx")
    failures = []
    for path in find(root, dotted, f"{dotted}.gz", "mnist.npz", table):
        try:
            if path.name == "mnist.npz":
                content = _of_keras(path, "x_train" if train else "x_test")
            else:
                content = _of_table(path) if path.name == table else _unpacked(path)
        except BAD_FILE as error:
            failures.append(f"{path} cannot be read ({said(error)})")
            continue
        found = hashlib.sha256(content).hexdigest()
        if found == SHA256[name]:
            return content
        failures.append(
            f"{path} is corrupted or another file: the SHA-256 of what is in it is {found}, "
            f"expected {SHA256[name]}"
        )
    if download:
        addresses = [f"{address}{name}.gz" for address in ADDRESSES]
        target = root / name
        fetch(addresses, target, gzip.open, LARGEST, SHA256[name], keep=folder is not None)
        return target.read_bytes()
    if failures:
        raise ValueError(
            f"{failures[0]}; get it from {ADDRESSES[0]} or type datasets.mnist(download=True)"
        )
    raise FileNotFoundError(
        f"MNIST was looked for in {root} and three folders below as {name}, {name}.gz, mnist.npz "
        f"or {table} and not found: get {name}.gz from {ADDRESSES[0]} and name its folder, "
        "datasets.mnist('FOLDER'), or type datasets.mnist(download=True)"
    )


def _unpacked(path: Path) -> bytes:
    """What is in a file, compressed or not; the file as it is if it cannot be unpacked."""
    try:
        with gzip.open(path) as file:
            return _within(file)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        with path.open("rb") as file:
            return _within(file)


def _within(file: IO[bytes] | gzip.GzipFile) -> bytes:
    """What is in an open file, unless that is more than images can be."""
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"there are more than {LARGEST} bytes in it")
    return content


def _of_keras(path: Path, name: str) -> bytes:
    """The images in an archive of arrays, as a published file holds them."""
    with path.open("rb") as archive, member(f"{name}.npy")(archive) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{name} is an array in a new format")
        shape, _, kind = np.lib.format.read_array_header_1_0(file)
        if kind != np.uint8:
            raise ValueError(f"{name} must hold bytes: found {kind}")
        return _published(_within(file), shape)


def _of_table(path: Path) -> bytes:
    """The images in a table of a label and 784 pixels, with or without a header."""
    if not 0 < path.stat().st_size <= LARGEST_TABLE:
        raise ValueError(f"it is empty or has more than {LARGEST_TABLE} bytes")
    with path.open("rb") as file:
        header = int(not file.read(1).isdigit())
    pixels = np.loadtxt(
        path, np.uint8, delimiter=",", skiprows=header, usecols=range(1, 785), ndmin=2
    )
    return _published(pixels.tobytes(), (len(pixels), 28, 28))


def _published(pixels: bytes, shape: tuple[int, ...]) -> bytes:
    """Pixels as the published files hold them: kind, number of dimensions, each of them."""
    return bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape) + pixels
