"""Training with best variances inserted: steps by learning rate, starts, batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book import charts
from companion.book.display import COLOURS
from companion.book.panels import GREY, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["bias_by_batch", "distance_by_start", "steps_by_rate"]


def steps_by_rate(
    runs: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
) -> Figure:
    """Steps needed over the learning rate on two log axes; a panel for each title.

    ``runs`` maps a title to curves, ``{label: (rates, steps)}``. Runs that never came close
    enough have infinitely many steps and are left out.
    """
    curves = {
        title: {
            label: (rates, np.where(np.isfinite(steps), steps, np.nan), "o-")
            for label, (rates, steps) in group.items()
        }
        for title, group in runs.items()
    }
    used = sorted({r for group in runs.values() for rates, _ in group.values() for r in rates})
    look: dict[str, Any] = {
        "xscale": "log",
        "yscale": "log",
        "xlim": (used[0] / 1.5, used[-1] * 1.5),
    }
    names: dict[str, Any] = {"xlabel": "learning rate", "ylabel": "steps"}
    figure = charts.curve_panels(curves, xticks=used, **names, **look)
    _plain_numbers(figure.axes[0])
    return figure


def distance_by_start(
    log_variances: Any, distances: Any, inserted: float, *, start: float, best: float
) -> Figure:
    """Distance to the optimum over the starting value of log σ²; best variances inserted: a line.

    Parameters
    ----------
    log_variances, distances
        Starting values and where they lead, ``(K,)``.
    inserted
        The distance with best variances inserted.
    start, best
        The best value at the start of training and at its end, marked by vertical lines.
    """
    curves = {"variances learned": (log_variances, distances, "o-")}
    lines: dict[str, Any] = {
        "across": {"best variances inserted": inserted},
        "upright": [start, best],
    }
    names: dict[str, Any] = {
        "xlabel": "log σ² at the first step",
        "ylabel": "nats below the optimum",
    }
    figure = charts.curves(curves, yscale="log", **lines, **names)
    (axes,) = figure.axes
    words: dict[str, Any] = {
        "transform": axes.get_xaxis_transform(),
        "rotation": 90,
        "ha": "right",
        "va": "top",
    }
    axes.text(start, 0.58, "best at the start", **words)
    axes.text(best, 0.58, "best at the end", **words)
    return figure


def bias_by_batch(bias: Mapping[str, tuple[Any, Any, Any, Any]]) -> Figure:
    """Measured (with two standard errors) and predicted bias over the batch size, log axes.

    ``bias`` maps a title to ``(sizes, measured, standard_error, predicted)``.
    """
    names: dict[str, Any] = {"xlabel": "points in a batch", "ylabel": "bias (nats per data point)"}
    look: dict[str, Any] = {"xscale": "log", "yscale": "log", "share": ""}
    ticks = next(iter(bias.values()))[0]
    with panels(bias, xticks=ticks, **names, **look) as (figure, shown):
        for axes, (sizes, measured, error, predicted) in zip(shown, bias.values(), strict=True):
            axes.plot(sizes, predicted, label="predicted, leading order", **GREY)
            spread = 2 * np.asarray(error)
            axes.errorbar(sizes, measured, spread, fmt="o", color=COLOURS[0], label="measured")
            _plain_numbers(axes)
    return figure


def _plain_numbers(axes: Axes) -> None:
    """Write 1, 2 and 5 times powers of ten along a logarithmic vertical axis, as 0.05."""
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
