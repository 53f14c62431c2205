"""Means and variances of Gaussians over independent latents: of a q, and of a model's prior."""

from __future__ import annotations

from torch import Tensor

from companion.families import DiagonalGaussian
from companion.theory.model import Model, Parameters
from companion.theory.variational import Amortized, Gaussian, Variational

__all__ = ["diagonal_moments", "prior_variance"]


def diagonal_moments(q: Variational) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of all q_n, ``(N, H)`` each.

    Raises
    ------
    ValueError
        If q is not Gaussian with a diagonal covariance.
    """
    gaussian = q.gaussian() if isinstance(q, Amortized) else q
    if not isinstance(gaussian, Gaussian) or not gaussian.diagonal:
        kind = "a full covariance" if isinstance(gaussian, Gaussian) else type(q).__name__
        raise ValueError(f"q must be Gaussian with a diagonal covariance: got {kind}")
    return gaussian.mean.detach(), gaussian.scale.detach().abs()


def prior_variance(model: Model, parameters: Parameters, mean: Tensor) -> Tensor:
    """Variances α of the model's Gaussian prior, ``(H,)``, for a q with the given means.

    Raises
    ------
    ValueError
        If the prior is not a Gaussian with independent latents, as many as q has.
    """
    prior = model.factors[0]
    if not isinstance(prior.family, DiagonalGaussian):
        raise ValueError(
            "model must have a Gaussian prior with independent latents: got "
            f"{type(prior.family).__name__}"
        )
    center, variance = prior.family.moments(prior.natural(parameters, mean))
    assert not bool(center.any()), "Gaussian priors here have mean zero"
    if variance.shape != mean.shape[1:]:
        raise ValueError(
            f"q must be over the model's {variance.shape[-1]} latents: got {mean.shape[1]}"
        )
    return variance.detach()
