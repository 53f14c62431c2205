"""Data that are read block by block, as often as asked, since they do not fit into memory."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from companion.support.checks import as_data

__all__ = ["Blocks", "in_blocks"]

#: Numbers in one block of an array: 16 MiB of float64.
_NUMBERS = 2**21


class Blocks:
    """N data points in D dimensions, read block by block, each ``(n, D)``.

    The blocks are looked at each time they are read: one sentence names the block that holds NaN or
    has another number of columns. Only one of them is held at a time.

    Parameters
    ----------
    source
        The path of a ``.npy`` file, or an array, which are read a few megabytes at a time (an array
        opened with ``numpy.load(path, mmap_mode="r")`` stays on the disk); or arrays, in a list or
        anything else that can be gone through more than once; or a function that returns an
        iterator over arrays, afresh each time.

    Raises
    ------
    ValueError
        For a source of another kind; when it is read, for blocks that are no data, for none at all,
        and for another number of points than in the time before.

    >>> blocks = Blocks([np.zeros((2, 3)), np.ones((1, 3))])
    >>> [tuple(block.shape) for block in blocks], blocks.points
    ([(2, 3), (1, 3)], 3)
    """

    def __init__(self, source: Any) -> None:
        if isinstance(source, str | os.PathLike):
            source = np.load(source, mmap_mode="r", allow_pickle=False)
        several = isinstance(source, Iterable) and not isinstance(source, Iterator | Mapping)
        if not (several or callable(source)):
            raise ValueError(
                "source must be a path, an array, arrays that can be gone through more than once, "
                f"or a function that returns an iterator: got {type(source).__name__}"
            )
        self._source = source
        #: N, once the blocks have been read to the end.
        self.points: int | None = None
        self.columns: int | None = None

    def __iter__(self) -> Iterator[Tensor]:
        points = 0
        for number, block in enumerate(self._read(), 1):
            data = as_data(block, f"block {number} of x", self.columns)
            self.columns = data.shape[1]
            points += len(data)
            yield data
            _forget(block)
        if not points or self.points not in (None, points):
            before = "at least one block" if not points else f"the {self.points} points of before"
            raise ValueError(f"x must give {before} each time it is read: got {points} points")
        self.points = points

    def of(self, columns: int | None) -> Blocks:
        """These blocks, once it is known how many columns they must have."""
        if columns is not None and self.columns not in (None, columns):
            raise ValueError(
                f"x must have {columns} columns, as the model has observables: got {self.columns}"
            )
        self.columns = columns or self.columns
        return self

    def __repr__(self) -> str:
        return f"Blocks({type(self._source).__name__}, points={self.points})"

    def _read(self) -> Iterator[Any]:
        source = self._source
        if isinstance(source, np.ndarray | Tensor):
            rows = max(1, _NUMBERS // max(1, source.shape[-1] if source.ndim else 1))
            yield from (source[start : start + rows] for start in range(0, len(source), rows))
        else:
            yield from source() if callable(source) else source


def in_blocks(x: Any) -> Blocks | None:
    """``x`` as blocks if that is what it is: :class:`Blocks`, an array on disk, or several arrays.

    >>> in_blocks([[1.0, 2.0], [3.0, 4.0]]) is None, in_blocks([np.zeros((1, 2))])
    (True, Blocks(list, points=None))
    """
    if isinstance(x, Blocks):
        return x
    arrays = isinstance(x, Sequence) and any(getattr(each, "ndim", 0) == 2 for each in x[:1])
    other = isinstance(x, Callable | Iterator) and not hasattr(x, "__array__")  # type: ignore[arg-type]
    return Blocks(x) if isinstance(x, np.memmap) or arrays or other else None


def _forget(block: Any) -> None:
    """Let go of the pages of an array on disk, which the system counts as this process's own."""
    if not isinstance(block, np.memmap) or block.mode != "r":
        return  # what was written there, and in no file, would be lost
    base: Any = block
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
