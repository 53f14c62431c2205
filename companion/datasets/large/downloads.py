"""Larger data, from a folder that the user names or from a download: MNIST, CelebA, SUSY.

No chapter needs them at the sizes ``smoke`` and ``book``.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from companion.datasets.large.files import (
    FolderLike,
    check_sha256,
    fetch,
    folder_or_cache,
    read_idx,
    replacing,
)
from companion.datasets.large.susy_table import ROWS, check_once, read_rows
from companion.support.checks import positive_integer

__all__ = ["celeba", "mnist", "mnist_labels", "susy"]

# SHA-256 of the published files, as torchvision's prototype data sets list them, and of what is in
# them, on which many independent repositories agree.
MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MNIST_ADDRESSES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
SUSY_ADDRESSES = ("https://archive.ics.uci.edu/static/public/279/susy.zip",)
CELEBA_PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
CELEBA_IMAGES = 202_599
CELEBA_WIDTH, CELEBA_HEIGHT = 178, 218
CELEBA_CROP = 148


def mnist(
    folder: FolderLike | None = None,
    *,
    train: bool = True,
    download: bool = False,
    count: int | None = None,
) -> Tensor:
    """Handwritten digits of 28 × 28 pixels, intensities from 0 to 1, ``(60000, 784)``.

    ``train=False`` gives the 10 000 test images, ``count`` only the first so many. Files are looked
    for in ``folder`` and in its ``MNIST/raw``, compressed (``.gz``) or not; if no folder is named,
    in ``$COMPANION_DATA/mnist`` or in the user's cache. With ``download=True`` a missing file is
    fetched to that folder. Every file must have its published SHA-256, so that data of the same
    format, such as Fashion-MNIST, are not taken for MNIST.

    Raises
    ------
    FileNotFoundError
        If the file is not there and may not be downloaded.
    ConnectionError
        If it could not be downloaded.
    ValueError
        If a file has another checksum, or ``count`` is too large.
    """
    images = read_idx(_mnist_file("images-idx3", folder, train, download, "mnist"))
    chosen = images[: _at_most(count, len(images))]
    return torch.from_numpy(chosen.reshape(len(chosen), -1) / 255.0)


def mnist_labels(
    folder: FolderLike | None = None,
    *,
    train: bool = True,
    download: bool = False,
    count: int | None = None,
) -> Tensor:
    """The digits, 0 to 9, that the images of :func:`mnist` show: integers, ``(60000,)``."""
    labels = read_idx(_mnist_file("labels-idx1", folder, train, download, "mnist_labels"))
    return torch.from_numpy(labels[: _at_most(count, len(labels))].astype(np.int64))


def susy(
    folder: FolderLike | None = None, *, download: bool = False, count: int | None = None
) -> Tensor:
    """18 features of simulated particle collisions, ``(5000000, 18)``; the labels are left out.

    ``count`` gives only the first so many rows. Looked for are ``SUSY.csv.gz`` and ``SUSY.csv`` in
    ``folder``, or in ``$COMPANION_DATA/susy`` or the user's cache; ``download=True`` fetches the
    0.9 GB there.

    UCI publishes no checksum. So the file is trusted on first use: the number of rows, of columns
    and the labels are checked once, then its SHA-256 is recorded beside it and compared ever
    after. The published code of Damm et al. uses the first 2.5 million rows, every column mapped to
    [0, 1].

    Raises
    ------
    FileNotFoundError
        If the file is not there and may not be downloaded.
    ConnectionError
        If it could not be downloaded.
    ValueError
        If the table has another structure, the file has changed, or ``count`` is too large.

    Source: Baldi, Sadowski & Whiteson (2014), UCI data set 279.
    """
    _at_most(count, ROWS)
    root = folder_or_cache(folder, "susy")
    path = _first_file(root, ("SUSY.csv.gz", "SUSY.csv"))
    if path is None:
        path = root / "SUSY.csv.gz"
        if not download:
            raise FileNotFoundError(
                f"SUSY was looked for in {root} as SUSY.csv.gz or SUSY.csv and not found: get it "
                f"from {SUSY_ADDRESSES[0]}, unpack it and name its folder, "
                "datasets.susy('FOLDER'), or type datasets.susy(download=True)"
            )
        _fetch_susy(path)
    check_once(path)
    return read_rows(path, count)


def celeba(folder: FolderLike, *, size: int = 64, count: int | None = 10_000) -> Tensor:
    """Photographs of faces, colours from 0 to 1, ``(count, 3 · size²)``.

    The central 148 × 148 pixels, scaled to ``size`` × ``size``; a row is the image row by row, each
    pixel red, green, blue: ``x.reshape(-1, size, size, 3)``. The first ``count`` images in the
    order of their numbers, all 202 599 if it is ``None`` (20 GB of memory at size 64).

    ``folder`` is ``img_align_celeba`` or contains it. There is no download: the images may be used
    for non-commercial research only and are handed out from a page to agree to,
    https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html. They must all be there, and those that are
    used must be 178 × 218 pixels.

    Raises
    ------
    FileNotFoundError
        If the folder is not there.
    ValueError
        If images are missing or have another size, or for a bad ``size`` or ``count``.

    Source: Liu et al. (2015).
    """
    if positive_integer(size, "size") > CELEBA_CROP:
        raise ValueError(
            f"size must be at most {CELEBA_CROP}, the part that is cut out: got {size}"
        )
    images = _celeba_images(Path(folder).expanduser())
    chosen = images[: _at_most(count, len(images))]
    x = np.empty((len(chosen), 3 * size * size))
    for row, path in zip(x, chosen, strict=True):
        row[:] = _celeba_pixels(path, size)
    return torch.from_numpy(x)


def _at_most(count: int | None, available: int) -> int:
    """The number of rows to give, all if ``count`` is ``None``."""
    if count is None:
        return available
    if positive_integer(count, "count") > available:
        raise ValueError(f"count must be at most {available}: got {count}")
    return count


def _first_file(root: Path, names: Iterable[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_file()), None)


def _mnist_file(
    kind: str, folder: FolderLike | None, train: bool, download: bool, caller: str
) -> Path:
    """The checked file of ``kind``, downloaded if it is not there."""
    name = f"{'train' if train else 't10k'}-{kind}-ubyte"
    root = folder_or_cache(folder, "mnist")
    places = [f"{part}{name}{end}" for part in ("", "MNIST/raw/") for end in (".gz", "")]
    path = _first_file(root, places)
    if path is None:
        path = root / f"{name}.gz"
        if not download:
            raise FileNotFoundError(
                f"MNIST was looked for in {root} as {name}.gz or {name} and not found: get "
                f"{name}.gz from {MNIST_ADDRESSES[0]} and name its folder, "
                f"datasets.{caller}('FOLDER'), or type datasets.{caller}(download=True)"
            )
        fetch([address + path.name for address in MNIST_ADDRESSES], path, MNIST_SHA256[path.name])
    check_sha256(path, MNIST_SHA256[path.name], f"get it from {MNIST_ADDRESSES[0]}")
    return path


def _fetch_susy(path: Path) -> None:
    """Download UCI's archive beside ``path``, unpack the table, remove the archive."""
    archive = path.with_name("susy.zip")
    try:
        fetch(SUSY_ADDRESSES, archive)
        with zipfile.ZipFile(archive) as packed, replacing(path) as partial:
            with packed.open(path.name) as source, partial.open("wb") as target:
                shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise ConnectionError(
            f"{SUSY_ADDRESSES[0]} did not deliver a whole archive with {path.name} in it: {error}"
        ) from error
    finally:
        archive.unlink(missing_ok=True)


def _celeba_images(root: Path) -> list[Path]:
    """The paths of all images, in the order of their numbers."""
    inside = root if root.name == "img_align_celeba" else root / "img_align_celeba"
    if not inside.is_dir():
        raise FileNotFoundError(
            f"CelebA was looked for in {inside} and not found: get img_align_celeba.zip from "
            f"{CELEBA_PAGE}, unpack it and name the folder that img_align_celeba lies in, "
            "datasets.celeba('FOLDER')"
        )
    expected = [f"{number:06d}.jpg" for number in range(1, CELEBA_IMAGES + 1)]
    found = {path.name for path in inside.glob("*.jpg")}
    missing = next((name for name in expected if name not in found), None)
    if missing is not None or len(found) != CELEBA_IMAGES:
        detail = f", {missing} is missing" if missing else ""
        raise ValueError(
            f"{inside} must hold the {CELEBA_IMAGES} images {expected[0]} to {expected[-1]}: found "
            f"{len(found)}{detail}; unpack img_align_celeba.zip again"
        )
    return [inside / name for name in expected]


def _celeba_pixels(path: Path, size: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    from PIL import Image

    left, top = (CELEBA_WIDTH - CELEBA_CROP) // 2, (CELEBA_HEIGHT - CELEBA_CROP) // 2
    try:
        with Image.open(path) as image:
            if image.size != (CELEBA_WIDTH, CELEBA_HEIGHT):
                raise ValueError(
                    f"{path} must have {CELEBA_WIDTH} × {CELEBA_HEIGHT} pixels: found "
                    f"{image.size[0]} × {image.size[1]}"
                )
            part = image.convert("RGB").crop((left, top, left + CELEBA_CROP, top + CELEBA_CROP))
            small = part.resize((size, size), Image.Resampling.BILINEAR)
    except OSError as error:
        raise ValueError(f"{path} is corrupted ({error}); unpack the images again") from error
    return np.asarray(small, dtype=np.float64).reshape(-1) / 255
