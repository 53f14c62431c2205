"""Training with best variances inserted: steps by learning rate, spectra, starts, batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "bias_by_batch",
    "distance_by_start",
    "runaway",
    "spectra",
    "steps_by_rate",
]

_MARKERS = "osD^v"


def steps_by_rate(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
) -> Figure:
    """Steps needed over the learning rate on two log axes; a panel for each title.

    ``panels`` maps a title to curves, ``{label: (rates, steps)}``. Runs that never came close
    enough have infinitely many steps and are left out.
    """
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, NullLocator

    with style():
        figure, grid = pyplot.subplots(
            1, len(panels), figsize=(8.2, 3.6), sharey=True, squeeze=False
        )
        for axes, (title, curves) in zip(grid.flat, panels.items(), strict=True):
            axes.set(xscale="log", yscale="log", xlabel="learning rate", title=title)
            for number, (label, (rates, steps)) in enumerate(curves.items()):
                values = np.asarray(steps, dtype=np.float64)
                axes.plot(
                    *(rates, np.where(np.isfinite(values), values, np.nan)),
                    "-" + _MARKERS[number % len(_MARKERS)],
                    color=COLOURS[number % len(COLOURS)],
                    label=label,
                )
            used = sorted({rate for rates, _ in curves.values() for rate in rates})
            axes.xaxis.set_major_locator(FixedLocator(used))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticklabels([f"{rate:g}" for rate in used])
            axes.set_xlim(used[0] / 1.5, used[-1] * 1.5)
            _plain_numbers(axes)
        grid[0, 0].set_ylabel("steps")
        handles = grid[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=min(4, len(handles[1])))
    return figure


def spectra(panels: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Eigenvalues in falling order on a log axis; a panel for each title, a curve for each label.

    Values below 1e-9 of the largest, those of flat directions, are left out.
    """
    from matplotlib import pyplot

    with style():
        figure, grid = pyplot.subplots(1, len(panels), figsize=(8.2, 3.6), squeeze=False)
        for axes, (title, curves) in zip(grid.flat, panels.items(), strict=True):
            for number, (label, values) in enumerate(curves.items()):
                falling = np.sort(np.asarray(values, dtype=np.float64))[::-1]
                falling = falling[falling > 1e-9 * falling[0]]
                axes.plot(
                    *(np.arange(1, len(falling) + 1), falling, _MARKERS[number]),
                    color=COLOURS[number],
                    markersize=8 if number == 0 else 4,
                    markerfacecolor="none" if number == 0 else COLOURS[number],
                    label=label,
                )
            axes.set(yscale="log", xlabel="eigenvalue number", title=title)
        grid[0, 0].set_ylabel("curvature (nats)")
        handles = grid[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=len(handles[1]))
    return figure


def distance_by_start(
    log_variances: Any, distances: Any, inserted: float, *, start: float, best: float
) -> Figure:
    """Distance to the optimum over the starting value of log σ²; best variances inserted: a line.

    Dotted verticals mark the best value at the ``start`` of training and at its end (``best``).
    """
    from matplotlib import pyplot

    with style():
        figure, axes = pyplot.subplots()
        axes.semilogy(log_variances, distances, "o-", label="variances learned")
        axes.axhline(inserted, color=COLOURS[1], linestyle="--", label="best variances inserted")
        for place, words in ((start, "best at the start"), (best, "best at the end")):
            axes.axvline(place, color="0.5", linewidth=1, linestyle=":")
            axes.annotate(
                words,
                (place, 0.58),
                xycoords=("data", "axes fraction"),
                rotation=90,
                va="top",
                ha="right",
                color="0.35",
                fontsize=9,
            )
        axes.set(xlabel="log σ² at the first step", ylabel="nats below the optimum")
        axes.legend(loc="center left", bbox_to_anchor=(0.3, 0.75))
    return figure


def runaway(steps: Any, elbos: Any, sums: Any, *, best: float, depth: float = 60.0) -> Figure:
    """Entropy sum and ELBO while the sum is maximised, and the best log-likelihood.

    The axis ends ``depth`` nats below ``best``, where the ELBO leaves it.
    """
    from matplotlib import pyplot

    with style():
        figure, axes = pyplot.subplots()
        axes.plot(steps, sums, label="entropy sum")
        axes.plot(steps, elbos, "--", label="ELBO")
        axes.axhline(best, color="0.4", linewidth=1, linestyle=":", label="largest log-likelihood")
        axes.set_ylim(best - depth, max(np.max(sums), best) + 0.1 * depth)
        axes.set(xlabel="step", ylabel="nats per data point")
        axes.legend()
    return figure


def bias_by_batch(panels: Mapping[str, tuple[Any, Any, Any, Any]]) -> Figure:
    """Measured (with two standard errors) and predicted bias over the batch size, log axes.

    ``panels`` maps a title to ``(sizes, measured, standard_error, predicted)``.
    """
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, NullLocator

    with style():
        figure, grid = pyplot.subplots(1, len(panels), figsize=(8.2, 3.6), squeeze=False)
        for axes, (title, columns) in zip(grid.flat, panels.items(), strict=True):
            sizes, measured, error, predicted = (np.asarray(c, dtype=np.float64) for c in columns)
            axes.set(xscale="log", yscale="log", xlabel="points in a batch", title=title)
            axes.plot(sizes, predicted, color="0.5", label="predicted, leading order")
            axes.errorbar(
                *(sizes, measured, 2 * error), fmt="o", color=COLOURS[0], label="measured"
            )
            axes.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticklabels([f"{size:g}" for size in sizes])
            _plain_numbers(axes)
        grid[0, 0].set_ylabel("bias (nats per data point)")
        handles = grid[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=2)
    return figure


def _plain_numbers(axes: Axes) -> None:
    """Write 1, 2 and 5 times powers of ten along a logarithmic vertical axis, as 0.05."""
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
