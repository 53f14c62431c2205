"""Laplace distributions centred at zero: the sparse prior of sparse coding."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from companion.families.base import ExponentialFamily

__all__ = ["ZeroLaplace", "folded_normal_mean"]


class ZeroLaplace(ExponentialFamily):
    """Independent Laplace variables with mean zero, p(x_d) = exp(−|x_d|/λ_d)/(2λ_d).

    T(x) = |x|, η = −1/λ, A(η) = Σ_d log(−2/η_d) = Σ_d log 2λ_d, h = 1; L = D.
    H = Σ_d log(2eλ_d).

    >>> family = ZeroLaplace()
    >>> eta = family.natural_parameters(torch.tensor([1.0, 2.0], dtype=torch.float64))
    >>> float(family.entropy(eta) - 2 - math.log(2) - math.log(4))
    0.0
    """

    def natural_parameters(self, scale: Tensor) -> Tensor:
        """η = −1/λ from ``scale`` λ, ``(..., D)``."""
        return -1 / scale

    def statistics(self, x: Tensor) -> Tensor:
        return x.abs()

    def log_partition(self, natural: Tensor) -> Tensor:
        return (math.log(2) - torch.log(-natural)).sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        return -1 / natural

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return (1 + math.log(2) - torch.log(-natural)).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        # The difference of two exponential variables is Laplace; log1p keeps log 0 out.
        a, b = (
            -torch.log1p(-torch.rand(natural.shape, dtype=natural.dtype, generator=generator))
            for _ in range(2)
        )
        return (b - a) / natural

    def invalid(self, x: Tensor) -> str | None:
        return None if bool(torch.isfinite(x).all()) else "must be finite for a Laplace variable"


def folded_normal_mean(mean: Tensor, std: Tensor) -> Tensor:
    """E|z| for z ~ N(m, s²): s √(2/π) exp(−m²/2s²) + m erf(m/(s√2)); elementwise, s > 0.

    >>> float(folded_normal_mean(torch.tensor(0.0), torch.tensor(1.0)) - math.sqrt(2 / math.pi))
    0.0
    """
    ratio = mean / std
    density = math.sqrt(2 / math.pi) * torch.exp(-0.5 * ratio * ratio)
    return std * density + mean * torch.erf(ratio / math.sqrt(2))
