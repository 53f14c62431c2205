"""Laplace and Student t: no exponential families in their location, closed under tempering."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from companion.families.base import Family
from companion.families.sampling import numpy_draw
from companion.families.series import log_gamma_ratio_series, polynomial

__all__ = ["Laplace", "StudentT"]

#: Degrees of freedom from which on asymptotic series replace differences of (log-)gamma functions.
_SWITCH = 20.0


class Laplace(Family):
    """Independent Laplace variables, p(x_d) = exp(−|x_d − m_d|/s_d)/(2s_d).

    Parameters: location m and scale s, as one vector (m, s); L = 2D. H = Σ_d log(2es_d).

    With m learnable this is not an exponential family. A power pᵗ of the density is again Laplace,
    with scale s/t: so the identity of this companion holds with v = −1 on log s, 0 on m.

    >>> family = Laplace()
    >>> family.entropy(family.parameters(torch.zeros(1), torch.ones(1))) - 1 - math.log(2)
    tensor(0.)
    """

    def parameters(self, location: Tensor, scale: Tensor) -> Tensor:
        """The vector (m, s) from ``location`` m and ``scale`` s > 0, both ``(..., D)``."""
        return torch.cat(torch.broadcast_tensors(location, scale), -1)

    def log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        location, scale = natural.chunk(2, -1)
        return -((x - location).abs() / scale + torch.log(2 * scale)).sum(-1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return (1 + torch.log(2 * natural.chunk(2, -1)[1])).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return numpy_draw("laplace", *natural.chunk(2, -1), generator=generator)

    def invalid(self, x: Tensor) -> str | None:
        return None if bool(torch.isfinite(x).all()) else "must be finite for a Laplace variable"


class StudentT(Family):
    """Independent Student t variables with ν degrees of freedom, location m and scale s.

    p(x_d) = Γ((ν+1)/2) / (Γ(ν/2) √(νπ) s) · (1 + (x_d − m)²/(νs²))^{−(ν+1)/2}. Parameters: one
    vector (m, s, ν); L = 3D.
    H = Σ_d (ν+1)/2 [ψ((ν+1)/2) − ψ(ν/2)] + log √ν B(ν/2, ½) + log s.

    Not an exponential family. A power pᵗ of the density is again Student t, with t(ν + 1) − 1
    degrees of freedom and the same νs²: so the identity of this companion holds if both ν and s
    are learnable, with v = (ν + 1)/ν on log ν, −(ν + 1)/(2ν) on log s, and 0 on m.

    >>> family = StudentT()
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> family.entropy(family.parameters(0 * one, one, one)) - math.log(4 * math.pi)   # Cauchy
    tensor(0., dtype=torch.float64)
    """

    def parameters(self, location: Tensor, scale: Tensor, dof: Tensor) -> Tensor:
        """The vector (m, s, ν) from ``location``, ``scale`` and ``dof`` > 0, all ``(..., D)``."""
        return torch.cat(torch.broadcast_tensors(location, scale, dof), -1)

    def log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        location, scale, dof = natural.chunk(3, -1)
        standard = (x - location) / scale
        tail = 0.5 * (dof + 1) * torch.log1p(standard * standard / dof)
        return -(_log_normaliser(dof) + scale.log() + tail).sum(-1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        _, scale, dof = natural.chunk(3, -1)
        tail = 0.5 * (dof + 1) * _digamma_difference(dof)
        return (tail + _log_normaliser(dof) + scale.log()).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        location, scale, dof = natural.chunk(3, -1)
        return location + scale * numpy_draw("standard_t", dof, generator=generator)

    def invalid(self, x: Tensor) -> str | None:
        return None if bool(torch.isfinite(x).all()) else "must be finite for a Student t variable"


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
