"""A gap in its parts: by measured dimension, and by layer over learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from companion.book.charts import ROUND_OFF
from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["gap_by_dimension", "gap_by_layer"]


class Trace(Protocol):
    """What :func:`gap_by_layer` needs of :class:`companion.fit.Trace`."""

    steps: tuple[int, ...]
    records: list[Any]


def gap_by_dimension(names: Sequence[str], parts: Mapping[str, Any]) -> Figure:
    """The part of every dimension in the gap, ``(D,)`` for each point by name, in nats.

    To the left of zero the noise of a dimension is too small (too cold), to the right too large.

    Raises
    ------
    ValueError
        If there are no points, or a point has another number of parts than there are names.
    """
    from matplotlib import pyplot

    values = {point: np.asarray(part, dtype=np.float64) for point, part in parts.items()}
    if not values or any(part.shape != (len(names),) for part in values.values()):
        shapes = [part.shape for part in values.values()]
        raise ValueError(f"parts must be one for each of {len(names)} dimensions: got {shapes}")
    rows = np.arange(len(names))[::-1].astype(np.float64)
    height = 0.8 / len(values)
    with style():
        figure, axes = pyplot.subplots(figsize=(7.0, 0.36 * len(names) + 1.0))
        for number, (point, part) in enumerate(values.items()):
            shift = 0.4 - height * (number + 0.5)
            axes.barh(rows + shift, part, height, color=COLOURS[number % 7], label=point)
        axes.axvline(0, color="0.3", linewidth=0.8)
        largest = 1.1 * max(np.abs(part).max() for part in values.values())
        axes.set_xlim(-largest, largest)
        axes.set_yticks(rows, list(names))
        axes.grid(axis="y", visible=False)
        axes.set_axisbelow(True)
        axes.set(xlabel="part of the gap (nats per data point)")
        place: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 10}
        axes.text(0.0, 1.02, "← noise too cold", ha="left", **place)
        axes.text(1.0, 1.02, "noise too warm →", ha="right", **place)
        if len(values) > 1:
            axes.legend(loc="lower right", fontsize=9)
    return figure


def gap_by_layer(trace: Trace, layers: Mapping[str, Sequence[str]], *, skip: int = 0) -> Figure:
    """|Part of the gap| of every layer over the steps of learning, on a logarithmic axis.

    ``layers`` maps the name of a layer to its parameters; its part is the sum of their blocks in
    :class:`companion.Verification`. ``skip`` leaves out that many logged steps at the start.

    Raises
    ------
    ValueError
        For a parameter that has a block in none of the records.
    """
    from matplotlib import pyplot

    records, steps = trace.records[skip:], trace.steps[skip:]
    known = {name for record in records for name in record.blocks}
    unknown = [name for names in layers.values() for name in names if name not in known]
    if unknown:
        raise ValueError(f"layers must name some of the blocks {sorted(known)}: got {unknown}")
    dashes = ("-", "--", "-.", ":")
    with style():
        figure, axes = pyplot.subplots()
        for number, (layer, names) in enumerate(layers.items()):
            part = [sum(record.blocks.get(name, 0.0) for name in names) for record in records]
            shown = np.maximum(np.abs(part), ROUND_OFF)
            look = dashes[number % 4]
            axes.plot(steps, shown, look, color=COLOURS[number % 7], label=layer)
        axes.set_yscale("log")
        axes.set(xlabel="step", ylabel="|part of the gap| (nats per data point)")
        axes.legend()
    return figure
