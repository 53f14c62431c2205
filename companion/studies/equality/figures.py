"""Equality without convergence: gaps and distances, orders, the unbounded sum, noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.charts import ROUND_OFF
from companion.book.display import COLOURS, style
from companion.fit import Trace
from companion.studies.equality.certificates import certificates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "before_and_after",
    "certificate_ratios",
    "noise_by_samples",
    "orders_of_convergence",
    "unbounded_sum",
]


def before_and_after(
    gaps: Mapping[str, tuple[float, float]], distances: Mapping[str, tuple[float, float]]
) -> Figure:
    """|gap| (left) and distance to the best ELBO (right), before and after, one row per model."""
    from matplotlib import pyplot

    with style():
        figure, panels = pyplot.subplots(1, 2, figsize=(8.2, 0.55 * len(gaps) + 1.9), sharey=True)
        titles = ("|ELBO − entropy sum|", "best ELBO − ELBO")
        for panel, values, title in zip(panels, (gaps, distances), titles, strict=True):
            before, after = np.abs(np.array(list(values.values()))).T
            rows = np.arange(len(values))[::-1]
            floor = np.maximum(after, ROUND_OFF)
            panel.hlines(rows, floor, before, color="0.8", zorder=0)
            panel.plot(before, rows, "o", color=COLOURS[1], label="untrained")
            panel.plot(floor, rows, "D", color=COLOURS[0], label="after the projection")
            panel.set(xscale="log", xlabel="nats per data point", title=title)
            panel.set_yticks(rows, list(values))
            panel.set_ylim(-0.5, len(values) - 0.5)
        panels[1].set_xlim(1, None)
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=2)
    return figure


def orders_of_convergence(gradients: Any, errors: Mapping[str, Any]) -> Figure:
    """Errors of ELBO and entropy sum over the gradient norm, ``(P,)`` each, on two log axes."""
    from matplotlib import pyplot

    with style():
        figure, axes = pyplot.subplots(figsize=(7.0, 4.0))
        for (label, values), marker, colour in zip(errors.items(), "so", COLOURS, strict=False):
            axes.loglog(gradients, values, marker, color=colour, markersize=4, label=label)
        axes.set(xlabel="norm of the gradient", ylabel="nats per data point")
        axes.legend()
    return figure


def unbounded_sum(log_variances: Any, elbos: Any, sums: Any, best: float, here: float) -> Figure:
    """ELBO and entropy sum over log σ², with the largest log-likelihood and its place marked."""
    from matplotlib import pyplot

    with style():
        figure, axes = pyplot.subplots()
        axes.plot(log_variances, elbos, label="ELBO = log-likelihood")
        axes.plot(log_variances, sums, "--", label="entropy sum")
        axes.axhline(best, color="0.4", linewidth=1, linestyle=":", label="its maximum")
        axes.plot([here], [best], "o", color=COLOURS[6], label="both meet")
        axes.set_ylim(best - 35, best + 35)
        axes.set(xlabel="log σ²", ylabel="nats per data point")
        axes.legend()
    return figure


def certificate_ratios(traces: Mapping[str, Trace], skip: int = 0) -> Figure:
    """Each of the three certificates divided by |gap| along learning, one panel for each model."""
    from matplotlib import pyplot

    lines = (
        ("‖g‖ ‖v‖", ":"),
        ("‖g on v‖ ‖v‖", "--"),
        ("block by block", "-"),
    )
    with style():
        figure, panels = pyplot.subplots(
            1, len(traces), figsize=(8.2, 3.8), sharey=True, squeeze=False
        )
        for panel, (name, trace) in zip(panels.flat, traces.items(), strict=True):
            gap = np.abs(trace.column("gap")[skip:])
            bounds = certificates(trace)
            for number, (label, dashes) in enumerate(lines):
                ratio = bounds[label][skip:] / gap
                panel.plot(
                    trace.steps[skip:], ratio, dashes, color=COLOURS[2 - number], label=label
                )
            panel.axhline(1, color="0.6", linewidth=0.8)
            panel.set(yscale="log", xlabel="step", title=name)
        panels[0, 0].set_ylabel("bound / |gap|")
        handles = panels[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def noise_by_samples(counts: Any, noise: Mapping[str, Any]) -> Figure:
    """Standard deviations over the number of samples, with the line 1/√K through the first."""
    from matplotlib import pyplot

    counts = np.asarray(counts, dtype=np.float64)
    with style():
        figure, axes = pyplot.subplots()
        for (label, values), marker, colour, size in zip(
            noise.items(), "so", COLOURS, (9, 5), strict=False
        ):
            filling = "none" if size > 6 else colour
            axes.loglog(
                *(counts, values, marker),
                color=colour,
                markersize=size,
                markerfacecolor=filling,
                label=label,
            )
        first = next(iter(noise.values()))
        line = np.asarray(first)[0] * np.sqrt(counts[0] / counts)
        axes.loglog(counts, line, color="0.6", linewidth=1, zorder=0, label="1/√K")
        axes.set(xlabel="samples K per data point", ylabel="standard deviation (nats)")
        axes.legend()
    return figure
