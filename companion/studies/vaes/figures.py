"""Variational autoencoders: entropies, gaps and certificates during learning, a latent curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.charts import ROUND_OFF, Trace
from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["gap_in_certificate", "latent_curve"]


def gap_in_certificate(traces: Mapping[str, Trace], skip: int = 1) -> Figure:
    """|gap|, the certificate above it and the identity's residual, one panel for each model."""
    from matplotlib import pyplot

    lines = (
        ("certificate", "certificate", "--", COLOURS[1]),
        ("|ELBO − entropy sum|", "gap", "-", COLOURS[0]),
        ("residual of the identity", "residual", ":", COLOURS[2]),
    )
    columns = min(2, len(traces))
    rows = -(-len(traces) // columns)
    with style():
        figure, panels = pyplot.subplots(
            rows, columns, figsize=(8.2, 2.4 * rows + 0.6), squeeze=False, sharex=True, sharey=True
        )
        for panel in panels.flat[len(traces) :]:
            panel.axis("off")
        for panel, (name, trace) in zip(panels.flat, traces.items(), strict=False):
            for label, column, dashes, colour in lines:
                values = np.maximum(np.abs(trace.column(column)[skip:]), ROUND_OFF)
                panel.plot(trace.steps[skip:], values, dashes, color=colour, label=label)
            panel.set(yscale="log", title=name)
        for panel in panels[-1]:
            panel.set_xlabel("step")
        for panel in panels[:, 0]:
            panel.set_ylabel("nats per data point")
        figure.legend(
            *panels.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=3
        )
    return figure


def latent_curve(
    latents: Any, data: Any, grid: Any, mean: Any, std: Any, names: Sequence[str]
) -> Figure:
    """Data over their encoder means, with the decoder's mean and band of two standard deviations.

    ``latents`` ``(N,)`` are the encoder's means of ``data`` ``(N, D)``; ``mean`` and ``std``
    ``(P, D)`` are the decoder's at ``grid`` ``(P,)``. One panel for each observable.

    Raises
    ------
    ValueError
        If there is another number of ``names`` than of observables.
    """
    from matplotlib import pyplot

    latents, data, grid, mean, std = (
        np.asarray(a, dtype=np.float64) for a in (latents, data, grid, mean, std)
    )
    if len(names) != data.shape[1]:
        raise ValueError(
            f"names must be one for each observable: got {len(names)} for {data.shape[1]}"
        )
    std = np.broadcast_to(std, mean.shape)
    with style():
        figure, panels = pyplot.subplots(1, len(names), figsize=(8.2, 3.2), sharey=True)
        for column, (panel, name) in enumerate(zip(np.atleast_1d(panels), names, strict=True)):
            centre, spread = mean[:, column], 2 * std[:, column]
            panel.fill_between(grid, centre - spread, centre + spread, color="#cfe3f1", lw=0)
            panel.plot(latents, data[:, column], ".", color="0.4", markersize=4)
            panel.plot(grid, centre, color=COLOURS[0])
            panel.set(xlabel="z", title=name)
        np.atleast_1d(panels)[0].set_ylabel("standardised measurement")
    return figure
