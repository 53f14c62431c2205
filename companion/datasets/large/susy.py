"""SUSY: simulated particle collisions, a table of five million rows."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import re
import warnings
import zlib
from pathlib import Path

import numpy as np
from torch import Tensor

from companion.datasets.large.files import (
    Folder,
    at_most,
    fetch,
    find,
    folder_or_cache,
    member,
    said,
)
from companion.support.checks import as_data

__all__ = ["susy"]

ADDRESSES = ("https://archive.ics.uci.edu/static/public/279/susy.zip",)
TABLE = "SUSY.csv.gz"
ROWS, FEATURES = 5_000_000, 18
#: Bytes of the archive and of the packed table, at most (each has 0.9 GB), and of a row.
LARGEST, LONGEST = 2_000_000_000, 2_000


def susy(
    folder: Folder = None,
    *,
    download: bool = False,
    count: int | None = None,
    sha256: str | None = None,
) -> Tensor:
    """18 features of simulated particle collisions, ``(5000000, 18)``; the labels are left out.

    UCI publishes no checksum. So the file is trusted on first use, and a warning says so: the
    number of rows, of columns and the labels are checked once, then its SHA-256 is recorded beside
    it, where that can be written, and compared ever after. Whoever knows the checksum gives it as
    ``sha256``, and nothing else is trusted. The published code of Damm et al. uses the first 2.5
    million rows, every column mapped to [0, 1].

    Parameters
    ----------
    folder
        Where ``SUSY.csv.gz`` or ``SUSY.csv`` lies, itself or up to three folders below; ``None``
        for ``$COMPANION_DATA/susy`` or else ``susy`` in the user's cache.
    download
        Whether a file that is not there, or that has changed since, is fetched to that folder
        (0.9 GB); in a folder of your own, the one that it takes the place of is kept with
        ``.replaced`` after its name.
    count
        Give only the first so many rows; ``None`` for all.
    sha256
        The checksum that the file must have, compressed if it is.

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
    if sha256 is not None:
        sha256 = _digits(sha256, "sha256")
    root = folder_or_cache(folder, "susy")
    path = next(find(root, TABLE, "SUSY.csv"), root / TABLE)
    try:
        found = _checked(path, sha256)
    except (FileNotFoundError, ValueError):
        if not download:
            raise
        path = root / TABLE
        expected, keep = sha256 or _recorded(path), folder is not None
        fetch(ADDRESSES, path, member(TABLE), LARGEST, expected, _check_structure, keep)
        found = _sum(path)
    if found != _recorded(path):
        _remember(path, found, pinned=sha256 is not None)
    columns = range(1, 1 + FEATURES)
    try:
        x = np.loadtxt(path, delimiter=",", max_rows=count, usecols=columns, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} must hold numbers: {error}") from error
    return as_data(x, str(path))


def _checked(path: Path, sha256: str | None) -> str:
    """The file's SHA-256, if it is the expected one or, without one, the whole table is right."""
    if not path.exists():
        raise FileNotFoundError(
            f"SUSY was looked for in {path.parent} and three folders below as {TABLE} or SUSY.csv "
            f"and not found: get it from {ADDRESSES[0]}, unpack it and name its folder, "
            "datasets.susy('FOLDER'), or type datasets.susy(download=True)"
        )
    found, recorded = _sum(path), _recorded(path)
    expected, other = (sha256, "give another") if sha256 else (recorded, f"delete {_record(path)}")
    if expected and found != expected:
        raise ValueError(
            f"{path} is corrupted or another file: its SHA-256 is {found}, expected {expected}; "
            f"get it again, datasets.susy(download=True), or {other} if it was replaced on purpose"
        )
    if found != recorded:
        _check_structure(path)
    return found


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _recorded(path: Path) -> str | None:
    """The SHA-256 that was recorded; ``None`` if none was, or only begun on a full disk."""
    record = _record(path)
    if not record.is_file():
        return None
    with record.open("rb") as file:
        words = file.read(1000).decode("ascii", "replace").split()
    return _digits(words[0], f"{record}, which may be deleted,") if words else None


def _digits(text: str, name: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError(f"{name} must be the 64 digits of a SHA-256: found {text[:70]!r}")
    return text.lower()


def _remember(path: Path, found: str, pinned: bool) -> None:
    """Record the checksum, and say so loudly where nobody vouched for it."""
    if not pinned:
        warnings.warn(
            f"SUSY has no published checksum: {path} has the right structure and is trusted as it "
            f"is from now on; datasets.susy(sha256={found!r}) trusts nothing else, anywhere",
            stacklevel=3,
        )
    with contextlib.suppress(OSError):  # a folder may be read-only, or the disk full
        _record(path).write_text(f"{found}  {path.name}\n", "ascii")


def _check_structure(path: Path) -> None:
    """Raise a ``ValueError`` unless every row is a label and 18 features, and all are there."""
    row = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            # A row is never read whole if it is longer than a row can be.
            for row, line in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
                label, *features = line.split(b",")
                if row > ROWS or len(features) != FEATURES or not _is_label(label):
                    raise ValueError(
                        f"{path} must have {ROWS} rows of a label 0 or 1 and {FEATURES} features: "
                        f"row {row} has {1 + len(features)} columns and begins {line[:24]!r}"
                    )
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is corrupted or cut off ({said(error)}); get it again") from error
    if row != ROWS:
        raise ValueError(f"{path} must have {ROWS} rows: found {row}; get it again")


def _is_label(text: bytes) -> bool:
    try:
        return float(text) in (0.0, 1.0)
    except ValueError:
        return False
