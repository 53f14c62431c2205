"""Histograms of data columns under the densities of a mixture and of its components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["mixture_histograms"]

_DASHES = ("--", ":", "-.", (0, (6, 1)), (0, (1, 3)))


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

    Each of ``columns`` is ``(N,)``, of ``grids`` ``(G,)``, of ``densities`` ``(G, C)``: the
    weighted densities of the components on the grid. With ``counts`` the data are whole numbers,
    shown as relative frequencies, and the densities are probabilities, shown as points. ``log``
    makes the vertical axis logarithmic, down to the smallest density of the mixture.

    Raises
    ------
    ValueError
        If columns, grids, densities and names are not equally many.
    """
    from matplotlib import pyplot

    sizes = [len(columns), len(grids), len(densities), len(names)]
    if len(set(sizes)) != 1:
        raise ValueError(f"columns, grids, densities and names must be equally many: got {sizes}")
    with style():
        figure, axes = pyplot.subplots(
            1, len(columns), figsize=(max(7.0, 2.8 * len(columns)), 3.4), squeeze=False
        )
        panels = zip(axes[0], columns, grids, densities, names, strict=True)
        for panel, column, grid, density, name in panels:
            values, points, parts = map(np.asarray, (column, grid, density))
            edges: Any = np.arange(points.min() - 0.5, points.max() + 1) if counts else bins
            # Grey bars behind everything: the data.
            panel.hist(values, bins=edges, density=True, color="0.84", rwidth=0.9, label="data")
            for index, part in enumerate(parts.T):
                panel.plot(
                    points,
                    part,
                    linestyle=_DASHES[index % len(_DASHES)],
                    color=COLOURS[index % 6],
                    linewidth=1.3,
                    label=f"component {index + 1}",
                )
            marker = "o" if counts else ""
            panel.plot(points, parts.sum(1), color="black", marker=marker, label="mixture", ms=4)
            panel.set(xlabel=name)
            if counts:
                panel.xaxis.get_major_locator().set_params(integer=True)
            if log:
                panel.set(yscale="log", ylim=(0.5 * parts.sum(1).min(), None))
        axes[0, 0].set_ylabel("relative frequency" if counts else "density")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncol=len(labels), fontsize=9)
    return figure
