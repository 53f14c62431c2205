"""Log-partition, mean parameters, entropy; residuals of the parameterization criterion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book import charts
from companion.book.display import COLOURS
from companion.book.panels import draw, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "criterion_residuals",
    "log_partition_plane",
    "residual_against_nodes",
    "tangent_and_entropy",
]


def tangent_and_entropy(
    natural: Any, log_partition: Any, mean: Any, entropy: Any, touch: Sequence[int]
) -> Figure:
    """A(η) with tangents whose intercepts are the entropy; beside it, mean and entropy over η.

    Parameters
    ----------
    natural
        The one natural parameter, ``(K,)``.
    log_partition, mean, entropy
        What the family has there, ``(K,)`` each.
    touch
        Indices of the points at which tangents are drawn.
    """
    eta, A, slope, H = map(np.asarray, (natural, log_partition, mean, entropy))
    titles = ("intercept = entropy", "slope = mean")
    names: dict[str, Any] = {"xlabel": "natural parameter η", "ylabel": "nats"}
    with panels(titles, share="x", **names) as (figure, (left, right)):
        left.plot(eta, A, label="log-partition A(η)")
        left.axvline(0, color="0.5", linewidth=0.8)
        for index, colour in zip(touch, COLOURS[1:], strict=False):
            ends = np.array([min(eta[index], 0.0) - 1.5, max(eta[index], 0.0) + 1.5])
            left.plot(ends, A[index] + slope[index] * (ends - eta[index]), "--", color=colour)
            left.plot(eta[index], A[index], "o", color=colour)
            label = f"tangent at η = {eta[index]:.2f}".replace("-", "−")
            left.plot(0, H[index], "s", color=colour, label=label)
            right.plot(eta[index], H[index], "s", color=colour)
        right.plot(eta, H, color=COLOURS[0], label="entropy (nats)", zorder=1)
        right.plot(eta, slope, ":", color=COLOURS[6], label="mean, A′(η)", zorder=1)
    return figure


def log_partition_plane(
    first: Any, second: Any, log_partition: Any, entropy: Any, curves: Mapping[str, tuple[Any, Any]]
) -> Figure:
    """Contours of A (left) and of the entropy (right) over (η₁, η₂), with named curves over both.

    Parameters
    ----------
    first, second
        The axes, ``(K,)`` and ``(L,)``.
    log_partition, entropy
        The heights, ``(L, K)``.
    curves
        Coordinates η₁ and η₂ along each curve, by name.
    """
    heights = {"log-partition A(η₁, η₂)": log_partition, "entropy": entropy}
    names: dict[str, Any] = {"xlabel": "η₁ = mean / variance", "ylabel": "η₂ = −1 / (2 · variance)"}
    first, second = np.asarray(first), np.asarray(second)
    limits: dict[str, Any] = {"xlim": first[[0, -1]], "ylim": second[[0, -1]]}
    with panels(heights, size=(8.0, 4.2), **names, **limits) as (figure, shown):
        for axes, values in zip(shown, map(np.asarray, heights.values()), strict=True):
            levels = np.unique(np.quantile(values, np.linspace(0.03, 0.97, 11)))
            contours = axes.contour(
                first, second, values, levels=levels, colors="0.6", linewidths=0.8
            )
            axes.clabel(contours, fontsize=8, fmt="%.2f", colors="0.35")
            draw(axes, curves)
            axes.grid(visible=False)
    return figure


def criterion_residuals(residuals: Mapping[str, float], tolerance: float) -> Figure:
    """One row for each parameterization: its held-out residual, the tolerance, near misses."""
    rows = [
        (name, {"passes" if value <= tolerance else "fails": value})
        for name, value in residuals.items()
    ]
    figure = charts.dots(
        rows,
        xlabel="relative residual on held-out nodes",
        looks={"passes": {"color": COLOURS[2]}, "fails": {"color": COLOURS[1]}},
        stems=True,
        upright={"tolerance": tolerance},
    )
    (axes,) = figure.axes
    axes.axvspan(1e-3, 2e-2, color=COLOURS[4], alpha=0.18, linewidth=0)
    axes.text(4.5e-3, 1.0, "near miss", transform=axes.get_xaxis_transform(), ha="center")
    return figure


def residual_against_nodes(
    counts: Sequence[int], curves: Mapping[str, tuple[Any, Any]], enough: float
) -> Figure:
    """Training (hollow) and held-out (filled) residual over the number of nodes, for each curve.

    ``enough`` marks the number of nodes from which there are more equations than unknowns.
    """
    lines: dict[str, tuple[Any, ...]] = {}
    for number, (name, (training, held_out)) in enumerate(curves.items()):
        look: dict[str, Any] = {"color": COLOURS[(1, 2, 0)[number]]}
        hollow = look | {"markerfacecolor": "white"}
        lines[f"{name}: held out"] = (counts, held_out, "Xo"[number] + "-", look)
        lines[f"{name}: used for the fit"] = (counts, training, "Xo"[number] + ":", hollow)
    names: dict[str, Any] = {"xlabel": "number of nodes", "ylabel": "relative residual"}
    marks: dict[str, Any] = {"upright": [enough], "xticks": counts}
    return charts.curves(lines, xscale="log", yscale="log", **names, **marks)
