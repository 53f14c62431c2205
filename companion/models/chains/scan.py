"""Recursions over time as scans: as many passes as the logarithm of the length, not the length."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from companion.support.checks import readable

__all__ = ["Elements", "log_product", "messages", "recursion", "scan"]

#: A sum of products of at most one each: what underflowed in it is below its round-off.
_SMALL = 1e-250

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
    even = tuple(torch.cat([e[:, :1], later], 1) for e, later in zip(elements, even, strict=True))
    return tuple(map(_alternating, even, odd))


def recursion(maps: Tensor, inputs: Tensor, reverse: bool = False) -> Tensor:
    """h_t = F_t h_{t−1} + g_t from h_0 = 0, ``(N, T, ...)``, by odd–even reduction.

    ``inputs`` g are vectors ``(N, T, H)``, or matrices ``(N, T, H, H)`` for
    h_t = F_t h_{t−1} F_tᵀ + g_t. ``maps`` F are ``(N, T, H, H)``, or ``(1, T, H, H)``, the same for
    all sequences. ``reverse=True``: of h_{t+1}, from the end.
    """
    if reverse:
        return recursion(maps.flip(1), inputs.flip(1)).flip(1)
    if (length := inputs.shape[1]) < 2:
        return inputs
    two = maps[:, 1::2] @ maps[:, 0:-1:2]
    odd = recursion(two, _moved(maps[:, 1::2], inputs[:, 0:-1:2]) + inputs[:, 1::2])
    even = _moved(maps[:, 2::2], odd[:, : (length - 1) // 2]) + inputs[:, 2::2]
    return _alternating(torch.cat([inputs[:, :1], even], 1), odd)


def _moved(maps: Tensor, h: Tensor) -> Tensor:
    return maps @ h @ maps.mT if h.dim() == maps.dim() else (maps @ h[..., None])[..., 0]


def log_product(a: Tensor, b: Tensor) -> Tensor:
    """log Σ_j exp(a_ij + b_jk), the product of positive matrices by their logarithms.

    By a product of matrices where, rows of a and columns of b shifted to at most zero, nothing that
    counts underflows; by sums of logarithms where it would.
    """
    if readable(a) and readable(b):
        high, wide = a.detach().amax(-1, keepdim=True), b.detach().amax(-2, keepdim=True)
        found = (a - high).exp() @ (b - wide).exp()
        if bool((found > _SMALL).all()):
            return found.log() + high + wide
    return torch.logsumexp(a[..., :, :, None] + b[..., None, :, :], -2)


def messages(first: Tensor, pairs: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """log Σ over all that comes before each state, and over all that comes after, ``(N, T, K)``.

    ``first`` and ``last`` are what the ends are given, ``(N, K)``, ``pairs`` ``(N, T − 1, K, K)``.
    Every second step is summed out, which leaves a chain of half the length; its messages give
    those of the steps between: T products of matrices in all (odd–even reduction).
    """
    count = pairs.shape[1]
    if count == 0:
        return first[:, None], last[:, None]
    into, out, rest = pairs[:, 0::2], pairs[:, 1::2], count % 2
    half = count // 2
    at_end = log_product(pairs[:, -1], last[..., None])[..., 0] if rest else last
    before, after = messages(first, log_product(into[:, :half], out), at_end)
    forward = log_product(before[:, : half + rest, None], into)[..., 0, :]
    backward = log_product(out, after[:, 1:, :, None])[..., 0]
    backward = torch.cat([backward, last[:, None]], 1) if rest else backward
    return _alternating(before, forward), _alternating(after, backward)


def _alternating(even: Tensor, odd: Tensor) -> Tensor:
    """Steps 0, 2, … and 1, 3, … in their order."""
    both = torch.stack([even[:, : odd.shape[1]], odd], 2).flatten(1, 2)
    return torch.cat([both, even[:, odd.shape[1] :]], 1)
