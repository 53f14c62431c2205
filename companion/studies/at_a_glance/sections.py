"""ELBO and entropy sum along a line through a plane, and with learning on top of the map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from companion.book.display import style
from companion.studies.at_a_glance.figures import (
    BLUE,
    BROWN,
    GREEN,
    NATS,
    ORANGE,
    Mark,
    Surfaces,
    check_grid,
    halo,
    map_axes,
)

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure

__all__ = ["ascent", "cross_section"]


class Path(Protocol):
    """What the figures need of :class:`companion.studies.at_a_glance.plane.Path`."""

    points: Any
    trace: Any


def cross_section(
    surfaces: Surfaces,
    line: Surfaces,
    position: Any,
    *,
    labels: tuple[str, str],
    position_label: str,
    marks: Sequence[Mark] = (),
    stationary: Sequence[float] = (),
    words: tuple[str, str] = ("ELBO higher", "entropy sum higher"),
) -> Figure:
    """A line through the plane (left) and both quantities along it (right).

    The left panel shows which of the two is higher, and the meeting curve between. ``line`` holds
    the values at points of the line, ``position`` ``(K,)`` its coordinate; thin vertical lines mark
    the positions in ``stationary``.

    Raises
    ------
    ValueError
        If the surfaces are not given on a grid.
    """
    from matplotlib import pyplot

    check_grid(surfaces)
    with style():
        figure, (plane, panel) = pyplot.subplots(1, 2, figsize=(7.0, 3.4), width_ratios=(1, 1.35))
        plane.contourf(
            surfaces.a, surfaces.b, surfaces.gap,
            levels=[-np.inf, 0, np.inf], colors=["#fbe3b0", "#cfe6f5"],
        )  # fmt: skip
        map_axes(plane, surfaces, labels, marks, name=False)
        plane.plot(line.a, line.b, color=GREEN, linewidth=2.2, path_effects=halo(3.6))
        ends = [(line.a[index], line.b[index]) for index in (-1, -4)]
        plane.annotate(
            "", *ends, arrowprops={"arrowstyle": "-|>", "color": GREEN, "mutation_scale": 16}
        )
        plane.set_ylabel(labels[1])
        for word, height in zip(words, (0.94, 0.06), strict=True):
            plane.text(
                *(0.5, height, word), transform=plane.transAxes, ha="center", fontsize=9,
                va="top" if height > 0.5 else "bottom", color=BLUE if height > 0.5 else BROWN,
            )  # fmt: skip
        for place in stationary:
            panel.axvline(place, color="#888888", linewidth=0.9, linestyle=":")
        panel.plot(position, line.elbo, color=BLUE)
        panel.plot(position, line.entropy_sum, "--", color=ORANGE)
        for name, values, colour in (
            ("ELBO", line.elbo, BLUE),
            ("entropy sum", line.entropy_sum, ORANGE),
        ):
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
) -> FuncAnimation:
    """Gradient ascent as an animation: paths on the map of the ELBO (left), ELBO and sum (right).

    One frame for each logged step; all paths must have logged the same steps.

    Raises
    ------
    ValueError
        If the surfaces are not given on a grid, or the paths have logged different steps.
    """
    from matplotlib import pyplot
    from matplotlib.animation import FuncAnimation

    check_grid(surfaces)
    steps = paths[0].trace.steps
    if any(path.trace.steps != steps for path in paths):
        raise ValueError("paths must have logged the same steps: give all the same log_every")
    with style():
        figure, (plane, panel) = pyplot.subplots(1, 2, figsize=(6.4, 2.9))
        plane.contourf(
            surfaces.a, surfaces.b, surfaces.elbo,
            levels=np.arange(floor, float(np.max(surfaces.elbo)) + 0.25, 0.25),
            colors=[str(grey) for grey in np.linspace(0.72, 0.99, 16)], extend="min",
        )  # fmt: skip
        map_axes(plane, surfaces, labels, marks, name=False)
        plane.set_ylabel(labels[1])
        drawn = []
        for path, colour in zip(paths, (BLUE, ORANGE, GREEN), strict=False):
            elbo, sums = path.trace.column("elbo"), path.trace.column("entropy_sum")
            (trail,) = plane.plot([], [], ".-", color=colour, markersize=3, path_effects=halo(3.0))
            (head,) = plane.plot([], [], "D", color=colour, markeredgecolor="white", zorder=7)
            (solid,) = panel.plot([], [], color=colour)
            (dashed,) = panel.plot([], [], "--", color=colour)
            drawn.append((path.points, elbo, sums, trail, head, solid, dashed))
        every = np.concatenate([np.concatenate(curves[1:3]) for curves in drawn])
        low, high = max(floor, every.min()), every.max()
        margin = 0.05 * (high - low)
        panel.set(
            xlim=(0, steps[-1]), ylim=(low - margin, high + margin), xlabel="step", ylabel=NATS
        )
        panel.plot([], [], color="#555555", label="ELBO")
        panel.plot([], [], "--", color="#555555", label="entropy sum")
        panel.legend(fontsize=9)

    def draw(frame: int) -> None:
        for points, elbo, sums, trail, head, solid, dashed in drawn:
            trail.set_data(*points[: frame + 1].T)
            head.set_data(*points[frame : frame + 1].T)
            solid.set_data(steps[: frame + 1], elbo[: frame + 1])
            dashed.set_data(steps[: frame + 1], sums[: frame + 1])

    return FuncAnimation(figure, draw, frames=len(steps))
