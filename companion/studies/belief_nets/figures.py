"""The three entropies as parts of one code length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from companion.book.display import COLOURS
from companion.book.panels import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["code_length"]


def code_length(entropies: Mapping[str, tuple[float, float, float]], *, unit: str) -> Figure:
    """Prior and observable entropy laid end to end, and the posterior entropy taken back, per row.

    ``entropies`` maps a label to the entropies (posterior, prior, observable). The black mark is
    what remains: minus the entropy sum.
    """
    posterior, prior, observable = np.array(list(entropies.values())).T
    rows, forth = np.arange(len(entropies)), observable + prior
    size = (7.0, 0.75 * len(entropies) + 1.5)
    with panels(xlabel=unit, ylabel="", size=size, legend="outside lower center") as (
        figure,
        (axes,),
    ):
        axes.barh(rows, observable, 0.36, color=COLOURS[5], label="observable entropy")
        axes.barh(rows, prior, 0.36, observable, color=COLOURS[4], label="+ prior entropy")
        axes.barh(
            rows + 0.36, -posterior, 0.3, forth, color=COLOURS[2], label="− posterior entropy"
        )
        length = forth - posterior
        axes.vlines(length, rows - 0.22, rows + 0.55, color="black", label="= code length")
        for row, value in enumerate(length):
            axes.text(value, row + 0.36, f"{value:.2f}  ", va="center", ha="right", fontsize=10)
        axes.set_yticks(rows + 0.1, list(entropies))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
    return figure
