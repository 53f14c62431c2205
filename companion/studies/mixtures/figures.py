"""Points coloured by component, with the ellipses of the components' covariances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS
from companion.book.panels import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["component_ellipses"]

#: Radii of the ellipses, in standard deviations, and widths of their lines.
RADII = {1.0: 1.6, 2.0: 0.9}
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def component_ellipses(
    x: Any,
    means: Sequence[Any],
    covariances: Sequence[Any],
    responsibilities: Sequence[Any],
    *,
    titles: Sequence[str],
    axes_names: tuple[str, str],
) -> Figure:
    """One panel for each mixture: its points, and ellipses at one and two standard deviations.

    A point has the marker and the colour of its most responsible component, and is the paler, the
    less certain that is.

    Parameters
    ----------
    x
        The data, ``(N, 2)``.
    means, covariances
        Of the components of each mixture, ``(C, 2)`` and ``(C, 2, 2)``.
    responsibilities
        ``(N, C)`` for each mixture.
    titles
        A title for each mixture.
    axes_names
        Names of the two columns of ``x``.

    Raises
    ------
    ValueError
        If the mixtures are not as many as titles, or have more components than there are colours.
    """
    if not len(means) == len(covariances) == len(responsibilities) == len(titles):
        raise ValueError(
            "means, covariances, responsibilities and titles must be equally many: got "
            f"{len(means)}, {len(covariances)}, {len(responsibilities)} and {len(titles)}"
        )
    points = np.asarray(x)
    margin = 0.2 * np.ptp(points, axis=0)
    limits = np.stack([points.min(0) - margin, points.max(0) + margin]).T
    width, height = np.ptp(limits, axis=1)
    columns = min(2, len(titles))
    size = (3.5 * columns, (3.1 * height / width + 0.4) * -(-len(titles) // columns) + 0.4)
    names: dict[str, Any] = {"xlabel": axes_names[0], "ylabel": axes_names[1]}
    fixed: dict[str, Any] = {"xlim": limits[0], "ylim": limits[1], "aspect": "equal"}
    with panels(titles, columns=2, size=size, **names, **fixed) as (figure, shown):
        for axes, *mixture in zip(shown, means, covariances, responsibilities, strict=True):
            _draw(axes, points, *map(np.asarray, mixture))
    return figure


def _draw(axes: Any, points: Any, means: Any, covariances: Any, responsibilities: Any) -> None:
    components = len(means)
    if components > len(MARKERS):
        raise ValueError(f"at most {len(MARKERS)} components can be drawn: got {components}")
    winner, certainty = responsibilities.argmax(1), responsibilities.max(1)
    # From 1/C, which says nothing, to 1.
    strength = (certainty - 1 / components) / (1 - 1 / components) if components > 1 else certainty
    circle = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(circle), np.sin(circle)])
    for component in range(components):
        look: dict[str, Any] = {"color": COLOURS[component]}
        mine = winner == component
        if mine.any():  # not all components win a point
            alpha = 0.25 + 0.6 * np.clip(strength[mine], 0, 1)
            marker = MARKERS[component]
            axes.scatter(*points[mine].T, 14, marker=marker, alpha=alpha, linewidths=0, **look)
        outline = np.linalg.cholesky(covariances[component]) @ circle
        for radius, width in RADII.items():
            axes.plot(*(means[component][:, None] + radius * outline), linewidth=width, **look)
        axes.plot(*means[component], "+", color="black", markersize=8)
