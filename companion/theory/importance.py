"""The importance-weighted bound on the log-likelihood, and the four entropies it is made of."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from companion.support.checks import positive_integer
from companion.support.doors import door
from companion.theory.elbo import EntropySum, Form, seen, weighted_sum
from companion.theory.model import Model, Parameters
from companion.theory.variational import Amortized, Gaussian, Nodes, Variational, samples

__all__ = ["iwae_bound", "iwae_entropy_sum", "with_samples"]


class _Weighted(NamedTuple):
    """Samples ``z`` ``(N, K, H)``, log q(z), the bound F_n and normalised weights, by sample."""

    z: Tensor
    log_q: Tensor
    bound: Tensor
    weights: Tensor


def _weighted(
    model: Model, parameters: Parameters, q: Variational, x: Tensor, alpha: float
) -> _Weighted:
    q = q.evaluated()
    if not isinstance(q, Gaussian) or q.rule is None or q.rule.z.dim() != 3:
        raise ValueError(
            "q must be Gaussian, with samples as its rule (variational.samples), to be reweighted: "
            f"got {type(q).__name__}"
        )
    if alpha == 1 or not math.isfinite(alpha):
        raise ValueError(f"alpha must be finite and not 1, which is the ELBO: got {alpha}")
    z = q.nodes().z
    log_q = q.log_prob(z)
    tilted = (1 - alpha) * (model.log_joint(parameters, x, z) - log_q)
    total = torch.logsumexp(tilted, 1, keepdim=True)
    bound = (total[:, 0] - math.log(z.shape[1])) / (1 - alpha)
    return _Weighted(z, log_q, bound, (tilted - total).exp())


@door
def iwae_bound(
    model: Model, parameters: Parameters, q: Variational | None, x: Any, alpha: float = 0.0
) -> Tensor:
    """F_K = (1/N) Σ_n log (1/K) Σ_k w_nk, w_nk = p(x_n, z_nk)/q_n(z_nk), a scalar in nats.

    With K samples z_nk of a Gaussian q, those of its rule: in expectation a lower bound on the
    log-likelihood that rises with K; for K = 1 the ELBO, its entropy of q sampled. For another
    ``alpha`` it is Rényi's, (1/N) Σ_n log((1/K) Σ_k w_nk^(1−α)) / (1 − α).

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.elbo`.
    alpha
        0 is the importance-weighted bound; towards 1 the ELBO.

    Raises
    ------
    ValueError
        For invalid arguments, a q that is not Gaussian or has no samples, or ``alpha`` of 1.

    Source: Burda, Grosse & Salakhutdinov (2016); Li & Turner (2016) for other ``alpha``.

    >>> from companion import elbo, models
    >>> model = models.PPCA(observed=2, latent=1)
    >>> parameters = model.initial_parameters(torch.Generator().manual_seed(0))
    >>> x = torch.ones(3, 2, dtype=torch.float64)
    >>> exact = model.posterior(parameters, x)    # with it, the log-likelihood for any samples
    >>> q = Gaussian(exact.mean, exact.scale, samples(3, 5, 1, torch.Generator().manual_seed(1)))
    >>> bool((iwae_bound(model, parameters, q, x) - elbo(model, parameters, None, x)).abs() < 1e-9)
    True
    """
    return weighted_bound(model, parameters, *seen(model, parameters, q, x), alpha)


def weighted_bound(
    model: Model, parameters: Parameters, q: Variational, x: Tensor, alpha: float = 0.0
) -> Tensor:
    """:func:`iwae_bound` for what is known to be valid, as learning repeats it."""
    return _weighted(model, parameters, q, x, alpha).bound.mean()


@door
def iwae_entropy_sum(
    model: Model,
    parameters: Parameters,
    q: Variational | None,
    x: Any,
    alpha: float = 0.0,
    form: Form = "auto",
) -> EntropySum:
    """S_K: four entropies, all under the normalised weights ω_nk of the samples.

    S_K = (1/N) Σ_n Σ_k ω_nk (−log q_n(z_nk) − H[p(x | z_nk)]) − H[p(z)] − R, where
    R = (1/N) Σ_n (log K − H[ω_n])/(1 − α) is the cost of reweighting.

    For α < 1 it is never negative: zero for equal weights, log K if one sample takes all.
    F_K − S_K = ⟨∇F_K, v⟩ at any parameters, with the v of the ELBO.

    Parameters
    ----------
    model, parameters, q, x, alpha
        As for :func:`iwae_bound`.
    form
        As for :func:`companion.entropy_sum`.

    Raises
    ------
    ValueError
        As :func:`iwae_bound` and :func:`companion.entropy_sum`.

    Source: this companion.

    >>> from companion import models
    >>> model = models.PPCA(observed=2, latent=1)
    >>> parameters = model.initial_parameters(torch.Generator().manual_seed(0))
    >>> x, zero = torch.ones(3, 2, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64)
    >>> q = Gaussian(zero, zero + 1, samples(3, 50, 1, torch.Generator().manual_seed(1)))
    >>> bool(iwae_entropy_sum(model, parameters, q, x).reweighting > 0)
    True
    """
    if form not in ("auto", "true", "pseudo"):
        raise ValueError(f"form must be 'auto', 'true' or 'pseudo': got {form!r}")
    return weighted_entropies(model, parameters, *seen(model, parameters, q, x), alpha, form)


def weighted_entropies(
    model: Model,
    parameters: Parameters,
    q: Variational,
    x: Tensor,
    alpha: float = 0.0,
    form: Form = "auto",
) -> EntropySum:
    """:func:`iwae_entropy_sum` for what is known to be valid."""
    z, log_q, _, weights = _weighted(model, parameters, q, x, alpha)
    entropy = -torch.where(weights > 0, weights * weights.log(), 0.0).sum(1)
    cost = (math.log(z.shape[1]) - entropy).mean() / (1 - alpha)
    posterior = -(weights * log_q).sum(1).mean()
    nodes = Nodes(z, weights)
    return weighted_sum(model, parameters, x, form, posterior, lambda factor: nodes, cost)


def with_samples(q: Variational, count: int) -> Variational:
    """``q`` with ``count`` frozen samples for each data point, its own if it has as many.

    Raises
    ------
    ValueError
        If ``count`` is no positive integer, or q not Gaussian.
    """
    positive_integer(count, "samples")
    if not isinstance(q, Gaussian | Amortized):
        raise ValueError(f"q must be Gaussian to be reweighted: got {type(q).__name__}")
    if q.rule is not None and q.rule.z.dim() == 3 and q.rule.z.shape[1] == count:
        return q
    points, size = (q.gaussian() if isinstance(q, Amortized) else q).mean.shape
    rule = samples(points, count, size, torch.Generator().manual_seed(0))
    return replace(q, rule=rule)
