"""ELBO and entropy sum over a plane: two surfaces in space, and two maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style
from companion.book.panels import NATS, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from companion.studies.at_a_glance.plane import Surfaces

__all__ = ["maps", "meeting_surfaces"]

BLUE, ORANGE, GREEN, AMBER = (COLOURS[index] for index in (0, 1, 2, 4))
#: Amber is too light for words.
BROWN = "#8a5000"
#: Where a line or a label lies on surfaces, it is drawn twice, broad and white first.
HALO = 4.0


#: A marked point: its coordinates a and b, its height, its label.
Mark = tuple[float, float, float, str]


def halo(width: float = HALO) -> list[Any]:
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=width, foreground="white")]


def check_grid(surfaces: Surfaces) -> None:
    if np.ndim(surfaces.elbo) != 2:
        raise ValueError(
            f"surfaces must hold a grid of values, (B, A): got shape {np.shape(surfaces.elbo)}"
        )


def _meeting_curves(surfaces: Surfaces) -> list[np.ndarray[Any, Any]]:
    """The curves gap = 0, each ``(K, 2)``, by linear interpolation in the grid."""
    from contourpy import contour_generator

    lines = contour_generator(surfaces.a, surfaces.b, surfaces.gap).lines(0.0)
    return [np.asarray(line) for line in lines]


def _heights(surfaces: Surfaces, line: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The ELBO on a curve, interpolated in the grid."""
    from scipy.interpolate import RegularGridInterpolator

    axes = (np.asarray(surfaces.b)[:, 0], np.asarray(surfaces.a)[0])
    # At the rim a contour may leave the grid by round-off.
    interpolate = RegularGridInterpolator(axes, surfaces.elbo, bounds_error=False, fill_value=None)
    heights: np.ndarray[Any, Any] = interpolate(line[:, ::-1])
    return heights


def _log_ticks(axis: Any, limits: tuple[float, float]) -> None:
    """Label an axis that shows a logarithm by the values themselves."""
    values = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]
    values = [value for value in values if limits[0] <= np.log(value) <= limits[1]]
    axis.set_ticks(np.log(values), [f"{v:g}" for v in values])


def _clip(polygon: np.ndarray[Any, Any], floor: float) -> np.ndarray[Any, Any]:
    """The part of a polygon ``(K, 3)`` with height at least ``floor`` (Sutherland-Hodgman)."""
    kept = []
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if start[2] >= floor:
            kept.append(start)
        if (start[2] >= floor) != (end[2] >= floor):
            kept.append(start + (floor - start[2]) / (end[2] - start[2]) * (end - start))
    return np.array(kept)


def _tiles(
    surfaces: Surfaces, height: Any, floor: float, colour: str
) -> tuple[list[Any], list[Any]]:
    """Polygons of one surface above ``floor``, and their colours, lit from the side."""
    from matplotlib.colors import to_rgb

    points = np.stack([surfaces.a, surfaces.b, height], -1)
    corners = np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], 2)
    spread = np.array([np.ptp(surfaces.a), np.ptp(surfaces.b), np.ptp(np.maximum(height, floor))])
    sides = (corners[:, :, 2:] - corners[:, :, :2]) / spread
    normals = np.cross(sides[:, :, 0], sides[:, :, 1])
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    light = np.abs(normals @ (np.array([0.5, 0.1, 0.86])))
    base = np.array(to_rgb(colour))
    shades = np.clip(base * (0.6 + 0.4 * light[..., None]) + 0.3 * light[..., None] ** 2, 0, 1)
    polygons, colours = [], []
    for tile, shade in zip(corners.reshape(-1, 4, 3), shades.reshape(-1, 3), strict=True):
        clipped = _clip(tile, floor)
        if len(clipped) >= 3:
            polygons.append(clipped)
            colours.append((*shade, 1.0))
    return polygons, colours


def meeting_surfaces(
    surfaces: Surfaces,
    marks: Sequence[Mark],
    words: Sequence[Mark] = (),
    *,
    labels: tuple[str, str],
    floor: float,
) -> Figure:
    """Both surfaces in space, the curve on which they meet, and marked stationary points.

    Parameters
    ----------
    surfaces
        ELBO and entropy sum on a grid.
    marks
        Stationary points.
    words
        Put on the surfaces, in the colour of the ELBO or of the entropy sum if they name one.
    labels
        Names of the two coordinates, of which the second is a logarithm.
    floor
        Heights below are cut off.

    Raises
    ------
    ValueError
        If the surfaces are not given on a grid.
    """
    from matplotlib import pyplot
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection
    from mpl_toolkits.mplot3d.proj3d import proj_transform

    check_grid(surfaces)
    tiles, colours = _tiles(surfaces, surfaces.elbo, floor, BLUE)
    more_tiles, more_colours = _tiles(surfaces, surfaces.entropy_sum, floor, AMBER)
    colours += more_colours
    top = max(float(np.max(surfaces.entropy_sum)), float(np.max(surfaces.elbo)))
    limits = (float(np.min(surfaces.b)), float(np.max(surfaces.b)))
    with style():
        figure = pyplot.figure(figsize=(7.0, 5.2), layout="none")
        axes: Any = figure.add_axes((-0.1, -0.06, 1.18, 1.2), projection="3d")
        axes.computed_zorder = False
        # One collection for both, so that its polygons are drawn in one order, from back to front.
        axes.add_collection3d(
            Poly3DCollection(
                tiles + more_tiles,
                facecolors=colours, edgecolors=colours, linewidths=0.3, rasterized=True,
            )
        )  # fmt: skip
        for line in _meeting_curves(surfaces):
            heights = _heights(surfaces, line)
            axes.plot(*line.T, heights, color="white", linewidth=5.0, zorder=5)
            axes.plot(*line.T, heights, color="black", linewidth=2.4, zorder=6)
        axes.set(
            xlim=(np.min(surfaces.a), np.max(surfaces.a)), ylim=limits, zlim=(floor, top),
            xlabel=labels[0], ylabel=labels[1], zlabel=NATS,
        )  # fmt: skip
        _log_ticks(axes.yaxis, limits)
        axes.view_init(elev=34, azim=62)
        axes.set_box_aspect((1.3, 1.15, 0.9))
        for a, b, height, label in marks:
            axes.plot([a], [b], [height], **_marker(label), zorder=8)
        for (a, b, height, label), marked in [
            *((mark, True) for mark in marks),
            *((word, False) for word in words),
        ]:
            above = 0 if not marked else -14 if _is_saddle(label) else 14
            axes.annotate(
                label,
                proj_transform(a, b, height, axes.get_proj())[:2],
                xytext=(0, above), textcoords="offset points", ha="center", va="center", zorder=9,
                path_effects=halo(), **({} if marked else _name_style(label)),
            )  # fmt: skip
    return figure


def _is_saddle(label: str) -> bool:
    return "saddle" in label


def _marker(label: str) -> dict[str, Any]:
    face = "white" if _is_saddle(label) else "black"
    return {"marker": "o", "color": face, "markeredgecolor": "black", "markersize": 8}


def _name_style(label: str) -> dict[str, Any]:
    colour = BLUE if "ELBO" in label else BROWN if "entropy" in label else "black"
    return {"color": colour, "weight": "bold"}


def map_axes(axes: Any, surfaces: Surfaces, marks: Sequence[Mark], name: bool) -> None:
    """The meeting curve, the marks and the limits of a map."""
    for line in _meeting_curves(surfaces):
        axes.plot(*line.T, color="white", linewidth=4.0)
        axes.plot(*line.T, color="black", linewidth=2.0)
    limits = (float(np.min(surfaces.b)), float(np.max(surfaces.b)))
    for a, b, _, label in marks:
        axes.plot([a], [b], **_marker(label), linestyle="", zorder=5)
        if name:
            axes.annotate(
                label, (a, b),
                xytext=(0, 9 if _is_saddle(label) else -9), textcoords="offset points",
                ha="center", va="bottom" if _is_saddle(label) else "top", fontsize=9,
                path_effects=halo(3.0),
            )  # fmt: skip
    axes.set(ylim=limits, xlim=(np.min(surfaces.a), np.max(surfaces.a)))
    axes.grid(False)
    _log_ticks(axes.yaxis, limits)


def maps(
    surfaces: Surfaces, marks: Sequence[Mark], *, labels: tuple[str, str], floor: float
) -> Figure:
    """ELBO and entropy sum as two maps with one scale of heights, the meeting curve on both.

    Parameters
    ----------
    surfaces, marks, labels, floor
        As in :func:`meeting_surfaces`.

    Raises
    ------
    ValueError
        If the surfaces are not given on a grid.
    """
    check_grid(surfaces)
    heights = {"ELBO": surfaces.elbo, "entropy sum": surfaces.entropy_sum}
    top = max(float(np.max(height)) for height in heights.values())
    levels = np.arange(floor, top + 0.25, 0.25)
    names: dict[str, Any] = {"xlabel": labels[0], "ylabel": labels[1]}
    with panels(heights, size=(7.0, 3.6), **names) as (figure, shown):
        for axes, (name, height) in zip(shown, heights.items(), strict=True):
            filled = axes.contourf(
                surfaces.a, surfaces.b, height, levels=levels, cmap="viridis", extend="min"
            )
            filled.set_rasterized(True)
            map_axes(axes, surfaces, marks, name=True)
            axes.set_title(name, **_name_style(name))
        bar = figure.colorbar(filled, ax=shown, shrink=0.95, pad=0.02, label=NATS)
        bar.set_ticks(list(np.arange(np.ceil(floor), top + 1e-9)))
    return figure
