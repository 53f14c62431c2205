"""True entropy beside pseudo-entropy; what the true form of the entropy sum misses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["dispersion_and_gap", "true_and_pseudo_entropy"]


def true_and_pseudo_entropy(rates: Any, true: Any, pseudo: Any, *, label: str = "rate") -> Figure:
    """True entropy and pseudo-entropy over ``rates`` (left), their difference (right), ``(K,)``."""
    from matplotlib import pyplot

    rates, true, pseudo = (np.asarray(a, dtype=np.float64) for a in (rates, true, pseudo))
    with style():
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(7.6, 3.4))
        left.axhline(0, color="0.6", linewidth=0.8)
        left.plot(rates, true, color=COLOURS[0], label="true entropy")
        left.plot(rates, pseudo, "--", color=COLOURS[1], label="pseudo-entropy")
        left.set(xlabel=label, ylabel="nats")
        left.legend(fontsize=9)
        right.plot(rates, true - pseudo, color=COLOURS[2])
        right.set(xlabel=label, title="true minus pseudo")
    return figure


def dispersion_and_gap(groups: Mapping[str, tuple[Any, Any]]) -> Figure:
    """Part of the gap over the index of dispersion, a point for each variable of each group.

    ``groups`` maps a name to indices of dispersion D and parts of the gap, each ``(K,)``; the line
    is (1 − D)/2.
    """
    from matplotlib import pyplot

    arrays = {k: tuple(np.asarray(a, dtype=np.float64) for a in v) for k, v in groups.items()}
    everything = np.concatenate([dispersion for dispersion, _ in arrays.values()])
    ends = np.array([min(1.0, everything.min()), max(1.0, everything.max())])
    with style():
        figure, axes = pyplot.subplots()
        axes.axhline(0, color="0.6", linewidth=0.8)
        axes.axvline(1, color="0.6", linewidth=0.8)
        axes.plot(ends, (1 - ends) / 2, color="0.7", label="(1 − dispersion) / 2")
        for number, (name, (dispersion, gap)) in enumerate(arrays.items()):
            marker, colour = "oXsD^vP"[number % 7], COLOURS[number % 7]
            axes.plot(dispersion, gap, marker, color=colour, markersize=6, alpha=0.7, label=name)
        axes.set(xlabel="index of dispersion, variance / mean", ylabel="part of the gap (nats)")
        axes.legend()
    return figure
