"""ELBO and entropy sum along a line through a plane, and with learning on top of the map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.panels import NATS, panels
from companion.studies.at_a_glance.figures import (
    BLUE,
    BROWN,
    GREEN,
    ORANGE,
    Mark,
    check_grid,
    halo,
    map_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from companion.studies.at_a_glance.plane import Path, Surfaces

__all__ = ["ascent", "cross_section"]


def cross_section(
    surfaces: Surfaces,
    line: Surfaces,
    position: Any,
    *,
    labels: tuple[str, str],
    position_label: str,
    marks: Sequence[Mark] = (),
    stationary: Sequence[float] = (),
) -> Figure:
    """A line through the plane (left) and both quantities along it (right).

    The left panel shows which of the two is higher, and the meeting curve between.

    Parameters
    ----------
    surfaces, labels, marks
        As in :func:`companion.studies.at_a_glance.figures.meeting_surfaces`.
    line, position, position_label
        The values at points of the line, its coordinate ``(K,)`` and what that is called.
    stationary
        Positions marked by thin vertical lines.

    Raises
    ------
    ValueError
        If the surfaces are not given on a grid.
    """
    check_grid(surfaces)
    wide = {"width_ratios": (1, 1.35)}
    with panels(["", ""], size=(7.0, 3.4), share="", grid=wide) as (figure, (plane, panel)):
        plane.contourf(
            surfaces.a, surfaces.b, surfaces.gap,
            levels=[-np.inf, 0, np.inf], colors=["#fbe3b0", "#cfe6f5"],
        )  # fmt: skip
        map_axes(plane, surfaces, marks, name=False)
        plane.set(xlabel=labels[0], ylabel=labels[1])
        plane.plot(line.a, line.b, color=GREEN, linewidth=2.2, path_effects=halo(3.6))
        ends = [(line.a[index], line.b[index]) for index in (-1, -4)]
        arrow: dict[str, Any] = {"arrowstyle": "-|>", "color": GREEN, "mutation_scale": 16}
        plane.annotate("", *ends, arrowprops=arrow)
        inside: dict[str, Any] = {"transform": plane.transAxes, "ha": "center", "fontsize": 9}
        plane.text(0.5, 0.94, "ELBO higher", va="top", color=BLUE, **inside)
        plane.text(0.5, 0.06, "entropy sum higher", va="bottom", color=BROWN, **inside)
        for place in stationary:
            panel.axvline(place, color="#888888", linewidth=0.9, linestyle=":")
        for name, values, colour, dashes in (
            ("ELBO", line.elbo, BLUE, "-"),
            ("entropy sum", line.entropy_sum, ORANGE, "--"),
        ):
            panel.plot(position, values, dashes, color=colour)
            panel.annotate(
                name, (position[-1], values[-1]), xytext=(4, 0), textcoords="offset points",
                color=colour, va="center", fontsize=10,
            )  # fmt: skip
        panel.set(xlabel=position_label, ylabel=NATS)
        panel.tick_params(axis="x", colors=GREEN)
        panel.xaxis.label.set_color(GREEN)
    return figure


def ascent(
    surfaces: Surfaces,
    paths: Sequence[Path],
    marks: Sequence[Mark],
    *,
    labels: tuple[str, str],
    floor: float,
) -> Iterator[Figure]:
    """Gradient ascent, frame by frame: paths on the map of the ELBO (left), ELBO and sum (right).

    One frame for each logged step, for :func:`companion.book.show_animation`: the same figure, each
    time with one more step in it.

    Parameters
    ----------
    surfaces, marks, labels, floor
        As in :func:`companion.studies.at_a_glance.figures.meeting_surfaces`.
    paths
        All must have logged the same steps.

    Raises
    ------
    ValueError
        If the surfaces are not given on a grid, or the paths have logged different steps.
    """
    check_grid(surfaces)
    steps = paths[0].trace.steps
    if any(path.trace.steps != steps for path in paths):
        raise ValueError("paths must have logged the same steps: give all the same log_every")
    curves = [[p.trace.column(name) for name in ("elbo", "entropy_sum")] for p in paths]
    low, high = max(floor, np.min(curves)), np.max(curves)
    margin = 0.05 * (high - low)
    with panels(["", ""], size=(6.4, 3.2), share="") as (figure, (plane, panel)):
        plane.contourf(
            surfaces.a, surfaces.b, surfaces.elbo,
            levels=np.arange(floor, float(np.max(surfaces.elbo)) + 0.25, 0.25),
            colors=[str(grey) for grey in np.linspace(0.72, 0.99, 16)], extend="min",
        )  # fmt: skip
        map_axes(plane, surfaces, marks, name=False)
        plane.set(xlabel=labels[0], ylabel=labels[1])
        lines = []
        for colour in (BLUE, ORANGE, GREEN)[: len(paths)]:
            lines += plane.plot([], [], ".-", color=colour, markersize=3, path_effects=halo(3.0))
            lines += plane.plot([], [], "D", color=colour, markeredgecolor="white", zorder=7)
            lines += panel.plot([], [], color=colour) + panel.plot([], [], "--", color=colour)
        panel.set(xlim=(0, steps[-1]), ylim=(low - margin, high + margin), xlabel="step")
        panel.set_ylabel(NATS)
        panel.plot([], [], color="#555555", label="ELBO")
        panel.plot([], [], "--", color="#555555", label="entropy sum")

    def frames() -> Iterator[Figure]:
        for end in range(1, len(steps) + 1):
            for number, (path, (elbo, total)) in enumerate(zip(paths, curves, strict=True)):
                trail, head, solid, dashed = lines[4 * number : 4 * number + 4]
                trail.set_data(*path.points[:end].T)
                head.set_data(*path.points[end - 1 : end].T)
                solid.set_data(steps[:end], elbo[:end])
                dashed.set_data(steps[:end], total[:end])
            yield figure

    return frames()
