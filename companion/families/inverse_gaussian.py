"""Inverse Gaussian variables."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from companion.families.base import Average, Blocks
from companion.families.gamma import PositiveVariables
from companion.families.numerics import numpy_draw

__all__ = ["InverseGaussian"]


class InverseGaussian(PositiveVariables):
    """Independent inverse Gaussian variables with means m and shapes λ, x > 0.

    p(x_d) = (λ/2πx³)^½ exp(−λ(x − m)²/(2m²x)). T(x) = (x, 1/x), η = (−λ/2m², −λ/2),
    A(η) = Σ_d [−½ log λ − λ/m], h(x) = Π_d (2πx_d³)^{−½}; L = 2D. The base measure is not
    constant: H̃ = Σ_d (½ − ½ log λ_d), whatever the means. Coordinates are log m and log λ: v = 0
    and 1.

    >>> family = InverseGaussian()
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> family.pseudo_entropy(family.natural_parameters(3 * one, one))
    tensor(0.5000, dtype=torch.float64)
    """

    positive = PositiveVariables.positive | {"mean"}
    coordinates = ("log_means", "log_shapes")
    in_words = "log_means, log_shapes; 0, 1"

    def natural_parameters(self, mean: Tensor, shape: Tensor) -> Tensor:
        """η = (−λ/2m², −λ/2) from ``mean`` m > 0 and ``shape`` λ > 0, both ``(..., D)``."""
        both = torch.broadcast_tensors(-0.5 * shape / (mean * mean), -0.5 * shape)
        return torch.cat(both, -1)

    def from_coordinates(self, log_means: Tensor, log_shapes: Tensor) -> Tensor:
        return self.natural_parameters(log_means.exp(), log_shapes.exp())

    def direction(self, log_means: Tensor, log_shapes: Tensor) -> Blocks:
        return torch.zeros_like(log_means), torch.ones_like(log_shapes)

    def maximum_likelihood(self, x: Tensor, average: Average) -> Blocks:
        mean = average(x)
        return mean.log(), -(average(1 / x) - 1 / mean).log()

    def statistics(self, x: Tensor) -> Tensor:
        return torch.cat([x, 1 / x], -1)

    def log_base_measure(self, x: Tensor) -> Tensor:
        return -1.5 * x.log().sum(-1) - 0.5 * x.shape[-1] * math.log(2 * math.pi)

    def log_partition(self, natural: Tensor) -> Tensor:
        first, second = natural.chunk(2, -1)
        return (-0.5 * torch.log(-2 * second) - 2 * torch.sqrt(first * second)).sum(-1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return (0.5 - 0.5 * torch.log(-2 * natural.chunk(2, -1)[1])).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        first, second = natural.chunk(2, -1)
        return numpy_draw("wald", torch.sqrt(second / first), -2 * second, generator=generator)
