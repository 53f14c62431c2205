"""Probabilistic PCA, written as a linear VAE."""

from __future__ import annotations

import torch
from torch import Tensor

from companion.models import PPCA, Encoder, GaussianVAE
from companion.support.doors import door
from companion.theory.model import Parameters
from companion.theory.variational import Amortized

__all__ = ["linear_vae"]


@door
def linear_vae(
    model: PPCA, parameters: Parameters, x: Tensor
) -> tuple[GaussianVAE, dict[str, Tensor], Amortized]:
    """Probabilistic PCA as a linear VAE whose linear encoder gives the exact posterior.

    The posterior covariance is σ² (WᵀW + σ²I)⁻¹, so that a diagonal q is exact if the columns of W
    are orthogonal, as those of :meth:`companion.models.PPCA.stationary_point` are. Returns the
    model, its parameters and q on ``x``, ``(N, D)``.

    Raises
    ------
    ValueError
        If columns of W are not orthogonal, or the prior of ``model`` is learnable.

    >>> x = torch.randn(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> ppca = PPCA(observed=3, latent=1)
    >>> vae, own, q = linear_vae(ppca, ppca.maximum_likelihood(x), x)
    >>> q.entropy().shape
    torch.Size([9])
    """
    if model.learnable_prior:
        raise ValueError("model must have the fixed prior N(0, I): got learnable_prior=True")
    data = model.check(parameters, x)
    weights, mean, log_variance = (parameters[k] for k in ("weights", "mean", "log_variance"))
    products = weights.T @ weights
    off = float((products - products.diagonal().diag()).abs().max())
    if off > 1e-9 * (1 + float(products.abs().max())):
        raise ValueError(
            "the columns of W must be orthogonal for a diagonal q to be exact: found an inner "
            f"product of {off:.2g}; rotate W, for example by its singular value decomposition"
        )
    variance = log_variance.exp()
    total = variance + products.diagonal()
    read = (weights / total).T
    encoder = Encoder(model.observed, model.latent)
    phi = {
        "mean.weights": read,
        "mean.bias": -read @ mean,
        "log_std.weights": torch.zeros_like(read),
        "log_std.bias": 0.5 * (variance / total).log(),
    }
    own = {"mean.weights": weights, "mean.bias": mean, "log_variance": log_variance}
    return GaussianVAE(model.observed, model.latent), own, encoder.posterior(phi, data)
