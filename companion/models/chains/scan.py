"""Recursions over time as scans: as many passes as the logarithm of the length, not the length."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Elements", "log_product", "scan"]

#: One tensor or several, time along their second axis: ``(N, T, ...)``.
Elements = tuple[Tensor, ...]


def scan(
    combine: Callable[[Elements, Elements], Elements], elements: Elements, reverse: bool = False
) -> Elements:
    """a_1, a_1∘a_2, …, a_1∘…∘a_T along time, for an associative ``combine(earlier, later)``.

    ``reverse=True`` gives a_1∘…∘a_T, …, a_T instead. Neighbours are combined in pairs, the pairs
    are scanned, and what lies between is filled in: 2T combinations in 2 log₂ T steps
    (Blelloch, 1990).

    >>> add = lambda earlier, later: (earlier[0] + later[0],)
    >>> scan(add, (torch.arange(1, 6)[None],))[0].tolist()
    [[1, 3, 6, 10, 15]]
    """
    if reverse:
        backwards = scan(lambda a, b: combine(b, a), tuple(e.flip(1) for e in elements))
        return tuple(e.flip(1) for e in backwards)
    if (length := elements[0].shape[1]) < 2:
        return elements
    pairs = combine(tuple(e[:, 0:-1:2] for e in elements), tuple(e[:, 1::2] for e in elements))
    odd = scan(combine, pairs)
    before = tuple(e[:, : (length - 1) // 2] for e in odd)
    even = combine(before, tuple(e[:, 2::2] for e in elements))
    return tuple(map(_interleaved, elements, even, odd))


def _interleaved(first: Tensor, even: Tensor, odd: Tensor) -> Tensor:
    """The first of all, then odd and even places by turns."""
    even = torch.cat([first[:, :1], even], 1)
    both = torch.stack([even[:, : odd.shape[1]], odd], 2).flatten(1, 2)
    return torch.cat([both, even[:, odd.shape[1] :]], 1)


def log_product(earlier: Elements, later: Elements) -> Elements:
    """log Σ_j exp(a_ij + b_jk): the product of positive matrices, by their logarithms."""
    return (torch.logsumexp(earlier[0][..., :, :, None] + later[0][..., None, :, :], -2),)
