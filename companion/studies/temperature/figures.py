"""Tempered densities, the tempered ELBO and its tangent, thermometers of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["rescaled", "tempered_curves", "tempered_densities", "thermometer_images"]

_WARM, _COLD = COLOURS[1], COLOURS[0]


class Curve(NamedTuple):
    """The tempered ELBO over ``t``, with ELBO and entropy sum at t = 1; unpacks from a tuple."""

    t: Any
    values: Any
    elbo: float
    entropy_sum: float


def tempered_densities(
    panels: Mapping[str, tuple[Any, Mapping[float, Any]]], *, columns: int = 3
) -> Figure:
    """A panel for each density: its values over a grid at several temperatures t.

    ``panels`` maps a name to a grid ``(G,)`` and, by t, densities ``(G,)``. Grids of whole numbers
    are drawn as points.
    """
    from matplotlib import pyplot

    rows = -(-len(panels) // columns)
    with style():
        figure, grid = pyplot.subplots(
            rows, columns, figsize=(7.4, 2.35 * rows), squeeze=False, sharey=False
        )
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, (name, (values, densities)) in zip(grid.flat, panels.items(), strict=False):
            values = np.asarray(values, dtype=np.float64)
            whole = bool((values == values.round()).all())
            for t, density in densities.items():
                colour = "0.2" if t == 1 else (_COLD if t > 1 else _WARM)
                dashes = "-" if t == 1 else ("--" if t > 1 else ":")
                marker = {"marker": "o", "markersize": 3, "linewidth": 0.9} if whole else {}
                label = f"t = {t:g}" + ("" if t == 1 else " (colder)" if t > 1 else " (warmer)")
                axes.plot(values, np.asarray(density), dashes, color=colour, label=label, **marker)
            axes.set_title(name, fontsize=11)
            axes.set_ylim(bottom=0)
            axes.locator_params(axis="x", integer=True, nbins=5)
            axes.set_yticks([])
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def tempered_curves(panels: Mapping[str, tuple[Any, Any, float, float]]) -> Figure:
    """The ELBO at temperature t, with its tangent at t = 1 down to t = 0, in a panel for each name.

    ``panels`` maps a name to t ``(K,)``, F_t ``(K,)``, the ELBO and the entropy sum. The tangent
    is drawn through (0, entropy sum) and (1, ELBO), where theory says that it runs.
    """
    from matplotlib import pyplot

    with style():
        figure, grid = pyplot.subplots(
            1, len(panels), figsize=(0.9 + 3.3 * len(panels), 3.5), squeeze=False
        )
        for axes, (name, values) in zip(grid.flat, panels.items(), strict=True):
            curve = Curve(*values)
            t, heights = np.asarray(curve.t), np.asarray(curve.values)
            ends = np.array([0.0, t[-1]])
            line = curve.entropy_sum + ends * (curve.elbo - curve.entropy_sum)
            axes.plot(ends, line, color="0.6", linewidth=1.2, label="tangent at t = 1")
            axes.plot(t, heights, color=COLOURS[0], label="ELBO at temperature t")
            axes.plot(1, curve.elbo, "o", color=COLOURS[6], label="ELBO", zorder=5)
            axes.plot(
                *(0, curve.entropy_sum, "D"),
                color=COLOURS[1], label="entropy sum", clip_on=False, zorder=5,
            )  # fmt: skip
            low, high = min(*heights, *line), max(*heights, *line)
            axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
            axes.set(xlabel="t (warmer ← 1 → colder)", title=name, xlim=(0, t[-1]))
        grid[0, 0].set_ylabel("nats per data point")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9)
    return figure


def rescaled(scales: Any, curves: Mapping[str, Any], *, xlabel: str) -> Figure:
    """The ELBO over a scale (logarithmic), one line for each thing that is rescaled by it."""
    from matplotlib import pyplot

    with style():
        figure, axes = pyplot.subplots()
        for dashes, (name, values) in zip(("-", "--", ":", "-."), curves.items(), strict=False):
            axes.plot(np.asarray(scales), np.asarray(values), dashes, label=name)
        axes.axvline(1, color="0.6", linewidth=0.8, zorder=0)
        axes.set_xscale("log")
        ticks = [tick for tick in (0.25, 0.5, 1, 2, 4) if min(scales) <= tick <= max(scales)]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set(xlabel=xlabel, ylabel="ELBO (nats per data point)")
        axes.legend()
    return figure


def thermometer_images(panels: Mapping[str, Any]) -> Figure:
    """Slopes along v pixel by pixel: orange is too warm (above 0), blue too cold (below 0).

    ``panels`` maps a name to values ``(rows, columns)``; all share one scale.
    """
    from matplotlib import pyplot
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("thermometer", [_COLD, "white", _WARM])
    images = {name: np.asarray(values) for name, values in panels.items()}
    largest = max(float(np.abs(image).max()) for image in images.values())
    with style():
        figure, grid = pyplot.subplots(
            1, len(images), figsize=(0.8 + 2.9 * len(images), 3.3), squeeze=False
        )
        for axes, (name, image) in zip(grid.flat, images.items(), strict=True):
            drawn = axes.imshow(image, cmap=colours, vmin=-largest, vmax=largest)
            axes.set_title(name, fontsize=11)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(visible=False)
            for spine in axes.spines.values():
                spine.set(visible=True, color="0.7")
        bar = figure.colorbar(drawn, ax=grid.ravel().tolist(), shrink=0.85)
        bar.set_label("too cold ← nats → too warm", fontsize=10)
    return figure
