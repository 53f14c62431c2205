"""Counts of words in documents: what is allowed, and their cells that are not zero."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from companion.support.checks import as_data, known

__all__ = ["Counts", "as_counts"]


class Counts(NamedTuple):
    """The M cells of a table of counts that are not zero, row by row.

    Document ``rows`` ``(M,)`` has the word ``columns`` ``(M,)`` so many times: ``counts`` ``(M,)``.
    """

    rows: Tensor
    columns: Tensor
    counts: Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, x: Tensor) -> Counts:
        """From a table that :func:`as_counts` has looked at, dense or sparse."""
        if x.is_sparse:
            rows, columns = x.indices()
            return cls(rows, columns, x.values(), (x.shape[0], x.shape[1]))
        rows, columns = x.nonzero().T
        return cls(rows, columns, x[rows, columns], (x.shape[0], x.shape[1]))

    def per_document(self, values: Tensor) -> Tensor:
        """Σ over the cells of each document of counts times values, ``(M, ...)`` → ``(N, ...)``."""
        weights = self.counts.reshape(-1, *[1] * (values.dim() - 1))
        total = values.new_zeros(self.shape[0], *values.shape[1:])
        return total.index_add(0, self.rows, weights * values)

    def per_word(self, values: Tensor) -> Tensor:
        """The same over the cells of each word, ``(M, K)`` → ``(V, K)``."""
        total = values.new_zeros(self.shape[1], *values.shape[1:])
        return total.index_add(0, self.columns, self.counts[:, None] * values)

    @property
    def lengths(self) -> Tensor:
        """Words in each document, ``(N,)``."""
        return self.per_document(torch.ones_like(self.counts))

    def same(self, other: Counts) -> bool:
        """Whether both are the same table."""
        return self.shape == other.shape and all(map(torch.equal, self[:3], other[:3]))


def as_counts(x: Any, columns: int | None = None) -> Tensor:
    """Counts as a float64 tensor ``(N, V)``: sparse if ``x`` is a sparse tensor or SciPy matrix.

    Raises
    ------
    ValueError
        For what is no table of whole numbers of at least zero, for another number of columns, and
        for documents without a word.
    """
    data = _sparse(x)
    if data is None:
        data = as_data(x, columns=columns, keep_graph=True)
    elif columns not in (None, data.shape[1]):
        raise ValueError(
            f"x must have {columns} columns, one for each word: got shape {tuple(data.shape)}"
        )
    values = data.values() if data.is_sparse else data
    if not known(values):
        return data
    if not bool(((values >= 0) & (values == values.round())).all()):
        raise ValueError(
            "x must be counts (0, 1, 2, …) of words in documents: found values in "
            f"[{float(values.min()):g}, {float(values.max()):g}]"
            + ("" if bool((values < 0).any()) else ", not all of them whole numbers")
        )
    lengths = (torch.sparse.sum(data, 1).to_dense() if data.is_sparse else data.sum(1)).detach()
    empty = (lengths == 0).nonzero()[:, 0]
    if len(empty):
        raise ValueError(
            f"x must have a word in every document: found {len(empty)} empty among {len(lengths)}, "
            f"the first in row {int(empty[0])}; leave them out"
        )
    return data


def _sparse(x: Any) -> Tensor | None:
    """A sparse table as a tensor, its zeros left out; ``None`` if it is dense."""
    if hasattr(x, "tocoo") and hasattr(x, "nnz"):
        table = x.tocoo()
        cells = torch.as_tensor(table.row).long(), torch.as_tensor(table.col).long()
        x = torch.sparse_coo_tensor(
            torch.stack(cells), torch.as_tensor(table.data), table.shape, check_invariants=True
        )
    if not isinstance(x, Tensor) or x.layout == torch.strided:
        return None
    if x.dim() != 2 or 0 in x.shape:
        raise ValueError(
            f"x must have shape (N, V), one row per document: got shape {tuple(x.shape)}"
        )
    data = x.to_sparse_coo().to(torch.float64).coalesce()
    if not bool(torch.isfinite(data.values()).all()):
        raise ValueError("x must be finite: found NaN or infinite counts; remove them first")
    kept = data.values() != 0
    if bool(kept.all()):
        return data
    found = torch.sparse_coo_tensor(
        data.indices()[:, kept], data.values()[kept], data.shape, check_invariants=True
    )
    return found.coalesce()
