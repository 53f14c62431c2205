"""The identity at many points, along a mixture of two q, and split by parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "affine_gap",
    "along_direction",
    "gap_against_slope",
    "thermometer",
]

_MARKERS = "osXD^vP"


def gap_against_slope(
    points: Mapping[str, tuple[Any, Any, Any]], tolerance: float, linear_below: float = 1e-2
) -> Figure:
    """Gap over slope at many points (left) and the relative residuals (right), by model.

    ``points`` maps a name to gaps, slopes and relative residuals, each ``(K,)``. The axes on the
    left are logarithmic in both directions from ``linear_below`` on.
    """
    from matplotlib import pyplot

    with style():
        figure, (left, right) = pyplot.subplots(
            1, 2, figsize=(8.2, 4.1), gridspec_kw={"width_ratios": (1.15, 1)}
        )
        largest = 0.0
        for number, (name, (gaps, slopes, residuals)) in enumerate(points.items()):
            colour, marker = COLOURS[number % 7], _MARKERS[number % 7]
            left.plot(slopes, gaps, marker, color=colour, markersize=4, alpha=0.6, label=name)
            largest = max(largest, float(np.abs(gaps).max()))
            shown = np.maximum(np.asarray(residuals), 1e-17)
            rank = (np.arange(len(shown)) + 0.5) / len(shown)
            right.plot(np.sort(shown), rank, color=colour, label=name)
        left.plot(*([-3 * largest, 3 * largest],) * 2, color="0.6", linewidth=0.8, zorder=0)
        for scale in (left.set_xscale, left.set_yscale):
            scale("symlog", linthresh=linear_below)
        decades = 10.0 ** np.arange(np.log10(linear_below), np.log10(largest) + 1, 2)
        ticks = np.concatenate([-decades[::-1], [0.0], decades])
        left.set_xticks(ticks)
        left.set_yticks(ticks)
        left.minorticks_off()
        left.tick_params(axis="x", labelsize=8, rotation=45)
        left.tick_params(axis="y", labelsize=8)
        left.set(xlabel="slope = ⟨∇ELBO, v⟩ (nats)", ylabel="gap = ELBO − entropy sum (nats)")
        left.legend(fontsize=9, markerscale=1.5)
        right.axvline(tolerance, color="0.4", linestyle="--", linewidth=1)
        right.set(xscale="log", xlabel="relative residual of the identity", ylabel="share of draws")
        right.set_ylim(0, 1)
    return figure


def affine_gap(weights: Any, elbos: Any, sums: Any, gaps: Any) -> Figure:
    """ELBO and entropy sum (left) and their difference (right) along q = (1 − λ) q₀ + λ q₁."""
    from matplotlib import pyplot

    weights, elbos, sums, gaps = (
        np.asarray(a, dtype=np.float64) for a in (weights, elbos, sums, gaps)
    )
    with style():
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(7.6, 3.4))
        left.plot(weights, elbos, label="ELBO")
        left.plot(weights, sums, "--", label="entropy sum")
        left.set(xlabel="λ", ylabel="nats per data point", title="both are curved")
        left.legend()
        ends = weights[[0, -1]], gaps[[0, -1]]
        right.plot(*ends, color="0.7", linewidth=4, label="straight line")
        right.plot(weights, gaps, "o", color=COLOURS[2], markersize=4, label="gap")
        right.set(xlabel="λ", title="their difference is not")
        right.legend()
    return figure


def along_direction(steps: Any, elbos: Any, sums: Any, here: float, label: str) -> Figure:
    """ELBO and entropy sum over ``steps`` ``(K,)`` along v; ``here`` marks where we started."""
    from matplotlib import pyplot

    steps, elbos, sums = (np.asarray(a, dtype=np.float64) for a in (steps, elbos, sums))
    with style():
        figure, axes = pyplot.subplots()
        axes.plot(steps, elbos, label="ELBO")
        axes.plot(steps, sums, "--", label="entropy sum")
        top = elbos.argmax()
        axes.plot(steps[top], elbos[top], "o", color=COLOURS[6], label="highest ELBO")
        axes.axvline(here, color="0.6", linewidth=0.8, zorder=0)
        axes.set(xlabel=label, ylabel="nats per data point")
        axes.legend()
    return figure


def thermometer(blocks: Mapping[str, Mapping[str, float]], linear_below: float = 1e-14) -> Figure:
    """The slope along v split by parameter, for several moments of learning.

    ``blocks`` maps a name of the moment to ``Verification.blocks``. To the right of zero a colder
    distribution (less noise) would raise the ELBO, to the left a warmer one.
    """
    from matplotlib import pyplot

    moments = list(blocks)
    names = list(blocks[moments[0]])
    with style():
        figure, axes = pyplot.subplots(figsize=(7.4, 0.5 * len(names) * len(moments) ** 0.5 + 1.6))
        height = 0.8 / len(moments)
        rows = np.arange(len(names))[::-1].astype(np.float64)
        for number, moment in enumerate(moments):
            values = [blocks[moment].get(name, 0.0) for name in names]
            shift = 0.4 - height * (number + 0.5)
            axes.barh(rows + shift, values, height, color=COLOURS[number % 7], label=moment)
        axes.axvline(0, color="0.3", linewidth=0.8)
        axes.set_xscale("symlog", linthresh=linear_below)
        largest = max(abs(v) for values in blocks.values() for v in values.values())
        decades = 10.0 ** np.arange(np.log10(linear_below) + 4, np.log10(largest) + 1, 4)
        axes.set_xticks(np.concatenate([-decades[::-1], [0.0], decades]))
        axes.minorticks_off()
        axes.set_yticks(rows, names)
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="⟨∇ELBO, v⟩ by parameter (nats per data point)")
        axes.set_axisbelow(True)
        above: dict[str, Any] = {
            "transform": axes.get_xaxis_transform(),
            "fontsize": 10,
            "ha": "center",
        }
        axes.text(0, 1.02, "← too cold      too warm →", **above)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
    return figure
