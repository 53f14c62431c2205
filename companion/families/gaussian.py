"""Gaussians with spherical, diagonal and full covariance."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from companion.families.base import ExponentialFamily
from companion.support.checks import known

__all__ = ["DiagonalGaussian", "FullGaussian", "Gaussian", "SphericalGaussian"]

LOG_2PI = math.log(2 * math.pi)
_BLOCK = 2**22  # Numbers in one array of differences of all data from some of the means, 32 MiB.


def positive_definite_inverse(matrix: Tensor) -> Tensor:
    """A⁻¹ = L⁻ᵀL⁻¹ of symmetric positive definite matrices A = LLᵀ, ``(..., D, D)``.

    Not ``torch.cholesky_inverse``: its forward-mode derivative, and with it ``torch.func.jvp`` and
    ``torch.func.hessian``, is wrong in PyTorch up to 2.13 at least (pytorch/pytorch#196682).
    """
    factor = torch.linalg.cholesky(matrix)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    inverse = torch.linalg.solve_triangular(factor, identity.expand_as(matrix), upper=False)
    return inverse.mT @ inverse


class Gaussian(ExponentialFamily):
    """What the three Gaussians share: support ℝᴰ, and conversion from mean and (co)variance.

    Densities are evaluated from differences x − m, not as ⟨η, T(x)⟩ − A(η), whose terms cancel
    where data are far from zero. A ``width`` is a variance or the Cholesky factor of a covariance.
    Mixtures of them are those of :class:`companion.models.GaussianMixture`.
    """

    coordinates = ()

    @abstractmethod
    def natural_parameters(self, mean: Tensor, variance: Tensor) -> Tensor:
        """Natural parameters η from the mean and the variance (or covariance matrix)."""

    @abstractmethod
    def moments(self, natural: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (or covariance matrix) from the natural parameters."""

    @abstractmethod
    def located_log_prob(self, x: Tensor, mean: Tensor, width: Tensor) -> Tensor:
        """log N(x; m, width), ``(..., D)``, ``(..., D)`` and widths → ``(...)``."""

    @abstractmethod
    def located_entropy(self, mean: Tensor, width: Tensor) -> Tensor:
        """H[N(m, width)], ``(...)``; of the mean only the number of columns matters."""

    def variance_of(self, width: Tensor) -> Tensor:
        """The variance (or covariance matrix) of a width."""
        return width

    def width_of(self, variance: Tensor) -> Tensor:
        """The width of a variance (or covariance matrix)."""
        return variance

    def log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        mean, variance = self.moments(natural)
        return self.located_log_prob(x, mean, self.width_of(variance))

    def pairwise_log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        mean, variance = self.moments(natural)
        return self.located_pairwise(x, mean, self.width_of(variance))

    def located_pairwise(self, x: Tensor, mean: Tensor, width: Tensor) -> Tensor:
        """:meth:`located_log_prob` of every pair (x_n, m_p), ``(N, P)``, in blocks of the means."""
        rows, block = x[:, None, :], max(1, _BLOCK // x.numel())
        if mean.dim() != 2 or len(mean) <= block:
            return self.located_log_prob(rows, mean, width)
        widths = width.expand(len(mean), *self.variance_of(width).shape[1:]).split(block)
        pairs = zip(mean.split(block), widths, strict=True)
        return torch.cat([self.located_log_prob(rows, m, w) for m, w in pairs], -1)


class SphericalGaussian(Gaussian):
    """N(m, σ²I): T(x) = (x, ‖x‖²), η = (m/σ², −1/(2σ²)), h = 1; L = D + 1.

    A(η) = −‖η₁‖²/(4η₂) − (D/2) log(−2η₂) + (D/2) log 2π,  H = (D/2) log(2πeσ²).

    >>> family = SphericalGaussian()
    >>> eta = family.natural_parameters(torch.zeros(2, dtype=torch.float64), torch.tensor(1.0))
    >>> float(family.entropy(eta)) == 1 + math.log(2 * math.pi)
    True
    """

    def _check_size(self, size: int, observed: int | None) -> None:
        super()._check_size(size, observed or max(1, size - 1))

    def statistics(self, x: Tensor) -> Tensor:
        return torch.cat([x, (x * x).sum(-1, keepdim=True)], -1)

    def natural_parameters(self, mean: Tensor, variance: Tensor) -> Tensor:
        """η = (m/σ², −1/(2σ²)) from ``mean`` ``(..., D)`` and ``variance`` ``(...)``."""
        precision = (1 / variance)[..., None]
        last = (-0.5 * precision).expand(*mean.shape[:-1], 1)
        return torch.cat([mean * precision, last], -1)

    def moments(self, natural: Tensor) -> tuple[Tensor, Tensor]:
        variance = -0.5 / natural[..., -1]
        return natural[..., :-1] * variance[..., None], variance

    def log_partition(self, natural: Tensor) -> Tensor:
        first, second = natural[..., :-1], natural[..., -1]
        size = first.shape[-1]
        square = (first * first).sum(-1)
        return -square / (4 * second) - 0.5 * size * torch.log(-2 * second) + 0.5 * size * LOG_2PI

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        size = natural.shape[-1] - 1
        return 0.5 * size * (1 + LOG_2PI - torch.log(-2 * natural[..., -1]))

    def located_log_prob(self, x: Tensor, mean: Tensor, width: Tensor) -> Tensor:
        square = (x - mean).square().sum(-1) / width
        return -0.5 * (square + x.shape[-1] * (LOG_2PI + width.log()))

    def located_entropy(self, mean: Tensor, width: Tensor) -> Tensor:
        return 0.5 * mean.shape[-1] * (1 + LOG_2PI + width.log())

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean, variance = self.moments(natural)
        noise = torch.randn(mean.shape, dtype=mean.dtype, generator=generator)
        return mean + variance.sqrt()[..., None] * noise


class DiagonalGaussian(Gaussian):
    """N(m, diag σ²): T(x) = (x, x²), η = (m/σ², −1/(2σ²)), h = 1; L = 2D.

    A(η) = Σ_d −η₁²/(4η₂) − ½ log(−2η₂) + ½ log 2π,  H = Σ_d ½ log(2πeσ_d²).

    >>> one = torch.ones(2, dtype=torch.float64)
    >>> DiagonalGaussian().entropy(DiagonalGaussian().natural_parameters(0 * one, one / math.tau))
    tensor(1., dtype=torch.float64)
    """

    def _check_size(self, size: int, observed: int | None) -> None:
        super()._check_size(size, observed or max(1, size // 2))

    def statistics(self, x: Tensor) -> Tensor:
        return torch.cat([x, x * x], -1)

    def natural_parameters(self, mean: Tensor, variance: Tensor) -> Tensor:
        """η = (m/σ², −1/(2σ²)) from ``mean`` and ``variance``, both ``(..., D)``."""
        mean, variance = torch.broadcast_tensors(mean, variance)
        return torch.cat([mean / variance, -0.5 / variance], -1)

    def moments(self, natural: Tensor) -> tuple[Tensor, Tensor]:
        first, second = natural.chunk(2, -1)
        variance = -0.5 / second
        return first * variance, variance

    def log_partition(self, natural: Tensor) -> Tensor:
        first, second = natural.chunk(2, -1)
        each = -first * first / (4 * second) - 0.5 * torch.log(-2 * second) + 0.5 * LOG_2PI
        return each.sum(-1)

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        second = natural.chunk(2, -1)[1]
        return (0.5 * (1 + LOG_2PI - torch.log(-2 * second))).sum(-1)

    def located_log_prob(self, x: Tensor, mean: Tensor, width: Tensor) -> Tensor:
        return -0.5 * ((x - mean).square() / width + (LOG_2PI + width.log())).sum(-1)

    def located_entropy(self, mean: Tensor, width: Tensor) -> Tensor:
        return 0.5 * (1 + LOG_2PI + width.log()).sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean, variance = self.moments(natural)
        noise = torch.randn(mean.shape, dtype=mean.dtype, generator=generator)
        return mean + variance.sqrt() * noise


class FullGaussian(Gaussian):
    """N(m, Σ): T(x) = (x, vec xxᵀ), η = (Λm, −½ vec Λ) with Λ = Σ⁻¹, h = 1; L = D + D².

    A(η) = ½ mᵀΛm − ½ log det Λ + (D/2) log 2π,  H = ½ log det(2πeΣ).

    >>> eta = FullGaussian().natural_parameters(torch.zeros(2), torch.eye(2) / math.tau)
    >>> FullGaussian().entropy(eta)
    tensor(1.0000, dtype=torch.float64)
    """

    positive = Gaussian.positive - {"variance"}

    def admit(self, method: str, given: dict[str, Any]) -> None:
        super().admit(method, given)
        variance = given.get("variance")
        if variance is not None and known(variance):
            if variance.dim() < 2 or bool(torch.linalg.cholesky_ex(variance).info.any()):
                raise ValueError(
                    "variance must be a positive definite covariance matrix: got one of shape "
                    f"{tuple(variance.shape)} that has no Cholesky factor"
                )

    def _check_size(self, size: int, observed: int | None) -> None:
        columns = round((math.sqrt(1 + 4 * size) - 1) / 2)
        super()._check_size(size, observed or max(1, columns))

    def statistics(self, x: Tensor) -> Tensor:
        return torch.cat([x, (x[..., :, None] * x[..., None, :]).flatten(-2)], -1)

    def natural_parameters(self, mean: Tensor, variance: Tensor) -> Tensor:
        """η = (Λm, −½ vec Λ) from ``mean`` ``(..., D)`` and covariance ``(..., D, D)``."""
        precision = positive_definite_inverse(variance)
        first = (precision @ mean[..., None])[..., 0]
        second = (-0.5 * precision).flatten(-2).expand(*first.shape[:-1], -1)
        return torch.cat([first, second], -1)

    def _factor(self, natural: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Λm, the Cholesky factor of Λ, and ½ log det Λ."""
        first, precision = self._precision(natural)
        factor = torch.linalg.cholesky(precision)
        return first, factor, factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def _precision(self, natural: Tensor) -> tuple[Tensor, Tensor]:
        size = round((math.sqrt(1 + 4 * natural.shape[-1]) - 1) / 2)
        second = natural[..., size:].unflatten(-1, (size, size))
        return natural[..., :size], -(second + second.mT)

    def moments(self, natural: Tensor) -> tuple[Tensor, Tensor]:
        first, precision = self._precision(natural)
        covariance = positive_definite_inverse(precision)
        return (covariance @ first[..., None])[..., 0], covariance

    def log_partition(self, natural: Tensor) -> Tensor:
        first, factor, half_log_det = self._factor(natural)
        whitened = torch.linalg.solve_triangular(factor, first[..., None], upper=False)
        square = (whitened * whitened).sum((-2, -1))
        return 0.5 * square - half_log_det + 0.5 * first.shape[-1] * LOG_2PI

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        first, _, half_log_det = self._factor(natural)
        return 0.5 * first.shape[-1] * (1 + LOG_2PI) - half_log_det

    def variance_of(self, width: Tensor) -> Tensor:
        return width @ width.mT

    def width_of(self, variance: Tensor) -> Tensor:
        return torch.linalg.cholesky(variance)

    def located_log_prob(self, x: Tensor, mean: Tensor, width: Tensor) -> Tensor:
        centered = x - mean
        if centered.dim() == width.dim() == 3:  # All data to each factor: (P, D, N), once solved.
            columns = centered.permute(1, 2, 0)
            white = torch.linalg.solve_triangular(width, columns, upper=False)
            square = white.square().sum(1).T
        else:
            white = torch.linalg.solve_triangular(width, centered[..., None], upper=False)
            square = white.square().sum((-2, -1))
        return 0.5 * (x.shape[-1] - square) - self.located_entropy(mean, width)

    def located_entropy(self, mean: Tensor, width: Tensor) -> Tensor:
        half_log_det = width.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return half_log_det + 0.5 * mean.shape[-1] * (1 + LOG_2PI)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean, covariance = self.moments(natural)
        noise = torch.randn(mean.shape, dtype=mean.dtype, generator=generator)
        return mean + (torch.linalg.cholesky(covariance) @ noise[..., None])[..., 0]
