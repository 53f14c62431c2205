"""Seeded synthetic data: linear-Gaussian draws, rings and bars."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from companion.support.checks import integer, positive_integer
from companion.support.doors import door

__all__ = ["bars", "pca", "pca_ring"]


@door
def pca(
    count: int = 1000, observed: int = 10, latent: int = 2, noise_std: float = 0.1, seed: int = 0
) -> Tensor:
    """Draws from a linear-Gaussian model: x = Wz + μ + noise, W and μ uniform on [0, 1].

    Source: the PCA data of Damm et al. (arXiv:2010.14860), with their sizes as defaults except N.

    Parameters
    ----------
    count, observed
        N and D, the shape of the result.
    latent
        H, the length of z ~ N(0, I).
    noise_std
        Standard deviation of the noise in each observable.
    seed
        Of W, μ, z and the noise, drawn in this order.

    >>> pca(count=50, observed=5).shape
    torch.Size([50, 5])
    """
    return _linear(count, observed, latent, noise_std, seed, ring=False)


@door
def pca_ring(
    count: int = 1000, observed: int = 10, latent: int = 2, noise_std: float = 0.1, seed: int = 0
) -> Tensor:
    """Like :func:`pca`, but with latents near the unit sphere: z ← z/10 + z/‖z‖.

    Source: the PCA-ring data of Damm et al. (arXiv:2010.14860).

    Parameters
    ----------
    count, observed, latent, noise_std, seed
        As for :func:`pca`.

    >>> pca_ring(count=50, observed=5).shape
    torch.Size([50, 5])
    """
    return _linear(count, observed, latent, noise_std, seed, ring=True)


@door
def bars(
    count: int = 500, size: int = 4, probability: float | None = None, seed: int = 0
) -> Tensor:
    """Binary images of horizontal and vertical bars, ``(count, size²)``.

    Parameters
    ----------
    count
        How many images.
    size
        Their height and width, and the number of bars in each direction.
    probability
        With which each of the 2·size bars is present, by default two per image on average.
    seed
        Of the bars.

    >>> bars(3, size=4).shape
    torch.Size([3, 16])
    """
    positive_integer(count, "count")
    positive_integer(size, "size")
    chance = 1 / size if probability is None else probability
    if not 0 < chance < 1:
        raise ValueError(f"probability must lie between 0 and 1: got {probability}")
    present = np.random.default_rng(integer(seed, "seed")).random((count, 2, size)) < chance
    images = present[:, 0, :, None] | present[:, 1, None, :]
    return torch.from_numpy(images.reshape(count, -1).astype(np.float64))


def seeded(count: int, noise_std: float, seed: int) -> np.random.Generator:
    """The generator of one data set, whose size and noise are checked."""
    positive_integer(count, "count")
    if not 0 <= noise_std < math.inf:
        raise ValueError(f"noise_std must be a finite number of at least 0: got {noise_std}")
    return np.random.default_rng(integer(seed, "seed"))


def _linear(
    count: int, observed: int, latent: int, noise_std: float, seed: int, ring: bool
) -> Tensor:
    positive_integer(observed, "observed")
    positive_integer(latent, "latent")
    rng = seeded(count, noise_std, seed)
    weights = rng.random((observed, latent))
    mean = rng.random(observed)
    z = rng.standard_normal((count, latent))
    if ring:
        z = z / 10 + z / np.linalg.norm(z, axis=1, keepdims=True)
    x = z @ weights.T + mean + noise_std * rng.standard_normal((count, observed))
    return torch.from_numpy(x)
