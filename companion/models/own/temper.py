"""A distribution of torch made colder: p_t = pᵗ g¹⁻ᵗ / Z_t, with its entropy relative to g."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

__all__ = ["Tempered", "stripped", "tempered"]


@dataclass(frozen=True)
class Tempered:
    """p_t for any t; the (pseudo-)entropy of p; log g(x), or ``None`` where g is constant.

    d/dt log p_t(x) at t = 1 is log p(x) − log g(x) + entropy, for every x.
    """

    at: Callable[[Tensor], td.Distribution]
    entropy: Tensor
    log_base: Callable[[Tensor], Tensor] | None = None

    def slope(self, x: Tensor) -> Tensor:
        """d/dt log p_t(x) at t = 1, for each entry by forward differentiation."""

        def colder(t: Tensor) -> Tensor:
            return self.at(t).log_prob(x)

        one = torch.ones((), dtype=self.entropy.dtype, device=self.entropy.device)
        return torch.func.jvp(colder, (one,), (torch.ones_like(one),))[1]


def stripped(p: td.Distribution) -> td.Distribution:
    """The distribution of single entries below ``Independent``."""
    while isinstance(p, td.Independent):
        p = p.base_dist
    return p


def tempered(p: td.Distribution, free: bool = False) -> Tempered:
    """How a distribution of torch tempers: true entropy, or pseudo where a parameter is fixed.

    A location family whose scale no parameter moves is tempered along its mean alone, with base
    measure g = p at mean zero; so is a gamma distribution with a fixed concentration along its
    rate. ``free`` tempers them as if those were learned, which a latent's scale makes up for.
    ``Poisson`` and ``NegativeBinomial`` have the base measures of their counts.

    Raises
    ------
    ValueError
        If the family is none of those below.
    """
    p = stripped(p)
    for family, rule in _RULES.items():
        if isinstance(p, family):
            return rule(p, free)
    for family, at in _PLAIN.items():
        if isinstance(p, family):
            return Tempered(partial(at, p), p.entropy())
    known = ", ".join(sorted(family.__name__ for family in _RULES | _PLAIN))
    raise ValueError(
        f"decoder and prior must return a distribution of a known family: got {type(p).__name__}; "
        f"known are {known}, also within Independent"
    )


def _quiet(family: Any, *values: Tensor, **words: Any) -> td.Distribution:
    return family(*values, **words, validate_args=False)


def _normal(p: Any, free: bool) -> Tempered:
    """Also of log-normals, whose location drifts as their scale shrinks."""
    m, s = p.loc, p.scale
    family = td.LogNormal if isinstance(p, td.LogNormal) else td.Normal
    if free or s.requires_grad:
        drift = s.square() if family is td.LogNormal else torch.zeros_like(s)
        return Tempered(
            lambda t: _quiet(family, m - (t - 1) * drift / t, s / t.sqrt()), p.entropy()
        )
    base = _quiet(family, torch.zeros_like(m), s)
    return Tempered(lambda t: _quiet(family, t * m, s), -0.5 * (m / s).square(), base.log_prob)


def _full_normal(p: Any, free: bool) -> Tempered:
    tril = p.scale_tril
    if free or tril.requires_grad:
        return Tempered(
            lambda t: _quiet(td.MultivariateNormal, p.loc, scale_tril=tril / t.sqrt()), p.entropy()
        )
    base = _quiet(td.MultivariateNormal, torch.zeros_like(p.loc), scale_tril=tril)
    half = torch.linalg.solve_triangular(tril, p.loc[..., None], upper=False)[..., 0]
    return Tempered(
        lambda t: _quiet(td.MultivariateNormal, t * p.loc, scale_tril=tril),
        -0.5 * half.square().sum(-1),
        base.log_prob,
    )


def _low_rank(p: Any, free: bool) -> Tempered:
    covariance = p.covariance_matrix
    whole = _quiet(td.MultivariateNormal, p.loc, scale_tril=torch.linalg.cholesky(covariance))
    return _full_normal(whole, free)


def _student(p: Any, free: bool) -> Tempered:
    def at(t: Tensor) -> td.Distribution:
        df = t * (p.df + 1) - 1
        return _quiet(td.StudentT, df, p.loc, p.scale * (p.df / df).sqrt())

    return Tempered(at, p.entropy())


def _bernoulli(p: Any, free: bool) -> Tempered:
    a = p.logits
    softplus = torch.log1p(torch.exp(-a.abs())) + a.clamp(min=0)
    entropy = softplus - a * torch.sigmoid(a)
    return Tempered(lambda t: _quiet(td.Bernoulli, logits=t * a), entropy)


def _poisson(p: Any, free: bool) -> Tempered:
    r = p.rate
    return Tempered(
        lambda t: _quiet(td.Poisson, r.pow(t)),
        r * (1 - r.log()),
        lambda x: -torch.lgamma(x + 1),
    )


def _negative_binomial(p: Any, free: bool) -> Tempered:
    r, log_p = p.total_count, torch.nn.functional.logsigmoid(p.logits)
    odds, log_rest = p.logits.exp(), torch.nn.functional.logsigmoid(-p.logits)
    return Tempered(
        lambda t: _quiet(td.NegativeBinomial, r, probs=(t * log_p).exp()),
        -r * log_rest - r * odds * log_p,
        lambda x: torch.lgamma(r + x) - torch.lgamma(x + 1) - torch.lgamma(r),
    )


def _gamma(p: Any, free: bool) -> Tempered:
    k, r = p.concentration, p.rate
    if free or k.requires_grad:
        return Tempered(lambda t: _quiet(td.Gamma, t * (k - 1) + 1, t * r), p.entropy())
    return Tempered(
        lambda t: _quiet(td.Gamma, k, t * r),
        k - k * r.log(),
        lambda x: (k - 1) * x.log() - torch.lgamma(k),
    )


#: Families whose parameters are all natural: tempered so, with their true entropy.
_PLAIN: dict[type, Callable[[Any, Tensor], td.Distribution]] = {
    td.Beta: lambda p, t: _quiet(
        td.Beta, t * (p.concentration1 - 1) + 1, t * (p.concentration0 - 1) + 1
    ),
    td.Categorical: lambda p, t: _quiet(type(p), logits=t * p.logits),
    td.ContinuousBernoulli: lambda p, t: _quiet(td.ContinuousBernoulli, logits=t * p.logits),
    td.Exponential: lambda p, t: _quiet(td.Exponential, t * p.rate),
    td.Laplace: lambda p, t: _quiet(td.Laplace, p.loc, p.scale / t),
    td.OneHotCategorical: lambda p, t: _quiet(type(p), logits=t * p.logits),
}
_RULES: dict[type, Callable[[Any, bool], Tempered]] = {
    td.Bernoulli: _bernoulli,
    td.Gamma: _gamma,
    td.LogNormal: _normal,
    td.LowRankMultivariateNormal: _low_rank,
    td.MultivariateNormal: _full_normal,
    td.NegativeBinomial: _negative_binomial,
    td.Normal: _normal,
    td.Poisson: _poisson,
    td.StudentT: _student,
}
