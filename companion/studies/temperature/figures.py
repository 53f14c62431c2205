"""Tempered densities, the tempered ELBO and its tangent, thermometers of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS
from companion.book.panels import GREY, draw, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["tempered_curves", "tempered_densities", "thermometer_images"]

_WARM, _COLD = COLOURS[1], COLOURS[0]


def tempered_densities(tempered: Mapping[str, tuple[Any, Mapping[float, Any]]]) -> Figure:
    """A panel for each density: its values over a grid at several temperatures t.

    ``tempered`` maps a name to a grid ``(G,)`` and, by t, densities ``(G,)``. Grids of whole
    numbers are drawn as points.
    """
    looks = {-1: (" (warmer)", ":", _WARM), 0: ("", "-", "0.2"), 1: (" (colder)", "--", _COLD)}
    with panels(tempered, xlabel="", ylabel="", share="", yticks=[]) as (figure, shown):
        for axes, (grid, densities) in zip(shown, tempered.values(), strict=True):
            whole = np.array_equal(grid, np.round(np.asarray(grid)))
            dots = {"marker": "o", "markersize": 3, "linewidth": 0.9} if whole else {}
            for t, density in densities.items():
                word, dashes, colour = looks[int(np.sign(t - 1))]
                draw(axes, {f"t = {t:g}{word}": (grid, density, dashes, {"color": colour} | dots)})
            axes.set_ylim(bottom=0)
            axes.locator_params(axis="x", integer=True, nbins=5)
    return figure


def tempered_curves(tempered: Mapping[str, tuple[Any, Any, float, float]]) -> Figure:
    """The ELBO at temperature t, with its tangent at t = 1 down to t = 0, in a panel for each name.

    ``tempered`` maps a name to t ``(K,)``, F_t ``(K,)``, the ELBO and the entropy sum. The tangent
    is drawn through (0, entropy sum) and (1, ELBO), where theory says that it runs.
    """
    with panels(tempered, xlabel="t (warmer ← 1 → colder)", share="") as (figure, shown):
        for axes, (t, heights, elbo, entropy_sum) in zip(shown, tempered.values(), strict=True):
            ends = np.array([0.0, float(t[-1])])
            curves = {
                "tangent at t = 1": (ends, entropy_sum + ends * (elbo - entropy_sum), "-", GREY),
                "ELBO at temperature t": (t, heights, "-", {"color": COLOURS[0]}),
                "ELBO": ([1], [elbo], "o", {"color": "black", "zorder": 5}),
                "entropy sum": ([0], [entropy_sum], "D", {"color": COLOURS[1], "clip_on": False}),
            }
            draw(axes, curves)
            axes.set_xlim(ends)
    return figure


def thermometer_images(readings: Mapping[str, Any]) -> Figure:
    """Slopes along v pixel by pixel: orange is too warm (above 0), blue too cold (below 0).

    ``readings`` maps a name to values ``(rows, columns)``; all share one scale.
    """
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("thermometer", [_COLD, "white", _WARM])
    images = [np.asarray(values) for values in readings.values()]
    largest = max(float(np.abs(image).max()) for image in images)
    size = (0.8 + 2.9 * len(readings), 3.3)
    with panels(readings, xlabel="", ylabel="", size=size) as (figure, shown):
        for axes, image in zip(shown, images, strict=True):
            drawn = axes.imshow(image, cmap=colours, vmin=-largest, vmax=largest)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color="0.7")
        figure.colorbar(drawn, ax=shown, shrink=0.85, label="too cold ← nats → too warm")
    return figure
