"""Which combination of known gradients a gradient is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["MOST_ROWS", "combination", "rows", "scales"]

#: Entries of a parameter that enter at most; the others say the same.
MOST_ROWS = 20_000


def rows(gradient: Sequence[Tensor]) -> list[Tensor]:
    """Entries of a gradient, a float64 vector for each parameter, at most ``MOST_ROWS`` of each."""
    vectors = []
    for block in gradient:
        flat = block.detach().reshape(-1)
        step = -(-flat.numel() // MOST_ROWS)
        vectors.append(flat[:: max(step, 1)].to("cpu", torch.float64))
    return vectors


def scales(target: Sequence[Tensor], floor: float) -> Tensor:
    """One number for each row: the norm of its parameter's block, and a share of the largest."""
    norms = torch.stack([block.norm() for block in target])
    each = norms + floor * norms.max()
    return torch.cat([s.expand(len(block)) for s, block in zip(each, target, strict=True)])


def combination(target: Tensor, columns: Tensor) -> tuple[Tensor, float]:
    """Weights w that bring Σ_k w_k column_k closest to the target, and how far off that is.

    ``target`` (R,), ``columns`` (R, K); the distance is relative to the norm of the target. Columns
    are brought to one norm first; a weight that nothing determines is as small as may be.

    >>> a = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 2.0]], dtype=torch.float64)
    >>> weights, distance = combination(a @ torch.tensor([3.0, -1.0], dtype=torch.float64), a)
    >>> [round(float(w), 9) for w in weights], distance < 1e-12
    ([3.0, -1.0], True)
    """
    norms = columns.norm(dim=0)
    used = norms > 0
    weights = torch.zeros(columns.shape[1], dtype=torch.float64)
    if bool(used.any()):
        u, s, vt = torch.linalg.svd(columns[:, used] / norms[used], full_matrices=False)
        inverse = torch.where(s > 1e-11 * s.max(), 1 / s, 0.0)
        weights[used] = (vt.T @ (inverse * (u.T @ target))) / norms[used]
    distance = float((columns @ weights - target).norm() / target.norm().clamp(min=1e-300))
    return weights, distance
