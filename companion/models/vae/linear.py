"""The linear VAE at the stationary points of probabilistic PCA: which latents collapse, where."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from companion.models import PPCA, Encoder, GaussianVAE
from companion.theory.model import Parameters
from companion.theory.variational import Amortized

__all__ = ["linear_contributions", "linear_vae", "uphill_directions"]


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


def linear_contributions(eigenvalues: Tensor, noise_variance: Tensor | float) -> Tensor:
    """½ log(λ_k / σ²) where λ_k > σ², else 0: contributions of the latents in nats, ``(D,)``.

    They belong to the largest ELBO of a linear VAE with prior N(0, I) and the given noise variance.
    The latent of an eigenvalue λ_k ≤ σ² of the data covariance collapses.

    Source: follows from Tipping & Bishop (1999).

    >>> linear_contributions(torch.tensor([4.0, 1.0]), 2.0)
    tensor([0.3466, 0.0000])
    """
    return (0.5 * torch.log(eigenvalues / noise_variance)).clamp(min=0)


def uphill_directions(
    eigenvalues: Tensor, chosen: Sequence[int], latent: int, noise_variance: float | None = None
) -> int:
    """How many positive eigenvalues the Hessian has at the stationary point made of ``chosen``.

    ``eigenvalues`` ``(D,)`` are those of the data covariance, ``chosen`` the indices that the
    active latents use; ``latent`` − len(chosen) latents have collapsed. Every collapsed latent can
    take up any eigenvector that is left out and has λ > σ², and every active one can turn to any
    that is left out and has a larger λ than its own. σ² is the mean of the eigenvalues left out,
    unless it is held at ``noise_variance``.

    Raises
    ------
    ValueError
        If indices repeat or are out of range, or there are more of them than latents.

    Source: this companion; the points are those of Tipping & Bishop (1999).

    >>> uphill_directions(torch.tensor([3.0, 2.0, 1.0, 0.5]), chosen=(1,), latent=2)
    2
    """
    indices = list(chosen)
    if len(set(indices)) != len(indices) or not set(indices) <= set(range(len(eigenvalues))):
        raise ValueError(
            f"chosen must be different indices from 0 to {len(eigenvalues) - 1}: got {indices}"
        )
    if len(indices) > latent:
        raise ValueError(f"chosen must be at most {latent} indices, one a latent: got {indices}")
    left = torch.ones_like(eigenvalues, dtype=torch.bool)
    left[indices] = False
    out = eigenvalues[left]
    noise = out.mean() if noise_variance is None else noise_variance
    turns = (out[None, :] > eigenvalues[indices][:, None]).sum()
    return int((latent - len(indices)) * (out > noise).sum() + turns)
