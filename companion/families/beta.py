"""Beta variables, on the unit interval."""

from __future__ import annotations

import torch
from torch import Tensor

from companion.families.base import Average, Blocks, ExponentialFamily
from companion.families.numerics import numpy_draw, positive

__all__ = ["Beta"]


class Beta(ExponentialFamily):
    """Independent beta variables, p(x_d) ∝ x_d^{α−1} (1 − x_d)^{β−1}, 0 < x_d < 1.

    T(x) = (log x, log(1 − x)), η = (α − 1, β − 1), A(η) = Σ_d log B(α_d, β_d), h = 1; L = 2D.
    H = Σ_d log B(α, β) − (α − 1)ψ(α) − (β − 1)ψ(β) + (α + β − 2)ψ(α + β). Coordinates are log α
    and log β: v = (α − 1)/α and (β − 1)/β.

    >>> Beta().entropy(torch.zeros(2, dtype=torch.float64))   # α = β = 1: uniform
    tensor(0., dtype=torch.float64)
    """

    independent_columns = True
    requirement = "strictly between 0 and 1"
    coordinates = ("log_alphas", "log_betas")
    in_words = "log_alphas log α, log_betas log β; (α−1)/α, (β−1)/β"

    def natural_parameters(self, alpha: Tensor, beta: Tensor) -> Tensor:
        """η = (α − 1, β − 1) from ``alpha`` α > 0 and ``beta`` β > 0, both ``(..., D)``."""
        return torch.cat(torch.broadcast_tensors(alpha - 1, beta - 1), -1)

    def from_coordinates(self, log_alphas: Tensor, log_betas: Tensor) -> Tensor:
        return self.natural_parameters(log_alphas.exp(), log_betas.exp())

    def direction(self, log_alphas: Tensor, log_betas: Tensor) -> Blocks:
        return -torch.expm1(-log_alphas), -torch.expm1(-log_betas)

    def estimate(self, x: Tensor, average: Average) -> Blocks:
        """The method of moments, for data that vary less than uniform ones do."""
        mean = average(x)
        variance = average(x * x) - mean * mean
        total = (mean * (1 - mean) / variance - 1).clamp(min=0.1)
        return (mean * total).log(), ((1 - mean) * total).log()

    def statistics(self, x: Tensor) -> Tensor:
        return torch.cat([x.log(), torch.log1p(-x)], -1)

    def log_partition(self, natural: Tensor) -> Tensor:
        alpha, beta = positive(natural + 1).chunk(2, -1)
        each = torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(alpha + beta)
        return each.sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        alpha, beta = (natural + 1).chunk(2, -1)
        return numpy_draw("beta", alpha, beta, generator=generator)

    def support(self, x: Tensor) -> Tensor:
        return (x > 0) & (x < 1)
