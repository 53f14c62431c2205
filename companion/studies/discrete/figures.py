"""Decoders of discrete data, and of data with fixed noise: categories, variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book import charts
from companion.book.display import COLOURS
from companion.book.panels import panels

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
    """Gaps of the true and the pseudo form at fixed noise variances, and the predicted curve.

    Parameters
    ----------
    variances, true, pseudo
        The fixed variances and the gaps there, ``(K,)``.
    grid, predicted
        The prediction for the true form, ``(G,)``.
    best
        The variance at which the prediction is zero, marked by a vertical line.
    """
    curves = {
        "predicted": (grid, predicted, "-", charts.GREY),
        "true entropies": (variances, true, "o"),
        "pseudo-entropies": (variances, pseudo, "s", {"color": COLOURS[0]}),
    }
    names: dict[str, Any] = {
        "xlabel": "noise variance that is held fixed",
        "ylabel": "ELBO − entropy sum (nats)",
    }
    marks: dict[str, Any] = {"across": [0], "upright": [best], "xticks": variances}
    return charts.curves(curves, xscale="log", **names, **marks)
