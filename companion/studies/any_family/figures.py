"""Histograms of data columns under the densities of a mixture and of its components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book import charts, display

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["mixture_histograms"]

_DASHES = ("--", ":", "-.")


def mixture_histograms(
    columns: Sequence[Any],
    grids: Sequence[Any],
    densities: Sequence[Any],
    *,
    names: Sequence[str],
    bins: int = 30,
    counts: bool = False,
    log: bool = False,
) -> Figure:
    """One panel for each data column: its histogram, the components, and their sum.

    The legend stands below, where it covers no curve.

    Parameters
    ----------
    columns
        The data, ``(N,)`` each.
    grids
        Where the densities are given, ``(G,)`` each.
    densities
        The weighted densities of the components on the grid, ``(G, C)`` each.
    names
        Names of the horizontal axes.
    bins
        Number of bars.
    counts
        Whether the data are whole numbers: then frequencies and probabilities are shown.
    log
        Whether the vertical axis is logarithmic, down to the smallest density of the mixture.

    Raises
    ------
    ValueError
        If columns, grids, densities and names are not equally many.
    """
    sizes = [len(columns), len(grids), len(densities), len(names)]
    if len(set(sizes)) != 1:
        raise ValueError(f"columns, grids, densities and names must be equally many: got {sizes}")
    data = {}
    for name, column, grid, density in zip(names, columns, grids, densities, strict=True):
        parts = np.asarray(density).T
        curves: dict[str, tuple[Any, ...]] = {
            f"component {number + 1}": (grid, part, _DASHES[number % 3])
            for number, part in enumerate(parts)
        }
        black = {"color": "black", "markersize": 4}
        curves["mixture"] = (grid, parts.sum(0), "o-" if counts else "-", black)
        data[name] = (column, curves)
    figure = charts.histograms(data, bins=bins, counts=counts)
    if log:
        for axes, density in zip(figure.axes, densities, strict=True):
            axes.set(yscale="log", ylim=(0.5 * np.asarray(density).sum(1).min(), None))
    if len(data) == 1 and (inside := figure.axes[0].get_legend()):
        inside.remove()
        with display.style():
            figure.legend(loc="outside lower center", ncols=3)
    return figure
