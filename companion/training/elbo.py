"""The ELBO of a Gaussian VAE, with variances in closed form where that is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from companion.models.vae.gaussian import GaussianVAE
from companion.support.doors import door
from companion.theory.model import Parameters
from companion.theory.variational import Amortized, Variational
from companion.training.plan import SCALES

__all__ = ["batch_elbo", "with_best_variances"]


@door
def batch_elbo(
    model: GaussianVAE,
    parameters: Parameters,
    q: Amortized,
    x: Tensor,
    kl_weight: float = 1.0,
    profile: tuple[str, ...] = (),
) -> Tensor:
    """The ELBO of ``x`` with its KL divergence in closed form, in nats per data point.

    mean over n of Σ_p w_p log p(x_n | z_np) − β KL(q(z | x_n) ‖ p(z)), z_np = m(x_n) + s(x_n) ε_p.

    Parameters
    ----------
    model, parameters
        The VAE and its parameters.
    q
        An encoder's q(z | x_n) = N(m(x_n), diag s(x_n)²) on the rows of ``x``, with nodes ε, w.
    x
        A batch of data, ``(B, D)``.
    kl_weight
        β.
    profile
        The variances, of ``"noise"`` and ``"prior"``, that are replaced by those that maximise
        this: for the noise E‖x − μ(z)‖²/D, for the prior the second moment of z_h.

    Raises
    ------
    ValueError
        For data, parameters or a q that do not fit, a negative weight, or an unknown variance.
    """
    data = model.check(parameters, x)
    model.check_q(q, len(data))
    if not 0 <= kl_weight < math.inf:
        raise ValueError(f"kl_weight must be finite and at least 0: got {kl_weight}")
    if not set(profile) <= set(SCALES):
        raise ValueError(f"profile must name scales among {', '.join(SCALES)}: got {profile!r}")
    return expected_batch_elbo(model, parameters, q, data, kl_weight, profile)


def expected_batch_elbo(
    model: GaussianVAE,
    parameters: Parameters,
    q: Amortized,
    x: Tensor,
    kl_weight: float,
    profile: tuple[str, ...],
) -> Tensor:
    """:func:`batch_elbo` for what is known to be valid, of any precision and on any device."""
    latents = q.gaussian()
    mean, std = latents.mean, latents.scale
    error, logs = _errors(model, parameters, x, *latents.nodes())
    if "noise" in profile:
        error = 1 + _pooled(model, error).log()
    likelihood = -0.5 * (math.log(2 * math.pi) + logs + error).sum()
    prior = parameters.get("prior_log_variance", torch.zeros_like(mean[0]))
    moment = ((mean**2 + std**2) * (-prior).exp()).mean(0)
    moment = 1 + moment.log() if "prior" in profile else moment
    kl = 0.5 * (prior + moment - 1).sum() - std.log().sum(-1).mean()
    return likelihood - kl_weight * kl


def _errors(
    model: GaussianVAE, parameters: Parameters, x: Tensor, z: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Means over data and z, ``(D,)`` each: (x − μ(z))²/σ²(z) and log σ²(z)."""
    centre, variance = model.moments(parameters, z)
    constant = model.noise in ("scalar", "pixel")
    squares = (x[:, None] - centre) ** 2
    error = (weights[:, None] * (squares if constant else squares / variance)).sum(-2).mean(0)
    if constant:
        return error / variance, variance.log().expand(error.shape)
    return error, (weights[:, None] * variance.log()).sum(-2).mean(0)


def _pooled(model: GaussianVAE, error: Tensor) -> Tensor:
    """Scaled errors, averaged over the observables that share a variance."""
    return error.mean().expand(error.shape) if model.noise == "scalar" else error


def with_best_variances(
    model: GaussianVAE,
    parameters: Mapping[str, Tensor],
    q: Variational,
    x: Tensor,
    profile: tuple[str, ...],
) -> dict[str, Tensor]:
    """Parameters with the profiled variances at their best values, all others as they are.

    Parameters
    ----------
    model, parameters
        The VAE and its parameters.
    q
        A Gaussian q with nodes, over which the ELBO is integrated.
    x
        All data, ``(N, D)``.
    profile
        As for :func:`batch_elbo`.
    """
    result = dict(parameters)
    z, weights = q.nodes()
    if "noise" in profile:
        best = _pooled(model, _errors(model, parameters, x, z, weights)[0]).log()
        name = "log_variance.bias" if model.noise == "head" else "log_variance"
        result[name] = parameters[name] + (best[0] if model.noise == "scalar" else best)
    if "prior" in profile:
        moment = (weights[:, None] * z**2).sum(-2).mean(0)
        result["prior_log_variance"] = moment.log()
    return result
