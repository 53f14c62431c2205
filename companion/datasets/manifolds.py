"""Seeded points on curves and surfaces, with Gaussian noise: x = f(t) + noise · ε, ε ~ N(0, I).

Every function draws the positions t first and the noise afterwards, so that the same ``seed`` with
``noise=0`` gives the same points without their noise. The shapes are those of the code published
with Damm et al. (arXiv:2010.14860), which draws 50 000 points with noise 0.05 and then maps every
column to [0, 1]; each docstring says where else it differs. Whoever wants their columns scaled
does it afterwards.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from companion.support.checks import positive_integer

__all__ = [
    "circle",
    "cosine",
    "eight_gaussians",
    "lemniscate",
    "manifold",
    "spiral",
    "swiss_roll",
]


def circle(count: int = 1000, noise: float = 0.05, seed: int = 0) -> Tensor:
    """f(t) = (cos t, sin t) with t uniform on [0, 2π): a closed curve, ``(count, 2)``.

    The published code puts noise on the radius only.
    """
    rng = _generator(count, noise, seed)
    t = rng.uniform(0, 2 * math.pi, count)
    return _observed(rng, noise, np.cos(t), np.sin(t))


def eight_gaussians(count: int = 1000, noise: float = 0.05, seed: int = 0) -> Tensor:
    """f(t) = 0.4 (cos πt/4, sin πt/4) with t uniform on {0, …, 7}: eight clusters, ``(count, 2)``.

    With its noise this is a mixture of eight Gaussians of standard deviation ``noise``. The
    published code gives every cluster the same number of points and moves all by (1, 1).
    """
    rng = _generator(count, noise, seed)
    t = rng.integers(8, size=count) * (math.pi / 4)
    return _observed(rng, noise, 0.4 * np.cos(t), 0.4 * np.sin(t))


def cosine(count: int = 1000, noise: float = 0.05, seed: int = 0) -> Tensor:
    """f(t) = (t, 1 + cos t) with t uniform on [0, 3π): an open curve, ``(count, 2)``.

    Positions and noise as in the published code.
    """
    rng = _generator(count, noise, seed)
    t = rng.uniform(0, 3 * math.pi, count)
    return _observed(rng, noise, t, 1 + np.cos(t))


def lemniscate(count: int = 1000, noise: float = 0.05, seed: int = 0) -> Tensor:
    """f(t) = ½ (cos t, sin t cos t) with t uniform on [0, 2π): a figure eight, ``(count, 2)``.

    Gerono's lemniscate, which meets itself in the origin. The published code draws t from
    [−π/2, 2π), one and a quarter times around, so that a quarter of its curve is twice as dense.
    """
    rng = _generator(count, noise, seed)
    t = rng.uniform(0, 2 * math.pi, count)
    return _observed(rng, noise, np.cos(t) / 2, np.sin(t) * np.cos(t) / 2)


def swiss_roll(count: int = 1000, noise: float = 0.05, seed: int = 0) -> Tensor:
    """f(s, t) = (t cos t, 21 s, t sin t), s uniform on [0, 1), t on [1.5π, 4.5π), ``(count, 3)``.

    A rolled-up rectangle, a surface. Positions and noise as in scikit-learn's ``make_swiss_roll``,
    which the published code calls.
    """
    rng = _generator(count, noise, seed)
    t = rng.uniform(1.5 * math.pi, 4.5 * math.pi, count)
    s = rng.uniform(0, 1, count)
    return _observed(rng, noise, t * np.cos(t), 21 * s, t * np.sin(t))


def spiral(count: int = 1000, noise: float = 0.05, seed: int = 0) -> Tensor:
    """f(t) = 2.5 (sin 2πt − 1.2t, cos 2πt, sin 2πt + 1.2t), t uniform on [0, 1), ``(count, 3)``.

    One turn of a helix about an oblique axis. Positions and noise as in the published code, which
    moves all points by (1.5, 1.5, 1.5).
    """
    rng = _generator(count, noise, seed)
    t = rng.uniform(0, 1, count)
    across, along = np.sin(2 * math.pi * t), 1.2 * t
    shape = (across - along, np.cos(2 * math.pi * t), across + along)
    return _observed(rng, noise, *(2.5 * coordinate for coordinate in shape))


def manifold(
    count: int = 1000, intrinsic: int = 2, observed: int = 10, noise: float = 0.05, seed: int = 0
) -> Tensor:
    """A smooth manifold of ``intrinsic`` = k dimensions in ``observed`` = D, ``(count, D)``.

    f_d(t) = t_d for d ≤ k and f_d(t) = cos(t_a² + t_b²) for the other D − k coordinates, with t
    uniform on [−1, 1]ᵏ: the graph of a smooth function. The pairs a, b are drawn from ``seed``,
    with a ≠ b if k > 1; for k = 1 both are the only one.

    The published code has the same kind of coordinates with k Gaussian ones, each of mean −0.175
    and standard deviation 0.35, of which 0.35 cos(t_a² + t_b²) hardly varies before its columns are
    scaled; a and b may coincide there, and it adds no noise.

    Raises
    ------
    ValueError
        Unless 1 ≤ ``intrinsic`` ≤ ``observed``, or for a bad ``count`` or ``noise``.

    >>> x = manifold(100, intrinsic=2, observed=4, noise=0)
    >>> x.shape, bool((x[:, 2:] == torch.cos((x[:, :2] ** 2).sum(1))[:, None]).all())
    (torch.Size([100, 4]), True)
    """
    positive_integer(intrinsic, "intrinsic")
    positive_integer(observed, "observed")
    if intrinsic > observed:
        raise ValueError(f"intrinsic must be at most observed = {observed}: got {intrinsic}")
    rng = _generator(count, noise, seed)
    pairs = [
        rng.choice(intrinsic, size=2, replace=intrinsic == 1) for _ in range(observed - intrinsic)
    ]
    t = rng.uniform(-1, 1, (count, intrinsic))
    others = (np.cos((t[:, pair] ** 2).sum(1)) for pair in pairs)
    return _observed(rng, noise, *t.T, *others)


def _generator(count: int, noise: float, seed: int) -> np.random.Generator:
    positive_integer(count, "count")
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise must be a standard deviation of at least 0: got {noise}")
    return np.random.default_rng(seed)


def _observed(
    rng: np.random.Generator,
    noise: float,
    *coordinates: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> Tensor:
    """The points with these coordinates, one column each, and the noise added."""
    points = np.stack(coordinates, 1)
    return torch.from_numpy(points + noise * rng.standard_normal(points.shape))
