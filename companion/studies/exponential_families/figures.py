"""Log-partition, mean parameters, entropy; residuals of the parameterization criterion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "criterion_residuals",
    "histogram_and_density",
    "log_partition_plane",
    "residual_against_nodes",
    "tangent_and_entropy",
]

#: Smaller residuals are drawn here: they are zero to float64.
ROUND_OFF = 1e-17


def tangent_and_entropy(
    natural: Any, log_partition: Any, mean: Any, entropy: Any, touch: Sequence[int]
) -> Figure:
    """A(η) with tangents whose intercepts are the entropy; beside it, mean and entropy over η.

    All arrays are ``(K,)`` over the one natural parameter; ``touch`` holds the indices of the
    points at which tangents are drawn.
    """
    from matplotlib import pyplot

    eta, A, slope, H = (
        np.asarray(a, dtype=np.float64) for a in (natural, log_partition, mean, entropy)
    )
    with style():
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(7.6, 3.6))
        left.plot(eta, A, color=COLOURS[0], label="log-partition A(η)")
        for number, index in enumerate(touch):
            colour = COLOURS[1 + number]
            ends = np.array([min(eta[index], 0.0) - 1.5, max(eta[index], 0.0) + 1.5])
            left.plot(ends, A[index] + slope[index] * (ends - eta[index]), "--", color=colour)
            left.plot(eta[index], A[index], "o", color=colour)
            left.plot(
                0,
                H[index],
                "s",
                color=colour,
                label=f"tangent at η = {eta[index]:.2f}".replace("-", "−"),
            )
            right.plot(eta[index], H[index], "s", color=colour)
        left.axvline(0, color="0.5", linewidth=0.8)
        left.set(xlabel="natural parameter η", ylabel="nats", title="intercept = entropy")
        left.legend(fontsize=9)
        right.plot(eta, H, color=COLOURS[0], label="entropy (nats)", zorder=1)
        right.plot(eta, slope, ":", color=COLOURS[6], label="mean, A′(η)", zorder=1)
        right.set(xlabel="natural parameter η", title="slope = mean")
        right.legend(fontsize=9)
    return figure


def log_partition_plane(
    first: Any, second: Any, log_partition: Any, entropy: Any, curves: Mapping[str, tuple[Any, Any]]
) -> Figure:
    """Contours of A (left) and of the entropy (right) over (η₁, η₂), with named curves over both.

    ``first`` and ``second`` are the axes, ``(K,)`` and ``(L,)``; the values are ``(L, K)``; each of
    ``curves`` holds the coordinates η₁ and η₂ along it.
    """
    from matplotlib import pyplot

    first, second = np.asarray(first), np.asarray(second)
    with style():
        figure, panels = pyplot.subplots(1, 2, figsize=(8.0, 4.2), sharey=True)
        titles = ("log-partition A(η₁, η₂)", "entropy")
        for panel, values, title in zip(panels, (log_partition, entropy), titles, strict=True):
            values = np.asarray(values, dtype=np.float64)
            levels = np.unique(np.quantile(values, np.linspace(0.03, 0.97, 11)))
            contours = panel.contour(
                *(first, second, values), levels=levels, colors="0.6", linewidths=0.8
            )
            panel.clabel(contours, fontsize=7, fmt="%.1f")
            for number, (name, path) in enumerate(curves.items()):
                dashes = ("-", "--", "-.", ":")[number % 4]
                panel.plot(*map(np.asarray, path), dashes, color=COLOURS[number % 7], label=name)
            panel.set(title=title, xlabel="η₁ = mean / variance")
            panel.set_xlim(np.min(first), np.max(first))
            panel.set_ylim(np.min(second), np.max(second))
            panel.grid(visible=False)
        panels[0].set_ylabel("η₂ = −1 / (2 · variance)")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def histogram_and_density(
    values: Any, grid: Any, densities: Mapping[str, Any], label: str
) -> Figure:
    """A histogram of ``values`` ``(N,)`` and named ``densities`` over ``grid`` ``(K,)``."""
    from matplotlib import pyplot

    with style():
        figure, axes = pyplot.subplots()
        axes.hist(np.asarray(values), bins=12, density=True, color="0.82", label="data")
        dashes = ("-", "--", ":", "-.")
        for number, (name, density) in enumerate(densities.items()):
            axes.plot(
                np.asarray(grid),
                np.asarray(density),
                dashes[number % 4],
                color=COLOURS[number],
                label=name,
            )
        axes.set(xlabel=label, ylabel="density")
        axes.legend()
    return figure


def criterion_residuals(residuals: Mapping[str, float], tolerance: float) -> Figure:
    """One row for each parameterization: its held-out residual, and the tolerance."""
    from matplotlib import pyplot

    names = list(residuals)
    values = np.maximum(np.array([residuals[name] for name in names]), ROUND_OFF)
    with style():
        figure, axes = pyplot.subplots(figsize=(7.0, 0.36 * len(names) + 1.2))
        rows = np.arange(len(names))[::-1]
        for verdict, chosen, colour, marker in (
            ("passes", values <= tolerance, COLOURS[2], "o"),
            ("fails", values > tolerance, COLOURS[1], "X"),
        ):
            axes.hlines(rows[chosen], ROUND_OFF, values[chosen], color=colour, alpha=0.35)
            axes.plot(values[chosen], rows[chosen], marker, color=colour, label=verdict)
        axes.axvline(tolerance, color="0.4", linestyle="--", linewidth=1)
        axes.axvspan(1e-3, 2e-2, color=COLOURS[4], alpha=0.18, linewidth=0, label="near miss")
        axes.set_yticks(rows, names)
        axes.set_xscale("log")
        axes.set(xlabel="relative residual on held-out nodes", xlim=(ROUND_OFF, 5))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
        axes.grid(axis="y", visible=False)
    return figure


def residual_against_nodes(
    counts: Sequence[int], curves: Mapping[str, tuple[Any, Any]], enough: float
) -> Figure:
    """Training (hollow) and held-out (filled) residual over the number of nodes, for each curve.

    ``enough`` marks the number of nodes from which there are more equations than unknowns.
    """
    from matplotlib import pyplot

    with style():
        figure, axes = pyplot.subplots()
        for number, (name, (training, held_out)) in enumerate(curves.items()):
            colour = COLOURS[(1, 2, 0)[number % 3]]
            marker = "Xos"[number % 3]
            low, high = (np.maximum(np.asarray(v), ROUND_OFF) for v in (training, held_out))
            axes.plot(counts, high, marker + "-", color=colour, label=f"{name}: held out")
            axes.plot(
                *(counts, low, marker + ":"),
                color=colour,
                markerfacecolor="white",
                label=f"{name}: used for the fit",
            )
        axes.axvline(enough, color="0.4", linestyle="--", linewidth=1)
        axes.set(xscale="log", yscale="log", xlabel="number of nodes", ylabel="relative residual")
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.legend(fontsize=9, loc="center right")
    return figure
