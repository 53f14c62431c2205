"""Your own data: a table of numbers from a text file, images from a folder or an array.

Each function gives a pair, the data as a float64 tensor of shape ``(N, D)`` and what is needed to
draw them: names of the columns, or the shape of one image.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from companion.datasets.large.files import BAD_FILE
from companion.support.checks import as_names
from companion.support.doors import door

__all__ = ["Columns", "Images", "images", "table"]

Name = str | os.PathLike[str]
Pixels = np.ndarray[Any, np.dtype[Any]]

MISSING = ("", "na", "n/a", "nan", "null", "none", "?", ".", "-")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
#: Kinds of numbers in IDX files, the format of MNIST, by their code.
IDX = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


class Columns(NamedTuple):
    """A table: the data ``x``, ``(N, D)``, and the D ``names`` of its columns.

    >>> Columns(torch.zeros(10, 2, dtype=torch.float64), ("height", "weight")).names
    ('height', 'weight')
    """

    x: Tensor
    names: tuple[str, ...]


class Images(NamedTuple):
    """Images: ``x``, ``(N, D)``; ``x.reshape(-1, *shape)`` are rows of pixels, colours last.

    >>> x = torch.zeros(10, 64, dtype=torch.float64)
    >>> Images(x, (8, 8)).x.shape
    torch.Size([10, 64])
    """

    x: Tensor
    shape: tuple[int, ...]


@door
def table(file: Name, *, one_hot: Iterable[str] = (), leave_out: Iterable[str] = ()) -> Columns:
    """A table of numbers from a text file, one row a line.

    Columns are separated by a comma, a semicolon or a tab, whichever is in the first line; with the
    last two, numbers may have a decimal comma. The first line holds the names, unless it holds
    numbers.

    Parameters
    ----------
    file
        A text file in UTF-8, such as ``my.csv``.
    one_hot
        Names of columns that hold categories: each becomes a column of 0 and 1 for every category,
        in alphabetical order, with the name ``column=category``.
    leave_out
        Names of columns that are not read.

    Raises
    ------
    ValueError
        For text in a column that is not one of these, and for missing values, both named by column
        and line; for lines of another length, a name that is not there or twice, an empty file.
    FileNotFoundError
        If there is no such file.
    """
    path = existing(file)
    names, lines = _cells(path)
    encoded, left_out = as_names(one_hot), as_names(leave_out)
    for what, chosen in (("one_hot", encoded), ("leave_out", left_out)):
        unknown = [name for name in chosen if name not in names]
        if unknown:
            raise ValueError(f"{what} must name columns of {path}, {list(names)}: got {unknown}")
    found: list[tuple[str, Sequence[float]]] = []
    for index, name in enumerate(names):
        if name in left_out:
            continue
        cells = [(number, cell[index].strip()) for number, cell in lines]
        _check_missing(path, name, cells)
        if name in encoded:
            kinds = sorted({cell for _, cell in cells})
            found += [(f"{name}={kind}", [float(c == kind) for _, c in cells]) for kind in kinds]
        else:
            found.append((name, [_number(path, name, *cell) for cell in cells]))
    if not found:
        raise ValueError(f"leave_out must leave at least one column of {path}: got {left_out}")
    x = torch.tensor([values for _, values in found], dtype=torch.float64).T.contiguous()
    return Columns(x, tuple(name for name, _ in found))


def existing(name: Name) -> Path:
    """The path of what is there, or a ``FileNotFoundError``."""
    path = Path(name).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{path} must be a file or folder: there is none of that name")
    return path


def _cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Names of columns, and the cells of every line with its number; empty lines left out."""
    try:
        text = path.read_text("utf-8-sig")
        first = next(iter(text.splitlines()), "")
        mark = max(";\t,", key=first.count)
        read = csv.reader(text.splitlines(), delimiter=mark, strict=True)
        lines = [(read.line_num, cells) for cells in read if any(map(str.strip, cells))]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be text in UTF-8: byte {error.start} is not") from error
    except (OSError, csv.Error) as error:
        raise ValueError(f"{path} must be a table of text: {error}") from error
    if not lines:
        raise ValueError(f"{path} must hold at least one line: it is empty")
    width = len(lines[0][1])
    for number, cells in lines:
        if len(cells) != width:
            raise ValueError(
                f"{path} must have {width} cells in every line, separated by {mark!r}: found "
                f"{len(cells)} in line {number}"
            )
    names = [cell.strip() for cell in lines[0][1]]
    if all(_parsed(cell) is not None for cell in names):
        return [f"column {index}" for index in range(width)], lines
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or len(lines) == 1:
        wrong = f"{twice} twice" if twice else "no other line"
        raise ValueError(f"{path} must have names in its first line and rows below: found {wrong}")
    return names, lines[1:]


def _parsed(cell: str) -> float | None:
    """A number, with a point or a comma; ``None`` for what is none."""
    try:
        return float(cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell)
    except ValueError:
        return None


def _check_missing(path: Path, name: str, cells: list[tuple[int, str]]) -> None:
    lines = [number for number, cell in cells if cell.lower() in MISSING]
    if lines:
        raise ValueError(
            f"{path} must have a value everywhere: {len(lines)} of {len(cells)} are missing in "
            f"column {name!r}, first in line {lines[0]}; fill them, leave out their rows, or "
            "leave_out the column"
        )


def _number(path: Path, name: str, line: int, cell: str) -> float:
    value = _parsed(cell)
    if value is None or not math.isfinite(value):
        raise ValueError(
            f"{path} must hold finite numbers: found {cell!r} in column {name!r}, line {line}; "
            "name the column in one_hot if it holds categories, or in leave_out"
        )
    return value


@door
def images(file: Name, *, key: str | None = None) -> Images:
    """Images of one size, intensities 0 to 1 where the file has whole numbers.

    Parameters
    ----------
    file
        A folder of pictures (those of folders in it too, in alphabetical order); a NumPy file,
        ``.npy`` or ``.npz``; or an IDX file as MNIST's, also with ``.gz``. Arrays are
        ``(N, height, width)``, with colours behind it or before ``height``.
    key
        Which array of an ``.npz`` file, if it holds several.

    Raises
    ------
    ValueError
        For pictures of different sizes or none, arrays of other shapes, or damaged files.
    FileNotFoundError
        If there is no such file.
    """
    path = existing(file)
    pixels = _pictures(path) if path.is_dir() else _array(path, key)
    if pixels.ndim == 4 and pixels.shape[3] not in (1, 3, 4) and pixels.shape[1] in (1, 3, 4):
        pixels = np.moveaxis(pixels, 1, 3)
    if pixels.ndim not in (3, 4) or 0 in pixels.shape or pixels.dtype.kind not in "buif":
        raise ValueError(
            f"{path} must hold numbers of shape (N, height, width) or (N, height, width, colours): "
            f"found {pixels.dtype} of shape {pixels.shape}"
        )
    largest = 1 if pixels.dtype.kind in "bf" else np.iinfo(pixels.dtype).max
    x = np.ascontiguousarray(pixels, dtype=np.float64).reshape(len(pixels), -1) / largest
    if not np.isfinite(x).all():
        row = int((~np.isfinite(x)).any(1).argmax())
        raise ValueError(f"{path} must be finite: found NaN or infinity in image {row} (from 0)")
    shape = pixels.shape[1:3] if pixels.shape[3:] == (1,) else pixels.shape[1:]
    return Images(torch.from_numpy(x), tuple(shape))


def _array(path: Path, key: str | None) -> Pixels:
    """The array of a NumPy file or an IDX file."""
    kind = path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                names = list(arrays)
                if key is None and len(names) == 1:
                    key = names[0]
                if key in names:
                    return np.asarray(arrays[key])
            raise KeyError(f"key must name one of its arrays, {names}: got {key!r}")
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if data[:2] != b"\0\0" or data[2] not in IDX:
            raise ValueError(f"a file of kind {''.join(kind) or 'no suffix'} is none of these")
        sizes = np.frombuffer(data, ">u4", data[3], 4)
        return np.frombuffer(data, IDX[data[2]], offset=4 + 4 * data[3]).reshape(sizes)
    except (*BAD_FILE, IndexError) as error:
        said = error.args[0] if error.args else error
        raise ValueError(
            f"{path} must be a folder of pictures, a .npy, a .npz or an IDX file: {said}"
        ) from error


def _pictures(folder: Path) -> Pixels:
    """All pictures of a folder, ``(N, height, width)`` or with three colours."""
    from PIL import Image

    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())
    if not paths:
        raise ValueError(f"{folder} must hold pictures ({', '.join(PICTURES)}): found none")
    found = []
    for path in paths:
        try:
            with Image.open(path) as image:
                grey = image.mode in ("1", "L", "I;16")
                pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
                found.append(pixels if grey else np.asarray(image.convert("RGB")))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path} must be a picture: {error}") from error
        if found[-1].shape != found[0].shape or found[-1].dtype != found[0].dtype:
            raise ValueError(
                f"{folder} must hold pictures of one size and kind: {paths[0].name} has shape "
                f"{found[0].shape}, {path.name} {found[-1].shape}"
            )
    return np.stack(found)
