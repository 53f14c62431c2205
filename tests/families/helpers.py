"""What tests of Gaussian families share."""

from __future__ import annotations

import torch
from torch import Tensor

from companion.families import DiagonalGaussian, ExponentialFamily, SphericalGaussian
from tests.cases import draw, generator


def moments(
    kind: type[ExponentialFamily], batch: tuple[int, ...] = (5,), size: int = 3
) -> tuple[Tensor, Tensor]:
    """Random means and (co)variances as a Gaussian family ``kind`` takes them."""
    g = generator(kind.__name__)
    mean = draw(*batch, size, g=g)
    if kind is SphericalGaussian:
        return mean, draw(*batch, g=g).exp()
    if kind is DiagonalGaussian:
        return mean, draw(*batch, size, g=g).exp()
    factor = draw(*batch, size, size, g=g)
    return mean, factor @ factor.mT + 0.5 * torch.eye(size, dtype=torch.float64)
