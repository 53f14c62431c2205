"""Stationary points of the linear VAE: what its latents contribute, and which ways lead uphill."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from companion.support.checks import integer
from companion.support.doors import door

__all__ = ["linear_contributions", "uphill_directions"]


@door
def linear_contributions(eigenvalues: Tensor, noise_variance: Tensor | float) -> Tensor:
    """½ log(λ_k / σ²) where λ_k > σ², else 0: contributions of the latents in nats, ``(D,)``.

    They belong to the largest ELBO of a linear VAE with prior N(0, I) and the given noise variance.
    The latent of an eigenvalue λ_k ≤ σ² of the data covariance collapses.

    Source: follows from Tipping & Bishop (1999).

    >>> linear_contributions(torch.tensor([4.0, 1.0]), 2.0)
    tensor([0.3466, 0.0000], dtype=torch.float64)
    """
    return (0.5 * torch.log(eigenvalues / noise_variance)).clamp(min=0)


@door
def uphill_directions(
    eigenvalues: Tensor, chosen: Sequence[int], latent: int, noise_variance: float | None = None
) -> int:
    """How many positive eigenvalues the Hessian has at the stationary point made of ``chosen``.

    Every collapsed latent can take up any eigenvector that is left out and has λ > σ², and every
    active one can turn to any that is left out and has a larger λ than its own.

    Parameters
    ----------
    eigenvalues
        Those of the data covariance, ``(D,)``.
    chosen
        The indices that the active latents use.
    latent
        The number of latents; all but len(chosen) of them have collapsed.
    noise_variance
        A value at which σ² is held; by default σ² is the mean of the eigenvalues left out.

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
    integer(latent, "latent")
    if noise_variance is not None and not 0 <= noise_variance < math.inf:
        raise ValueError(f"noise_variance must be at least 0: got {noise_variance}")
    if len(indices) > latent:
        raise ValueError(f"chosen must be at most {latent} indices, one a latent: got {indices}")
    left = torch.ones_like(eigenvalues, dtype=torch.bool)
    left[indices] = False
    out = eigenvalues[left]
    noise = out.mean() if noise_variance is None else noise_variance
    turns = (out[None, :] > eigenvalues[indices][:, None]).sum()
    return int((latent - len(indices)) * (out > noise).sum() + turns)
