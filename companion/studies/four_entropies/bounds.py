"""Importance-weighted bounds: learned at frozen samples, over K, and what their limits must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from companion import models, variational
from companion.fit import maximise
from companion.theory.elbo import EntropySum
from companion.theory.identity import Verification, verify
from companion.theory.importance import weighted_bound
from companion.theory.model import Parameters

__all__ = [
    "along_direction",
    "divergence",
    "learned_bound",
    "log_weights",
    "over_samples",
    "widened",
    "without_cost",
]


def widened(q: variational.Gaussian, factor: float) -> variational.Gaussian:
    """Gaussians with the means of ``q``, diagonal, their standard deviations times ``factor``."""
    std = q.scale if q.diagonal else (q.scale**2).sum(-1).sqrt()
    return variational.Gaussian(q.mean, factor * std)


def without_cost(report: Verification | EntropySum) -> float:
    """Three entropies only: the entropy sum with what reweighting costs not subtracted."""
    total = report.total if isinstance(report, EntropySum) else report.entropy_sum
    return float(total + report.reweighting)


def log_weights(
    model: models.PPCA, parameters: Parameters, q: variational.Gaussian, x: Tensor
) -> Tensor:
    """log w_nk = log p(x_n, z_nk) − log q_n(z_nk) by torch.distributions, ``(N, K)``; q diagonal.

    Parameters
    ----------
    model, parameters, q, x
        A probabilistic PCA with prior variances, and samples in the rule of ``q``.
    """
    z = q.nodes().z
    prior = Normal(0.0, (0.5 * parameters["prior_log_variance"]).exp())
    noise = Normal(model.decode(parameters, z), (0.5 * parameters["log_variance"]).exp())
    own = Normal(q.mean[:, None], q.scale[:, None])
    log_joint = prior.log_prob(z).sum(-1) + noise.log_prob(x[:, None]).sum(-1)
    return log_joint - own.log_prob(z).sum(-1)


def along_direction(
    model: models.PPCA,
    parameters: Parameters,
    q: variational.Gaussian,
    x: Tensor,
    step: float,
    alpha: float = 0.0,
) -> float:
    """⟨∇F_K, v⟩ by central differences of the bound: (F_K(Θ + step v) − F_K(Θ − step v)) / 2 step.

    Parameters
    ----------
    model, parameters, q, x, alpha
        As for :func:`companion.iwae_bound`; a model whose v leaves q alone.
    step
        How far along v.
    """
    v = model.gap_direction(parameters)
    ends = ({k: p + sign * step * v[k] for k, p in parameters.items()} for sign in (1, -1))
    up, down = (float(weighted_bound(model, end, q, x, alpha)) for end in ends)
    return (up - down) / (2 * step)


def over_samples(
    model: models.PPCA,
    parameters: Parameters,
    q: variational.Gaussian,
    x: Tensor,
    counts: Iterable[int],
) -> dict[int, Verification]:
    """The identity of the K-sample bound for every K in ``counts``, each with samples of its own.

    Parameters
    ----------
    model, parameters, q, x
        As for :func:`companion.verify`.
    counts
        Numbers K of samples.
    """
    return {K: verify(model, parameters, q, x, samples=K) for K in counts}


def learned_bound(
    model: models.PPCA, parameters: Parameters, q: variational.Gaussian, x: Tensor
) -> dict[str, Tensor]:
    """Parameters that maximise the bound of ``q``'s frozen samples, q held, to round-off."""

    def objective(own: Mapping[str, Tensor]) -> Tensor:
        return weighted_bound(model, own, q, x)

    near = maximise.lbfgs(objective, dict(parameters), steps=2000, tolerance=1e-6)
    return maximise.newton(objective, near, tolerance=1e-12)


def divergence(p: variational.Gaussian, q: variational.Gaussian) -> float:
    """Mean KL(p_n ‖ q_n) in nats, by ``torch.distributions``; ``p`` full, ``q`` diagonal."""
    first = MultivariateNormal(p.mean, scale_tril=torch.tril(p.scale))
    second = MultivariateNormal(q.mean, scale_tril=torch.diag_embed(q.scale.abs()))
    return float(kl_divergence(first, second).mean())
