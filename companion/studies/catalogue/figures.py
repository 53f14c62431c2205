"""One line for each model: small and large residuals on one logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["residual_lines"]

#: Smaller residuals, zero among them, are drawn here.
_SMALLEST = 1e-17


def residual_lines(
    right: Mapping[str, Sequence[float]], wrong: Mapping[str, Sequence[float]], bound: float
) -> Figure:
    """Dots for the residuals of each name: with the ``right`` direction v and with a ``wrong`` one.

    Both map the same names to one or more relative residuals; ``bound`` is drawn between them.
    Names are written from top to bottom in the order given.
    """
    from matplotlib import pyplot

    names = list(right)
    series = ((right, "o", COLOURS[0], "v"), (wrong, "D", COLOURS[1], "v, one sign wrong"))
    with style():
        figure, axes = pyplot.subplots(figsize=(6.8, 0.19 * len(names) + 1.2))
        for values, marker, colour, label in series:
            pairs = [
                (max(value, _SMALLEST), n) for n, name in enumerate(names) for value in values[name]
            ]
            x, y = np.array(pairs).T
            axes.plot(x, y, marker, color=colour, markersize=4, alpha=0.8, label=label)
        axes.axvline(bound, color="0.3", linestyle="--", linewidth=1, label=f"bound {bound:.0e}")
        axes.set_xscale("log")
        axes.set_xlim(_SMALLEST / 2, None)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("relative residual of the identity")
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3, fontsize=9)
    return figure
