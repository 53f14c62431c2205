"""EM for Gaussian mixtures in one pass over the data for each step, by two matrix products."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from companion.families import DiagonalGaussian, FullGaussian, SphericalGaussian
from companion.families.gaussian import Gaussian
from companion.models.enumerated import normalized
from companion.models.factor_em import mean_and_covariance
from companion.support.blocks import Blocks
from companion.support.checks import all_finite

__all__ = ["Moments", "QuadraticStatistics"]

#: Entries of one block of statistics: 2 MiB of float64, which a core's cache holds.
_BLOCK = 2**18


class Moments(NamedTuple):
    """What a pass over the data finds, all under the responsibilities r_nc = p(c | x_n).

    ``log_likelihood`` (1/N) Σ_n log p(x_n), ``()``; ``counts`` Σ_n r_nc, ``(C,)``; ``means`` and
    ``covariances`` of the data weighted with r_nc, ``(C, D)`` and, by family, ``(C,)`` (mean over
    the columns), ``(C, D)`` or ``(C, D, D)``; ``entropy`` −(1/N) Σ_nc r_nc log r_nc, ``()``, zero
    where it was not asked for.
    """

    log_likelihood: Tensor
    counts: Tensor
    means: Tensor
    covariances: Tensor
    entropy: Tensor

    def expected_log_prob(self, family: Gaussian, means: Tensor, widths: Tensor) -> Tensor:
        """Σ_n r_nc log N(x_n; μ_c, Σ_c) / Σ_n r_nc of components with the given widths, ``(C,)``.

        −½ (log det 2πΣ + tr Σ⁻¹(S + (m−μ)(m−μ)ᵀ)) with the mean m and the covariance S found here.
        """
        second = self.covariances + squared(family, self.means - means)
        if isinstance(family, FullGaussian):
            half = torch.linalg.solve_triangular(widths, second, upper=False).mT
            white = torch.linalg.solve_triangular(widths, half, upper=False)
            square = white.diagonal(dim1=-2, dim2=-1).sum(-1)
        elif isinstance(family, DiagonalGaussian):
            square = (second / widths).sum(-1)
        else:
            square = means.shape[1] * second / widths
        return 0.5 * (means.shape[1] - square) - family.located_entropy(means, widths)


class QuadraticStatistics:
    """Sufficient statistics of the data under a Gaussian mixture, accumulated block by block.

    A Gaussian is an exponential family with quadratic statistics: with T(x) = (1, x, x²), where x²
    stands for the products x_i x_j of all pairs, for the squares of the columns, or for ‖x‖²,

        log π_c p(x | c) = ⟨θ_c, T(x)⟩,   θ_c = (log π_c − A(η_c), η_c),

    so that the E-step is one matrix product, θ with T(x_n), and the sums Σ_n r_nc T(x_n), all that
    the M-step needs, are another. Products of pairs are never stored for more than a block of
    points. ``x`` is ``(N, D)``, ``family`` that of the components.

    The data are centred first. Moments about a common centre lose digits where a component is
    narrow and far away: see :func:`wider`. Of data in blocks nothing is kept but that centre.
    """

    def __init__(self, x: Tensor | Blocks, family: Gaussian):
        self.family = family
        self.kept, self.held = isinstance(x, Tensor), tuple[Tensor, ...]()
        if isinstance(x, Tensor):
            self.points, self.size = x.shape
            self.centre = x.detach().mean(0)
            self.variances = x.detach().var(0, correction=0)
            self.blocks: Iterable[Tensor] = (x.detach(),)
        else:
            self.blocks = x
            self.centre, covariance = mean_and_covariance(x)
            self.points, self.size = x.points or 0, len(covariance)
            self.variances = covariance.diagonal()
        # Every pair (i, j) as j = i + lag modulo D; half of D as a lag meets its pairs twice.
        self.lags = self.size // 2 + 1 if isinstance(family, FullGaussian) else 0
        lag, self.row = torch.meshgrid(
            torch.arange(self.lags), torch.arange(self.size), indexing="ij"
        )
        self.column = (self.row + lag) % self.size
        once = (lag == 0) | (2 * lag == self.size)
        self.copies = torch.where(once, 1.0, 2.0).to(self.centre.dtype)

    def _prepared(self, x: Tensor) -> Tensor:
        """Data ``(n, D)`` as they are stored: transposed, so that a column is contiguous."""
        extra = 1 if isinstance(self.family, SphericalGaussian) else self.size
        stored = torch.empty(1 + self.size + extra, len(x), dtype=x.dtype)
        centered, rest = stored[1 : self.size + 1], stored[self.size + 1 :]
        stored[0], centered[:] = 1.0, (x - self.centre).T
        if isinstance(self.family, SphericalGaussian):
            torch.sum(centered * centered, 0, keepdim=True, out=rest)
        elif isinstance(self.family, DiagonalGaussian):
            torch.mul(centered, centered, out=rest)
        else:
            # The columns once more are what the products of pairs need: x_i x_j at j = i + lag.
            rest[:] = centered
        return stored

    def _statistics(self, stored: Tensor, out: Tensor) -> Tensor:
        """T of a block of points, ``(L, B)``, from what is stored; ``out`` is room for it."""
        if not self.lags:
            return stored
        out, linear = out[:, : stored.shape[1]], self.size + 1
        out[:linear] = stored[:linear]
        shifted = stored[1:].unfold(0, self.size, 1)[: self.lags].mT
        pairs = out[linear:].unflatten(0, (self.lags, self.size))
        torch.mul(stored[1:linear], shifted, out=pairs)
        return out

    def _coefficients(self, log_weights: Tensor, means: Tensor, covariances: Tensor) -> Tensor:
        """θ, ``(C, L)``, of components with the given weights, means and (co)variances."""
        natural = self.family.natural_parameters(means - self.centre, covariances)
        constant = (log_weights - self.family.log_partition(natural))[:, None]
        if self.lags:
            second = natural[:, self.size :].unflatten(1, (self.size, self.size))
            pairs = self.copies * second[:, self.row, self.column]
            natural = torch.cat([natural[:, : self.size], pairs.flatten(1)], 1)
        return torch.cat([constant, natural], 1)

    def moments(
        self, log_weights: Tensor, means: Tensor, covariances: Tensor, entropy: bool = False
    ) -> Moments:
        """E-step, and the moments that the M-step needs, at the given parameters.

        Parameters
        ----------
        log_weights, means, covariances
            Of every component.
        entropy
            Whether the mean entropy of the responsibilities is wanted too.
        """
        theta = self._coefficients(log_weights, means, covariances)
        block = max(16, _BLOCK // theta.shape[1])
        room = torch.empty(theta.shape[1], min(block, self.points), dtype=theta.dtype)
        sums, log_likelihood = torch.zeros_like(theta.T), torch.zeros_like(theta[0, 0])
        uncertainty = torch.zeros_like(log_likelihood)
        if self.kept and not self.held:
            self.held = tuple(map(self._prepared, self.blocks))
        for part in self.held or map(self._prepared, self.blocks):
            for stored in part.split(block, 1):
                T = self._statistics(stored, room)
                responsibilities, log_marginal = normalized(theta @ T, 0)
                sums.addmm_(T, responsibilities.T)
                log_likelihood += log_marginal.sum()
                if entropy:
                    uncertainty += torch.special.entr(responsibilities).sum()
        return self._moments(log_likelihood / self.points, sums.T, uncertainty / self.points)

    def _moments(self, log_likelihood: Tensor, sums: Tensor, entropy: Tensor) -> Moments:
        counts = sums[:, 0]
        average = sums / counts[:, None]
        means, second = average[:, 1 : self.size + 1], average[:, self.size + 1 :]
        if self.lags:
            pairs = second.unflatten(1, (self.lags, self.size))
            matrices = torch.empty(len(sums), self.size, self.size, dtype=sums.dtype)
            matrices[:, self.row, self.column] = pairs
            matrices[:, self.column, self.row] = pairs
            second = matrices
        elif isinstance(self.family, SphericalGaussian):
            second = second[:, 0] / self.size
        covariances = second - squared(self.family, means)
        return Moments(log_likelihood, counts, means + self.centre, covariances, entropy)


def relative_variances(family: Gaussian, covariances: Tensor, variances: Tensor) -> Tensor:
    """Smallest variance of each component in units of the ``variances`` of the columns, ``(D,)``.

    In any direction once each column has been divided by its standard deviation, so that columns of
    very different scale are as good as any.
    """
    units = torch.where(variances > 0, variances, 1.0)
    if isinstance(family, FullGaussian):
        root = units.sqrt()
        return torch.linalg.eigvalsh(covariances / root / root[:, None])[..., 0]
    if isinstance(family, DiagonalGaussian):
        return (covariances / units).min(-1).values
    return covariances / units.max()


def wider(family: Gaussian, covariances: Tensor, variances: Tensor, limit: float) -> bool:
    """Whether all :func:`relative_variances` are above ``limit``; not so if one is no number.

    The covariances of :class:`QuadraticStatistics` are differences, second moments about the centre
    of the data less squares of means: their relative error is about 1e-16 divided by such a limit.
    """
    if not isinstance(family, FullGaussian):
        return bool((relative_variances(family, covariances, variances) > limit).all())
    # All eigenvalues are above a limit where what is left without it has a Cholesky factor.
    root = torch.where(variances > 0, variances, 1.0).sqrt()
    rest = covariances / root / root[:, None] - limit * torch.eye(len(root), dtype=root.dtype)
    return not bool(torch.linalg.cholesky_ex(rest).info.any()) and all_finite(rest)


def weighted_covariances(family: Gaussian, weights: Tensor, means: Tensor, x: Tensor) -> Tensor:
    """(Co)variances of data ``(N, D)`` about ``means`` ``(C, D)`` under ``weights`` ``(N, C)``.

    Matrices, variances of columns, or their mean, as the ``family`` asks.
    """
    found = []
    # One component at a time: no array of size N x C x D.
    for weight, mean in zip(weights.T, means, strict=True):
        centered = x - mean
        if isinstance(family, FullGaussian):
            found.append((centered * weight[:, None]).T @ centered)
        else:
            variance = weight @ (centered * centered)
            found.append(variance.mean() if isinstance(family, SphericalGaussian) else variance)
    return torch.stack(found)


def squared(family: Gaussian, shift: Tensor) -> Tensor:
    """Products of the entries of shifts ``(C, D)``, squares, or their mean, by ``family``."""
    if isinstance(family, FullGaussian):
        return shift[:, :, None] * shift[:, None, :]
    squares = shift * shift
    return squares.mean(1) if isinstance(family, SphericalGaussian) else squares
