"""Tempered densities, the tempered ELBO and its tangent, thermometers of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS
from companion.book.panels import GREY, draw, panels
from companion.studies.temperature.tempering import tempered_log_prob

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from companion.families import Family

__all__ = ["tempered_curves", "tempered_densities", "thermometer_image"]

_WARM, _COLD = COLOURS[1], COLOURS[0]


def tempered_densities(densities: Mapping[str, tuple[Family, Tensor, Tensor]]) -> Figure:
    """A panel for each density: its values over a grid at the temperatures t = ½, 1 and 2.

    ``densities`` maps a name to a family of one column, its parameters η ``(L,)`` and a grid
    ``(G,)``. Grids of whole numbers are drawn as points.
    """
    looks = {"t = 0.5 (warmer)": (0.5, ":", _WARM), "t = 1": (1.0, "-", "0.2"),
             "t = 2 (colder)": (2.0, "--", _COLD)}  # fmt: skip
    with panels(densities, xlabel="", ylabel="", share="", yticks=[]) as (figure, shown):
        for axes, (family, natural, grid) in zip(shown, densities.values(), strict=True):
            whole = bool((grid == grid.round()).all())
            dots = {"marker": "o", "markersize": 3, "linewidth": 0.9} if whole else {}
            for name, (t, dashes, colour) in looks.items():
                density = tempered_log_prob(family, grid[:, None], natural, t).exp()
                draw(axes, {name: (grid, density, dashes, {"color": colour} | dots)})
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


def thermometer_image(reading: Any) -> Figure:
    """Slopes along v pixel by pixel: orange is too warm (above 0), blue too cold (below 0).

    ``reading`` are values ``(rows, columns)``.
    """
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("thermometer", [_COLD, "white", _WARM])
    image = np.asarray(reading)
    largest = float(np.abs(image).max())
    with panels(xlabel="", ylabel="", size=(3.7, 3.3)) as (figure, (axes,)):
        drawn = axes.imshow(image, cmap=colours, vmin=-largest, vmax=largest)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color="0.7")
        figure.colorbar(drawn, ax=axes, shrink=0.85, label="too cold ← nats → too warm")
    return figure
