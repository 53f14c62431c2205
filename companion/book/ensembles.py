"""Many seeds in one picture: the median over the seeds and how far they spread around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from companion.book.charts import ROUND_OFF
from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BANDS",
    "entropies_over_seeds",
    "gap_against_gradient",
    "over_seeds",
    "panels_over_seeds",
]

#: What the figures of this module draw, for captions.
BANDS = (
    "Lines are medians over the seeds, dark bands reach from the lower to the upper quartile, "
    "light bands from the smallest to the largest value."
)

_BOUND = {"ELBO": ("elbo", 1), "entropy sum": ("entropy_sum", 1)}
_TERMS = {
    "average entropy of q": ("posterior_entropy", 1),
    "− entropy of the prior": ("prior_entropy", -1),
    "− entropy of the observables": ("observable_entropy", -1),
}
_DASHES = ("-", "--", "-.", ":")
#: How many characters of labels stand side by side in a legend below the panels.
_LEGEND_WIDTH = 105


class Runs(Protocol):
    """What the figures need of :class:`companion.training.Ensemble`."""

    @property
    def steps(self) -> Sequence[int]: ...

    def column(self, name: str) -> Any: ...


def over_seeds(
    steps: Sequence[int],
    curves: Mapping[str, Any],
    *,
    ylabel: str,
    log: bool = False,
    title: str = "",
) -> Figure:
    """Median (line), quartiles (dark band) and extremes (light band) over seeds, for each curve.

    ``curves`` maps a label to values ``(S, T)``: one row for each of S seeds, one column for each
    of the T ``steps``, such as ``runs.column("elbo")``. ``log`` draws |values| on a logarithmic
    axis. ``BANDS`` is the sentence for the caption.

    Raises
    ------
    ValueError
        If there are no curves, or one has another shape than ``(S, T)`` or is not finite.
    """
    panel = {title: (steps, curves)}
    return panels_over_seeds(panel, ylabel=ylabel, log=log, size=(7.0, 3.8))


def panels_over_seeds(
    panels: Mapping[str, tuple[Sequence[int], Mapping[str, Any]]],
    *,
    ylabel: str,
    log: bool = False,
    columns: int = 2,
    share_steps: bool = True,
    size: tuple[float, float] | None = None,
) -> Figure:
    """Like :func:`over_seeds`, one panel for each title, all with the same vertical axis.

    ``panels`` maps a title to the ``(steps, curves)`` of :func:`over_seeds`; a label has the same
    colour in all panels. ``share_steps=False`` gives every panel a horizontal axis of its own.

    Raises
    ------
    ValueError
        As :func:`over_seeds`.
    """
    from matplotlib import pyplot

    labels = list(dict.fromkeys(label for _, curves in panels.values() for label in curves))
    if not labels:
        raise ValueError("curves must hold at least one label and its values: got none")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    with style():
        figure, grid = pyplot.subplots(
            rows,
            columns,
            figsize=size or (8.2, 2.5 * rows + 0.7),
            squeeze=False,
            sharex=share_steps,
            sharey=True,
        )
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, (steps, curves)) in zip(grid.flat, panels.items(), strict=False):
            for label, values in curves.items():
                _bands(axes, steps, _checked(label, values, len(steps)), label, labels, log)
            axes.set_title(title, fontsize=11)
        for axes in grid.flat[max(len(panels) - columns, 0) : len(panels)]:
            axes.set_xlabel("step")
            axes.tick_params(labelbottom=True)
        for axes in grid[:, 0]:
            axes.set_ylabel(ylabel)
        if log:
            grid.flat[0].set_yscale("log")
        _legend(figure, grid, labels)
    return figure


def entropies_over_seeds(
    runs: Mapping[str, Runs], *, also: Mapping[str, Any] | None = None, skip: int = 1
) -> Figure:
    """ELBO and entropy sum above, its three terms below: a column of panels for each name.

    The terms have the sign with which they enter the sum. ``also`` maps labels to further values
    ``(S, T)`` for the first panel; ``skip`` leaves out that many logged steps at the start, where
    the values may be far away. A single name has its two panels side by side.

    Raises
    ------
    ValueError
        As :func:`over_seeds`.
    """
    panels = {}
    for what, lines in (("the bound", _BOUND), ("its three entropies", _TERMS)):
        for number, (name, run) in enumerate(runs.items()):
            curves = {k: sign * run.column(column) for k, (column, sign) in lines.items()}
            if lines is _BOUND and number == 0:
                curves = {**(also or {}), **curves}
            shown = {k: np.asarray(v)[:, skip:] for k, v in curves.items()}
            panels[f"{name}: {what}" if name else what] = (run.steps[skip:], shown)
    return panels_over_seeds(panels, ylabel="nats per data point", columns=max(2, len(runs)))


def gap_against_gradient(
    points: Mapping[str, tuple[Any, Any]], floors: Mapping[str, float] | None = None
) -> Figure:
    """|gap| over the norm of the gradient, a point for each seed and logged step, by label.

    ``points`` maps a label to gradient norms and gaps of one shape, such as ``(S, T)``; ``floors``
    maps a label to a height at which a dashed line stands, in the label's colour.

    Raises
    ------
    ValueError
        If norms and gaps have different shapes, or a floor has a label that no points have.
    """
    from matplotlib import pyplot

    floors = floors or {}
    if unknown := set(floors) - set(points):
        raise ValueError(f"floors must have labels of points: got {sorted(unknown)}")
    with style():
        figure, axes = pyplot.subplots(figsize=(7.0, 4.2))
        for number, (label, pair) in enumerate(points.items()):
            norms, gaps = (np.asarray(values, dtype=np.float64) for values in pair)
            if norms.shape != gaps.shape:
                raise ValueError(
                    f"points[{label!r}] must hold two arrays of one shape: got {norms.shape} and "
                    f"{gaps.shape}"
                )
            colour, marker = COLOURS[number % len(COLOURS)], "osD^v"[number % 5]
            heights = np.maximum(np.abs(gaps.ravel()), ROUND_OFF)
            axes.scatter(
                *(norms.ravel(), heights),
                color=colour,
                marker=marker,
                s=9,
                alpha=0.35,
                linewidths=0,
                label=label,
                rasterized=True,
            )
            if label in floors:
                axes.axhline(max(abs(floors[label]), ROUND_OFF), color=colour, ls="--", lw=1.2)
        axes.set(xscale="log", yscale="log")
        axes.set(xlabel="norm of the gradient", ylabel="|ELBO − entropy sum| (nats)")
        for handle in axes.legend(markerscale=2).legend_handles:
            if handle is not None:
                handle.set_alpha(1)
    return figure


def _checked(label: str, values: Any, steps: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != steps or not len(array):
        raise ValueError(
            f"curves[{label!r}] must have shape (S, {steps}), one row for each seed and one column "
            f"for each step: got {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"curves[{label!r}] must be finite: found NaN or infinity")
    return array


def _bands(
    axes: Axes, steps: Sequence[int], values: Any, label: str, labels: list[str], log: bool
) -> None:
    number = labels.index(label)
    colour, dashes = COLOURS[number % len(COLOURS)], _DASHES[number % len(_DASHES)]
    if log:
        values = np.maximum(np.abs(values), ROUND_OFF)
    low, lower, median, upper, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1), axis=0)
    axes.fill_between(steps, low, high, color=colour, alpha=0.15, lw=0)
    axes.fill_between(steps, lower, upper, color=colour, alpha=0.3, lw=0)
    axes.plot(steps, median, dashes, color=colour, label=label)


def _legend(figure: Figure, grid: Any, labels: list[str]) -> None:
    """One legend for all panels: inside the only one, below many; none for one curve in one."""
    if grid.size == 1:
        if len(labels) > 1:
            grid.flat[0].legend()
        return
    handles = {
        line.get_label(): line
        for axes in grid.flat
        for line in axes.lines
        if line.get_label() in labels
    }
    figure.legend(
        [handles[label] for label in labels],
        labels,
        loc="outside lower center",
        ncols=max(1, min(len(labels), _LEGEND_WIDTH // (max(map(len, labels)) + 6))),
    )
