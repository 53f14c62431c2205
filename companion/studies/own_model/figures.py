"""How often each count occurs, under the probabilities of several models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["count_frequencies"]

_DASHES = ("-", "--", "-.", ":")


def count_frequencies(counts: Any, k: Any, probabilities: Mapping[str, Any]) -> Figure:
    """Relative frequency of every positive count in ``counts`` ``(N,)``, both axes logarithmic.

    Dots are data; ``probabilities`` maps a name to the probabilities ``(K,)`` of the counts ``k``
    ``(K,)``, drawn as lines. The vertical axis ends at half of the frequency of a single datum.

    Raises
    ------
    ValueError
        If a count is below 1, which a logarithmic axis does not show.
    """
    from matplotlib import pyplot

    values, times = np.unique(np.asarray(counts), return_counts=True)
    if values[0] < 1:
        raise ValueError(f"counts must be at least 1: found {values[0]:g}")
    with style():
        figure, axes = pyplot.subplots(figsize=(6.4, 4.0))
        axes.plot(values, times / times.sum(), "o", color="0.55", markersize=4, label="data")
        for number, (name, curve) in enumerate(probabilities.items()):
            dashes, colour = _DASHES[number % 4], COLOURS[number % 7]
            axes.plot(np.asarray(k), np.asarray(curve), dashes, color=colour, label=name)
        axes.set(xscale="log", yscale="log", ylim=(0.5 / times.sum(), 1.0))
        axes.set(xlabel="count", ylabel="relative frequency")
        axes.legend()
    return figure
