"""Variational autoencoders: entropies, gaps and certificates during learning, a latent curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.plots.display import COLOURS, style
from companion.plots.learning import ROUND_OFF, Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bounds_by_model", "gap_in_certificate", "latent_curve", "three_entropies"]


def three_entropies(trace: Trace) -> Figure:
    """ELBO and entropy sum over learning (left), and the three terms of the sum (right).

    The terms are drawn with the sign with which they enter: the entropies of prior and observables
    negative. Their sum is the dashed line on the left.
    """
    from matplotlib import pyplot

    terms = (
        ("average entropy of q", trace.column("posterior_entropy"), "-", COLOURS[2]),
        ("− entropy of the prior", -trace.column("prior_entropy"), "--", COLOURS[3]),
        ("− entropy of the observables", -trace.column("observable_entropy"), "-.", COLOURS[4]),
    )
    with style():
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(8.2, 3.8), sharey=True)
        left.plot(trace.steps, trace.column("elbo"), label="ELBO")
        left.plot(trace.steps, trace.column("entropy_sum"), "--", label="entropy sum")
        for label, values, dashes, colour in terms:
            right.plot(trace.steps, values, dashes, color=colour, label=label)
        right.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        left.set(xlabel="step", ylabel="nats per data point", title="the bound")
        right.set(xlabel="step", title="its three entropies")
        for axes in (left, right):
            axes.legend(loc="lower right", fontsize=9)
    return figure


def bounds_by_model(traces: Mapping[str, Trace], skip: int = 0) -> Figure:
    """ELBO (lines) and entropy sum (dashes) over learning, one colour for each model.

    ``skip`` leaves out that many logged steps at the start, where the values may be far away.
    """
    from matplotlib import pyplot

    with style():
        figure, axes = pyplot.subplots(figsize=(7.4, 4.2))
        for number, (name, trace) in enumerate(traces.items()):
            colour, steps = COLOURS[number % len(COLOURS)], trace.steps[skip:]
            axes.plot(steps, trace.column("elbo")[skip:], color=colour, label=name)
            axes.plot(steps, trace.column("entropy_sum")[skip:], "--", color=colour)
        axes.plot([], [], color="0.4", label="ELBO")
        axes.plot([], [], "--", color="0.4", label="entropy sum")
        axes.set(xlabel="step", ylabel="nats per data point")
        axes.legend(ncols=3, loc="lower right", fontsize=9)
    return figure


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
