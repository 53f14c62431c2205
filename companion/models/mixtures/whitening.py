"""EM for Gaussian mixtures with the data whitened for each component: for narrow ones, or few."""

from __future__ import annotations

import torch
from torch import Tensor

from companion.families import FullGaussian, SphericalGaussian
from companion.families.gaussian import Gaussian
from companion.models.enumerated import normalized
from companion.models.factor_em import pieces
from companion.models.mixtures.em import Moments, squared
from companion.support.blocks import Blocks

__all__ = ["WhitenedStatistics"]


class WhitenedStatistics:
    """What :class:`companion.models.mixtures.em.QuadraticStatistics` finds, another way.

    With Σ = LLᵀ, log N(x; μ, Σ) = −½ ‖L⁻¹(x − μ)‖² − log det L − (D/2) log 2π: for each component
    two products of a block of points with a D × D matrix, and nothing of size D² for a point. No
    component is too narrow for it. ``x`` is ``(N, D)`` or in blocks.
    """

    def __init__(self, x: Tensor | Blocks, family: Gaussian):
        self.x, self.family = x, family

    def moments(
        self,
        log_weights: Tensor,
        means: Tensor,
        covariances: Tensor,
        entropy: bool = False,
        about: Tensor | None = None,
    ) -> Moments:
        """E-step, and the moments that the M-step needs, at the given parameters.

        Parameters
        ----------
        log_weights, means, covariances, entropy
            As for :class:`companion.models.mixtures.em.QuadraticStatistics`.
        about
            Points ``(C, D)`` that sums are about, those ``means`` if ``None``: they must be close
            to the means that are found, or digits of narrow components are lost.
        """
        about = means if about is None else about
        widths = self.family.width_of(covariances)
        whitening = self._whitening(widths)
        constant = log_weights - self.family.located_entropy(means, widths)
        constant = (constant + 0.5 * means.shape[1])[:, None]
        counts, first = torch.zeros_like(log_weights), torch.zeros_like(means)
        second, totals, points = torch.zeros_like(covariances), torch.zeros_like(means[0, :1]), 0
        uncertainty = torch.zeros_like(totals)
        for block in pieces(self.x):
            centered, room = torch.empty_like(block), torch.empty_like(block)
            squares = torch.empty(len(means), len(block), dtype=means.dtype)
            for c, mean in enumerate(means):
                torch.sub(block, mean, out=centered)
                white = self._white(centered, whitening[c], room)
                torch.linalg.vecdot(white, white, out=squares[c])
            responsibilities, log_marginal = normalized(constant - 0.5 * squares, 0)
            for c, (point, weights) in enumerate(zip(about, responsibilities, strict=True)):
                torch.sub(block, point, out=centered)
                weighted = torch.mul(centered, weights[:, None], out=room)
                first[c] += weighted.sum(0)
                if isinstance(self.family, FullGaussian):
                    second[c].addmm_(weighted.T, centered)
                else:
                    variances = torch.linalg.vecdot(weighted, centered, dim=0)
                    spherical = isinstance(self.family, SphericalGaussian)
                    second[c] += variances.mean() if spherical else variances
            counts += responsibilities.sum(1)
            totals += log_marginal.sum()
            if entropy:
                uncertainty += torch.special.entr(responsibilities).sum()
            points += len(block)
        shift = first / counts[:, None]
        each = counts.reshape((-1,) + (1,) * (second.dim() - 1))
        spread = second / each - squared(self.family, shift)
        return Moments(totals[0] / points, counts, about + shift, spread, uncertainty[0] / points)

    def _whitening(self, widths: Tensor) -> Tensor:
        """L⁻ᵀ of every component, or what stands for it where columns are independent."""
        if not isinstance(self.family, FullGaussian):
            return widths.rsqrt()
        identity = torch.eye(widths.shape[-1], dtype=widths.dtype).expand_as(widths)
        return torch.linalg.solve_triangular(widths, identity, upper=False).mT

    def _white(self, centered: Tensor, whitening: Tensor, room: Tensor) -> Tensor:
        """L⁻¹ of the rows of ``centered``, in ``room``."""
        product = torch.mm if isinstance(self.family, FullGaussian) else torch.mul
        return product(centered, whitening, out=room)
