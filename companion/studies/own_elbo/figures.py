"""Residuals of the identity for several versions of one program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["residuals_by_case"]

_SMALLEST = 1e-17


def residuals_by_case(
    residuals: Mapping[str, float], predicted: Mapping[str, float], tolerance: float
) -> Figure:
    """A line for each case from round-off to its residual, on a logarithmic axis.

    ``predicted`` gives the residual that theory expects, for the cases for which it does; a dashed
    line stands at ``tolerance``. Values below 1e-17 are drawn there.
    """
    from matplotlib import pyplot

    names = list(residuals)
    rows = np.arange(len(names))[::-1].astype(np.float64)
    values = np.maximum(np.array([abs(residuals[name]) for name in names]), _SMALLEST)
    with style():
        figure, axes = pyplot.subplots(figsize=(7.4, 0.42 * len(names) + 1.5))
        colours = [COLOURS[2] if value <= tolerance else COLOURS[1] for value in values]
        axes.hlines(rows, _SMALLEST, values, color=colours, linewidth=3)
        axes.scatter(values, rows, color=colours, zorder=3, label="measured")
        known = [row for row, name in zip(rows, names, strict=True) if name in predicted]
        expected = [abs(predicted[name]) for name in names if name in predicted]
        axes.plot(expected, known, "o", ms=11, mfc="none", color="black", label="predicted")
        axes.axvline(tolerance, color="0.4", linestyle="--", linewidth=1, label="tolerance")
        axes.set(xscale="log", xlabel="residual of the identity (nats)", xlim=(_SMALLEST, 1e3))
        axes.set_yticks(rows, names)
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside upper center", ncol=3, fontsize=9)
    return figure
