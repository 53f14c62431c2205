"""Why a standard deviation that is linear in z leaves no ELBO for a Gaussian q."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from companion.theory.variational import gauss_hermite

__all__ = ["by_nodes", "outside"]


def outside(nearest: Tensor, shift: float = 0.3) -> Tensor:
    """E[1/a², |a| > ε] for a = z + ``shift``, z ~ N(0, 1), and each ε > 0 in ``nearest``; ``(K,)``.

    What is left out near the zero of a is what makes it infinite: ε times this tends to twice the
    density of z there. The integral is taken over log |a|, in which it is smooth.

    Source: this companion.

    >>> float(outside(torch.tensor([1e-6]).double())) * 1e-6 / math.sqrt(2 / math.pi)
    0.956
    """
    part = torch.linspace(0, 1, 20_001, dtype=nearest.dtype)[:, None]
    log_a = (1 - part) * nearest.log() + part * math.log(40)
    a = log_a.exp()
    density = torch.exp(-0.5 * (a - shift) ** 2) + torch.exp(-0.5 * (a + shift) ** 2)
    return torch.trapezoid(density / (a * math.sqrt(2 * math.pi)), log_a, dim=0)


def by_nodes(orders: tuple[int, ...], shift: float = 0.3) -> list[float]:
    """What Gauss–Hermite rules of these orders make of E[1/a²], a = z + ``shift``: finite numbers.

    >>> all(math.isfinite(value) for value in by_nodes((10, 20)))
    True
    """
    rules = [gauss_hermite(1, order) for order in orders]
    return [float(rule.weights @ (rule.z[:, 0] + shift) ** -2) for rule in rules]
