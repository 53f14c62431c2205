"""How ELBO, entropy sum and gap move during learning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from companion.plots.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bound_and_entropies", "gap_and_gradient"]

#: Smaller values are drawn here: they are zero to float64.
ROUND_OFF = 1e-16


class Trace(Protocol):
    """What the figures need of :class:`companion.fit.Trace`."""

    steps: list[int]

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
