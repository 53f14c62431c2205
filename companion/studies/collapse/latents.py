"""The slope of the ELBO along each latent's part of v, and what each latent knows of the data."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from companion.models.vae.latents import LOG_2_PI_E, diagonal_moments
from companion.support import tree
from companion.support.doors import door
from companion.theory.model import Model, Parameters
from companion.theory.objective import Problem
from companion.theory.variational import Variational

__all__ = ["latent_information", "latent_slopes"]

#: No more points than this for one aggregate posterior.
_LARGEST_GRID = 20_000


@door
def latent_slopes(model: Model, parameters: Parameters, q: Variational, x: Any) -> Tensor:
    """⟨∇ELBO, v_h⟩ for the part v_h of the direction v that belongs to latent h, ``(H,)``.

    v_h is −1 on the latent's log-variance for a learnable prior; for a fixed one it stretches the
    latent in q and shrinks the weights that read it, at rate ½. The slope is taken from the
    gradient of the whole ELBO, by the nodes of q, and equals the latent's own
    :attr:`~companion.models.vae.latents.LatentEntropies.gap` for nodes that integrate squares
    exactly.

    Parameters
    ----------
    model, parameters
        A model with a Gaussian prior of independent latents, and the point at which to look.
    q, x
        The variational distributions, whatever their nodes, and the data ``(N, D)``.

    Raises
    ------
    ValueError
        For invalid data or parameters, or a model in which no parameter belongs to one latent.

    Source: this companion.
    """
    problem = Problem.of(model, parameters, q, x)
    gradient = torch.func.grad(problem.value)(problem.start)
    if "prior_log_variance" in parameters:
        return -gradient["prior_log_variance"]
    size = q.nodes().z.shape[-1]
    rates = model.latent_rescaling * torch.eye(size, dtype=torch.float64)
    slopes = []
    for rate in rates:
        absorbed = model.absorption(parameters, rate)
        if not bool(rates.any()) or absorbed is None:
            raise ValueError(
                f"model must have a Gaussian prior, fixed or learnable, to have a slope for each "
                f"latent: got {model!r}"
            )
        moved = tree.merge(absorbed, q.rescaling(rate))
        slopes.append(tree.inner(moved, gradient))
    return torch.stack(slopes)


@door
def latent_information(q: Variational) -> Tensor:
    """I_h = H[q̄(z_h)] − (1/N) Σ_n H[q_n(z_h)]: mutual information of latent and index n, ``(H,)``.

    q̄ is the aggregate posterior; its entropy is integrated numerically on a grid of three points
    per smallest standard deviation. Between 0 and log N nats, and KL_h = I_h + KL[q̄(z_h) ‖ p(z_h)]
    whatever the prior.

    Raises
    ------
    ValueError
        If q is not Gaussian with a diagonal covariance, or so narrow somewhere that the grid would
        need more than 20 000 points.
    """
    mean, std = diagonal_moments(q)
    entropies = torch.stack([_mixture_entropy(mean[:, h], std[:, h]) for h in range(mean.shape[1])])
    return entropies - (std.log().mean(0) + 0.5 * LOG_2_PI_E)


def _mixture_entropy(mean: Tensor, std: Tensor) -> Tensor:
    """Entropy of (1/N) Σ_n N(m_n, s_n²) in one dimension, by the trapezoidal rule."""
    low, high = float((mean - 9 * std).min()), float((mean + 9 * std).max())
    points = math.ceil(3 * (high - low) / float(std.min())) + 1
    if points > _LARGEST_GRID:
        raise ValueError(
            f"q must not be narrower than 1/{_LARGEST_GRID // 3} of the range of its means: "
            f"found a standard deviation of {float(std.min()):.3g} on a range of {high - low:.3g}"
        )
    grid = torch.linspace(low, high, points, dtype=mean.dtype)
    density = torch.zeros_like(grid)
    for start in range(0, len(mean), 500):
        m, s = mean[start : start + 500, None], std[start : start + 500, None]
        density += torch.exp(-0.5 * ((grid - m) / s) ** 2 - s.log()).sum(0)
    density = density / (len(mean) * math.sqrt(2 * math.pi))
    return torch.trapezoid(-torch.special.xlogy(density, density), grid)
