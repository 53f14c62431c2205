"""Gaussians whose variance is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.families.base import ExponentialFamily, Family

__all__ = ["GaussianMean"]

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class GaussianMean(ExponentialFamily):
    """N(μ, σ²I) with a known ``variance`` σ²: only the mean is a parameter.

    T(x) = x, η = μ/σ², A(η) = σ²‖η‖²/2, h(x) = N(x; 0, σ²I); L = D. The base measure is not
    constant: the pseudo-entropy is −‖μ‖²/(2σ²), the true entropy (D/2) log(2πeσ²) whatever μ.

    >>> family = GaussianMean(variance=0.5)
    >>> eta = family.natural_parameters(torch.ones(2, dtype=torch.float64))
    >>> family.pseudo_entropy(eta)
    tensor(-2., dtype=torch.float64)
    """

    variance: float

    def __post_init__(self) -> None:
        if not 0 < self.variance < math.inf:
            raise ValueError(f"variance must be a positive number: got {self.variance!r}")

    def natural_parameters(self, mean: Tensor) -> Tensor:
        """η = μ/σ² from ``mean``, ``(..., D)``."""
        return mean / self.variance

    def log_partition(self, natural: Tensor) -> Tensor:
        return 0.5 * self.variance * (natural * natural).sum(-1)

    def log_base_measure(self, x: Tensor) -> Tensor:
        square = (x * x).sum(-1) / self.variance
        return -0.5 * (square + x.shape[-1] * (LOG_2PI + math.log(self.variance)))

    def log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        square = (x - self.variance * natural).square().sum(-1) / self.variance
        return -0.5 * (square + x.shape[-1] * (LOG_2PI + math.log(self.variance)))

    def pairwise_log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        return Family.pairwise_log_prob(self, x, natural)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return -0.5 * self.variance * (natural * natural).sum(-1)

    def excess(self, x: Tensor, natural: Tensor) -> Tensor:
        """H̃ − log h(x) for all pairs, ``(N, P)``: with m the mean of x, no square of it is left.

        (‖x‖² − ‖μ‖²)/(2σ²) = (f(x) − f(μ))/σ², f(y) = ⟨m, y − m⟩ + ‖y − m‖²/2.
        """
        centre = x.mean(0)

        def relative(y: Tensor) -> Tensor:
            return (y - centre) @ centre + (y - centre).square().sum(-1) / 2

        constant = 0.5 * x.shape[-1] * (LOG_2PI + math.log(self.variance))
        difference = relative(x)[:, None] - relative(self.variance * natural)
        return difference / self.variance + constant

    def entropy(self, natural: Tensor) -> Tensor:
        """H = (D/2) log(2πeσ²), for every mean."""
        size = natural.shape[-1]
        value = 0.5 * size * (1 + LOG_2PI + math.log(self.variance))
        return torch.full_like(natural[..., 0], value)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(natural.shape, dtype=natural.dtype, generator=generator)
        return self.variance * natural + math.sqrt(self.variance) * noise
