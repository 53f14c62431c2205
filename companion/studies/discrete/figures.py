"""Decoders of discrete data, and of data with fixed noise: temperature, categories, variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["category_bands", "gap_over_variance", "inverse_temperature"]

_BANDS = ("#cfe3f1", "#56b4e9", "#0072b2", "#004a75")


def inverse_temperature(factors: Any, log_probabilities: Any, entropies: Any) -> Figure:
    """E[log p(x|z)] and −E H[p(x|z)] over the factor on all logits, each ``(K,)``.

    The dot marks the highest E[log p(x|z)], the line the decoder as it is, at factor 1.
    """
    from matplotlib import pyplot

    steps, scores = np.asarray(factors, dtype=np.float64), np.asarray(log_probabilities)
    with style():
        figure, axes = pyplot.subplots()
        axes.plot(steps, scores, label="E log p(x | z)")
        axes.plot(steps, -np.asarray(entropies), "--", label="− E H[p(x | z)]")
        top = scores.argmax()
        axes.plot(steps[top], scores[top], "o", color=COLOURS[6], label="highest E log p(x | z)")
        axes.axvline(1, color="0.6", linewidth=0.8, zorder=0)
        axes.set(xlabel="factor on all logits (inverse temperature)", ylabel="nats per data point")
        axes.legend()
    return figure


def category_bands(
    grid: Any, probabilities: Any, names: Sequence[str], categories: Sequence[str]
) -> Figure:
    """Stacked probabilities of the categories over a latent, one panel for each variable.

    ``grid`` is ``(P,)``, ``probabilities`` ``(P, G, C)`` for G variables with C categories.

    Raises
    ------
    ValueError
        If there is another number of names or categories, or more than four categories.
    """
    from matplotlib import pyplot

    grid, probabilities = np.asarray(grid), np.asarray(probabilities)
    if probabilities.shape != (len(grid), len(names), len(categories)) or len(categories) > 4:
        raise ValueError(
            f"probabilities must have shape {(len(grid), len(names), len(categories))} with at "
            f"most 4 categories: got {probabilities.shape}"
        )
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with style():
        figure, panels = pyplot.subplots(
            rows, columns, figsize=(7.4, 1.9 * rows + 0.8), squeeze=False, sharex=True, sharey=True
        )
        for panel in panels.flat[len(names) :]:
            panel.axis("off")
        for index, name in enumerate(names):
            panel = panels.flat[index]
            bands = probabilities[:, index].T
            panel.stackplot(grid, bands, colors=_BANDS, labels=list(categories))
            panel.set(title=name, ylim=(0, 1), xlim=(grid[0], grid[-1]))
            panel.grid(visible=False)
        for panel in panels[-1]:
            panel.set_xlabel("z")
        for panel in panels[:, 0]:
            panel.set_ylabel("probability")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=9)
    return figure


def gap_over_variance(
    variances: Any, true: Any, pseudo: Any, grid: Any, predicted: Any, best: float
) -> Figure:
    """Gaps of the true and the pseudo form at fixed noise variances, and the predicted curve.

    ``variances``, ``true`` and ``pseudo`` are ``(K,)``, ``grid`` and ``predicted`` ``(G,)``;
    ``best`` is the variance at which the prediction is zero, marked by a vertical line.
    """
    from matplotlib import pyplot

    with style():
        figure, axes = pyplot.subplots()
        axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        axes.axvline(best, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
        axes.plot(np.asarray(grid), np.asarray(predicted), color="0.6", label="predicted")
        axes.plot(
            *(np.asarray(variances), np.asarray(true), "o"),
            color=COLOURS[1],
            label="true entropies",
        )
        axes.plot(
            *(np.asarray(variances), np.asarray(pseudo), "s"),
            color=COLOURS[0],
            label="pseudo-entropies",
        )
        axes.set_xscale("log")
        ticks = [float(v) for v in np.asarray(variances)]
        axes.set_xticks(ticks, [f"{v:g}" for v in ticks])
        axes.minorticks_off()
        axes.set(xlabel="noise variance that is held fixed", ylabel="ELBO − entropy sum (nats)")
        axes.legend()
    return figure
