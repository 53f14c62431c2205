"""MNIST: handwritten digits and what they show."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from companion.datasets.large.files import Folder, at_most, fetch, find, folder_or_cache

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


def mnist(
    folder: Folder = None, *, train: bool = True, download: bool = False, count: int | None = None
) -> Tensor:
    """Handwritten digits of 28 × 28 pixels, intensities from 0 to 1, ``(60000, 784)``.

    What is in a file must have the published SHA-256, so that data of the same format, such as
    Fashion-MNIST, are not taken for MNIST.

    Parameters
    ----------
    folder
        Where the files lie, themselves or up to two folders below, compressed (``.gz``) or not;
        ``None`` for ``$COMPANION_DATA/mnist`` or else ``mnist`` in the user's cache.
    train
        Whether to give the 60 000 images to train on or the 10 000 to test with.
    download
        Whether a file that is not there is fetched to that folder.
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
    """What is in the file of images, unpacked: the first with the right content."""
    root, name = (
        folder_or_cache(folder, "mnist"),
        f"{'train' if train else 't10k'}-images-idx3-ubyte",
    )
    paths = list(find(root, name.replace("-idx", "?idx"), name.replace("-idx", "?idx") + ".gz"))
    checksums = []
    for path in paths:
        content = _unpacked(path)
        checksums.append(hashlib.sha256(content).hexdigest())
        if checksums[-1] == SHA256[name]:
            return content
    if download and root / name not in paths:
        addresses = [f"{address}{name}.gz" for address in ADDRESSES]
        fetch(addresses, root / name, gzip.open, SHA256[name])
        return (root / name).read_bytes()
    if paths:
        raise ValueError(
            f"{paths[0]} is corrupted or another file: the SHA-256 of what is in it is "
            f"{checksums[0]}, expected {SHA256[name]}; get it from {ADDRESSES[0]}"
        )
    raise FileNotFoundError(
        f"MNIST was looked for in {root} as {name}.gz or {name} and not found: get {name}.gz from "
        f"{ADDRESSES[0]} and name its folder, datasets.mnist('FOLDER'), or type "
        "datasets.mnist(download=True)"
    )


def _unpacked(path: Path) -> bytes:
    """What is in a file, compressed or not; the file as it is if it cannot be unpacked."""
    content = path.read_bytes()
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return content
