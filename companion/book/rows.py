"""Figures with a row for each name: dots for values, bars for parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS
from companion.book.panels import MARKERS, ROUND_OFF, both_signs, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RING", "bars", "dots", "draw_rows"]

#: The look of a prediction: what is measured shows inside.
RING: dict[str, Any] = {"marker": "o", "markersize": 10, "markerfacecolor": "none", "color": "0.3"}


def draw_rows(
    axes: Axes,
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    looks: Mapping[str, Mapping[str, Any]] | None = None,
    stems: bool = False,
) -> None:
    """A row for each name and in it a dot for each value: what :func:`dots` draws in its panel.

    On a logarithmic axis |value| is drawn, and no lower than ``ROUND_OFF``.

    Parameters
    ----------
    axes
        The panel.
    rows, looks, stems
        As in :func:`dots`.
    """
    names, series = zip(*rows, strict=True)
    for number, label in enumerate(dict.fromkeys(label for row in series for label in row)):
        dots = [(v, i) for i, row in enumerate(series) for v in np.atleast_1d(row.get(label, []))]
        values, places = np.array(dots).T
        if axes.get_xscale() == "log":
            values = np.maximum(np.abs(values), ROUND_OFF)
        look = {"marker": MARKERS[number], "color": COLOURS[number], **(looks or {}).get(label, {})}
        if stems:
            axes.hlines(places, ROUND_OFF, values, color=look["color"], alpha=0.35)
        axes.plot(values, places, linestyle="", label=label, **look)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    for tick, row in zip(axes.get_yticklabels(), series, strict=False):
        tick.set_fontweight("normal" if row else "bold")


def dots(
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    xlabel: str,
    upright: Mapping[str, float] | Sequence[float] = (),
    looks: Mapping[str, Mapping[str, Any]] | None = None,
    stems: bool = False,
    linear_below: float | None = None,
) -> Figure:
    """A row for each name and in it a dot for each value, on a logarithmic axis.

    Parameters
    ----------
    rows
        From the top, ``(name, {label: value or values})``; one without values is a heading.
    xlabel
        Name of the axis.
    upright
        Places of dashed lines, if need be by label.
    looks
        Properties of the dots with a label, such as ``RING``.
    stems
        Whether a line goes from the left to each dot.
    linear_below
        If given, the axis is logarithmic on both sides of the numbers up to it.

    >>> figure = dots([("right", {"residual": 1e-15}), ("wrong", {"residual": 0.1})], xlabel="")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['right', 'wrong']
    """
    size = (7.4, 0.24 * len(rows) + 1.5)
    names: dict[str, Any] = {"xlabel": xlabel, "ylabel": "", "legend": "outside lower center"}
    scale = "linear" if linear_below else "log"
    with panels(xscale=scale, upright=upright, size=size, **names) as (figure, (axes,)):
        draw_rows(axes, rows, looks, stems)
        if linear_below:
            both_signs(axes, "x", linear_below)
    return figure


def bars(
    parts: Mapping[str, Mapping[str, float]], *, xlabel: str, linear_below: float | None = None
) -> Figure:
    """A thermometer: horizontal bars, ``{label: {name: part}}``, a row for each name.

    ``linear_below`` makes the axis logarithmic on both sides of the numbers up to it.
    """
    names = list(dict.fromkeys(name for part in parts.values() for name in part))
    height, rows = 0.8 / len(parts), np.arange(len(names))
    size = (7.4, 0.36 * len(names) * len(parts) ** 0.5 + 1.6)
    legend = "outside lower center" if len(parts) > 1 else ""
    with panels(xlabel=xlabel, ylabel="", size=size, legend=legend) as (figure, (axes,)):
        for number, (label, part) in enumerate(parts.items()):
            places = rows - 0.4 + height * (number + 0.5)
            values = [float(part.get(name, 0.0)) for name in names]
            axes.barh(places, values, height, color=COLOURS[number % 7], label=label)
        axes.axvline(0, color="0.3", linewidth=0.8)
        if linear_below:
            both_signs(axes, "x", linear_below, 4)
        axes.set_yticks(rows, names)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        words: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "ha": "center"}
        axes.text(0, 1.02, "← too cold      too warm →", **words)
    return figure
