"""A VAE's decoder over one latent, and gaps below their certificates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.charts import Run
from companion.book.display import COLOURS
from companion.book.panels import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["certificates", "latent_curve"]


def latent_curve(
    latents: Any, data: Any, grid: Any, mean: Any, std: Any, names: Sequence[str]
) -> Figure:
    """Data over their encoder means, with the decoder's mean and band of two standard deviations.

    Parameters
    ----------
    latents, data
        The encoder's means ``(N,)`` of the data ``(N, D)``.
    grid, mean, std
        Latents ``(P,)`` and the decoder's means and standard deviations there, ``(P, D)``.
    names
        One for each observable: it has a panel of its own.

    Raises
    ------
    ValueError
        If there is another number of ``names`` than of observables.
    """
    data, mean = np.asarray(data), np.asarray(mean)
    if len(names) != data.shape[1]:
        raise ValueError(
            f"names must be one for each observable: got {len(names)} for {data.shape[1]}"
        )
    spreads = 2 * np.broadcast_to(np.asarray(std), mean.shape)
    with panels(names, xlabel="z", ylabel="standardised measurement") as (figure, shown):
        for axes, points, centre, spread in zip(shown, data.T, mean.T, spreads.T, strict=True):
            axes.fill_between(grid, centre - spread, centre + spread, color="#cfe3f1", lw=0)
            axes.plot(latents, points, ".", color="0.4", markersize=4)
            axes.plot(grid, centre, color=COLOURS[0])
    return figure


def certificates(runs: Mapping[str, Run], skip: int = 0) -> Figure:
    """|ELBO − entropy sum| as a line, what the certificate allows as a band, in a panel each.

    Both are in nats per data point, on one logarithmic axis that holds nothing else, so that a
    certificate that is tight can be told from one that is loose. ``skip`` leaves out that many
    logged steps at the start.
    """
    sizes = [
        [np.abs(np.asarray(run.column(name))[skip:]) for name in ("gap", "certificate")]
        for run in runs.values()
    ]
    low = 0.5 * min(gap[gap > 0].min() for gap, _ in sizes)
    with panels(runs, columns=2, yscale="log") as (figure, shown):
        for axes, run, (gap, certificate) in zip(shown, runs.values(), sizes, strict=True):
            steps = run.steps[skip:]
            axes.fill_between(steps, low, certificate, color="#cfe3f1", lw=0, label="certificate")
            axes.plot(steps, gap, color=COLOURS[1], label="|ELBO − entropy sum|")
            axes.set_ylim(bottom=low)
    return figure
