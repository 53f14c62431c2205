"""Von Mises variables, on the circle."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

from companion.families.base import Average, Blocks, ExponentialFamily
from companion.families.numerics import numpy_draw, polynomial, slopes

__all__ = ["VonMises"]

#: Concentrations up to this are computed with the power series of I₀, larger ones with the
#: asymptotic series of log I₀; there both are exact to round-off.
_SWITCH = 30.0


class VonMises(ExponentialFamily):
    """Independent angles on the circle, p(x_d) ∝ exp(κ cos(x_d − m_d)), in radians.

    T(x) = (cos x, sin x), η = κ(cos m, sin m), A(η) = Σ_d log 2πI₀(κ_d), h = 1; L = 2D.
    H = Σ_d log 2πI₀(κ) − κI₁(κ)/I₀(κ). Coordinates are m and log κ: v = 0 and 1.

    I₀ is evaluated through its power series in κ² = ‖η‖², which is smooth at κ = 0, and for large
    κ through the asymptotic series of log I₀, in which nothing cancels; so all derivatives of A
    and H, of any order and for every κ, are exact to round-off.

    >>> VonMises().entropy(torch.zeros(2, dtype=torch.float64)).exp() / math.pi   # uniform: log 2π
    tensor(2., dtype=torch.float64)
    """

    independent_columns = True
    requirement = "angles in radians, between −2π and 2π"
    coordinates = ("mean_angles", "log_concentrations")
    in_words = "mean_angles, log_concentrations; 0, 1"

    def natural_parameters(self, mean: Tensor, concentration: Tensor) -> Tensor:
        """η from the ``mean`` angle m and the ``concentration`` κ > 0, both ``(..., D)``."""
        return torch.cat([concentration * mean.cos(), concentration * mean.sin()], -1)

    def from_coordinates(self, mean_angles: Tensor, log_concentrations: Tensor) -> Tensor:
        return self.natural_parameters(mean_angles, log_concentrations.exp())

    def direction(self, mean_angles: Tensor, log_concentrations: Tensor) -> Blocks:
        return torch.zeros_like(mean_angles), torch.ones_like(log_concentrations)

    def estimate(self, x: Tensor, average: Average) -> Blocks:
        """Mean angle, and κ ≈ R(2 − R²)/(1 − R²) from the length R of the mean vector."""
        cosine, sine = average(x.cos()), average(x.sin())
        square = (cosine**2 + sine**2).clamp(1e-6, 1 - 1e-9)
        concentration = square.sqrt() * (2 - square) / (1 - square)
        return torch.atan2(sine, cosine), concentration.log()

    def statistics(self, x: Tensor) -> Tensor:
        return torch.cat([x.cos(), x.sin()], -1)

    def log_partition(self, natural: Tensor) -> Tensor:
        small, large, concentrated = _split(natural)
        u = 1 / large
        asymptotic = large - 0.5 * torch.log(2 * math.pi * large) + polynomial(_log_series(), u)
        log_bessel = torch.where(concentrated, asymptotic, polynomial(_series(), small).log())
        return (log_bessel + math.log(2 * math.pi)).sum(-1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        small, large, concentrated = _split(natural)
        bessel = polynomial(_series(), small)
        slope = polynomial(slopes(_series()), small) / bessel
        series = math.log(2 * math.pi) + bessel.log() - 2 * small * slope
        u = 1 / large
        weighted = tuple((1 + j) * c for j, c in enumerate(_log_series()))
        asymptotic = 0.5 * torch.log(2 * math.pi * math.e * u) + polynomial(weighted, u)
        return torch.where(concentrated, asymptotic, series).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        first, second = natural.chunk(2, -1)
        mean, concentration = torch.atan2(second, first), torch.hypot(first, second)
        return numpy_draw("vonmises", mean, concentration, generator=generator)

    def support(self, x: Tensor) -> Tensor:
        return x.abs() <= 2 * math.pi


def _split(natural: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """κ² where the power series is used, κ where the asymptotic one is, and which is which.

    Each is set to a harmless constant where it is not used: no NaN enters a derivative.
    """
    first, second = natural.chunk(2, -1)
    square = first * first + second * second
    concentrated = square > _SWITCH**2
    small = torch.where(concentrated, torch.ones_like(square), square)
    large = torch.where(concentrated, square, torch.full_like(square, _SWITCH**2)).sqrt()
    return small, large, concentrated


@cache
def _series() -> tuple[float, ...]:
    """Coefficients of I₀ in powers of κ²: 1/(4ʲ j!²)."""
    return tuple(float(Fraction(1, 4**j * math.factorial(j) ** 2)) for j in range(61))


@cache
def _log_series() -> tuple[float, ...]:
    """Coefficients of log(I₀(κ) e^{−κ} √(2πκ)) in powers of 1/κ, from those of I₀ itself."""
    terms = [Fraction(1)]
    for j in range(1, 19):
        terms.append(terms[-1] * Fraction((2 * j - 1) ** 2, 8 * j))
    logarithm = [Fraction(0)]
    for n in range(1, len(terms)):
        mixed = sum((j * logarithm[j] * terms[n - j] for j in range(1, n)), Fraction(0))
        logarithm.append(terms[n] - mixed / n)
    return tuple(map(float, logarithm))
