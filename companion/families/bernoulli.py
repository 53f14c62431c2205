"""Bernoulli variables."""

from __future__ import annotations

import torch
from torch import Tensor

from companion.families.base import Average, Blocks, ExponentialFamily
from companion.families.numerics import softplus

__all__ = ["Bernoulli"]


class Bernoulli(ExponentialFamily):
    """Independent Bernoulli variables, x ∈ {0, 1}ᴰ.

    T(x) = x, η = log(p/(1−p)) (the logits), A(η) = Σ_d log(1 + e^{η_d}), h = 1; L = D.
    Coordinates are the logits l themselves: v = l.

    >>> Bernoulli().entropy(torch.zeros(3, dtype=torch.float64)) / 3   # log 2 per variable
    tensor(0.6931, dtype=torch.float64)
    """

    independent_columns = True
    coordinates = ("component_logits",)
    in_words = "component_logits l; l"

    def log_partition(self, natural: Tensor) -> Tensor:
        return softplus(natural).sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return torch.sigmoid(natural)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        # A − ησ(η), written so that nothing cancels for large |η| and all is smooth at 0.
        on, off = torch.sigmoid(natural), torch.sigmoid(-natural)
        return (on * softplus(-natural) + off * softplus(natural)).sum(-1)

    def maximum_likelihood(self, x: Tensor, average: Average) -> Blocks:
        p = average(x)
        return (p.log() - torch.log1p(-p),)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.bernoulli(torch.sigmoid(natural), generator=generator)

    def invalid(self, x: Tensor) -> str | None:
        if bool(((x == 0) | (x == 1)).all()):
            return None
        return (
            "must be binary (0 or 1) for Bernoulli variables: found values in "
            f"[{float(x.min())}, {float(x.max())}]; threshold the data first, "
            "for example with datasets.digits(binary=True)"
        )
