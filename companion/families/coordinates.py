"""What a mixture needs to know of a family: its parameters, the direction v, a first estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion import families
from companion.families.discrete import softplus

__all__ = ["COMPONENTS", "Component"]

Average = Callable[[Tensor], Tensor]
Tensors = tuple[Tensor, ...]


@dataclass(frozen=True)
class Component:
    """A family in unconstrained coordinates θ, for which the parameterization criterion holds.

    ``names`` are those of the parameters, each of shape ``(C, D)``. The functions take the family
    and these parameters in order:

    * ``natural``: the family's parameters η(θ), ``(C, L)``;
    * ``direction``: the block of v, with η = (∂η/∂θᵀ) v for an exponential family;
    * ``estimate``: parameters from data ``x`` and ``average``, which maps a function of x to its
      weighted averages ``(C, D)`` over the data. If ``exact``, it is the maximum-likelihood
      estimate, which is the M-step of EM.
    """

    names: tuple[str, ...]
    natural: Callable[..., Tensor]
    direction: Callable[..., Tensors]
    estimate: Callable[[Any, Tensor, Average], Tensors]
    exact: bool = True


def _ones(value: Tensor) -> Tensor:
    return torch.ones_like(value)


def _zeros(value: Tensor) -> Tensor:
    return torch.zeros_like(value)


def _linear(estimate: Callable[[Any, Tensor, Average], Tensors], name: str) -> Component:
    """A family whose natural parameters are its unconstrained coordinates: v = θ."""
    return Component((name,), lambda f, eta: eta, lambda f, eta: (eta,), estimate)


def _logit(p: Tensor) -> Tensor:
    return p.log() - torch.log1p(-p)


def _gamma(f: Any, x: Tensor, average: Average) -> Tensors:
    """Maximum likelihood: log k − ψ(k) = log E[x] − E[log x], by Newton's method in 1/k."""
    mean = average(x)
    s = mean.log() - average(x.log())
    k = (3 - s + torch.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
    for _ in range(6):
        slope = k * k * (1 / k - torch.polygamma(1, k))
        k = 1 / (1 / k + (k.log() - torch.digamma(k) - s) / slope)
    return k.log(), (k / mean).log()


def _beta(f: Any, x: Tensor, average: Average) -> Tensors:
    """The method of moments, for data that vary less than uniform ones do."""
    mean = average(x)
    variance = average(x * x) - mean * mean
    total = (mean * (1 - mean) / variance - 1).clamp(min=0.1)
    return (mean * total).log(), ((1 - mean) * total).log()


def _von_mises(f: Any, x: Tensor, average: Average) -> Tensors:
    """Mean angle, and κ ≈ R(2 − R²)/(1 − R²) from the length R of the mean vector."""
    cosine, sine = average(x.cos()), average(x.sin())
    square = (cosine**2 + sine**2).clamp(1e-6, 1 - 1e-9)
    concentration = square.sqrt() * (2 - square) / (1 - square)
    return torch.atan2(sine, cosine), concentration.log()


def _inverse_gaussian(f: Any, x: Tensor, average: Average) -> Tensors:
    mean = average(x)
    return mean.log(), -(average(1 / x) - 1 / mean).log()


def _log_normal(f: Any, x: Tensor, average: Average) -> Tensors:
    location = average(x.log())
    return location, (average(x.log() ** 2) - location**2).log()


def _student(f: Any, x: Tensor, average: Average) -> Tensors:
    """Mean and variance of the data, with three degrees of freedom."""
    location = average(x)
    variance = average(x * x) - location**2
    return location, 0.5 * (variance / 3).log(), torch.full_like(location, 3.0).log()


def _laplace(f: Any, x: Tensor, average: Average) -> Tensors:
    """The mean, and the scale that has the data's variance."""
    location = average(x)
    return location, 0.5 * (0.5 * (average(x * x) - location**2)).log()


#: One line of the theory for each family. The directions v are those of the companion's table.
COMPONENTS: dict[type[families.Family], Component] = {
    families.Bernoulli: _linear(lambda f, x, average: (_logit(average(x)),), "component_logits"),
    families.Categorical: _linear(lambda f, x, average: (average(x).log(),), "component_logits"),
    families.CategoricalProduct: _linear(
        lambda f, x, average: (average(x).log(),), "component_logits"
    ),
    families.Multinomial: _linear(
        lambda f, x, average: ((average(x) / f.trials).log(),), "component_logits"
    ),
    families.Poisson: _linear(lambda f, x, average: (average(x).log(),), "log_rates"),
    families.Geometric: Component(
        ("success_logits",),
        lambda f, t: -softplus(t),
        lambda f, t: (softplus(t) / torch.sigmoid(t),),
        lambda f, x, average: (-average(x).log(),),
    ),
    families.NegativeBinomial: Component(
        ("failure_logits",),
        lambda f, t: -softplus(-t),
        lambda f, t: (-softplus(-t) / torch.sigmoid(-t),),
        lambda f, x, average: ((average(x) / f.successes).log(),),
    ),
    families.Exponential: Component(
        ("log_rates",),
        lambda f, t: -t.exp(),
        lambda f, t: (_ones(t),),
        lambda f, x, average: (-average(x).log(),),
    ),
    families.Gamma: Component(
        ("log_shapes", "log_rates"),
        lambda f, k, r: f.natural_parameters(k.exp(), r.exp()),
        lambda f, k, r: (-torch.expm1(-k), _ones(r)),
        _gamma,
    ),
    families.GammaFixedShape: Component(
        ("log_rates",),
        lambda f, t: -t.exp(),
        lambda f, t: (_ones(t),),
        lambda f, x, average: ((f.shape / average(x)).log(),),
    ),
    families.InverseGaussian: Component(
        ("log_means", "log_shapes"),
        lambda f, m, k: f.natural_parameters(m.exp(), k.exp()),
        lambda f, m, k: (_zeros(m), _ones(k)),
        _inverse_gaussian,
    ),
    families.LogNormal: Component(
        ("locations", "log_variances"),
        lambda f, m, v: f.natural_parameters(m, v.exp()),
        lambda f, m, v: (-v.exp(), -_ones(v)),
        _log_normal,
    ),
    families.Beta: Component(
        ("log_alphas", "log_betas"),
        lambda f, a, b: f.natural_parameters(a.exp(), b.exp()),
        lambda f, a, b: (-torch.expm1(-a), -torch.expm1(-b)),
        _beta,
        exact=False,
    ),
    families.VonMises: Component(
        ("mean_angles", "log_concentrations"),
        lambda f, m, k: f.natural_parameters(m, k.exp()),
        lambda f, m, k: (_zeros(m), _ones(k)),
        _von_mises,
        exact=False,
    ),
    families.ZeroLaplace: Component(
        ("log_scales",),
        lambda f, s: f.natural_parameters(s.exp()),
        lambda f, s: (-_ones(s),),
        lambda f, x, average: (average(x.abs()).log(),),
    ),
    families.Laplace: Component(
        ("locations", "log_scales"),
        lambda f, m, s: f.parameters(m, s.exp()),
        lambda f, m, s: (_zeros(m), -_ones(s)),
        _laplace,
        exact=False,
    ),
    families.StudentT: Component(
        ("locations", "log_scales", "log_dofs"),
        lambda f, m, s, n: f.parameters(m, s.exp(), n.exp()),
        lambda f, m, s, n: (_zeros(m), -0.5 * (1 + torch.exp(-n)), 1 + torch.exp(-n)),
        _student,
        exact=False,
    ),
}
