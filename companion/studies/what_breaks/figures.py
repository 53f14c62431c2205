"""Gaps that are not zero: as measured and as predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["gaps_by_cause", "penalty_law"]


def gaps_by_cause(
    groups: Mapping[str, Sequence[tuple[str, float, float]]], linear_below: float = 1e-5
) -> Figure:
    """One line for each case, a ring at the predicted gap and a dot at the measured one.

    ``groups`` maps a cause to ``(case, gap, predicted)``. The axis is logarithmic in both
    directions from ``linear_below`` on.
    """
    from matplotlib import pyplot

    count = sum(len(rows) for rows in groups.values())
    with style():
        figure, axes = pyplot.subplots(figsize=(7.4, 0.27 * (count + len(groups)) + 0.9))
        labels: list[str] = []
        places: list[int] = []
        place = 0
        for number, (cause, rows) in enumerate(groups.items()):
            colour = COLOURS[number % 7]
            axes.text(
                *(0.01, place, cause),
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=9,
                color="0.25",
                fontweight="bold",
            )
            for case, gap, predicted in rows:
                place += 1
                axes.plot(predicted, place, "o", markersize=10, markeredgecolor=colour, mfc="none")
                axes.plot(gap, place, "o", markersize=4, color=colour)
                labels.append(case)
                places.append(place)
            place += 1
        axes.plot([], [], "o", markersize=10, markeredgecolor="0.3", mfc="none", label="predicted")
        axes.plot([], [], "o", markersize=4, color="0.3", label="measured")
        axes.axvline(0, color="0.5", linewidth=0.8, zorder=0)
        axes.set_xscale("symlog", linthresh=linear_below)
        largest = max(abs(gap) for rows in groups.values() for _, gap, _ in rows)
        decades = 10.0 ** np.arange(np.log10(linear_below), np.log10(largest) + 1, 2)
        axes.set_xticks(np.concatenate([-decades[::-1], [0.0], decades]))
        axes.minorticks_off()
        axes.set_yticks(places, labels, fontsize=9)
        axes.set_ylim(place - 0.3, -0.7)
        axes.set(xlabel="gap = ELBO − entropy sum (nats per data point)")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=9)
    return figure


def penalty_law(rates: Any, lines: Mapping[str, tuple[Any, Any]]) -> Figure:
    """Gap over the penalty's ``rates`` ``(K,)``: for each name measured and predicted gaps."""
    from matplotlib import pyplot

    with style():
        figure, panels = pyplot.subplots(1, len(lines), figsize=(8.2, 3.2), squeeze=False)
        for axes, (name, (measured, predicted)) in zip(panels[0], lines.items(), strict=True):
            axes.axhline(0, color="0.6", linewidth=0.8)
            axes.plot(np.asarray(rates), np.asarray(predicted), color="0.6", label="predicted")
            axes.plot(
                *(np.asarray(rates), np.asarray(measured), "o"),
                color=COLOURS[1],
                markersize=4,
                label="measured",
            )
            axes.set(xscale="log", xlabel="decay rate λ", title=name)
            axes.tick_params(labelsize=9)
        panels[0, 0].set_ylabel("gap (nats per data point)")
        panels[0, 0].legend(fontsize=9)
    return figure
