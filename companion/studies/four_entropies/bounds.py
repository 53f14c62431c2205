"""Importance-weighted bounds: learned at frozen samples, over K, and what their limits must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from companion import models, variational
from companion.fit import maximise
from companion.theory.identity import Verification, verify
from companion.theory.importance import weighted_bound
from companion.theory.model import Parameters

__all__ = ["divergence", "learned_bound", "over_samples", "widened", "without_cost"]


def widened(q: variational.Gaussian, factor: float) -> variational.Gaussian:
    """Gaussians with the means of ``q``, diagonal, their standard deviations times ``factor``."""
    std = q.scale if q.diagonal else (q.scale**2).sum(-1).sqrt()
    return variational.Gaussian(q.mean, factor * std)


def without_cost(report: Verification) -> float:
    """Three entropies only: the entropy sum with what reweighting costs not subtracted."""
    return report.entropy_sum + report.reweighting


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
