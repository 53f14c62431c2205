"""The table of the SUSY data: its structure, its checksum on first use, its rows."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from companion.datasets.large.files import check_sha256, replacing, sha256_of

__all__ = ["check_once", "read_rows"]

ROWS, FEATURES = 5_000_000, 18


def check_once(path: Path) -> None:
    """Trust on first use: check the whole table once, then only that the file has not changed.

    The first time, every row must have a label 0 or 1 and 18 features, and there must be five
    million of them; then the file's SHA-256 is written beside it (``SUSY.csv.gz.sha256``, left out
    in a folder that is read-only), and compared ever after.

    Raises
    ------
    ValueError
        If the table has another structure, or the file another checksum than on first use.
    """
    record = path.with_name(path.name + ".sha256")
    if record.exists():
        hint = f"get it again, or delete {record} if you have replaced it on purpose"
        check_sha256(path, record.read_text("ascii").split()[0], hint)
        return
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            _check_structure(lines, path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is corrupted or cut off ({error}); get it again") from error
    with contextlib.suppress(PermissionError), replacing(record) as partial:
        partial.write_text(f"{sha256_of(path)}  {path.name}\n", "ascii")


def _check_structure(lines: Iterable[bytes], path: Path) -> None:
    rows, labels = 0, set()
    for rows, line in enumerate(lines, 1):
        label = line[: line.find(b",")]
        if line.count(b",") == FEATURES and label in labels:
            continue
        if line.count(b",") != FEATURES or not _is_label(label):
            raise ValueError(
                f"{path} must have rows of a label 0 or 1 and {FEATURES} features: row {rows} has "
                f"{line.count(b',') + 1} columns and begins {line[:24]!r}"
            )
        labels.add(label)
    if rows != ROWS:
        raise ValueError(f"{path} must have {ROWS} rows: found {rows}; get it again")


def _is_label(text: bytes) -> bool:
    try:
        return float(text) in (0.0, 1.0)
    except ValueError:
        return False


def read_rows(path: Path, count: int | None) -> Tensor:
    """The features in the first ``count`` rows (all if it is ``None``), without the labels."""
    columns = range(1, 1 + FEATURES)
    table = np.loadtxt(path, delimiter=",", max_rows=count, usecols=columns, ndmin=2)
    return torch.from_numpy(table)
