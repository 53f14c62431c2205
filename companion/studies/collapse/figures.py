"""Single latents: what they contribute during learning, who collapses, and the scale of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book import charts
from companion.book.display import COLOURS
from companion.book.panels import GREY, draw, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "contributions_by_noise",
    "contributions_over_steps",
    "prior_and_posterior_variances",
    "sorted_contributions",
]


def contributions_over_steps(steps: Sequence[int], values: Mapping[str, Any]) -> Figure:
    """A line for each latent over the steps of learning, ``(T, H)`` for each panel by title.

    Latents are coloured by their value at the last step, the largest darkest.
    """
    from matplotlib import colormaps

    with panels(values, ylabel="contribution (nats)", across=[0]) as (figure, shown):
        for axes, panel in zip(shown, map(np.asarray, values.values()), strict=True):
            ranks = np.argsort(np.argsort(-panel[-1]))
            shades = colormaps["viridis"](0.9 * ranks / max(len(ranks) - 1, 1))
            axes.set_prop_cycle(color=shades)
            axes.plot(steps, panel, linewidth=1.4)
    return figure


def sorted_contributions(numbers: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Several numbers of every latent, ``(H,)`` each, sorted by the first; one panel a title.

    The first number is drawn as bars, the others as markers.
    """
    markers = (("o", {"color": COLOURS[1]}), ("_", {"color": "black", "ms": 13, "mew": 1.8}))
    with panels(numbers, xlabel="latent, in order", ylabel="nats") as (figure, shown):
        for axes, columns in zip(shown, numbers.values(), strict=True):
            (first, heights), *others = columns.items()
            order = np.argsort(-np.asarray(heights), kind="stable")
            ranks = np.arange(1, len(order) + 1)
            axes.bar(ranks, np.asarray(heights)[order], color="#9ecae1", label=first)
            for (label, values), look in zip(others, markers[: len(others)], strict=True):
                draw(axes, {label: (ranks, np.asarray(values)[order], *look)})
            axes.grid(axis="x", visible=False)
            axes.locator_params(axis="x", integer=True)
    return figure


def contributions_by_noise(
    noise: Any, predicted: Any, learned_noise: Any, learned: Any, eigenvalues: Any
) -> Figure:
    """Contributions over the noise variance: predicted lines, learned dots.

    Parameters
    ----------
    noise, predicted
        Variances ``(P,)`` and the contributions predicted there, ``(P, H)``.
    learned_noise, learned
        Variances ``(L,)`` and the contributions learned there, ``(L, H)``.
    eigenvalues
        Marked where the lines reach zero, ``(H,)``.
    """
    lines = {
        f"λ = {value:.2f}": (noise, curve, "-")
        for value, curve in zip(eigenvalues, np.asarray(predicted).T, strict=True)
    }
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10) if min(noise) <= t <= max(noise)]
    names: dict[str, Any] = {"xlabel": "noise variance σ²", "ylabel": "contribution (nats)"}
    figure = charts.curves(lines, xscale="log", xticks=ticks, size=(7.4, 4.0), **names)
    (axes,) = figure.axes
    learnt = np.asarray(learned).T
    for line, value, dots in zip(axes.get_lines(), eigenvalues, learnt, strict=True):
        axes.plot(learned_noise, dots, "o", color=line.get_color())
        axes.plot(value, 0, "|", color=line.get_color(), markersize=14, markeredgewidth=2)
    return figure


def prior_and_posterior_variances(variances: Mapping[str, tuple[Any, Any, Any]]) -> Figure:
    """Prior variance of every latent over the geometric mean of its posterior variances.

    ``variances`` maps a title to (posterior, prior, active), ``(H,)`` each. A latent's contribution
    is half the logarithm of prior over posterior: its height above the diagonal, on which collapsed
    latents lie.
    """
    every = np.concatenate([np.concatenate([p, a]) for p, a, _ in variances.values()])
    ends = [every.min() / 2, every.max() * 2]
    names: dict[str, Any] = {"xlabel": "variance of q(z | x)", "ylabel": "variance of the prior"}
    with panels(variances, xscale="log", yscale="log", **names) as (figure, shown):
        for axes, columns in zip(shown, variances.values(), strict=True):
            posterior, prior, active = map(np.asarray, columns)
            axes.plot(ends, ends, linewidth=1, zorder=0, **GREY)
            axes.vlines(posterior, posterior, prior, color="0.8", zorder=0)
            for label, on in (("active", active), ("collapsed", ~active)):
                draw(axes, {label: (posterior[on], prior[on], "points")}, ["active", "collapsed"])
    return figure
