"""Decoders of discrete data, and of data with fixed noise: categories, variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book import charts
from companion.book.display import COLOURS
from companion.book.panels import ROUND_OFF, draw, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["category_bands", "gap_over_variance"]

_BANDS = ("#cfe3f1", "#56b4e9", "#0072b2", "#004a75")


def category_bands(
    grid: Any, probabilities: Any, names: Sequence[str], categories: Sequence[str]
) -> Figure:
    """Stacked probabilities of the categories over a latent, one panel for each variable.

    Parameters
    ----------
    grid
        Values of the latent, ``(P,)``.
    probabilities
        There, ``(P, G, C)`` for G variables with C categories.
    names, categories
        Of the variables, and of their categories from the bottom.

    Raises
    ------
    ValueError
        If there is another number of names or categories, or more than four categories.
    """
    grid, probabilities = np.asarray(grid), np.asarray(probabilities)
    if probabilities.shape != (len(grid), len(names), len(categories)) or len(categories) > 4:
        raise ValueError(
            f"probabilities must have shape {(len(grid), len(names), len(categories))} with at "
            f"most 4 categories: got {probabilities.shape}"
        )
    limits: dict[str, Any] = {"ylim": (0, 1), "xlim": (grid[0], grid[-1])}
    with panels(names, xlabel="z", ylabel="probability", **limits) as (figure, shown):
        for axes, bands in zip(shown, probabilities.transpose(1, 2, 0), strict=True):
            axes.stackplot(grid, bands, colors=_BANDS, labels=list(categories))
            axes.grid(visible=False)
    return figure


def gap_over_variance(
    variances: Any, true: Any, pseudo: Any, grid: Any, predicted: Any, best: float
) -> Figure:
    """Gaps at fixed noise variances: of the true form as predicted, of the pseudo form in size.

    Parameters
    ----------
    variances, true, pseudo
        The fixed variances and the gaps there, ``(K,)``.
    grid, predicted
        The prediction for the true form, ``(G,)``.
    best
        The variance at which the prediction is zero, marked by a vertical line.
    """
    titles = ("true entropies: gap", "pseudo-entropies: |gap|")
    names: dict[str, Any] = {"xlabel": "noise variance that is held fixed", "ylabel": "nats"}
    marks: dict[str, Any] = {"upright": [best], "xticks": variances[::2], "xscale": "log"}
    with panels(titles, share="x", **names, **marks) as (figure, (left, right)):
        left.axhline(0, color="0.5", linewidth=0.9, linestyle="--", zorder=0)
        curve, points = (grid, predicted, "-", charts.GREY), (variances, true, "o")
        draw(left, {"predicted": curve, "at stationary points": points})
        right.set(yscale="log", ylim=(ROUND_OFF / 3, 10))
        draw(right, {"at stationary points": (variances, pseudo, "o", {"color": COLOURS[1]})})
    return figure
