"""Curves and surfaces, in the data space and in a plane of two latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["data_and_samples", "latent_planes", "latents_in_use", "point_clouds"]

Numbers = np.ndarray[Any, np.dtype[np.float64]]


def point_clouds(clouds: Mapping[str, tuple[Any, Any]]) -> Figure:
    """Points ``(N, 2)`` or ``(N, 3)``, coloured by one number each, ``(N,)``; one panel a name.

    The numbers may be positions along a curve; every panel has its own range of colours.
    """
    from matplotlib import pyplot

    with style():
        figure = pyplot.figure(figsize=(8.2, 2.9 * _rows(clouds)))
        for place, (name, (points, hue)) in enumerate(clouds.items(), 1):
            points, hue = _array(points), _array(hue)
            _check_columns(points, name)
            axes = _panel(figure, clouds, place, name, points.shape[1])
            axes.scatter(*points.T, c=hue, cmap="viridis", s=5)
    return figure


def latent_planes(planes: Mapping[str, tuple[Any, Any, Any, Any]]) -> Figure:
    """Where the encoder puts the data: aggregate posterior, means and prior; one panel a name.

    Each is ``(mean, std, hue, prior)``: means and standard deviations of q, ``(N, 2)``, a number
    for the colour of every point, ``(N,)``, and the standard deviations of the prior, ``(2,)``.
    Grey is the density of the aggregate posterior q̄ = (1/N) Σ_n q_n; the ellipses are one and two
    standard deviations of the prior.
    """
    from matplotlib import pyplot

    turn = np.linspace(0, 2 * np.pi, 200)
    with style():
        figure = pyplot.figure(figsize=(8.2, 2.9 * _rows(planes)))
        for place, (name, parts) in enumerate(planes.items(), 1):
            mean, std, hue, prior = (_array(part) for part in parts)
            _check_plane(mean, std, name)
            axes = _panel(figure, planes, place, name, 2)
            reach = 1.15 * max(2 * prior.max(), float(np.abs(mean).max()))
            grid = np.linspace(-reach, reach, 161)
            density = _aggregate(mean, std, grid)
            extent = (-reach, reach, -reach, reach)
            axes.imshow(density.T, origin="lower", extent=extent, cmap="Greys", aspect="equal")
            axes.scatter(*mean.T, c=hue, cmap="viridis", s=3, linewidth=0)
            for size in (1, 2):
                ring = size * prior[:, None] * np.stack([np.cos(turn), np.sin(turn)])
                axes.plot(*ring, "--", color=COLOURS[1], linewidth=1.2)
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
            axes.grid(False)
    return figure


def data_and_samples(clouds: Mapping[str, tuple[Any, Any, Any]]) -> Figure:
    """Data (grey), draws from a model and their means without noise; one panel a name.

    Each is ``(data, draws, means)``, with 2 or 3 columns; draws and means belong to the same z.
    """
    from matplotlib import pyplot

    looks: tuple[tuple[str, dict[str, Any]], ...] = (
        ("data", {"color": "0.6", "s": 7}),
        ("samples of the model", {"color": COLOURS[5], "s": 5}),
        ("their means", {"color": COLOURS[1], "s": 3}),
    )
    with style():
        figure = pyplot.figure(figsize=(8.2, 2.9 * _rows(clouds) + 0.3))
        for place, (name, parts) in enumerate(clouds.items(), 1):
            points = [_array(part) for part in parts]
            _check_columns(points[0], name)
            axes = _panel(figure, clouds, place, name, points[0].shape[1])
            for (label, look), part in zip(looks, points, strict=True):
                axes.scatter(*part.T, label=label, linewidth=0, **look)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, markerscale=2)
    return figure


def latents_in_use(divergences: Mapping[str, Any], threshold: float) -> Figure:
    """KL divergence of every latent, the largest first; one panel a name, one line a run.

    Each value is ``(S, H)``: S runs with H latents. The dashed line is the ``threshold`` above
    which a latent counts as active.
    """
    from matplotlib import pyplot

    with style():
        figure, panels = pyplot.subplots(
            1, len(divergences), figsize=(8.2, 2.9), sharey=True, squeeze=False
        )
        for axes, (name, values) in zip(panels.flat, divergences.items(), strict=True):
            runs = -np.sort(-np.atleast_2d(_array(values)), axis=1)
            for colour, run in zip(np.arange(len(runs)) % len(COLOURS), runs, strict=True):
                axes.plot(np.arange(1, len(run) + 1), run, ".-", color=COLOURS[colour], lw=1)
            axes.axhline(threshold, linestyle="--", color="0.4", linewidth=1)
            axes.set_yscale("symlog", linthresh=threshold)
            axes.set(title=name, xlabel="latent", ylim=(-0.1 * threshold, None))
            axes.set_xticks(np.arange(1, runs.shape[1] + 1))
        panels[0, 0].set_ylabel("KL in nats")
    return figure


def _array(values: Any) -> Numbers:
    return np.asarray(values, dtype=np.float64)


def _rows(panels: Mapping[str, Any]) -> int:
    return -(-len(panels) // 3)


def _panel(figure: Figure, panels: Mapping[str, Any], place: int, name: str, columns: int) -> Any:
    """An axes for points of 2 or 3 columns, without numbers: shapes matter here, not positions."""
    shape = (_rows(panels), min(3, len(panels)), place)
    axes: Any = figure.add_subplot(*shape, projection="3d" if columns == 3 else None)
    axes.set_title(name)
    for side in "xyz"[:columns]:
        getattr(axes, f"set_{side}ticklabels")([])
    axes.set_aspect("equal")
    axes.set_axisbelow(True)
    if columns == 3:
        axes.view_init(elev=15, azim=-75)
    return axes


def _check_columns(points: Numbers, name: str) -> None:
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise ValueError(f"{name} must have 2 or 3 columns: got shape {points.shape}")


def _check_plane(mean: Numbers, std: Numbers, name: str) -> None:
    if mean.ndim != 2 or mean.shape[1] != 2 or std.shape != mean.shape:
        raise ValueError(
            f"{name} must have means and standard deviations (N, 2): got {mean.shape} and "
            f"{std.shape}"
        )


def _aggregate(mean: Numbers, std: Numbers, grid: Numbers) -> Numbers:
    """Density of (1/N) Σ_n N(mean_n, diag std_n²) at all pairs of ``grid``, ``(G, G)``."""
    scaled = (grid[None, :, None] - mean[:, None, :]) / std[:, None, :]
    bells = np.exp(-0.5 * scaled**2) / (std[:, None, :] * np.sqrt(2 * np.pi))
    return np.einsum("ni,nj->ij", bells[..., 0], bells[..., 1]) / len(mean)
