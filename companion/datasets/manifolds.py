"""Seeded points on curves and surfaces, with Gaussian noise: x = f(t) + σε, ε ~ N(0, I).

σ is ``noise_std``. Every function draws the positions t first and the noise afterwards, so that the
same ``seed`` with ``noise_std=0`` gives the same points without their noise. The shapes are those
of the code published with Damm et al. (arXiv:2010.14860), which draws 50 000 points with noise 0.05
and then maps every column to [0, 1]; each docstring says where else it differs. Whoever wants their
columns scaled does it afterwards.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from companion.datasets.synthetic import seeded
from companion.support.checks import positive_integer
from companion.support.doors import door

__all__ = [
    "circle",
    "cosine",
    "eight_gaussians",
    "lemniscate",
    "manifold",
    "spiral",
    "swiss_roll",
]


@door
def circle(count: int = 1000, noise_std: float = 0.05, seed: int = 0) -> Tensor:
    """f(t) = (cos t, sin t) with t uniform on [0, 2π): a closed curve, ``(count, 2)``.

    The published code puts noise on the radius only.

    >>> circle(count=100).shape
    torch.Size([100, 2])
    """
    rng = seeded(count, noise_std, seed)
    t = rng.uniform(0, 2 * math.pi, count)
    return _observed(rng, noise_std, np.cos(t), np.sin(t))


@door
def eight_gaussians(count: int = 1000, noise_std: float = 0.05, seed: int = 0) -> Tensor:
    """f(t) = 0.4 (cos πt/4, sin πt/4) with t uniform on {0, …, 7}: eight clusters, ``(count, 2)``.

    With its noise this is a mixture of eight Gaussians of standard deviation ``noise_std``. The
    published code gives every cluster the same number of points and moves all by (1, 1).

    >>> eight_gaussians(count=100).shape
    torch.Size([100, 2])
    """
    rng = seeded(count, noise_std, seed)
    t = rng.integers(8, size=count) * (math.pi / 4)
    return _observed(rng, noise_std, 0.4 * np.cos(t), 0.4 * np.sin(t))


@door
def cosine(count: int = 1000, noise_std: float = 0.05, seed: int = 0) -> Tensor:
    """f(t) = (t, 1 + cos t) with t uniform on [0, 3π): an open curve, ``(count, 2)``.

    Positions and noise as in the published code.

    >>> cosine(count=100).shape
    torch.Size([100, 2])
    """
    rng = seeded(count, noise_std, seed)
    t = rng.uniform(0, 3 * math.pi, count)
    return _observed(rng, noise_std, t, 1 + np.cos(t))


@door
def lemniscate(count: int = 1000, noise_std: float = 0.05, seed: int = 0) -> Tensor:
    """f(t) = ½ (cos t, sin t cos t) with t uniform on [0, 2π): a figure eight, ``(count, 2)``.

    Gerono's lemniscate, which meets itself in the origin. The published code draws t from
    [−π/2, 2π), one and a quarter times around, so that a quarter of its curve is twice as dense.

    >>> lemniscate(count=100).shape
    torch.Size([100, 2])
    """
    rng = seeded(count, noise_std, seed)
    t = rng.uniform(0, 2 * math.pi, count)
    return _observed(rng, noise_std, np.cos(t) / 2, np.sin(t) * np.cos(t) / 2)


@door
def swiss_roll(count: int = 1000, noise_std: float = 0.05, seed: int = 0) -> Tensor:
    """f(s, t) = (t cos t, 21 s, t sin t), s uniform on [0, 1), t on [1.5π, 4.5π), ``(count, 3)``.

    A rolled-up rectangle, a surface. These are the points of scikit-learn's ``make_swiss_roll``
    with this seed, which the published code calls.

    >>> swiss_roll(count=100).shape
    torch.Size([100, 3])
    """
    from sklearn.datasets import make_swiss_roll

    seeded(count, noise_std, seed)  # says what is wrong with them
    points, _ = make_swiss_roll(count, noise=noise_std, random_state=seed)
    return torch.from_numpy(points).contiguous()


@door
def spiral(count: int = 1000, noise_std: float = 0.05, seed: int = 0) -> Tensor:
    """f(t) = 2.5 (sin 2πt − 1.2t, cos 2πt, sin 2πt + 1.2t), t uniform on [0, 1), ``(count, 3)``.

    One turn of a helix about an oblique axis. Positions and noise as in the published code, which
    moves all points by (1.5, 1.5, 1.5).

    >>> spiral(count=100).shape
    torch.Size([100, 3])
    """
    rng = seeded(count, noise_std, seed)
    t = rng.uniform(0, 1, count)
    across, along = np.sin(2 * math.pi * t), 1.2 * t
    shape = (across - along, np.cos(2 * math.pi * t), across + along)
    return _observed(rng, noise_std, *(2.5 * coordinate for coordinate in shape))


@door
def manifold(
    count: int = 1000,
    intrinsic: int = 2,
    observed: int = 10,
    noise_std: float = 0.05,
    seed: int = 0,
) -> Tensor:
    """A smooth manifold of ``intrinsic`` = k dimensions in ``observed`` = D, ``(count, D)``.

    f_d(t) = t_d for d ≤ k and f_d(t) = cos(t_a² + t_b²) for the other D − k coordinates, with t
    uniform on [−1, 1]ᵏ: the graph of a smooth function. The pairs a, b are drawn from ``seed``,
    with a ≠ b if k > 1; for k = 1 both are the only one.

    The published code has the same kind of coordinates with k Gaussian ones, each of mean −0.175
    and standard deviation 0.35, of which 0.35 cos(t_a² + t_b²) hardly varies before its columns are
    scaled; a and b may coincide there, and it adds no noise.

    Parameters
    ----------
    count
        How many points.
    intrinsic, observed
        k and D.
    noise_std
        Standard deviation of the noise in each coordinate.
    seed
        Of the pairs, the positions and the noise, drawn in this order.

    Raises
    ------
    ValueError
        Unless 1 ≤ ``intrinsic`` ≤ ``observed``, or for a bad ``count`` or ``noise_std``.

    >>> x = manifold(100, intrinsic=2, observed=4, noise_std=0)
    >>> x.shape, bool((x[:, 2:] == torch.cos((x[:, :2] ** 2).sum(1))[:, None]).all())
    (torch.Size([100, 4]), True)
    """
    positive_integer(intrinsic, "intrinsic")
    positive_integer(observed, "observed")
    if intrinsic > observed:
        raise ValueError(f"intrinsic must be at most observed = {observed}: got {intrinsic}")
    rng = seeded(count, noise_std, seed)
    pairs = [
        rng.choice(intrinsic, size=2, replace=intrinsic == 1) for _ in range(observed - intrinsic)
    ]
    t = rng.uniform(-1, 1, (count, intrinsic))
    others = (np.cos((t[:, pair] ** 2).sum(1)) for pair in pairs)
    return _observed(rng, noise_std, *t.T, *others)


def _observed(rng: np.random.Generator, noise_std: float, *coordinates: ArrayLike) -> Tensor:
    """The points with these coordinates, one column each, and the noise added."""
    points = np.stack(coordinates, 1)
    return torch.from_numpy(points + noise_std * rng.standard_normal(points.shape))
