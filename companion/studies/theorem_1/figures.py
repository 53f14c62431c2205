"""The identity at many points, and along a mixture of two q."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book import charts
from companion.book.panels import GREY, ROUND_OFF, both_signs, draw, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["affine_gap", "gap_against_slope"]


def gap_against_slope(points: Mapping[str, tuple[Any, Any, Any]], tolerance: float) -> Figure:
    """Gap over slope at many points (left) and the relative residuals (right), by model.

    ``points`` maps a name to gaps, slopes and relative residuals, each ``(K,)``. The axes on the
    left are logarithmic in both directions, and linear near zero.
    """
    largest = 3 * max(float(np.abs(gaps).max()) for gaps, _, _ in points.values())
    with panels(["", ""], size=(8.2, 4.1), share="") as (figure, (left, right)):
        left.plot([-largest, largest], [-largest, largest], linewidth=0.8, zorder=0, **GREY)
        dots: dict[str, Any] = {"markersize": 4, "alpha": 0.6}
        draw(left, {name: (s, g, "points", dots) for name, (g, s, _) in points.items()})
        for side in "xy":
            both_signs(left, side, linear_below=1e-2)
        left.tick_params(labelsize=8)
        left.set(xlabel="slope = ⟨∇ELBO, v⟩ (nats)", ylabel="gap = ELBO − entropy sum (nats)")
        for _, _, residuals in points.values():
            right.ecdf(np.maximum(residuals, ROUND_OFF))
        right.axvline(tolerance, color="0.4", linestyle="--", linewidth=1)
        right.set(xscale="log", xlabel="relative residual of the identity", ylabel="share of draws")
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
