"""Volumes of typical sets: measured by counting, and read from entropies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special, stats

from companion.book.display import COLOURS
from companion.book.panels import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["cells", "counted_area", "typical_volume"]

Matrix = np.ndarray[Any, np.dtype[np.float64]]
#: ‖z‖² of white z in the plane where an ellipse has the area e^H of its Gaussian.
RADIUS = math.sqrt(2 * math.e)


def counted_area(covariance: Any, points: int = 2000) -> float:
    """Area of the ellipse z'C⁻¹z ≤ 2e, by counting points of a grid around it."""
    C = np.asarray(covariance, dtype=float)
    reach = 1.05 * RADIUS * np.sqrt(C.diagonal())
    axes = [np.linspace(-r, r, points) for r in reach]
    x, y = np.meshgrid(*axes, indexing="ij")
    inverse = np.linalg.inv(C)
    square = inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    return float((square <= 2 * math.e).sum() * cell)


def typical_volume(copies: int, size: int = 2, share: float = 0.5) -> float:
    """(1/n) log of the smallest volume that holds ``share`` of n draws of N(0, I): a ball's."""
    dimension = copies * size
    radius = stats.chi2(dimension).ppf(share)  # squared
    log_ball = 0.5 * dimension * math.log(math.pi * radius) - special.gammaln(dimension / 2 + 1)
    return float(log_ball / copies)


def cells(weights: Any, variance: float, points: Any, centre: Any) -> Figure:
    """One latent, two observables: what q takes of the prior, what noise takes of the data.

    Parameters
    ----------
    weights, variance
        w ``(2,)`` and σ² of x = w z + μ + noise, z ~ N(0, 1).
    points, centre
        Data points ``(N, 2)``, and μ ``(2,)``.
    """
    w, centre, points = (np.asarray(each, dtype=float) for each in (weights, centre, points))
    covariance = np.outer(w, w) + variance * np.eye(2)
    whole = math.sqrt(2 * math.pi * math.e)
    part = whole * math.sqrt(variance / (w @ w + variance))
    count = max(1, round(whole / part))
    latents = part * (np.arange(count) - 0.5 * (count - 1))
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = RADIUS * np.c_[np.cos(angle), np.sin(angle)]
    titles = ("latent space", "data space")
    with panels(titles, columns=2, xlabel="", ylabel="", size=(8.2, 3.4), share="") as (
        figure,
        (line, plane),
    ):
        line.hlines(1, -whole / 2, whole / 2, color="0.6", linewidth=14)
        for k, z in enumerate(latents):
            colour = COLOURS[k % 2]
            line.hlines(0, z - part / 2, z + part / 2, color=colour, linewidth=14)
            plane.plot(*(math.sqrt(variance) * circle + w * z + centre).T, color=colour)
        line.set(yticks=[0, 1], yticklabels=["$q$", "$p(z)$"], ylim=(-0.8, 1.8), xlabel="z")
        plane.plot(*points.T, ".", color="0.6", markersize=3)
        plane.plot(*(circle @ np.linalg.cholesky(covariance).T + centre).T, color="0.3")
        plane.set(
            aspect="equal",
            xlabel="length of a petal, standardised",
            ylabel="width of a petal, standardised",
        )
    return figure
