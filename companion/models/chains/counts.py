"""Expected counts of a hidden Markov model without its pairs at every step: Baum and Welch's E."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from companion.models.chains.scan import Elements, scan

__all__ = ["RAREST", "Counts", "expected_counts"]

#: With no transition rarer than this, scaled recursions lose nothing that could ever count: what
#: underflows in a state is below 1e-308, what other states bring there at every step is above.
RAREST = 1e-100


class Counts(NamedTuple):
    """The ``log_likelihood`` ``(N,)``, ``steps`` q(z_t) ``(N, T, K)``, and ``moves`` ``(K, K)``,
    how often each state is expected to follow each.
    """

    log_likelihood: Tensor
    steps: Tensor
    moves: Tensor


def expected_counts(prior: Tensor, A: Tensor, emitted: Tensor, within: Tensor) -> Counts:
    """Forward–backward with scaled probabilities, in all blocks of about √T/2 steps at once.

    A block is first multiplied up to one matrix; a scan over these gives the messages at the ends
    of the blocks, and one loop within them the messages everywhere (Rabiner, 1989, for the scaling
    by p(x_t | x_1, …, x_{t−1})). All entries of A must be at least :data:`RAREST`.

    Parameters
    ----------
    prior, A
        log p(z_1), ``(K,)``, and the probabilities of z_{t+1} given z_t, ``(K, K)``.
    emitted
        log p(x_t | z_t), zero where nothing is observed, ``(N, T, K)``.
    within
        1 where a step belongs to its sequence, ``(N, T)``, 0 after its end.
    """
    points, steps, states = emitted.shape
    size = math.isqrt(steps - 1) // 2 + 1
    count = -(-steps // size)
    # A state that the prior all but excludes may be the only one that explains x_1.
    emitted = torch.cat([emitted[:, :1] + prior, emitted[:, 1:]], 1)
    highest = emitted.amax(-1, keepdim=True)

    def blocks(values: Tensor, fill: float) -> Tensor:
        whole = values.new_full((points, count * size, *values.shape[2:]), fill)
        whole[:, :steps] = values
        return whole.unflatten(1, (count, size)).movedim(2, 0).contiguous()

    def series(values: Tensor) -> Tensor:
        return values.movedim(0, 2).flatten(1, 2)[:, :steps]

    e = blocks((emitted - highest).exp(), 1.0)  # (size, N, blocks, K)
    through = torch.eye(states, dtype=e.dtype).expand(points, count, states, states)
    for step, now in enumerate(e):
        through = (through * now[..., None, :]) @ A
        if step % 2:
            through = _scaled(through)
    (until,) = scan(_product, (through,))
    (since,) = scan(_product, (through,), reverse=True)
    ends = torch.ones_like(e[0][:, :1])
    expected = torch.cat([ends, _row_scaled(until[:, :-1].sum(-2))], 1)
    later = torch.cat([_row_scaled(since[:, 1:].sum(-1)), ends], 1)
    known, scales = torch.empty_like(e), torch.empty_like(e[..., :1])
    coming, back = torch.empty_like(e), torch.empty_like(e)
    ones, at = A.new_ones(states, 1), list(zip(e, known, scales, coming, back, strict=True))
    for now, filtered, scale, _, _ in at:
        torch.mul(expected, now, out=filtered)
        torch.matmul(filtered, ones, out=scale)
        filtered /= scale
        expected = filtered @ A
    for now, _, scale, behind, smooth in reversed(at):
        behind.copy_(later)
        torch.matmul(later, A.mT, out=smooth)
        later = now * smooth / scale
    joint = known * back
    total = joint.sum(-1, keepdim=True)
    followed = blocks(torch.cat([within[:, 1:], torch.zeros_like(within[:, :1])], 1), 0.0)
    moves = A * ((known * (followed[..., None] / total)).flatten(0, 2).mT @ coming.flatten(0, 2))
    log_likelihood = (series(scales).log() + highest).sum((1, 2))
    return Counts(log_likelihood, series(joint / total) * within[..., None], moves)


def _scaled(matrices: Tensor) -> Tensor:
    return matrices / matrices.amax((-1, -2), keepdim=True)


def _row_scaled(rows: Tensor) -> Tensor:
    return rows / rows.sum(-1, keepdim=True)


def _product(earlier: Elements, later: Elements) -> Elements:
    return (_scaled(earlier[0] @ later[0]),)
