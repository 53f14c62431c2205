"""Log-normal variables."""

from __future__ import annotations

import torch
from torch import Tensor

from companion.families.base import Average, Blocks
from companion.families.gamma import PositiveVariables
from companion.families.gaussian import DiagonalGaussian

__all__ = ["LogNormal"]

_GAUSSIAN = DiagonalGaussian()


class LogNormal(PositiveVariables):
    """Independent log-normal variables: log x_d ~ N(m_d, σ_d²), x > 0.

    T(x) = (log x, log² x), η = (m/σ² − 1, −1/(2σ²)), A(η) = Σ_d m²/2σ² + ½ log 2πσ², h = 1;
    L = 2D. H = Σ_d ½ log(2πeσ_d²) + m_d. Coordinates are m and log σ²: v = −σ² and −1.

    >>> import math
    >>> family = LogNormal()
    >>> zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    >>> family.entropy(family.natural_parameters(zero, one)) - 0.5 * math.log(2 * math.pi * math.e)
    tensor(0., dtype=torch.float64)
    """

    coordinates = ("locations", "log_variances")
    in_words = "locations, log_variances log σ²; −σ², −1"

    def natural_parameters(self, location: Tensor, variance: Tensor) -> Tensor:
        """η from ``location`` m and ``variance`` σ², those of log x, both ``(..., D)``."""
        both = torch.broadcast_tensors(location / variance - 1, -0.5 / variance)
        return torch.cat(both, -1)

    def from_coordinates(self, locations: Tensor, log_variances: Tensor) -> Tensor:
        return self.natural_parameters(locations, log_variances.exp())

    def direction(self, locations: Tensor, log_variances: Tensor) -> Blocks:
        return -log_variances.exp(), -torch.ones_like(log_variances)

    def maximum_likelihood(self, x: Tensor, average: Average) -> Blocks:
        location = average(x.log())
        return location, (average(x.log() ** 2) - location**2).log()

    def statistics(self, x: Tensor) -> Tensor:
        return _GAUSSIAN.statistics(x.log())

    def log_partition(self, natural: Tensor) -> Tensor:
        return _GAUSSIAN.log_partition(_of_log(natural))

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        location, _ = _GAUSSIAN.moments(_of_log(natural))
        return _GAUSSIAN.pseudo_entropy(natural) + location.sum(-1)

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return _GAUSSIAN.sample(_of_log(natural), generator).exp()


def _of_log(natural: Tensor) -> Tensor:
    """Natural parameters of the Gaussian log x: the first without the −1 that 1/x brings."""
    first, second = natural.chunk(2, -1)
    return torch.cat([first + 1, second], -1)
