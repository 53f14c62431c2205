"""How sparse a code is: its values against the Laplace prior and against a Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS
from companion.book.panels import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["sparse_codes"]


def sparse_codes(means: Any, draws: Any, *, bins: int = 61, reach: float = 8.0) -> Figure:
    """Histograms of codes in units of the prior's scale, on a logarithmic axis, and two curves.

    The curves are the prior, Laplace(0, 1), and the Gaussian with the standard deviation of the
    posterior means.

    Parameters
    ----------
    means
        Posterior means of any shape, shown as bars.
    draws
        Values drawn from q, of any shape, shown as an outline.
    bins
        Number of bars.
    reach
        Where the axis ends; values beyond count in the densities but aren't seen.

    Raises
    ------
    ValueError
        If a value isn't finite, all means are the same, or ``reach`` isn't positive.
    """
    flat = [np.asarray(values, dtype=np.float64).reshape(-1) for values in (means, draws)]
    for name, values in zip(("means", "draws"), flat, strict=True):
        if not len(values) or not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite numbers, at least one")
    std = flat[0].std()
    if not std > 0:
        raise ValueError("means must differ from each other: got one value throughout")
    if not 0 < reach < np.inf:
        raise ValueError(f"reach must be positive: got {reach}")
    edges, grid = np.linspace(-reach, reach, bins + 1), np.linspace(-reach, reach, 801)
    width = edges[1] - edges[0]
    bars, outline = (np.histogram(v, edges)[0] / (len(v) * width) for v in flat)
    # On a logarithmic axis an empty bar would reach down to minus infinity: leave it out.
    filled = bars > 0
    left, heights = edges[:-1][filled], bars[filled]
    laplace = 0.5 * np.exp(-np.abs(grid))
    gaussian = np.exp(-0.5 * (grid / std) ** 2) / (std * np.sqrt(2 * np.pi))
    names: dict[str, Any] = {
        "xlabel": "code divided by the scale of its prior",
        "ylabel": "density",
    }
    size = (7.0, 4.2)
    with panels(yscale="log", size=size, legend="outside lower center", **names) as (
        figure,
        (axes,),
    ):
        axes.bar(left, heights, width, align="edge", color="0.84", label="posterior means")
        outline = np.where(outline > 0, outline, np.nan)
        axes.stairs(outline, edges, color="0.35", linewidth=1.2, label="drawn from q")
        axes.plot(grid, laplace, color=COLOURS[0], label="the prior, Laplace")
        axes.plot(grid, gaussian, "--", color=COLOURS[1], label="Gaussian as wide as the means")
        axes.set(xlim=(-reach, reach), ylim=(0.5 / (max(map(len, flat)) * width), None))
    return figure
