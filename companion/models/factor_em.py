"""EM for factor analysis on the covariance of the data, so that N does not matter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk
from scipy.sparse.linalg import ArpackError, eigsh
from torch import Tensor

from companion.support.blocks import Blocks
from companion.support.checks import all_finite

__all__ = ["FactorEM", "mean_and_covariance"]

#: Numbers in one block of points, 1 MiB: small enough for a core's cache.
_BLOCK = 2**17
#: From so many columns on, and if eigenvectors are so many times fewer, they are found one by one.
LARGE, MANY_TIMES = 200, 10
#: More often Lanczos' method does not begin again.
RESTARTS = 30


def mean_and_covariance(x: Tensor | Blocks) -> tuple[Tensor, Tensor]:
    """m = (1/N) Σ_n x_n and S = (1/N) Σ_n (x_n − m)(x_n − m)ᵀ of data ``(N, D)``, read once.

    Sums about a point c close to m, here the mean of the first block of points, lose no digits:
    m = c + d and S = (1/N) Σ_n (x_n − c)(x_n − c)ᵀ − d dᵀ with d = (1/N) Σ_n (x_n − c).
    """
    points = 0
    for block in pieces(x):
        if not points:
            about = block.mean(0)
            room = torch.empty(max(1, _BLOCK // len(about)), len(about), dtype=block.dtype)
            first, upper = torch.zeros_like(about), np.zeros((len(about),) * 2, order="F")
        shifted = torch.sub(block, about, out=room[: len(block)])
        first += shifted.sum(0)
        upper = dsyrk(1.0, shifted.numpy().T, 1.0, upper, overwrite_c=1)
        points += len(block)
    second = torch.from_numpy(upper).triu()
    first, second = first / points, (second + second.triu(1).T) / points
    if not all_finite(second):
        raise ValueError(
            "x must have a finite covariance: its entries overflow when they are squared; divide "
            "it by a constant"
        )
    return about + first, second - torch.outer(first, first)


def principal_axes(x: Tensor | Blocks) -> tuple[Tensor, Tensor, Tensor]:
    """Mean ``(D,)``, and eigenvalues, falling, ``(D,)``, and eigenvectors of the covariance.

    Fewer points than columns have at most N eigenvalues that are not zero: those of the N × N
    products of points, and only their eigenvectors, ``(D, N)``, are given.
    """
    if isinstance(x, Tensor) and len(x) < x.shape[1]:
        mean = x.detach().mean(0)
        centered = (x.detach() - mean) / len(x) ** 0.5
        values, vectors = torch.linalg.eigh(centered @ centered.T)
        values = values.flip(0).clamp(min=0)
        padded = torch.nn.functional.pad(values, (0, x.shape[1] - len(x)))
        return mean, padded, centered.T @ (vectors.flip(1) / values.clamp(min=1e-300).sqrt())
    mean, covariance = mean_and_covariance(x)
    values, vectors = torch.linalg.eigh(covariance)
    return mean, values.flip(0), vectors.flip(1)


def leading(matrix: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest eigenvalues of a symmetric matrix, rising, ``(H,)``, and eigenvectors ``(D, H)``.

    Few of many are found by Lanczos' method, unless too many eigenvalues are as large.
    """
    given, size = matrix.numpy(), len(matrix)
    if size >= LARGE and count <= size // MANY_TIMES:
        start = np.random.default_rng(0).standard_normal(size)
        with suppress(ArpackError):
            values, vectors = eigsh(given, count, which="LA", v0=start, maxiter=RESTARTS)
            order = values.argsort()
            return torch.from_numpy(values[order]), torch.from_numpy(vectors[:, order])
    values, vectors = eigh(given, subset_by_index=[size - count, size - 1], check_finite=False)
    return torch.from_numpy(values), torch.from_numpy(vectors)


def pieces(x: Tensor | Blocks) -> Iterator[Tensor]:
    """The data a few rows at a time, small enough for a core's cache."""
    for block in (x,) if isinstance(x, Tensor) else x:
        yield from block.detach().split(max(1, _BLOCK // block.shape[1]))


@dataclass(frozen=True)
class FactorEM:
    """Learning x ~ N(μ, WWᵀ + diag ψ) from the ``mean`` m and the ``covariance`` S of the data.

    For a given noise ψ the best W is known in closed form, as in PPCA: with the leading
    eigenvalues λ_h and eigenvectors u_h of ψ^(−½) S ψ^(−½), W = ψ^(½) U (Λ − 1)^(½). At this W
    the M-step of EM for the noise is ψ = diag(S − WWᵀ).
    """

    mean: Tensor
    covariance: Tensor
    latent: int

    @classmethod
    def of(cls, x: Tensor | Blocks, latent: int) -> FactorEM:
        """The statistics of data ``x``, ``(N, D)``, for a number of latents."""
        return cls(*mean_and_covariance(x), latent)

    def best(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The best W, ``(D, H)``, for noise ψ, ``(D,)``, and the log-likelihood with the best mean.

        It is −½ (D log 2π + Σ_d log ψ_d + Σ_d S_dd/ψ_d + Σ_h (log λ_h − λ_h + 1)), where only
        eigenvalues λ_h > 1 count.
        """
        root = noise.sqrt()
        values, vectors = leading(self.covariance / root / root[:, None], self.latent)
        values = values.clamp(min=1)
        weights = (root[:, None] * vectors * (values - 1).sqrt()).flip(1)
        terms = math.log(2 * math.pi) + noise.log() + self.covariance.diagonal() / noise
        return weights, -0.5 * (terms.sum() + (values.log() - values + 1).sum())

    def next_noise(self, weights: Tensor) -> Tensor:
        """ψ, ``(D,)``, after an M-step at the best W, ``(D, H)``, for the noise before it.

        Raises
        ------
        ValueError
            If an observable is left without noise.
        """
        variances = self.covariance.diagonal()
        updated = variances - (weights**2).sum(1)
        bare = torch.nonzero(~(updated > 1e-12 * variances))[:, 0].tolist()
        if bare:
            raise ValueError(
                f"the noise of observables {bare} collapsed in EM: the factors explain all of their"
                " variance; use fewer latents, or leave these columns out"
            )
        return updated

    def log_likelihood(self, mean: Tensor, covariance: Tensor) -> Tensor:
        """(1/N) Σ_n log N(x_n; μ, C) = −½ (D log 2π + log det C + tr C⁻¹(S + (m−μ)(m−μ)ᵀ))."""
        factor = torch.linalg.cholesky(covariance)
        shift = self.mean - mean
        second = self.covariance + torch.outer(shift, shift)
        trace = (torch.cholesky_inverse(factor) * second).sum()
        log_det = 2 * factor.diagonal().log().sum()
        return -0.5 * (len(mean) * math.log(2 * math.pi) + log_det + trace)
