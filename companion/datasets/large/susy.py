"""SUSY: simulated particle collisions, a table of five million rows."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from companion.datasets.large.files import Folder, at_most, fetch, find, folder_or_cache

__all__ = ["susy"]

ADDRESSES = ("https://archive.ics.uci.edu/static/public/279/susy.zip",)
TABLE = "SUSY.csv.gz"
ROWS, FEATURES = 5_000_000, 18


def susy(folder: Folder = None, *, download: bool = False, count: int | None = None) -> Tensor:
    """18 features of simulated particle collisions, ``(5000000, 18)``; the labels are left out.

    ``count`` gives only the first so many rows. Looked for are ``SUSY.csv.gz`` and ``SUSY.csv`` in
    ``folder`` or up to two folders below; without it in ``$COMPANION_DATA/susy`` or the user's
    cache. ``download=True`` fetches the 0.9 GB there.

    UCI publishes no checksum. So the file is trusted on first use: the number of rows, of columns
    and the labels are checked once, then its SHA-256 is recorded beside it, where that can be
    written, and compared ever after. The published code of Damm et al. uses the first 2.5 million
    rows, every column mapped to [0, 1].

    Raises
    ------
    FileNotFoundError
        If the file is not there and may not be downloaded.
    ConnectionError
        If it could not be downloaded.
    OSError
        If what was downloaded could not be written to the folder.
    ValueError
        If the table has another structure, the file has changed, or ``count`` is too large.

    Source: Baldi, Sadowski & Whiteson (2014), UCI data set 279.
    """
    at_most(count, ROWS)
    root = folder_or_cache(folder, "susy")
    path = next(find(root, TABLE, "SUSY.csv"), root / TABLE)
    if not path.exists():
        if not download:
            raise FileNotFoundError(
                f"SUSY was looked for in {root} as {TABLE} or SUSY.csv and not found: get it from "
                f"{ADDRESSES[0]}, unpack it and name its folder, datasets.susy('FOLDER'), or type "
                "datasets.susy(download=True)"
            )
        fetch(ADDRESSES, path, lambda archive: zipfile.ZipFile(archive).open(TABLE))
    _check_once(path)
    features = range(1, 1 + FEATURES)
    return torch.from_numpy(
        np.loadtxt(path, delimiter=",", max_rows=count, usecols=features, ndmin=2)
    )


def _check_once(path: Path) -> None:
    """Trust on first use: check the whole table once, then only that the file has not changed."""
    record = path.with_name(f"{path.name}.sha256")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    recorded = record.read_text("ascii").split() if record.exists() else ()
    if recorded:
        if found != recorded[0]:
            raise ValueError(
                f"{path} is corrupted or another file: its SHA-256 is {found}, expected "
                f"{recorded[0]}; get it again, or delete {record} if it was replaced on purpose"
            )
        return
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            _check_structure(lines, path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is corrupted or cut off ({error}); get it again") from error
    with contextlib.suppress(OSError):  # a folder may be read-only, or the disk full
        record.write_text(f"{found}  {path.name}\n", "ascii")


def _check_structure(lines: Iterable[bytes], path: Path) -> None:
    """Raise a ``ValueError`` unless every row is a label and 18 features, and all are there."""
    row = 0
    for row, line in enumerate(lines, 1):
        label, *features = line.split(b",")
        if len(features) != FEATURES or not _is_label(label):
            raise ValueError(
                f"{path} must have rows of a label 0 or 1 and {FEATURES} features: row {row} has "
                f"{1 + len(features)} columns and begins {line[:24]!r}"
            )
    if row != ROWS:
        raise ValueError(f"{path} must have {ROWS} rows: found {row}; get it again")


def _is_label(text: bytes) -> bool:
    try:
        return float(text) in (0.0, 1.0)
    except ValueError:
        return False
