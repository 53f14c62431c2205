"""Points coloured by component, with the ellipses of the components' covariances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["component_ellipses"]

#: Radii of the ellipses, in standard deviations.
RADII = (1.0, 2.0)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def component_ellipses(
    x: Any,
    means: Sequence[Any],
    covariances: Sequence[Any],
    responsibilities: Sequence[Any],
    *,
    titles: Sequence[str],
    axes_names: tuple[str, str],
    columns: int = 2,
) -> Figure:
    """One panel for each mixture: data ``x`` ``(N, 2)``, ellipses at one and two deviations.

    Each of ``means`` is ``(C, 2)``, of ``covariances`` ``(C, 2, 2)``, of ``responsibilities``
    ``(N, C)``. A point has the marker and the colour of its most responsible component, and is the
    paler, the less certain that is.

    Raises
    ------
    ValueError
        If the mixtures are not as many as titles, or have more components than there are colours.
    """
    from matplotlib import pyplot

    if not len(means) == len(covariances) == len(responsibilities) == len(titles):
        raise ValueError(
            "means, covariances, responsibilities and titles must be equally many: got "
            f"{len(means)}, {len(covariances)}, {len(responsibilities)} and {len(titles)}"
        )
    points = np.asarray(x, dtype=np.float64)
    margin = 0.2 * np.ptp(points, axis=0)
    low, high = points.min(0) - margin, points.max(0) + margin
    width, height = high - low
    columns = min(columns, len(titles))
    rows = -(-len(titles) // columns)
    with style():
        figure, grid = pyplot.subplots(
            *(rows, columns),
            figsize=(3.5 * columns, (3.1 * height / width + 0.4) * rows + 0.4),
            squeeze=False,
            sharex=True,
            sharey=True,
        )
        for index, panel in enumerate(grid.flat):
            if index >= len(titles):
                panel.axis("off")
                continue
            _panel(
                panel,
                points,
                np.asarray(means[index]),
                np.asarray(covariances[index]),
                np.asarray(responsibilities[index]),
            )
            panel.set_title(titles[index], fontsize=10)
        for panel in grid[-1]:
            panel.set_xlabel(axes_names[0])
        for panel in grid[:, 0]:
            panel.set_ylabel(axes_names[1])
        grid[0, 0].set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        for panel in grid.flat:
            panel.set_aspect("equal")
    return figure


def _panel(
    panel: Axes,
    points: np.ndarray[Any, Any],
    means: np.ndarray[Any, Any],
    covariances: np.ndarray[Any, Any],
    responsibilities: np.ndarray[Any, Any],
) -> None:
    components = len(means)
    if components > len(MARKERS):
        raise ValueError(f"at most {len(MARKERS)} components can be drawn: got {components}")
    winner, certainty = responsibilities.argmax(1), responsibilities.max(1)
    # From 1/C, which says nothing, to 1.
    strength = (certainty - 1 / components) / (1 - 1 / components) if components > 1 else certainty
    circle = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(circle), np.sin(circle)])
    for component in range(components):
        mine = winner == component
        if mine.any():  # not all components win a point
            panel.scatter(
                points[mine, 0],
                points[mine, 1],
                s=14,
                marker=MARKERS[component],
                color=COLOURS[component],
                alpha=0.25 + 0.6 * np.clip(strength[mine], 0, 1),
                linewidths=0,
            )
        outline = np.linalg.cholesky(covariances[component]) @ circle
        for radius in RADII:
            line = means[component][:, None] + radius * outline
            panel.plot(*line, color=COLOURS[component], linewidth=1.6 if radius == 1 else 0.9)
        panel.plot(*means[component], "+", color="black", markersize=8)
