"""Equality without convergence: gaps and distances, certificates, noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book import charts
from companion.book.panels import NATS, panels
from companion.book.rows import draw_rows
from companion.fit import Trace
from companion.studies.equality.certificates import certificates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["before_and_after", "certificate_ratios", "noise_by_samples"]


def before_and_after(
    gaps: Mapping[str, tuple[float, float]], distances: Mapping[str, tuple[float, float]]
) -> Figure:
    """|gap| (left) and distance to the best ELBO (right), before and after, one row per model."""
    titles = {"|ELBO − entropy sum|": gaps, "best ELBO − ELBO": distances}
    with panels(titles, xlabel=NATS, ylabel="", xscale="log", share="y") as (figure, shown):
        for axes, values in zip(shown, titles.values(), strict=True):
            pairs = {n: {"untrained": b, "after the projection": a} for n, (b, a) in values.items()}
            draw_rows(axes, pairs.items())
        shown[1].set_xlim(1, None)
    return figure


def certificate_ratios(traces: Mapping[str, Trace]) -> Figure:
    """Each of the three certificates divided by |gap| along learning, one panel for each model."""
    ratios = {
        title: {
            label: (trace.steps, values / np.abs(trace.column("gap")))
            for label, values in certificates(trace).items()
        }
        for title, trace in traces.items()
    }
    return charts.curve_panels(ratios, ylabel="bound / |gap|", yscale="log", across=[1])


def noise_by_samples(counts: Any, noise: Mapping[str, Any]) -> Figure:
    """Standard deviations over the number of samples, with the line 1/√K through the first."""
    (first, values), (second, others) = noise.items()
    line = values[0] * np.sqrt(counts[0] / np.asarray(counts, dtype=np.float64))
    curves = {
        first: (counts, values, "s", {"markersize": 9, "markerfacecolor": "none"}),
        second: (counts, others, "o"),
        "1/√K": (counts, line, "-", charts.GREY),
    }
    names: dict[str, Any] = {
        "xlabel": "samples K per data point",
        "ylabel": "standard deviation (nats)",
    }
    return charts.curves(curves, xscale="log", yscale="log", **names)
