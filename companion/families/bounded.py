"""Distributions on bounded sets: beta on the unit interval, von Mises on the circle."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

from companion.families.base import ExponentialFamily
from companion.families.sampling import numpy_draw
from companion.families.series import polynomial, slopes

__all__ = ["Beta", "VonMises"]

#: Concentrations up to this are computed with the power series of I₀, larger ones with the
#: asymptotic series of log I₀; there both are exact to round-off.
_SWITCH = 30.0


class Beta(ExponentialFamily):
    """Independent beta variables, p(x_d) ∝ x_d^{α−1} (1 − x_d)^{β−1}, 0 < x_d < 1.

    T(x) = (log x, log(1 − x)), η = (α − 1, β − 1), A(η) = Σ_d log B(α_d, β_d), h = 1; L = 2D.
    H = Σ_d log B(α, β) − (α − 1)ψ(α) − (β − 1)ψ(β) + (α + β − 2)ψ(α + β).

    >>> Beta().entropy(torch.zeros(2, dtype=torch.float64))   # α = β = 1: uniform
    tensor(0., dtype=torch.float64)
    """

    def natural_parameters(self, alpha: Tensor, beta: Tensor) -> Tensor:
        """η = (α − 1, β − 1) from ``alpha`` α > 0 and ``beta`` β > 0, both ``(..., D)``."""
        alpha, beta = torch.broadcast_tensors(alpha, beta)
        return torch.cat([alpha - 1, beta - 1], -1)

    def statistics(self, x: Tensor) -> Tensor:
        return torch.cat([x.log(), torch.log1p(-x)], -1)

    def log_partition(self, natural: Tensor) -> Tensor:
        alpha, beta = (natural + 1).chunk(2, -1)
        each = torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(alpha + beta)
        return each.sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        alpha, beta = (natural + 1).chunk(2, -1)
        total = torch.digamma(alpha + beta)
        return torch.cat([torch.digamma(alpha) - total, torch.digamma(beta) - total], -1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        alpha, beta = (natural + 1).chunk(2, -1)
        return numpy_draw("beta", alpha, beta, generator=generator)

    def invalid(self, x: Tensor) -> str | None:
        if bool(((x > 0) & (x < 1)).all()):
            return None
        return (
            "must lie strictly between 0 and 1 for beta variables: found values in "
            f"[{float(x.min()):g}, {float(x.max()):g}]"
        )


class VonMises(ExponentialFamily):
    """Independent angles on the circle, p(x_d) ∝ exp(κ cos(x_d − m_d)), in radians.

    T(x) = (cos x, sin x), η = κ(cos m, sin m), A(η) = Σ_d log 2πI₀(κ_d), h = 1; L = 2D.
    H = Σ_d log 2πI₀(κ) − κI₁(κ)/I₀(κ).

    I₀ is evaluated through its power series in κ² = ‖η‖², which is smooth at κ = 0, and for large
    κ through the asymptotic series of log I₀, in which nothing cancels; so all derivatives of A
    and H, of any order and for every κ, are exact to round-off.

    >>> VonMises().entropy(torch.zeros(2, dtype=torch.float64)).exp() / math.pi   # uniform: log 2π
    tensor(2., dtype=torch.float64)
    """

    def natural_parameters(self, mean: Tensor, concentration: Tensor) -> Tensor:
        """η from the ``mean`` angle m and the ``concentration`` κ > 0, both ``(..., D)``."""
        return torch.cat([concentration * mean.cos(), concentration * mean.sin()], -1)

    def statistics(self, x: Tensor) -> Tensor:
        return torch.cat([x.cos(), x.sin()], -1)

    def log_partition(self, natural: Tensor) -> Tensor:
        small, large, concentrated = _split(natural)
        u = 1 / large
        asymptotic = large - 0.5 * torch.log(2 * math.pi * large) + polynomial(_log_series(), u)
        log_bessel = torch.where(concentrated, asymptotic, polynomial(_series(), small).log())
        return (log_bessel + math.log(2 * math.pi)).sum(-1)

    def mean_parameters(self, natural: Tensor) -> Tensor:
        small, large, concentrated = _split(natural)
        u = 1 / large
        # I₁/(κI₀): 2 d log I₀/d(κ²) of the power series, or the derivative of the asymptotic one.
        series = 2 * polynomial(slopes(_series()), small) / polynomial(_series(), small)
        asymptotic = (1 - 0.5 * u - u * u * polynomial(slopes(_log_series()), u)) * u
        ratio = torch.where(concentrated, asymptotic, series)
        return natural * torch.cat([ratio, ratio], -1)

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

    def invalid(self, x: Tensor) -> str | None:
        if bool((x.abs() <= 2 * math.pi).all()):
            return None
        return (
            "must be angles in radians, between −2π and 2π, for von Mises variables: found values "
            f"in [{float(x.min()):g}, {float(x.max()):g}]"
        )


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
