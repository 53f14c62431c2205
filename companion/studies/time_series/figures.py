"""A smoothed series, innovations added up over time, hidden states and their rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS
from companion.book.panels import draw, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["accumulated", "hidden_states", "smoothed"]


def smoothed(
    years: Any, series: Mapping[str, tuple[Any, Any, Any]], *, ylabel: str, size: float = 3.6
) -> Figure:
    """A panel for each series: observations as dots, the smoothed level with ±2 of its deviations.

    Parameters
    ----------
    years
        When, ``(T,)``.
    series
        By title, observations (NaN where missing), means and standard deviations, each ``(T,)``.
    ylabel
        What is measured.
    size
        Height in inches.
    """
    titles = list(series) if len(series) > 1 else [""]
    with panels(titles, xlabel="year", ylabel=ylabel, size=(8.2, size)) as (figure, shown):
        for axes, (x, mean, std) in zip(shown, series.values(), strict=True):
            x, mean, std = (np.asarray(values) for values in (x, mean, std))
            axes.fill_between(
                years, mean - 2 * std, mean + 2 * std, color=COLOURS[0], alpha=0.2, lw=0
            )
            look = {"color": "0.25", "markersize": 3.5}
            draw(axes, {"observed": (years, x, "o", look), "smoothed level": (years, mean, "-")})
            axes.get_lines()[-1].set_color(COLOURS[0])
    return figure


def accumulated(years: Any, squares: Mapping[str, Any]) -> Figure:
    """Σ (e²/V − 1) up to each year: where a filter expects too little, the curve rises."""
    curves = {name: (years, np.cumsum(np.asarray(each) - 1)) for name, each in squares.items()}
    with panels(xlabel="year", ylabel="Σ (e²/V − 1) so far", across=[0], size=(7.4, 3.6)) as (
        figure,
        (axes,),
    ):
        draw(axes, curves)
    return figure


def hidden_states(years: Any, counts: Any, rates: Any, probabilities: Any) -> Figure:
    """Counts with the expected rate, above; the probability of each state, below.

    Parameters
    ----------
    years, counts
        When and how many, ``(T,)``.
    rates
        Of the states, ``(K,)``, rising.
    probabilities
        Of the states in each year given all counts, ``(T, K)``.
    """
    rates, shares = np.asarray(rates), np.asarray(probabilities)
    with panels(("", ""), columns=1, xlabel="year", ylabel="", size=(8.2, 5.0), share="x") as (
        figure,
        (above, below),
    ):
        look = {"color": "0.25", "markersize": 3.5}
        line = (years, shares @ rates, "-", {"color": COLOURS[0]})
        draw(above, {"earthquakes": (years, np.asarray(counts), "o", look), "expected rate": line})
        above.set_ylabel("earthquakes in a year")
        colours = [COLOURS[5], COLOURS[4], COLOURS[1]][: len(rates)]
        labels = [f"state with rate {rate:.1f}" for rate in rates]
        below.stackplot(years, shares.T, labels=labels, colors=colours, lw=0)
        below.set(ylabel="probability", ylim=(0, 1))
    return figure
