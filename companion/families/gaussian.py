"""Gaussians with spherical, diagonal and full covariance, and with a known variance."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.families.base import ExponentialFamily
from companion.support.checks import known

__all__ = ["DiagonalGaussian", "FullGaussian", "GaussianMean", "SphericalGaussian"]

LOG_2PI = math.log(2 * math.pi)


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

    Their mixtures are those of :class:`companion.models.GaussianMixture`.
    """

    coordinates = ()

    @abstractmethod
    def natural_parameters(self, mean: Tensor, variance: Tensor) -> Tensor:
        """Natural parameters η from the mean and the variance (or covariance matrix)."""

    @abstractmethod
    def moments(self, natural: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (or covariance matrix) from the natural parameters."""


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

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean, variance = self.moments(natural)
        noise = torch.randn(mean.shape, dtype=mean.dtype, generator=generator)
        return mean + variance.sqrt()[..., None] * noise


class DiagonalGaussian(Gaussian):
    """N(m, diag σ²): T(x) = (x, x²), η = (m/σ², −1/(2σ²)), h = 1; L = 2D.

    A(η) = Σ_d −η₁²/(4η₂) − ½ log(−2η₂) + ½ log 2π,  H = Σ_d ½ log(2πeσ_d²).
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

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean, variance = self.moments(natural)
        noise = torch.randn(mean.shape, dtype=mean.dtype, generator=generator)
        return mean + variance.sqrt() * noise


class FullGaussian(Gaussian):
    """N(m, Σ): T(x) = (x, vec xxᵀ), η = (Λm, −½ vec Λ) with Λ = Σ⁻¹, h = 1; L = D + D².

    A(η) = ½ mᵀΛm − ½ log det Λ + (D/2) log 2π,  H = ½ log det(2πeΣ).
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

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean, covariance = self.moments(natural)
        noise = torch.randn(mean.shape, dtype=mean.dtype, generator=generator)
        return mean + (torch.linalg.cholesky(covariance) @ noise[..., None])[..., 0]


@dataclass(frozen=True)
class GaussianMean(ExponentialFamily):
    """N(μ, σ²I) with a known ``variance`` σ²: only the mean is a parameter.

    T(x) = x, η = μ/σ², A(η) = σ²‖η‖²/2, h(x) = N(x; 0, σ²I); L = D. The base measure is not
    constant: the pseudo-entropy is −‖μ‖²/(2σ²), the true entropy (D/2) log(2πeσ²) whatever μ.

    >>> family = GaussianMean(variance=0.5)
    >>> eta = family.natural_parameters(torch.ones(2, dtype=torch.float64))
    >>> family.pseudo_entropy(eta)
    tensor(-2., dtype=torch.float64)
    """

    variance: float

    def __post_init__(self) -> None:
        if not 0 < self.variance < math.inf:
            raise ValueError(f"variance must be a positive number: got {self.variance!r}")

    def natural_parameters(self, mean: Tensor) -> Tensor:
        """η = μ/σ² from ``mean``, ``(..., D)``."""
        return mean / self.variance

    def log_partition(self, natural: Tensor) -> Tensor:
        return 0.5 * self.variance * (natural * natural).sum(-1)

    def log_base_measure(self, x: Tensor) -> Tensor:
        square = (x * x).sum(-1) / self.variance
        return -0.5 * (square + x.shape[-1] * (LOG_2PI + math.log(self.variance)))

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return -0.5 * self.variance * (natural * natural).sum(-1)

    def entropy(self, natural: Tensor) -> Tensor:
        """H = (D/2) log(2πeσ²), for every mean."""
        size = natural.shape[-1]
        value = 0.5 * size * (1 + LOG_2PI + math.log(self.variance))
        return torch.full_like(natural[..., 0], value)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(natural.shape, dtype=natural.dtype, generator=generator)
        return self.variance * natural + math.sqrt(self.variance) * noise
