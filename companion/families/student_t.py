"""Student t variables: no exponential family, but closed under tempering."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from companion.families.base import Average, Blocks, Family
from companion.families.numerics import log_gamma_ratio_series, numpy_draw, polynomial

__all__ = ["StudentT"]

#: Degrees of freedom from which on asymptotic series replace differences of (log-)gamma functions.
_SWITCH = 20.0


class StudentT(Family):
    """Independent Student t variables with ν degrees of freedom, location m and scale s.

    p(x_d) = Γ((ν+1)/2) / (Γ(ν/2) √(νπ) s) · (1 + (x_d − m)²/(νs²))^{−(ν+1)/2}. Parameters: one
    vector (m, s, ν); L = 3D.
    H = Σ_d (ν+1)/2 [ψ((ν+1)/2) − ψ(ν/2)] + log √ν B(ν/2, ½) + log s.

    Not an exponential family. A power pᵗ of the density is again Student t, with t(ν + 1) − 1
    degrees of freedom and the same νs²: so the identity of this companion holds if both ν and s
    are learnable. Coordinates are m, log s and log ν: v = 0, −(ν + 1)/(2ν) and (ν + 1)/ν.

    >>> family = StudentT()
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> family.entropy(family.parameters(0 * one, one, one)) - math.log(4 * math.pi)   # Cauchy
    tensor(0., dtype=torch.float64)
    """

    independent_columns = True
    coordinates = ("locations", "log_scales", "log_dofs")
    in_words = "locations, log_scales, log_dofs log ν; 0, −(ν+1)/(2ν), (ν+1)/ν"

    def parameters(self, location: Tensor, scale: Tensor, dof: Tensor) -> Tensor:
        """The vector (m, s, ν) from ``location``, ``scale`` and ``dof`` > 0, all ``(..., D)``."""
        return torch.cat(torch.broadcast_tensors(location, scale, dof), -1)

    def from_coordinates(self, locations: Tensor, log_scales: Tensor, log_dofs: Tensor) -> Tensor:
        return self.parameters(locations, log_scales.exp(), log_dofs.exp())

    def direction(self, locations: Tensor, log_scales: Tensor, log_dofs: Tensor) -> Blocks:
        ratio = 1 + torch.exp(-log_dofs)
        return torch.zeros_like(locations), -0.5 * ratio, ratio

    def estimate(self, x: Tensor, average: Average) -> Blocks:
        """Mean and variance of the data, with three degrees of freedom."""
        location = average(x)
        variance = average(x * x) - location**2
        return location, 0.5 * (variance / 3).log(), torch.full_like(location, 3.0).log()

    def log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        location, scale, dof = natural.chunk(3, -1)
        standard = (x - location) / scale
        tail = 0.5 * (dof + 1) * torch.log1p(standard * standard / dof)
        return -(_log_normaliser(dof) + scale.log() + tail).sum(-1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        _, scale, dof = natural.chunk(3, -1)
        tail = 0.5 * (dof + 1) * _digamma_difference(dof)
        return (tail + _log_normaliser(dof) + scale.log()).sum(-1)

    def log_tempered_normaliser(self, natural: Tensor, t: Tensor) -> Tensor:
        """log Z_t = pᵗ/p_t at the location, where p_t has t(ν + 1) − 1 degrees of freedom."""
        _, scale, dof = natural.chunk(3, -1)
        moved = t * (dof + 1) - 1
        there = _log_normaliser(moved) + torch.log(scale * torch.sqrt(dof / moved))
        return (there - t * (_log_normaliser(dof) + scale.log())).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        location, scale, dof = natural.chunk(3, -1)
        return location + scale * numpy_draw("standard_t", dof, generator=generator)


def _split(dof: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ν where gamma functions are used, 2/ν where series are, and which is which."""
    many = dof > _SWITCH
    few = torch.where(many, torch.full_like(dof, _SWITCH), dof)
    return few, 2 / torch.where(many, dof, torch.full_like(dof, _SWITCH)), many


def _log_normaliser(dof: Tensor) -> Tensor:
    """log √ν B(ν/2, ½), elementwise: minus the log density of the standard t at zero."""
    few, u, many = _split(dof)
    direct = torch.lgamma(0.5 * few) - torch.lgamma(0.5 * (few + 1))
    direct = direct + 0.5 * torch.log(math.pi * few)
    # log Γ(a)/Γ(a + ½) + ½ log 2πa with a = ν/2 = 1/u: nothing cancels for many degrees of freedom.
    series = 0.5 * math.log(2 * math.pi) + u * polynomial(log_gamma_ratio_series(), u * u)
    return torch.where(many, series, direct)


def _digamma_difference(dof: Tensor) -> Tensor:
    """ψ((ν+1)/2) − ψ(ν/2), elementwise."""
    few, u, many = _split(dof)
    direct = torch.digamma(0.5 * (few + 1)) - torch.digamma(0.5 * few)
    weighted = tuple((2 * k + 1) * c for k, c in enumerate(log_gamma_ratio_series()))
    series = 0.5 * u + u * u * polynomial(weighted, u * u)
    return torch.where(many, series, direct)
