"""A gap in its parts, by layer over learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from companion.book import charts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["gap_by_layer"]


class Trace(Protocol):
    """What :func:`gap_by_layer` needs of :class:`companion.fit.Trace`."""

    steps: tuple[int, ...]
    records: list[Any]


def gap_by_layer(trace: Trace, layers: Mapping[str, Sequence[str]]) -> Figure:
    """|Part of the gap| of every layer over the steps of learning, on a logarithmic axis.

    ``layers`` maps the name of a layer to its parameters; its part is the sum of their blocks in
    :class:`companion.Verification`.

    Raises
    ------
    ValueError
        For a parameter that has a block in none of the records.
    """
    known = {name for record in trace.records for name in record.blocks}
    unknown = [name for names in layers.values() for name in names if name not in known]
    if unknown:
        raise ValueError(f"layers must name some of the blocks {sorted(known)}: got {unknown}")
    parts = {
        layer: [sum(record.blocks.get(name, 0.0) for name in names) for record in trace.records]
        for layer, names in layers.items()
    }
    curves = {layer: (trace.steps, part) for layer, part in parts.items()}
    return charts.curves(curves, ylabel="|part of the gap| (nats per data point)", yscale="log")
