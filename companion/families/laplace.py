"""Laplace variables: centred at zero (the prior of sparse coding), and with a location."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from companion.families.base import Average, Blocks, ExponentialFamily, Family
from companion.families.numerics import numpy_draw

__all__ = ["Laplace", "ZeroLaplace", "folded_normal_mean"]


class ZeroLaplace(ExponentialFamily):
    """Independent Laplace variables with mean zero, p(x_d) = exp(−|x_d|/λ_d)/(2λ_d).

    T(x) = |x|, η = −1/λ, A(η) = Σ_d log(−2/η_d) = Σ_d log 2λ_d, h = 1; L = D.
    H = Σ_d log(2eλ_d). Coordinates are log λ: v = −1.

    >>> family = ZeroLaplace()
    >>> eta = family.natural_parameters(torch.tensor([1.0, 2.0], dtype=torch.float64))
    >>> float(family.entropy(eta) - 2 - math.log(2) - math.log(4))
    0.0
    """

    independent_columns = True
    coordinates = ("log_scales",)
    in_words = "log_scales; −1"

    def natural_parameters(self, scale: Tensor) -> Tensor:
        """η = −1/λ from ``scale`` λ, ``(..., D)``."""
        return -1 / scale

    def from_coordinates(self, log_scales: Tensor) -> Tensor:
        return self.natural_parameters(log_scales.exp())

    def direction(self, log_scales: Tensor) -> Blocks:
        return (-torch.ones_like(log_scales),)

    def maximum_likelihood(self, x: Tensor, average: Average) -> Blocks:
        return (average(x.abs()).log(),)

    def statistics(self, x: Tensor) -> Tensor:
        return x.abs()

    def log_partition(self, natural: Tensor) -> Tensor:
        return (math.log(2) - torch.log(-natural)).sum(-1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return (1 + math.log(2) - torch.log(-natural)).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        # The difference of two exponential variables is Laplace; log1p keeps log 0 out.
        a, b = (
            -torch.log1p(-torch.rand(natural.shape, dtype=natural.dtype, generator=generator))
            for _ in range(2)
        )
        return (b - a) / natural


class Laplace(Family):
    """Independent Laplace variables, p(x_d) = exp(−|x_d − m_d|/s_d)/(2s_d).

    Parameters: location m and scale s, as one vector (m, s); L = 2D. H = Σ_d log(2es_d).

    With m learnable this is not an exponential family. A power pᵗ of the density is again Laplace,
    with scale s/t: so the identity of this companion holds. Coordinates are m and log s: v = 0 and
    −1.

    >>> family = Laplace()
    >>> family.entropy(family.parameters(torch.zeros(1), torch.ones(1))) - 1 - math.log(2)
    tensor(0., dtype=torch.float64)
    """

    independent_columns = True
    coordinates = ("locations", "log_scales")
    in_words = "locations, log_scales; 0, −1"
    kinks = ("locations",)

    def parameters(self, location: Tensor, scale: Tensor) -> Tensor:
        """The vector (m, s) from ``location`` m and ``scale`` s > 0, both ``(..., D)``."""
        return torch.cat(torch.broadcast_tensors(location, scale), -1)

    def from_coordinates(self, locations: Tensor, log_scales: Tensor) -> Tensor:
        return self.parameters(locations, log_scales.exp())

    def direction(self, locations: Tensor, log_scales: Tensor) -> Blocks:
        return torch.zeros_like(locations), -torch.ones_like(log_scales)

    def estimate(self, x: Tensor, average: Average) -> Blocks:
        """The mean, and the scale that has the data's variance."""
        location = average(x)
        return location, 0.5 * (0.5 * (average(x * x) - location**2)).log()

    def log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        location, scale = natural.chunk(2, -1)
        return -((x - location).abs() / scale + torch.log(2 * scale)).sum(-1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return (1 + torch.log(2 * natural.chunk(2, -1)[1])).sum(-1)

    def log_tempered_normaliser(self, natural: Tensor, t: Tensor) -> Tensor:
        """log Z_t = pᵗ/p_t at the location, where p_t has the scale s/t."""
        scale = natural.chunk(2, -1)[1]
        return (torch.log(2 * scale / t) - t * torch.log(2 * scale)).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return numpy_draw("laplace", *natural.chunk(2, -1), generator=generator)


def folded_normal_mean(mean: Tensor, std: Tensor) -> Tensor:
    """E|z| for z ~ N(m, s²): s √(2/π) exp(−m²/2s²) + m erf(m/(s√2)); elementwise, s > 0.

    >>> float(folded_normal_mean(torch.tensor(0.0), torch.tensor(1.0)) - math.sqrt(2 / math.pi))
    0.0
    """
    ratio = mean / std
    density = math.sqrt(2 / math.pi) * torch.exp(-0.5 * ratio * ratio)
    return std * density + mean * torch.erf(ratio / math.sqrt(2))
