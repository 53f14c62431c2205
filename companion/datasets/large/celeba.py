"""CelebA: photographs of faces."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from companion.datasets.large.files import at_most, find
from companion.support.checks import positive_integer

__all__ = ["celeba"]

PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
IMAGES = 202_599
WIDTH, HEIGHT, CROP = 178, 218, 148


def celeba(folder: str | os.PathLike[str], *, size: int = 64, count: int | None = 10_000) -> Tensor:
    """Photographs of faces, colours from 0 to 1, ``(count, 3 · size²)``.

    The central 148 × 148 pixels, scaled to ``size`` × ``size``; a row is the image row by row, each
    pixel red, green, blue: ``x.reshape(-1, size, size, 3)``. The first ``count`` images in the
    order of their numbers, all 202 599 if it is ``None`` (20 GB of memory at size 64).

    ``folder`` holds the images, or a folder up to three below it does. There is no download: the
    images may be used for non-commercial research only and are handed out from a page to agree to,
    https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html. They must all be there, and those that are
    used must be 178 × 218 pixels.

    Raises
    ------
    FileNotFoundError
        If the images are not there.
    ValueError
        If images are missing or have another size, or for a bad ``size`` or ``count``.

    Source: Liu et al. (2015).
    """
    if positive_integer(size, "size") > CROP:
        raise ValueError(f"size must be at most {CROP}, the part that is cut out: got {size}")
    paths = _all_images(Path(folder).expanduser())[: at_most(count, IMAGES)]
    x = np.empty((len(paths), 3 * size * size))
    for row, path in zip(x, paths, strict=True):
        row[:] = _pixels(path, size)
    return torch.from_numpy(x)


def _all_images(root: Path) -> list[Path]:
    """The paths of all images, in the order of their numbers."""
    names = [f"{number:06d}.jpg" for number in range(1, IMAGES + 1)]
    first = next(find(root, names[0]), None)
    if first is None:
        raise FileNotFoundError(
            f"CelebA was looked for in {root} and three folders below and not found: get "
            f"img_align_celeba.zip from {PAGE}, unpack it and name the folder that its images lie "
            "in, datasets.celeba('FOLDER')"
        )
    found = {path.name for path in first.parent.glob("*.jpg")}
    missing = next((name for name in names if name not in found), None)
    if missing is not None or len(found) != IMAGES:
        detail = f", {missing} is missing" if missing else ""
        raise ValueError(
            f"{first.parent} must hold the {IMAGES} images {names[0]} to {names[-1]}: found "
            f"{len(found)}{detail}; unpack img_align_celeba.zip again"
        )
    return [first.parent / name for name in names]


def _pixels(path: Path, size: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """One image, cut out and scaled, as one row."""
    from PIL import Image

    left, top = (WIDTH - CROP) // 2, (HEIGHT - CROP) // 2
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            if image.size != (WIDTH, HEIGHT):
                found = " × ".join(map(str, image.size))
                raise ValueError(f"{path} must have {WIDTH} × {HEIGHT} pixels: found {found}")
            part = image.convert("RGB").crop((left, top, left + CROP, top + CROP))
            small = part.resize((size, size), Image.Resampling.BILINEAR)
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is corrupted ({error}); unpack the images again") from error
    return np.asarray(small, dtype=np.float64).reshape(-1) / 255
