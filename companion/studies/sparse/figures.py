"""How sparse a code is: its values against the Laplace prior and against a Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["sparse_codes"]


def sparse_codes(means: Any, draws: Any, *, bins: int = 61, reach: float = 8.0) -> Figure:
    """Histograms of codes over ±``reach`` in units of the prior's scale, on a logarithmic axis.

    ``means``, the posterior means, are shown as bars, ``draws``, values drawn from q, as an
    outline; both are taken flat. Two curves: the prior, Laplace(0, 1), and the Gaussian with the
    standard deviation of ``means``. Values beyond ``reach`` count in the densities but aren't seen.

    Raises
    ------
    ValueError
        If a value isn't finite, all means are the same, or ``reach`` isn't positive.
    """
    from matplotlib import pyplot

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
    laplace = 0.5 * np.exp(-np.abs(grid))
    gaussian = np.exp(-0.5 * (grid / std) ** 2) / (std * np.sqrt(2 * np.pi))
    with style():
        figure, axes = pyplot.subplots(figsize=(7.0, 4.2))
        # On a logarithmic axis an empty bar would reach down to minus infinity: leave it out.
        axes.bar(
            edges[:-1][bars > 0],
            bars[bars > 0],
            width,
            align="edge",
            color="0.84",
            label="posterior means",
        )
        shown = np.where(outline > 0, outline, np.nan)
        axes.stairs(shown, edges, color="0.35", linewidth=1.2, label="drawn from q")
        axes.plot(grid, laplace, color=COLOURS[0], label="the prior, Laplace")
        axes.plot(grid, gaussian, "--", color=COLOURS[1], label="Gaussian as wide as the means")
        low = 0.5 / (max(map(len, flat)) * width)
        axes.set(yscale="log", ylim=(low, None), xlim=(-reach, reach))
        axes.set(xlabel="code divided by the scale of its prior", ylabel="density")
        figure.legend(loc="outside upper center", ncol=2, fontsize=9)
    return figure
