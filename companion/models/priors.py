"""What several models share: a Gaussian prior, and Bayes' rule for enumerated latents."""

from __future__ import annotations

import torch
from torch import Tensor

from companion.families import DiagonalGaussian
from companion.theory.model import Factor, Parameters

__all__ = ["gaussian_prior", "normalized", "prior_direction"]


def gaussian_prior(latent: int, learnable: bool) -> Factor:
    """p(z) = N(0, I), or N(0, diag e^λ) with the parameter ``prior_log_variance`` λ, ``(H,)``."""
    family = DiagonalGaussian()

    def natural(parameters: Parameters, z: Tensor) -> Tensor:
        log_variance = (
            parameters["prior_log_variance"] if learnable else torch.zeros(latent, dtype=z.dtype)
        )
        return family.natural_parameters(torch.zeros_like(log_variance), log_variance.exp())

    return Factor("prior", family, natural, lambda z: z)


def prior_direction(parameters: Parameters) -> dict[str, Tensor]:
    """Block of v for a learnable Gaussian prior: −1 on every log-variance."""
    return {"prior_log_variance": -torch.ones_like(parameters["prior_log_variance"])}


#: e to this power is zero next to 1, but not subnormal: products with those are many times slower.
_LOG_TINY = -500.0


def normalized(log_joint: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """p(z|x) = p(x, z) / Σ_z p(x, z), and log Σ_z p(x, z), from log p(x, z); z along ``dim``.

    The first overwrites ``log_joint``; its entries are at least e⁻⁵⁰⁰.
    """
    largest = log_joint.amax(dim, keepdim=True)
    joint = log_joint.sub_(largest).clamp_(min=_LOG_TINY).exp_()
    marginal = joint.sum(dim, keepdim=True)
    return joint.div_(marginal), (marginal.log() + largest).squeeze(dim)
