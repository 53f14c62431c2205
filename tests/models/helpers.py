"""What tests of models share: small sizes, a random Gaussian q, formulas in NumPy."""

from __future__ import annotations

import numpy as np
import torch

from companion import variational
from tests.cases import draw

LIMIT = 1e-12
N, H = 5, 2


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def bernoulli_entropy(p):
    return -(p * np.log(p) + (1 - p) * np.log(1 - p))


def numpy_of(parameters):
    return {name: value.numpy() for name, value in parameters.items()}


def gaussian_q(g, size=H, full=False, rule=None, points=N):
    mean = draw(points, size, g=g)
    scale = draw(points, size, g=g).mul(0.5).exp()
    if full:
        scale = torch.diag_embed(scale) + torch.tril(draw(points, size, size, g=g), -1)
    return variational.Gaussian(mean, scale, rule)


def holds(report):
    assert report.relative_residual <= LIMIT
    assert abs(report.gap) > 1e-3, "a gap this small could hide a wrong direction"
