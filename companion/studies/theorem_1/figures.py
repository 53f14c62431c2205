"""The identity at many points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.panels import ROUND_OFF, draw, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["gaps_and_residuals"]


def gaps_and_residuals(points: Mapping[str, tuple[Any, Any]], tolerance: float) -> Figure:
    """Relative residual of the identity over the size of the gap, with a panel for each model.

    ``points`` maps a name to gaps and relative residuals, ``(K,)`` each; both axes are logarithmic,
    so that the two of them, some sixteen powers of ten apart, are seen together.
    """
    with panels(
        points,
        columns=2,
        size=(8.2, 4.6),
        xlabel="|ELBO − entropy sum| (nats)",
        ylabel="relative residual",
        across=[tolerance],
        xscale="log",
        yscale="log",
        ylim=(ROUND_OFF / 3, 10 * tolerance),
    ) as (figure, shown):
        for axes, (gaps, residuals) in zip(shown, points.values(), strict=True):
            gap, residual = np.asarray(gaps), np.asarray(residuals)
            signs = {"gap above zero": gap > 0, "gap below zero": gap <= 0}
            dots: dict[str, Any] = {"markersize": 4, "alpha": 0.6}
            some = {k: chosen for k, chosen in signs.items() if chosen.any()}
            lines = {k: (abs(gap[s]), residual[s], "points", dots) for k, s in some.items()}
            draw(axes, lines, list(signs))
    return figure
