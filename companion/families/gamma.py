"""Gamma distributions, also with a known shape: 1 for the exponential distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.families.base import Average, Blocks, ExponentialFamily
from companion.families.numerics import numpy_draw, positive

__all__ = ["Exponential", "Gamma", "GammaFixedShape", "PositiveVariables"]


class PositiveVariables(ExponentialFamily):
    """Independent positive numbers."""

    requirement = "positive and finite"
    independent_columns = True

    def support(self, x: Tensor) -> Tensor:
        return x > 0


class Gamma(PositiveVariables):
    """Independent gamma variables with shapes k and rates r, p(x_d) ∝ x_d^{k−1} e^{−rx_d}, x > 0.

    T(x) = (log x, x), η = (k − 1, −r), A(η) = Σ_d log Γ(k_d) − k_d log r_d, h = 1; L = 2D.
    H = Σ_d [k − log r + log Γ(k) + (1 − k) ψ(k)], with ψ the digamma function. Coordinates are
    log k and log r: v = (k − 1)/k and 1.

    >>> family = Gamma()
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> family.entropy(family.natural_parameters(one, 2 * one)) + math.log(2)   # exponential
    tensor(1., dtype=torch.float64)
    """

    coordinates = ("log_shapes", "log_rates")
    in_words = "log_shapes log k, log_rates; (k−1)/k, 1"

    def natural_parameters(self, shape: Tensor, rate: Tensor) -> Tensor:
        """η = (k − 1, −r) from ``shape`` k > 0 and ``rate`` r > 0, both ``(..., D)``."""
        return torch.cat(torch.broadcast_tensors(shape - 1, -rate), -1)

    def from_coordinates(self, log_shapes: Tensor, log_rates: Tensor) -> Tensor:
        return self.natural_parameters(log_shapes.exp(), log_rates.exp())

    def direction(self, log_shapes: Tensor, log_rates: Tensor) -> Blocks:
        return -torch.expm1(-log_shapes), torch.ones_like(log_rates)

    def maximum_likelihood(self, x: Tensor, average: Average) -> Blocks:
        """log k − ψ(k) = log E[x] − E[log x] is solved by Newton's method in 1/k."""
        mean = average(x)
        s = mean.log() - average(x.log())
        k = (3 - s + torch.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
        for _ in range(6):
            slope = k * k * (1 / k - torch.polygamma(1, k))
            k = 1 / (1 / k + (k.log() - torch.digamma(k) - s) / slope)
        return k.log(), (k / mean).log()

    def statistics(self, x: Tensor) -> Tensor:
        return torch.cat([x.log(), x], -1)

    def log_partition(self, natural: Tensor) -> Tensor:
        shape, log_rate = _shape_and_log_rate(natural)
        return (torch.lgamma(shape) - shape * log_rate).sum(-1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        shape, log_rate = _shape_and_log_rate(natural)
        return (_unit_entropy(shape) - log_rate).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        shape, log_rate = _shape_and_log_rate(natural)
        return numpy_draw("gamma", shape, (-log_rate).exp(), generator=generator)


def _shape_and_log_rate(natural: Tensor) -> tuple[Tensor, Tensor]:
    first, second = natural.chunk(2, -1)
    return positive(first + 1), torch.log(-second)


def _unit_entropy(shape: Tensor) -> Tensor:
    """Entropy of a gamma variable of rate 1, k + log Γ(k) + (1 − k) ψ(k), elementwise."""
    return shape + torch.lgamma(shape) + (1 - shape) * torch.digamma(shape)


class _KnownShape(PositiveVariables):
    """Independent gamma variables with rates r, and a shape k that is no parameter."""

    shape: float

    coordinates = ("log_rates",)
    in_words = "log_rates; 1"

    def natural_parameters(self, rate: Tensor) -> Tensor:
        """η = −r from ``rate`` r > 0, ``(..., D)``."""
        return -rate

    def from_coordinates(self, log_rates: Tensor) -> Tensor:
        return -log_rates.exp()

    def direction(self, log_rates: Tensor) -> Blocks:
        return (torch.ones_like(log_rates),)

    def maximum_likelihood(self, x: Tensor, average: Average) -> Blocks:
        return ((self.shape / average(x)).log(),)

    def log_partition(self, natural: Tensor) -> Tensor:
        return -self.shape * torch.log(-natural).sum(-1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return self.shape * (1 - torch.log(-natural)).sum(-1)


class Exponential(_KnownShape):
    """Independent exponential variables with rates r, p(x_d) = r_d e^{−r_d x_d}, x ≥ 0.

    T(x) = x, η = −r, A(η) = −Σ_d log(−η_d), h = 1; L = D. H = Σ_d (1 − log r_d). Coordinates are
    log r: v = 1.

    >>> Exponential().entropy(torch.tensor([-1.0, -1.0]))
    tensor(2., dtype=torch.float64)
    """

    shape = 1.0
    requirement = "non-negative and finite"

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        uniform = torch.rand(natural.shape, dtype=natural.dtype, generator=generator)
        return torch.log1p(-uniform) / natural

    def support(self, x: Tensor) -> Tensor:
        return x >= 0


@dataclass(frozen=True)
class GammaFixedShape(_KnownShape):
    """Independent gamma variables with a known ``shape`` k: only the rates r are parameters.

    T(x) = x, η = −r, A(η) = −k Σ_d log(−η_d), h(x) = Π_d x_d^{k−1}/Γ(k); L = D. The base measure
    is not constant unless k = 1: H̃ = Σ_d (k − k log r_d), while the true entropy is
    Σ_d [k − log r + log Γ(k) + (1 − k) ψ(k)]. Coordinates are log r: v = 1.

    >>> GammaFixedShape(shape=2.5).pseudo_entropy(torch.tensor([-1.0]))
    tensor(2.5000, dtype=torch.float64)
    """

    shape: float

    def __post_init__(self) -> None:
        if not 0 < self.shape < math.inf:
            raise ValueError(f"shape must be a positive number: got {self.shape!r}")

    def log_base_measure(self, x: Tensor) -> Tensor:
        return (self.shape - 1) * x.log().sum(-1) - x.shape[-1] * math.lgamma(self.shape)

    def entropy(self, natural: Tensor) -> Tensor:
        """H = Σ_d [k − log r_d + log Γ(k) + (1 − k) ψ(k)], the true entropy."""
        constant = _unit_entropy(torch.tensor(self.shape, dtype=natural.dtype))
        return (constant - torch.log(-natural)).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        shape = torch.full_like(natural, self.shape)
        return numpy_draw("gamma", shape, -1 / natural, generator=generator)
