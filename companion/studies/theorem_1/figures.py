"""The identity at many points, and along a mixture of two q."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book import charts
from companion.book.panels import ROUND_OFF, draw, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["affine_gap", "gaps_and_residuals"]


def gaps_and_residuals(points: Mapping[str, tuple[Any, Any]], tolerance: float) -> Figure:
    """Relative residual of the identity over the size of the gap, with a panel for each model.

    ``points`` maps a name to gaps and relative residuals, ``(K,)`` each; both axes are logarithmic,
    so that the two of them, some sixteen powers of ten apart, are seen together.
    """
    with panels(
        points,
        columns=2,
        size=(8.2, 4.6),
        xlabel="|ELBO − entropy sum| (nats)",
        ylabel="relative residual",
        across=[tolerance],
        xscale="log",
        yscale="log",
        ylim=(ROUND_OFF / 3, 10 * tolerance),
    ) as (figure, shown):
        for axes, (gaps, residuals) in zip(shown, points.values(), strict=True):
            gap, residual = np.asarray(gaps), np.asarray(residuals)
            signs = {"gap above zero": gap > 0, "gap below zero": gap <= 0}
            dots: dict[str, Any] = {"markersize": 4, "alpha": 0.6}
            some = {k: chosen for k, chosen in signs.items() if chosen.any()}
            lines = {k: (abs(gap[s]), residual[s], "points", dots) for k, s in some.items()}
            draw(axes, lines, list(signs))
    return figure


def affine_gap(weights: Any, elbos: Any, sums: Any, gaps: Any) -> Figure:
    """ELBO and entropy sum (left) and their difference (right) along q = (1 − λ) q₀ + λ q₁.

    Parameters
    ----------
    weights
        λ, ``(K,)``.
    elbos, sums, gaps
        ELBO, entropy sum and their difference there, ``(K,)`` each.
    """
    ends = [weights[0], weights[-1]], [gaps[0], gaps[-1]]
    curves: dict[str, dict[str, tuple[Any, ...]]] = {
        "both are curved": {"ELBO": (weights, elbos), "entropy sum": (weights, sums)},
        "their difference is not": {
            "straight line": (*ends, "-", {"color": "0.7", "linewidth": 4}),
            "gap": (weights, gaps, "o", {"markersize": 4}),
        },
    }
    return charts.curve_panels(curves, xlabel="λ", share="x")
