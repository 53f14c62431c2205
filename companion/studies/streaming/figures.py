"""Model selection on a stream: scores over batches, choices, and what happens after a switch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["after_switch", "choice_strips", "score_traces"]

Values = np.ndarray[Any, np.dtype[np.float64]]
_DASHES = ("-", "--", "-.", ":")


def score_traces(
    panels: Mapping[str, Mapping[str, Any]],
    *,
    switches: Sequence[int],
    truth: Sequence[int],
    ylabel: str,
    limits: tuple[float, float] | None = None,
    bins: int = 300,
) -> Figure:
    """One panel for each title, in it one line for each label: a score ``(T,)`` over the batches.

    The T batches are cut into at most ``bins`` bins; a line is the median of each bin, a band
    reaches from its lower to its upper quartile. Vertical lines stand where a segment begins, with
    its true number of latents above. ``limits`` of the vertical axis are shared by the panels.

    Raises
    ------
    ValueError
        If there are no scores, they differ in length, or ``switches`` and ``truth`` do.
    """
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    lengths = {len(values) for lines in panels.values() for values in lines.values()}
    if len(lengths) != 1:
        raise ValueError(
            f"panels must hold scores of one length, at least one: got {sorted(lengths)}"
        )
    _check_segments(switches, truth)
    length = lengths.pop()
    edges = np.unique(np.linspace(0, length, min(bins, length) + 1).astype(int))
    centres = 0.5 * (edges[:-1] + edges[1:])
    with style():
        figure, grid = pyplot.subplots(
            1, len(panels), figsize=(1 + 3.3 * len(panels), 3.8), sharey=True, squeeze=False
        )
        for axes, (title, lines) in zip(grid[0], panels.items(), strict=True):
            for index, (label, values) in enumerate(lines.items()):
                low, middle, high = _quartiles(np.asarray(values), edges)
                colour = COLOURS[index % 6]
                axes.fill_between(centres, low, high, color=colour, alpha=0.25, linewidth=0)
                axes.plot(centres, middle, _DASHES[index % 4], color=colour, label=label, lw=1.4)
            _mark_switches(axes, switches, truth, length)
            axes.set(xlabel="batch", xlim=(0, length))
            axes.xaxis.set_major_locator(MaxNLocator(3))
            axes.set_title(title, pad=20)
        if limits is not None:
            grid[0, 0].set_ylim(*limits)
        grid[0, 0].set_ylabel(ylabel)
        _legend_above(figure, grid[0, 0])
    return figure


def choice_strips(
    choices: Mapping[str, Any],
    sizes: Sequence[int],
    *,
    switches: Sequence[int],
    truth: Sequence[int],
    top: str = "true",
    bins: int = 600,
) -> Figure:
    """Which model is chosen, as colour: batches from left to right, one line of pixels per stream.

    ``choices`` maps a label to the chosen sizes ``(S, T)``, 0 where nothing is chosen; the most
    frequent choice in each of at most ``bins`` bins of batches is shown. The bar at the top,
    labelled ``top``, has the colour of the true number of latents.

    Raises
    ------
    ValueError
        If there are no choices, they differ in length, or ``switches`` and ``truth`` do.
    """
    from matplotlib import pyplot
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    lengths = {np.shape(chosen)[-1] for chosen in choices.values()}
    if len(lengths) != 1:
        raise ValueError(f"choices must be of one length, at least one: got {sorted(lengths)}")
    _check_segments(switches, truth)
    length = lengths.pop()
    known = [0, *sizes]
    edges = np.unique(np.linspace(0, length, min(bins, length) + 1).astype(int))
    right = np.repeat(truth, np.diff([*switches, length]))[None, :]
    rows = {top: right, **{label: np.asarray(chosen) for label, chosen in choices.items()}}
    colours = ["white", *COLOURS[: len(sizes)]]
    with style():
        figure, grid = pyplot.subplots(
            len(rows),
            1,
            figsize=(7.4, 0.7 + 0.75 * len(choices)),
            sharex=True,
            squeeze=False,
            height_ratios=[0.35, *[1] * len(choices)],
        )
        for axes, (label, chosen) in zip(grid[:, 0], rows.items(), strict=True):
            axes.imshow(
                _most_frequent(chosen, known, edges),
                aspect="auto",
                interpolation="nearest",
                cmap=ListedColormap(colours),
                vmin=-0.5,
                vmax=len(known) - 0.5,
                extent=(0, length, 0, 1),
            )
            axes.set_ylabel(label, rotation=0, ha="right", va="center")
            axes.set_yticks([])
            axes.grid(False)
        grid[-1, 0].set_xlabel("batch")
        handles = [
            Patch(color=colour, label=f"H = {size}")
            for size, colour in zip(sizes, colours[1:], strict=True)
        ]
        figure.legend(handles=handles, loc="outside upper center", ncol=len(sizes), fontsize=9)
    return figure


def after_switch(
    panels: Mapping[str, Mapping[str, Any]],
    *,
    ylabel: str,
    log: bool = False,
    bins: int = 24,
) -> Figure:
    """Values ``(S, t)`` of one segment against the batches since its switch, on a log axis.

    One panel for each title, one line for each label: averages over S streams and over the batches
    in each of ``bins`` logarithmic bins. The band reaches from the lowest to the highest stream.

    Raises
    ------
    ValueError
        If there are no values, or they are not ``(S, t)``.
    """
    from matplotlib import pyplot

    shapes = {np.ndim(values) for lines in panels.values() for values in lines.values()}
    if shapes != {2}:
        raise ValueError(
            f"panels must hold values of shape (S, t), at least one: got {sorted(shapes)} axes"
        )
    with style():
        figure, grid = pyplot.subplots(
            1, len(panels), figsize=(1 + 2.2 * len(panels), 3.6), sharey=True, squeeze=False
        )
        for axes, (title, lines) in zip(grid[0], panels.items(), strict=True):
            for index, (label, values) in enumerate(lines.items()):
                length = np.shape(values)[1]
                edges = np.unique(np.rint(np.geomspace(1, length + 1, bins + 1)).astype(int)) - 1
                binned = np.add.reduceat(np.asarray(values, dtype=np.float64), edges[:-1], 1)
                binned /= np.diff(edges)
                centres = np.sqrt((edges[:-1] + 1) * edges[1:])
                colour = COLOURS[index % 6]
                band = (binned.min(0), binned.max(0))
                axes.fill_between(centres, *band, color=colour, alpha=0.18, linewidth=0)
                axes.plot(
                    centres, binned.mean(0), _DASHES[index % 4], color=colour, label=label, lw=1.6
                )
            axes.set(xscale="log", xlabel="batches since the switch", title=title)
        if log:
            grid[0, 0].set_yscale("log")
        grid[0, 0].set_ylabel(ylabel)
        _legend_above(figure, grid[0, 0])
    return figure


def _check_segments(switches: Sequence[int], truth: Sequence[int]) -> None:
    if len(switches) != len(truth):
        raise ValueError(
            f"switches and truth must be equally many: got {len(switches)} and {len(truth)}"
        )


def _quartiles(values: Values, edges: np.ndarray[Any, np.dtype[np.int64]]) -> Values:
    """Lower quartile, median and upper quartile of each bin, ``(3, bins)``."""
    pieces = np.split(values, edges[1:-1])
    return np.array([np.quantile(piece, (0.25, 0.5, 0.75)) for piece in pieces]).T


def _most_frequent(
    chosen: Any, known: Sequence[int], edges: np.ndarray[Any, np.dtype[np.int64]]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Index in ``known`` of the most frequent value in each bin, ``(S, bins)``."""
    counts = np.stack([np.add.reduceat(chosen == size, edges[:-1], 1, dtype=int) for size in known])
    winners: np.ndarray[Any, np.dtype[np.int64]] = counts.argmax(0)
    return winners


def _mark_switches(axes: Axes, switches: Sequence[int], truth: Sequence[int], length: int) -> None:
    ends = [*switches[1:], length]
    for start, end, size in zip(switches, ends, truth, strict=True):
        if start:
            axes.axvline(start, color="0.3", linestyle=":", linewidth=1.2)
        axes.text(
            *(0.5 * (start + end) / length, 1.02, f"true: {size}"),
            transform=axes.transAxes,
            ha="center",
            va="bottom",
            fontsize=9,
        )


def _legend_above(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncol=len(labels), fontsize=9)
