"""Tempered models: every conditional p replaced by pᵗg¹⁻ᵗ/Z_t, colder for t > 1, warmer below."""

from __future__ import annotations

from collections.abc import Mapping
from math import log, tau
from typing import Any

import torch
from torch import Tensor

from companion.families import Family
from companion.support.doors import door
from companion.theory.elbo import expected_log_probs
from companion.theory.model import Model, Parameters
from companion.theory.terms import expectation
from companion.theory.variational import Tabulated, Variational

__all__ = [
    "at_any_temperature",
    "log_tempered_normaliser",
    "rate_of_cooling",
    "tempered_elbo",
    "tempered_log_prob",
    "tempering_slopes",
]


@door
def log_tempered_normaliser(family: Family, natural: Tensor, t: float | Tensor) -> Tensor:
    """log Z_t = log ∫ p(x | η)ᵗ g(x)¹⁻ᵗ dx, ``(..., L)`` → ``(...)``; a convex function of t.

    For an exponential family it is A(tη) − tA(η); others that are closed under tempering know it.

    Raises
    ------
    ValueError
        For a family that is neither exponential nor known to be closed under tempering, or t at
        which the tempered density can't be normalised.

    Source: this companion.

    >>> from companion.families import Poisson
    >>> natural = Poisson().natural_parameters(torch.tensor([3.0], dtype=torch.float64))
    >>> float(log_tempered_normaliser(Poisson(), natural, 1.0))
    0.0
    """
    t = torch.as_tensor(t, dtype=natural.dtype, device=natural.device)
    value = family.log_tempered_normaliser(natural, t)
    if not bool(torch.isfinite(value).all()):
        raise ValueError(
            f"the tempered density of {type(family).__name__} can't be normalised at t = {float(t)}"
        )
    return value


@door
def tempered_log_prob(family: Family, x: Tensor, natural: Tensor, t: float | Tensor) -> Tensor:
    """log p_t(x) = t log p(x | η) + (1 − t) log g(x) − log Z_t, shapes as those of ``log_prob``.

    Its derivative at t = 1 is log(p/g) + H̃[p].

    Parameters
    ----------
    family, natural
        The family and its parameters η, ``(..., L)``.
    x
        Values, ``(..., D)``.
    t
        The inverse temperature: colder for t > 1.

    Raises
    ------
    ValueError
        As :func:`log_tempered_normaliser`.

    Source: this companion.
    """
    powers = t * family.log_prob(x, natural) + (1 - t) * family.log_base_measure(x)
    return powers - log_tempered_normaliser(family, natural, t)


@door
def rate_of_cooling(family: Family, x: Tensor, natural: Tensor) -> Tensor:
    """d log p_t(x)/dt at t = 1 by automatic differentiation, shapes as those of ``log_prob``.

    Source: this companion.

    >>> from companion.families import Laplace
    >>> family, x = Laplace(), torch.tensor([1.5], dtype=torch.float64)
    >>> natural = family.parameters(0 * x, 1 + 0 * x)
    >>> rate = family.log_prob(x, natural) + family.entropy(natural)
    >>> bool((rate_of_cooling(family, x, natural) - rate).abs() < 1e-15)
    True
    """
    one = torch.ones((), dtype=natural.dtype, device=natural.device)

    def density(t: Tensor) -> Tensor:
        return tempered_log_prob(family, x, natural, t)

    slope: Tensor = torch.func.jvp(density, (one,), (one,))[1]
    return slope


@door
def tempered_elbo(
    model: Model,
    parameters: Parameters,
    q: Variational | None,
    x: Any,
    t: float | Tensor | Mapping[str, float | Tensor],
) -> Tensor:
    """F_t: the ELBO with every factor p_k replaced by p_kᵗg_k¹⁻ᵗ/Z_t, q as it is; a scalar in nats.

    F_t is concave in t, F_1 is the ELBO, and its slope at t = 1 is ELBO − entropy sum, whether the
    parameterization criterion holds or not.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.verify`.
    t
        One number, or numbers by name of factor (those not named stay at t = 1); t > 1 is colder.

    Raises
    ------
    ValueError
        For invalid data or parameters, an unknown factor, and as :func:`log_tempered_normaliser`.

    Source: this companion.

    >>> from companion import elbo, models
    >>> model = models.SigmoidBeliefNet(observed=3, latent=2)
    >>> parameters = model.initial_parameters(torch.Generator().manual_seed(0))
    >>> x = torch.ones(4, 3, dtype=torch.float64)
    >>> q = model.posterior(parameters, x)
    >>> bool(tempered_elbo(model, parameters, q, x, 1.0) == elbo(model, parameters, q, x))
    True
    """
    q, data = model.checked(parameters, q, x)
    names = [factor.name for factor in model.factors]
    temperatures = dict(t) if isinstance(t, Mapping) else dict.fromkeys(names, t)
    unknown = sorted(set(temperatures) - set(names))
    if unknown:
        raise ValueError(f"t must name some of the factors {names}: got {unknown}")
    nodes, total = q.nodes(), q.entropy().mean()
    expected = expected_log_probs(model, parameters, q, data)
    for factor in model.factors:
        z, weights = factor.nodes(q, nodes)
        own = temperatures.get(factor.name, 1.0)
        normaliser = log_tempered_normaliser(factor.family, factor.natural(parameters, z), own)
        base = expectation(weights, torch.atleast_1d(factor.log_base_measure(data, z)))
        total = total + own * expected[factor.name] + (1 - own) * base
        total = total - expectation(weights, torch.atleast_1d(normaliser))
    return total


@door
def tempering_slopes(
    model: Model, parameters: Parameters, q: Variational | None, x: Any
) -> dict[str, float]:
    """∂F_t/∂t_k at t = 1 for every factor k, by automatic differentiation in t.

    Each is E_q̄[log(p_k/g_k)] + E_q̄ H̃[p_k]; their sum is ELBO − entropy sum. Above zero the factor
    is too warm (a colder one would raise the ELBO), below zero too cold.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.verify`.

    Raises
    ------
    ValueError
        As :func:`tempered_elbo`.

    Source: this companion.
    """
    q, x = model.checked(parameters, q, x)
    ones = {factor.name: torch.ones((), dtype=torch.float64) for factor in model.factors}

    def objective(temperatures: Mapping[str, Tensor]) -> Tensor:
        return tempered_elbo(model, parameters, q, x, temperatures)

    return {name: float(slope) for name, slope in torch.func.grad(objective)(ones).items()}


def at_any_temperature(parameters: Parameters, q: Tabulated, x: Tensor) -> dict[str, Any]:
    """What F_t of a Gaussian mixture with diagonal covariances depends on, in plain numbers.

    F_t = posterior + Σ_c shares_c log softmax_c(t · logits) + scale + (size/2) log t + t · stretch,
    with the mean of −½ Σ_d log 2πσ² as ``scale``, that of −½ Σ_d (x_d − m_d)²/σ_d² as ``stretch``.

    Source: this companion.
    """
    shares, log_variance = q.probabilities.mean(0), parameters["log_variance"]
    squares = ((x[:, None] - parameters["means"]) ** 2 / log_variance.exp()).sum(-1)
    return {
        "posterior": float(q.entropy().mean()),
        "size": x.shape[1],
        "logits": parameters["prior_logits"].tolist(),
        "shares": shares.tolist(),
        "scale": -0.5 * float(shares @ (log_variance + log(tau)).sum(-1)),
        "stretch": -0.5 * float((q.probabilities * squares).sum(-1).mean()),
    }
