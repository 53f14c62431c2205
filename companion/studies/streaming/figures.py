"""Model selection on a stream: scores over batches, choices, and what happens after a switch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS
from companion.book.panels import draw, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["after_switch", "choice_strips", "score_traces"]

Values = np.ndarray[Any, np.dtype[np.float64]]
Edges = np.ndarray[Any, np.dtype[np.int64]]


def score_traces(
    scores: Mapping[str, Mapping[str, Any]],
    *,
    switches: Sequence[int],
    truth: Sequence[int],
    ylabel: str,
    limits: tuple[float, float] | None = None,
    bins: int = 300,
) -> Figure:
    """One panel for each title, in it one line for each label: a score ``(T,)`` over the batches.

    The T batches are cut into bins; a line is the median of each bin, a band reaches from its lower
    to its upper quartile.

    Parameters
    ----------
    scores
        ``{title: {label: score}}``.
    switches, truth
        Where a segment begins, marked by a vertical line, and its true number of latents.
    ylabel, limits
        Name and ends of the vertical axis.
    bins
        How many bins at most.

    Raises
    ------
    ValueError
        If there are no scores, they differ in length, or ``switches`` and ``truth`` do.
    """
    from matplotlib.ticker import MaxNLocator

    lengths = {len(values) for lines in scores.values() for values in lines.values()}
    length = _one_length("scores", lengths, switches, truth)
    edges = _edges(length, bins)
    centres = 0.5 * (edges[:-1] + edges[1:])
    look: dict[str, Any] = {
        "xlim": (0, length),
        "ylim": limits,
        "size": (1 + 3.3 * len(scores), 3.8),
    }
    with panels(scores, xlabel="batch", ylabel=ylabel, **look) as (figure, shown):
        for axes, lines in zip(shown, scores.values(), strict=True):
            for (label, values), colour in zip(lines.items(), COLOURS, strict=False):
                pieces = np.split(np.asarray(values), edges[1:-1])
                low, middle, high = np.transpose(
                    [np.quantile(piece, (0.25, 0.5, 0.75)) for piece in pieces]
                )
                axes.fill_between(centres, low, high, color=colour, alpha=0.25, linewidth=0)
                draw(axes, {label: (centres, middle)}, list(lines))
            _mark_switches(axes, switches, truth, length)
            axes.xaxis.set_major_locator(MaxNLocator(3))
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

    The most frequent choice in each bin of batches is shown. The bar at the top has the colour of
    the true number of latents.

    Parameters
    ----------
    choices
        The chosen sizes by label, ``(S, T)``, 0 where nothing is chosen.
    sizes
        The sizes to choose from.
    switches, truth
        Where a segment begins, and its true number of latents.
    top
        Label of the bar at the top.
    bins
        How many bins at most.

    Raises
    ------
    ValueError
        If there are no choices, they differ in length, or ``switches`` and ``truth`` do.
    """
    from matplotlib.colors import ListedColormap

    lengths = {np.shape(chosen)[-1] for chosen in choices.values()}
    length = _one_length("choices", lengths, switches, truth)
    known, edges = [0, *sizes], _edges(length, bins)
    right = np.repeat(truth, np.diff([*switches, length]))[None, :]
    rows = {top: right, **{label: np.asarray(chosen) for label, chosen in choices.items()}}
    colours = ["white", *COLOURS[: len(sizes)]]
    look: dict[str, Any] = {"cmap": ListedColormap(colours), "vmin": -0.5, "vmax": len(known) - 0.5}
    heights: dict[str, Any] = {"height_ratios": [0.35, *[1] * len(choices)]}
    size = (7.4, 0.7 + 0.75 * len(choices))
    with panels([""] * len(rows), columns=1, xlabel="batch", size=size, grid=heights) as (
        figure,
        shown,
    ):
        for axes, (label, chosen) in zip(shown, rows.items(), strict=True):
            extent = (0, length, 0, 1)
            strip = _most_frequent(chosen, known, edges)
            axes.imshow(strip, aspect="auto", interpolation="nearest", extent=extent, **look)
            axes.set_ylabel(label, rotation=0, ha="right", va="center")
            axes.set_yticks([])
            axes.grid(False)
        for number, colour in zip(sizes, colours[1:], strict=True):
            shown[0].fill_between([], [], color=colour, label=f"H = {number}")
    return figure


def after_switch(values: Mapping[str, Mapping[str, Any]], *, ylabel: str, bins: int = 24) -> Figure:
    """Values ``(S, t)`` of one segment against the batches since its switch, on two log axes.

    One panel for each title, one line for each label: averages over S streams and over the batches
    in each of ``bins`` logarithmic bins. The band reaches from the lowest to the highest stream.

    Raises
    ------
    ValueError
        If there are no values, or they are not ``(S, t)``.
    """
    found = sorted({np.ndim(each) for lines in values.values() for each in lines.values()})
    if found != [2]:
        raise ValueError(f"values must have shape (S, t), at least one: got {found} axes")
    look: dict[str, Any] = {"xscale": "log", "yscale": "log", "size": (1 + 2.2 * len(values), 3.6)}
    with panels(values, xlabel="batches since the switch", ylabel=ylabel, **look) as (
        figure,
        shown,
    ):
        for axes, lines in zip(shown, values.values(), strict=True):
            for (label, each), colour in zip(lines.items(), COLOURS, strict=False):
                ends = np.geomspace(1, np.shape(each)[1] + 1, bins + 1)
                edges = np.unique(np.rint(ends).astype(int)) - 1
                binned = np.add.reduceat(np.asarray(each), edges[:-1], 1) / np.diff(edges)
                centres = np.sqrt((edges[:-1] + 1) * edges[1:])
                band = (binned.min(0), binned.max(0))
                axes.fill_between(centres, *band, color=colour, alpha=0.18, linewidth=0)
                draw(axes, {label: (centres, binned.mean(0))}, list(lines))
    return figure


def _one_length(name: str, lengths: set[int], switches: Sequence[int], truth: Sequence[int]) -> int:
    if len(lengths) != 1:
        raise ValueError(f"{name} must be of one length, at least one: got {sorted(lengths)}")
    if len(switches) != len(truth):
        raise ValueError(
            f"switches and truth must be equally many: got {len(switches)} and {len(truth)}"
        )
    return lengths.pop()


def _edges(length: int, bins: int) -> Edges:
    return np.unique(np.linspace(0, length, min(bins, length) + 1).astype(int))


def _most_frequent(chosen: Any, known: Sequence[int], edges: Edges) -> Edges:
    """Index in ``known`` of the most frequent value in each bin, ``(S, bins)``."""
    counts = np.stack([np.add.reduceat(chosen == size, edges[:-1], 1, dtype=int) for size in known])
    winners: Edges = counts.argmax(0)
    return winners


def _mark_switches(axes: Axes, switches: Sequence[int], truth: Sequence[int], length: int) -> None:
    axes.set_title(axes.get_title(), pad=20)
    ends = [*switches[1:], length]
    for start, end, size in zip(switches, ends, truth, strict=True):
        if start:
            axes.axvline(start, color="0.3", linestyle=":", linewidth=1.2)
        place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "fontsize": 9}
        axes.text(0.5 * (start + end) / length, 1.02, f"true: {size}", **place)
