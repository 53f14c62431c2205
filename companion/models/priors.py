"""The Gaussian prior of continuous latents, fixed or with learnable variances; shared by models."""

from __future__ import annotations

import torch
from torch import Tensor

from companion.families import DiagonalGaussian
from companion.model import Factor, Parameters

__all__ = ["gaussian_prior", "prior_direction"]


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
