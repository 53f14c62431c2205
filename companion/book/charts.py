"""Figures that several chapters share: learning, entropies, predictions, small images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "bound_and_entropies",
    "bounds_by_model",
    "gap_and_gradient",
    "image_grid",
    "predicted_and_measured",
    "three_entropies",
]

#: Smaller values are drawn here: they are zero to float64.
ROUND_OFF = 1e-16


class Trace(Protocol):
    """What the figures need of :class:`companion.fit.Trace`."""

    steps: tuple[int, ...]

    def column(self, name: str) -> np.ndarray: ...


def bound_and_entropies(
    trace: Trace, *, title: str = "", log_steps: bool = False, skip: int = 0
) -> Figure:
    """ELBO and entropy sum over learning, in nats per data point, in one panel.

    ``skip`` leaves out that many logged steps at the start, where the values may be far away.
    """
    from matplotlib import pyplot

    with style():
        figure, axes = pyplot.subplots()
        steps = trace.steps[skip:]
        axes.plot(steps, trace.column("elbo")[skip:], label="ELBO")
        axes.plot(steps, trace.column("entropy_sum")[skip:], "--", label="entropy sum")
        if log_steps:
            axes.set_xscale("symlog", linthresh=1)
        axes.set(xlabel="step", ylabel="nats per data point", title=title)
        axes.legend()
    return figure


def gap_and_gradient(trace: Trace, *, title: str = "", log_steps: bool = False) -> Figure:
    """|ELBO − entropy sum|, gradient norm and the identity's residual, on a logarithmic axis."""
    from matplotlib import pyplot

    lines = (
        ("|ELBO − entropy sum|", np.abs(trace.column("gap")), "-", COLOURS[0]),
        ("gradient norm", trace.column("gradient_norm"), "--", COLOURS[1]),
        ("residual of the identity", trace.column("residual"), ":", COLOURS[2]),
    )
    with style():
        figure, axes = pyplot.subplots()
        for label, values, dashes, colour in lines:
            if np.isfinite(values).all():
                axes.plot(
                    *(trace.steps, np.maximum(values, ROUND_OFF), dashes),
                    color=colour,
                    label=label,
                )
        axes.set_yscale("log")
        if log_steps:
            axes.set_xscale("symlog", linthresh=1)
        axes.set(xlabel="step", ylabel="nats per data point", title=title)
        axes.legend()
    return figure


def predicted_and_measured(
    values: Any, predicted: Any, measured: Any, *, xlabel: str, ylabel: str
) -> Figure:
    """Measured points on a predicted line, over ``values`` ``(K,)``."""
    from matplotlib import pyplot

    with style():
        figure, axes = pyplot.subplots()
        axes.axhline(0, color="0.6", linewidth=0.8)
        axes.plot(np.asarray(values), np.asarray(predicted), "-", color="0.6", label="predicted")
        axes.plot(np.asarray(values), np.asarray(measured), "o", color=COLOURS[1], label="measured")
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.legend()
    return figure


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


def image_grid(
    images: Any,
    shape: tuple[int, int],
    *,
    columns: int = 10,
    titles: list[str] | None = None,
    symmetric: bool = False,
) -> Figure:
    """Draw ``images`` ``(K, D)``, each of ``shape`` with height · width = D, row by row.

    ``symmetric`` centres the colours at zero, for weights; otherwise all share one grey scale.

    Raises
    ------
    ValueError
        If ``shape`` does not fit the images, or there is another number of titles.
    """
    from matplotlib import pyplot

    pixels = np.asarray(images, dtype=np.float64)
    if pixels.ndim != 2 or pixels.shape[1] != shape[0] * shape[1]:
        raise ValueError(
            f"shape {shape} must have as many pixels as a row of images: got {pixels.shape}"
        )
    if titles is not None and len(titles) != len(pixels):
        raise ValueError(f"titles must be one for each image: got {len(titles)} for {len(pixels)}")
    columns = min(columns, len(pixels))
    rows = -(-len(pixels) // columns)
    high = np.abs(pixels).max() if symmetric else pixels.max()
    low = -high if symmetric else pixels.min()
    with style():
        figure, axes = pyplot.subplots(
            rows, columns, figsize=(7.0, 7.0 / columns * rows + 0.2), squeeze=False
        )
        for index, panel in enumerate(axes.flat):
            panel.axis("off")
            if index >= len(pixels):
                continue
            panel.imshow(
                pixels[index].reshape(shape),
                cmap="RdBu_r" if symmetric else "gray_r",
                vmin=low,
                vmax=high,
                interpolation="nearest",
            )
            if titles is not None:
                panel.set_title(titles[index], fontsize=8)
    return figure
