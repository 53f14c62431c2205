"""The ELBO of a Gaussian VAE, with variances in closed form where that is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from companion.models.vae.gaussian import GaussianVAE
from companion.support.doors import door
from companion.theory.model import Parameters
from companion.theory.nodes import fitting
from companion.theory.variational import Amortized, Variational
from companion.training.plan import SCALES

__all__ = ["batch_elbo", "with_best_variances"]

#: From so many z for each point on, the squared error is averaged before the last layer.
MANY = 10


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

    >>> from companion import datasets, elbo, models
    >>> vae, encoder = models.GaussianVAE(10, 2), models.Encoder(10, 2)
    >>> generator, x = torch.Generator().manual_seed(0), datasets.pca(50)
    >>> parameters = vae.initial_parameters(generator)
    >>> q = encoder.posterior(encoder.initial_parameters(generator), x)
    >>> bool((batch_elbo(vae, parameters, q, x) - elbo(vae, parameters, q, x)).abs() < 1e-9)
    True
    """
    data = model.check(parameters, x)
    model.check_q(q, len(data))
    if not 0 <= kl_weight < math.inf:
        raise ValueError(f"kl_weight must be finite and at least 0: got {kl_weight}")
    if not set(profile) <= set(SCALES):
        raise ValueError(f"profile must name scales among {', '.join(SCALES)}: got {profile!r}")
    latents = q.gaussian()
    given = latents.mean, latents.scale, *fitting(latents.rule, *latents.mean.shape)
    return expected_batch_elbo(model, parameters, given, data, kl_weight, profile)


def expected_batch_elbo(
    model: GaussianVAE,
    parameters: Parameters,
    latents: tuple[Tensor, Tensor, Tensor, Tensor],
    x: Tensor,
    kl_weight: float,
    profile: tuple[str, ...],
) -> Tensor:
    """:func:`batch_elbo` for what is known to be valid, of any precision and on any device.

    ``latents`` are m, s, ε and w. Where parameters, ``x``, m, s and ε have one more axis in front,
    that of the seeds, the result has it too.
    """
    mean, std, noise, weights = latents
    z = mean[..., None, :] + std[..., None, :] * noise
    constant = model.noise_type in ("scalar", "pixel")
    errors = _expanded if constant and z.shape[-2] >= MANY else _errors
    error, logs = errors(model, parameters, x, z, weights)
    if "noise" in profile:
        error = 1 + _pooled(model, error).log()
    likelihood = -0.5 * (math.log(2 * math.pi) + logs + error).sum(-1)
    moment = (mean**2 + std**2).mean(-2)
    prior = parameters.get("prior_log_variance", torch.zeros_like(moment))
    moment = moment * (-prior).exp()
    moment = 1 + moment.log() if "prior" in profile else moment
    kl = 0.5 * (prior + moment - 1).sum(-1) - std.log().sum(-1).mean(-1)
    return likelihood - kl_weight * kl


def _errors(
    model: GaussianVAE, parameters: Parameters, x: Tensor, z: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Means over data and z, ``(..., D)`` each: (x − μ(z))²/σ²(z) and log σ²(z)."""
    draws = z.shape[-3:-1]

    def averaged(values: Tensor) -> Tensor:
        return weights @ values.mean(-3)

    if model.noise_type in ("scalar", "pixel"):
        centre = model.outputs(parameters, z.flatten(-3, -2))[0].unflatten(-2, draws)
        variance, logs = _constant(model, parameters)
        return averaged((x[..., None, :] - centre) ** 2) / variance, logs
    each = model.moments(parameters, z.flatten(-3, -2))
    centre, variance = (part.unflatten(-2, draws) for part in each)
    return averaged((x[..., None, :] - centre) ** 2 / variance), averaged(variance.log())


def _constant(model: GaussianVAE, parameters: Parameters) -> tuple[Tensor, Tensor]:
    """A variance that does not depend on z, and its logarithm, ``(..., 1)`` or ``(..., D)``."""
    logs = parameters["log_variance"]
    logs = logs[..., None] if model.noise_type == "scalar" else logs
    return logs.exp(), logs


def _expanded(
    model: GaussianVAE, parameters: Parameters, x: Tensor, z: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """:func:`_errors` for a constant variance, without μ(z) = W h(z) + b of every z.

    With r = x − b: E(r − W h)² = E r² − 2 E[r · W E[h | x]] + diag(W E[h hᵀ] Wᵀ).
    """
    variance, logs = _constant(model, parameters)
    w, rest = parameters["mean.weights"], x - parameters["mean.bias"][..., None, :]
    h = model.features(parameters, z.flatten(-3, -2))
    weighted = weights[:, None] * h.unflatten(-2, z.shape[-3:-1])
    seen = rest * (weighted.sum(-2) @ w.mT)
    second = weighted.flatten(-3, -2).mT @ h / x.shape[-2]
    error = (rest**2 - 2 * seen).mean(-2) + ((w @ second) * w).sum(-1)
    return error / variance, logs


def _pooled(model: GaussianVAE, error: Tensor) -> Tensor:
    """Scaled errors, averaged over the observables that share a variance."""
    return error.mean(-1, True).expand(error.shape) if model.noise_type == "scalar" else error


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
        name = "log_variance.bias" if model.noise_type == "head" else "log_variance"
        result[name] = parameters[name] + (best[0] if model.noise_type == "scalar" else best)
    if "prior" in profile:
        moment = (weights[:, None] * z**2).sum(-2).mean(0)
        result["prior_log_variance"] = moment.log()
    return result
