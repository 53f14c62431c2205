"""A family against sums and integrals of its density: Σ p = 1, the mean, the pseudo-entropy."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from companion.families.base import ExponentialFamily, Family
from companion.families.bernoulli import Bernoulli
from companion.families.beta import Beta
from companion.families.categorical import Categorical, CategoricalProduct, Multinomial
from companion.families.poisson import Count
from companion.families.von_mises import VonMises

__all__ = ["Sums", "sums"]

#: Counts up to here, and nodes of the trapezoidal rule on each half-line, or on the circle.
_COUNTS, _NODES = 4000, 4001


class Sums(NamedTuple):
    """How far a family's formulas are from sums over all values: largest difference of each.

    ``total`` of Σ p and 1; ``mean`` of Σ p T and ∇A (zero without natural parameters); ``entropy``
    of −Σ p log(p/h) and H̃, in nats.
    """

    total: float
    mean: float
    entropy: float


def sums(family: Family, natural: Tensor) -> Sums:
    """Add p, T p and p log(p/h) up over all values of one variable, or integrate them.

    Nothing but the density enters the sums, so that a constant too many in A, a wrong base measure
    or a wrong sign of H̃ shows, which the identity can not see.

    Parameters
    ----------
    family
        One of :data:`companion.families.EVERY_FAMILY`.
    natural
        Its parameters, ``(C, L)``, for one column if columns are independent.

    >>> from companion.families import Poisson
    >>> max(sums(Poisson(), torch.tensor([[0.5], [2.0]], dtype=torch.float64))) < 1e-10
    True
    """
    errors = []
    for own in natural:
        x, width = _values(family, own)
        log_p = family.log_prob(x, own)
        p, log_h = log_p.exp() * width, family.log_base_measure(x)
        seen = p > 0
        entropy = -(p * (log_p - log_h))[seen].sum() - family.pseudo_entropy(own)
        mean = torch.zeros(())
        if isinstance(family, ExponentialFamily):
            mean = p[seen] @ family.statistics(x)[seen] - family.mean_parameters(own)
        errors.append((abs(float(p.sum()) - 1), float(mean.abs().max()), abs(float(entropy))))
    return Sums(*(max(column) for column in zip(*errors, strict=True)))


def _values(family: Family, natural: Tensor) -> tuple[Tensor, Tensor]:
    """All values, ``(P, D)``, and the width of each: 1 for discrete ones."""
    if isinstance(family, Count):
        return _discrete(torch.arange(_COUNTS + 1, dtype=natural.dtype)[:, None])
    if isinstance(family, Bernoulli | Categorical | CategoricalProduct | Multinomial):
        trials = family.trials if isinstance(family, Multinomial) else 1
        every = natural.new_tensor(list(itertools.product(range(trials + 1), repeat=len(natural))))
        groups = getattr(family, "groups", 1)
        rows = every.unflatten(-1, (groups, -1)).sum(-1) == trials
        free = isinstance(family, Bernoulli)
        return _discrete(every if free else every[rows.all(-1)])
    if isinstance(family, VonMises):
        x = torch.linspace(-math.pi, math.pi, _NODES, dtype=natural.dtype)[:-1, None]
        return x, torch.full((len(x),), 2 * math.pi / len(x), dtype=natural.dtype)
    u = torch.linspace(-5, 60, _NODES, dtype=natural.dtype)
    away = torch.exp(u - torch.exp(-u))  # from 0 to infinity, doubly exponentially near 0
    width = away * (1 + torch.exp(-u)) * (u[1] - u[0])
    if isinstance(family, Beta):
        x, width = away / (1 + away), width / (1 + away) ** 2
        return x[x < 1, None], width[x < 1]
    if bool(family.support(natural.new_tensor([[-1.0]])).all()):  # both sides of a kink
        centre = natural[0] if "locations" in family.coordinates else 0.0
        return torch.cat([centre - away, centre + away])[:, None], torch.cat([width, width])
    return away[:, None], width


def _discrete(x: Tensor) -> tuple[Tensor, Tensor]:
    return x, torch.ones(len(x), dtype=x.dtype)
