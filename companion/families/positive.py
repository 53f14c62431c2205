"""Distributions of positive numbers: exponential, gamma, inverse Gaussian and log-normal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from companion.families.base import ExponentialFamily
from companion.families.sampling import numpy_draw

__all__ = ["Exponential", "Gamma", "GammaFixedShape", "InverseGaussian", "LogNormal"]

LOG_2PI = math.log(2 * math.pi)


def _outside(x: Tensor, who: str, zero: bool = False) -> str | None:
    if bool((((x >= 0) if zero else (x > 0)) & torch.isfinite(x)).all()):
        return None
    kind = "non-negative" if zero else "positive"
    return (
        f"must be {kind} and finite for {who} variables: found values in "
        f"[{float(x.min()):g}, {float(x.max()):g}]"
    )


class Exponential(ExponentialFamily):
    """Independent exponential variables with rates r, p(x_d) = r_d e^{−r_d x_d}, x ≥ 0.

    T(x) = x, η = −r, A(η) = −Σ_d log(−η_d), h = 1; L = D. H = Σ_d (1 − log r_d).

    >>> Exponential().entropy(torch.tensor([-1.0, -1.0]))
    tensor(2.)
    """

    def natural_parameters(self, rate: Tensor) -> Tensor:
        """η = −r from ``rate`` r > 0, ``(..., D)``."""
        return -rate

    def statistics(self, x: Tensor) -> Tensor:
        return x

    def log_partition(self, natural: Tensor) -> Tensor:
        return -torch.log(-natural).sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return -1 / natural

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return (1 - torch.log(-natural)).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        uniform = torch.rand(natural.shape, dtype=natural.dtype, generator=generator)
        return torch.log1p(-uniform) / natural

    def invalid(self, x: Tensor) -> str | None:
        return _outside(x, "exponential", zero=True)


class Gamma(ExponentialFamily):
    """Independent gamma variables with shapes k and rates r, p(x_d) ∝ x_d^{k−1} e^{−rx_d}, x > 0.

    T(x) = (log x, x), η = (k − 1, −r), A(η) = Σ_d log Γ(k_d) − k_d log r_d, h = 1; L = 2D.
    H = Σ_d [k − log r + log Γ(k) + (1 − k) ψ(k)], with ψ the digamma function.

    >>> family = Gamma()
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> family.entropy(family.natural_parameters(one, 2 * one)) + math.log(2)   # exponential
    tensor(1., dtype=torch.float64)
    """

    def natural_parameters(self, shape: Tensor, rate: Tensor) -> Tensor:
        """η = (k − 1, −r) from ``shape`` k > 0 and ``rate`` r > 0, both ``(..., D)``."""
        shape, rate = torch.broadcast_tensors(shape, rate)
        return torch.cat([shape - 1, -rate], -1)

    def statistics(self, x: Tensor) -> Tensor:
        return torch.cat([x.log(), x], -1)

    def log_partition(self, natural: Tensor) -> Tensor:
        shape, log_rate = _shape_and_log_rate(natural)
        return (torch.lgamma(shape) - shape * log_rate).sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        shape, log_rate = _shape_and_log_rate(natural)
        return torch.cat([torch.digamma(shape) - log_rate, shape / log_rate.exp()], -1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        shape, log_rate = _shape_and_log_rate(natural)
        return (gamma_entropy(shape) - log_rate).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        shape, log_rate = _shape_and_log_rate(natural)
        return numpy_draw("gamma", shape, (-log_rate).exp(), generator=generator)

    def invalid(self, x: Tensor) -> str | None:
        return _outside(x, "gamma")


def _shape_and_log_rate(natural: Tensor) -> tuple[Tensor, Tensor]:
    first, second = natural.chunk(2, -1)
    return first + 1, torch.log(-second)


def gamma_entropy(shape: Tensor) -> Tensor:
    """Entropy of a gamma variable of rate 1, k + log Γ(k) + (1 − k) ψ(k), elementwise."""
    return shape + torch.lgamma(shape) + (1 - shape) * torch.digamma(shape)


@dataclass(frozen=True)
class GammaFixedShape(ExponentialFamily):
    """Independent gamma variables with a known ``shape`` k: only the rates r are parameters.

    T(x) = x, η = −r, A(η) = −k Σ_d log(−η_d), h(x) = Π_d x_d^{k−1}/Γ(k); L = D. The base measure
    is not constant unless k = 1: H̃ = Σ_d (k − k log r_d), while the true entropy is
    Σ_d [k − log r + log Γ(k) + (1 − k) ψ(k)].

    >>> GammaFixedShape(shape=2.5).pseudo_entropy(torch.tensor([-1.0]))
    tensor(2.5000)
    """

    shape: float

    constant_base_measure: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.shape < math.inf:
            raise ValueError(f"shape must be a positive number: got {self.shape!r}")

    def natural_parameters(self, rate: Tensor) -> Tensor:
        """η = −r from ``rate`` r > 0, ``(..., D)``."""
        return -rate

    def statistics(self, x: Tensor) -> Tensor:
        return x

    def log_base_measure(self, x: Tensor) -> Tensor:
        return (self.shape - 1) * x.log().sum(-1) - x.shape[-1] * math.lgamma(self.shape)

    def log_partition(self, natural: Tensor) -> Tensor:
        return -self.shape * torch.log(-natural).sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return -self.shape / natural

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return self.shape * (1 - torch.log(-natural)).sum(-1)

    def entropy(self, natural: Tensor) -> Tensor:
        """H = Σ_d [k − log r_d + log Γ(k) + (1 − k) ψ(k)], the true entropy."""
        constant = gamma_entropy(torch.tensor(self.shape, dtype=natural.dtype))
        return (constant - torch.log(-natural)).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        shape = torch.full_like(natural, self.shape)
        return numpy_draw("gamma", shape, -1 / natural, generator=generator)

    def invalid(self, x: Tensor) -> str | None:
        return _outside(x, "gamma")


class InverseGaussian(ExponentialFamily):
    """Independent inverse Gaussian variables with means m and shapes λ, x > 0.

    p(x_d) = (λ/2πx³)^½ exp(−λ(x − m)²/(2m²x)). T(x) = (x, 1/x), η = (−λ/2m², −λ/2),
    A(η) = Σ_d [−½ log λ − λ/m], h(x) = Π_d (2πx_d³)^{−½}; L = 2D. The base measure is not
    constant: H̃ = Σ_d (½ − ½ log λ_d), whatever the means.

    >>> family = InverseGaussian()
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> family.pseudo_entropy(family.natural_parameters(3 * one, one))
    tensor(0.5000, dtype=torch.float64)
    """

    constant_base_measure = False

    def natural_parameters(self, mean: Tensor, shape: Tensor) -> Tensor:
        """η = (−λ/2m², −λ/2) from ``mean`` m > 0 and ``shape`` λ > 0, both ``(..., D)``."""
        mean, shape = torch.broadcast_tensors(mean, shape)
        return torch.cat([-0.5 * shape / (mean * mean), -0.5 * shape], -1)

    def statistics(self, x: Tensor) -> Tensor:
        return torch.cat([x, 1 / x], -1)

    def log_base_measure(self, x: Tensor) -> Tensor:
        return -1.5 * x.log().sum(-1) - 0.5 * x.shape[-1] * LOG_2PI

    def log_partition(self, natural: Tensor) -> Tensor:
        first, second = natural.chunk(2, -1)
        return (-0.5 * torch.log(-2 * second) - 2 * torch.sqrt(first * second)).sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        first, second = natural.chunk(2, -1)
        mean = torch.sqrt(second / first)
        return torch.cat([mean, 1 / mean - 0.5 / second], -1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return (0.5 - 0.5 * torch.log(-2 * natural.chunk(2, -1)[1])).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        first, second = natural.chunk(2, -1)
        return numpy_draw("wald", torch.sqrt(second / first), -2 * second, generator=generator)

    def invalid(self, x: Tensor) -> str | None:
        return _outside(x, "inverse Gaussian")


class LogNormal(ExponentialFamily):
    """Independent log-normal variables: log x_d ~ N(m_d, σ_d²), x > 0.

    T(x) = (log x, log² x), η = (m/σ² − 1, −1/(2σ²)), A(η) = Σ_d m²/2σ² + ½ log 2πσ², h = 1;
    L = 2D. H = Σ_d ½ log(2πeσ_d²) + m_d.

    >>> family = LogNormal()
    >>> zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    >>> family.entropy(family.natural_parameters(zero, one)) - 0.5 * math.log(2 * math.pi * math.e)
    tensor(0., dtype=torch.float64)
    """

    def natural_parameters(self, location: Tensor, variance: Tensor) -> Tensor:
        """η from ``location`` m and ``variance`` σ², those of log x, both ``(..., D)``."""
        location, variance = torch.broadcast_tensors(location, variance)
        return torch.cat([location / variance - 1, -0.5 / variance], -1)

    def statistics(self, x: Tensor) -> Tensor:
        return torch.cat([x.log(), x.log() ** 2], -1)

    def log_partition(self, natural: Tensor) -> Tensor:
        location, variance = self._moments_of_log(natural)
        each = location * location / variance + torch.log(variance) + LOG_2PI
        return 0.5 * each.sum(-1)

    def _moments_of_log(self, natural: Tensor) -> tuple[Tensor, Tensor]:
        first, second = natural.chunk(2, -1)
        variance = -0.5 / second
        return (first + 1) * variance, variance

    def mean_parameters(self, natural: Tensor) -> Tensor:
        location, variance = self._moments_of_log(natural)
        return torch.cat([location, location * location + variance], -1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        location, variance = self._moments_of_log(natural)
        return (0.5 * (1 + LOG_2PI + torch.log(variance)) + location).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        location, variance = self._moments_of_log(natural)
        noise = torch.randn(location.shape, dtype=location.dtype, generator=generator)
        return torch.exp(location + variance.sqrt() * noise)

    def invalid(self, x: Tensor) -> str | None:
        return _outside(x, "log-normal")
