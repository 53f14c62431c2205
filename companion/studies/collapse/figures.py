"""Single latents: what they contribute during learning, who collapses, and the scale of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "active_latents",
    "contributions_by_noise",
    "contributions_over_steps",
    "prior_and_posterior_variances",
    "sorted_contributions",
]


def contributions_over_steps(
    steps: Sequence[int], panels: Mapping[str, Any], *, ylabel: str = "nats"
) -> Figure:
    """A line for each latent over the steps of learning, ``(T, H)`` for each panel by title.

    Latents are coloured by their value at the last step, the largest darkest.

    Raises
    ------
    ValueError
        If there is no panel, or one has another shape than ``(T, H)``.
    """
    from matplotlib import colormaps, pyplot

    values = {title: _array(title, panel, len(steps)) for title, panel in panels.items()}
    if not values:
        raise ValueError("panels must hold at least one title and its values: got none")
    with style():
        figure, grid = pyplot.subplots(
            1, len(values), figsize=(8.2, 3.6), sharey=True, squeeze=False
        )
        for axes, (title, panel) in zip(grid.flat, values.items(), strict=True):
            ranks = np.argsort(np.argsort(-panel[-1]))
            shades = colormaps["viridis"](0.9 * ranks / max(len(ranks) - 1, 1))
            for line, shade in zip(panel.T, shades, strict=True):
                axes.plot(steps, line, color=shade, linewidth=1.4)
            axes.axhline(0, color="0.4", linewidth=0.8, zorder=0)
            axes.set(xlabel="step", title=title)
        grid.flat[0].set_ylabel(ylabel)
    return figure


def sorted_contributions(panels: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Several numbers of every latent, ``(H,)`` each, sorted by the first; one panel a title.

    The first number is drawn as bars, the others as markers.

    Raises
    ------
    ValueError
        If there is no panel, or the numbers of a panel are not all of one length.
    """
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    if not panels or not all(panels.values()):
        raise ValueError("panels must hold at least one title and its numbers: got none")
    with style():
        figure, grid = pyplot.subplots(
            1, len(panels), figsize=(8.2, 3.6), sharey=True, squeeze=False
        )
        for axes, (title, numbers) in zip(grid.flat, panels.items(), strict=True):
            arrays = {label: np.asarray(n, dtype=np.float64) for label, n in numbers.items()}
            (first, bars), *others = arrays.items()
            if any(array.shape != bars.shape or array.ndim != 1 for array in arrays.values()):
                shapes = [array.shape for array in arrays.values()]
                raise ValueError(
                    f"panels[{title!r}] must hold one number a latent, (H,) each: got {shapes}"
                )
            order = np.argsort(-bars, kind="stable")
            ranks = np.arange(1, len(bars) + 1)
            axes.bar(ranks, bars[order], color="#9ecae1", label=first)
            for number, (label, array) in enumerate(others):
                marker, size = (("o", 6), ("_", 13), ("x", 7))[number % 3]
                axes.plot(
                    *(ranks, array[order], marker),
                    color=COLOURS[(1, 6, 2)[number % 3]],
                    markersize=size,
                    markeredgewidth=1.8,
                    label=label,
                )
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set(xlabel="latent, in order", title=title)
            axes.grid(axis="x", visible=False)
        grid.flat[0].set_ylabel("nats")
        handles = grid.flat[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def contributions_by_noise(
    noise: Any, predicted: Any, learned_noise: Any, learned: Any, eigenvalues: Any
) -> Figure:
    """Contributions over the noise variance: predicted lines ``(P, H)``, learned dots ``(L, H)``.

    ``noise`` ``(P,)`` and ``learned_noise`` ``(L,)`` are the variances; ``eigenvalues`` ``(H,)``
    are marked where the lines reach zero.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    lines, dots = np.asarray(predicted), np.asarray(learned)
    marks = np.asarray(eigenvalues)
    expected = (len(noise), len(marks)), (len(learned_noise), len(marks))
    if (lines.shape, dots.shape) != expected:
        raise ValueError(
            f"predicted and learned must have shapes {expected[0]} and {expected[1]}: "
            f"got {lines.shape} and {dots.shape}"
        )
    with style():
        figure, axes = pyplot.subplots(figsize=(7.4, 4.0))
        for h in range(len(marks)):
            colour = COLOURS[h % len(COLOURS)]
            axes.plot(noise, lines[:, h], color=colour, label=f"λ = {marks[h]:.2f}")
            axes.plot(learned_noise, dots[:, h], "o", color=colour, markersize=5)
            axes.plot(marks[h], 0, "|", color=colour, markersize=14, markeredgewidth=2)
        axes.set(xscale="log", xlabel="noise variance σ²", ylabel="contribution (nats)")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.legend()
    return figure


def prior_and_posterior_variances(panels: Mapping[str, tuple[Any, Any, Any]]) -> Figure:
    """Prior variance of every latent over the geometric mean of its posterior variances.

    ``panels`` maps a title to (posterior, prior, active), ``(H,)`` each. A latent's contribution is
    half the logarithm of prior over posterior: its height above the diagonal, on which collapsed
    latents lie.
    """
    from matplotlib import pyplot

    with style():
        figure, grid = pyplot.subplots(
            1, len(panels), figsize=(8.2, 4.0), sharex=True, sharey=True, squeeze=False
        )
        every = np.concatenate([np.concatenate([p, a]) for p, a, _ in panels.values()])
        ends = np.array([every.min() / 2, every.max() * 2])
        for axes, (title, (posterior, prior, active)) in zip(
            grid.flat, panels.items(), strict=True
        ):
            on = np.asarray(active, dtype=bool)
            posterior, prior = np.asarray(posterior), np.asarray(prior)
            axes.plot(ends, ends, color="0.5", linewidth=1, zorder=0)
            axes.vlines(posterior, posterior, prior, color="0.8", zorder=0)
            axes.plot(posterior[on], prior[on], "o", color=COLOURS[0], label="active")
            axes.plot(
                *(posterior[~on], prior[~on], "X"),
                color=COLOURS[1],
                markersize=8,
                label="collapsed",
            )
            axes.set(xscale="log", yscale="log", title=title, xlabel="variance of q(z | x)")
        grid.flat[0].set_ylabel("variance of the prior")
        handles = grid.flat[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=2)
    return figure


def active_latents(panels: Mapping[str, tuple[Any, Any]], *, xlabel: str, ylabel: str) -> Figure:
    """A marker for each seed: (number of active latents, final ELBO), ``(S,)`` each, by label."""
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    with style():
        figure, axes = pyplot.subplots(figsize=(7.0, 3.8))
        for (label, (active, bound)), colour, marker in zip(
            panels.items(), COLOURS, "osD^vPX", strict=False
        ):
            axes.plot(active, bound, marker, color=colour, alpha=0.8, markersize=8, label=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.legend()
    return figure


def _array(title: str, values: Any, steps: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or len(array) != steps:
        raise ValueError(
            f"panels[{title!r}] must have shape ({steps}, H), one row for each step: "
            f"got {array.shape}"
        )
    return array
