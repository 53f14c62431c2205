"""A VAE's decoder over one latent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS
from companion.book.panels import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["latent_curve"]


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
