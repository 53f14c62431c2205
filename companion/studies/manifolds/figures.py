"""Curves and surfaces, in the data space and in a plane of two latents."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style
from companion.book.panels import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["data_and_samples", "latent_planes", "latents_in_use", "point_clouds"]

Numbers = np.ndarray[Any, np.dtype[np.float64]]


@contextlib.contextmanager
def _spaces(groups: Mapping[str, tuple[Any, ...]]) -> Iterator[tuple[Figure, list[Any]]]:
    """A panel for each group of arrays, flat or in space as the columns of its first one ask.

    Without numbers on the axes: shapes matter here, not positions.
    """
    from matplotlib import pyplot

    with style():
        rows = -(-len(groups) // 3)
        figure, shown = pyplot.figure(figsize=(8.2, 2.3 * rows)), []
        for place, (name, (points, *_)) in enumerate(groups.items(), 1):
            if np.ndim(points) != 2 or np.shape(points)[1] not in (2, 3):
                raise ValueError(f"{name} must have 2 or 3 columns: got shape {np.shape(points)}")
            deep = np.shape(points)[1] == 3
            shape = (rows, min(3, len(groups)), place)
            axes: Any = figure.add_subplot(*shape, projection="3d" if deep else None)
            axes.set(title=name, xticklabels=[], yticklabels=[], aspect="equal", axisbelow=True)
            if deep:
                axes.set_zticklabels([])
                axes.computed_zorder = False  # what comes later is drawn above
                axes.view_init(elev=15, azim=-75)
            shown.append(axes)
        yield figure, shown


def point_clouds(clouds: Mapping[str, tuple[Any, Any]]) -> Figure:
    """Points ``(N, 2)`` or ``(N, 3)``, coloured by one number each, ``(N,)``; one panel a name.

    The numbers may be positions along a curve; every panel has its own range of colours.
    """
    with _spaces(clouds) as (figure, shown):
        for axes, (points, hue) in zip(shown, clouds.values(), strict=True):
            axes.scatter(*np.asarray(points).T, c=hue, cmap="viridis", s=5)
    return figure


def latent_planes(planes: Mapping[str, tuple[Any, Any, Any, Any]]) -> Figure:
    """Where the encoder puts the data: aggregate posterior, means and prior; one panel a name.

    Each is ``(mean, std, hue, prior)``: means and standard deviations of q, ``(N, 2)``, a number
    for the colour of every point, ``(N,)``, and the standard deviations of the prior, ``(2,)``.
    Grey is the density of the aggregate posterior q̄ = (1/N) Σ_n q_n; the ellipses are one and two
    standard deviations of the prior.
    """
    turn = np.linspace(0, 2 * np.pi, 200)
    with _spaces(planes) as (figure, shown):
        for axes, parts in zip(shown, planes.values(), strict=True):
            mean, std, hue, prior = map(np.asarray, parts)
            reach = 1.15 * max(2 * prior.max(), float(np.abs(mean).max()))
            density = _aggregate(mean, std, np.linspace(-reach, reach, 161))
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
    looks: tuple[dict[str, Any], ...] = (
        {"label": "data", "color": "0.6", "s": 7},
        {"label": "samples of the model", "color": COLOURS[5], "s": 5},
        {"label": "their means", "color": COLOURS[1], "s": 3},
    )
    with _spaces(clouds) as (figure, shown):
        for axes, parts in zip(shown, clouds.values(), strict=True):
            for look, points in zip(looks, parts, strict=True):
                fog = {"depthshade": False} if axes.name == "3d" else {}
                axes.scatter(*np.asarray(points).T, linewidth=0, **look, **fog)
        handles = axes.get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=3, markerscale=2)
    return figure


def latents_in_use(divergences: Mapping[str, Any], threshold: float) -> Figure:
    """KL divergence of every latent, the largest first; one panel a name, one line a run.

    Each value is ``(S, H)``: S runs with H latents. The dashed line is the ``threshold`` above
    which a latent counts as active.
    """
    names: dict[str, Any] = {"xlabel": "latent", "ylabel": "KL in nats"}
    with panels(divergences, size=(8.2, 2.9), across=[threshold], **names) as (figure, shown):
        for axes, values in zip(shown, divergences.values(), strict=True):
            runs = -np.sort(-np.asarray(values), axis=1)
            latents = np.arange(1, runs.shape[1] + 1)
            axes.plot(latents, runs.T, ".-", linewidth=1)
            axes.set_yscale("symlog", linthresh=threshold)
            axes.set(xticks=latents, ylim=(-0.1 * threshold, None))
    return figure


def _aggregate(mean: Numbers, std: Numbers, grid: Numbers) -> Numbers:
    """Density of (1/N) Σ_n N(mean_n, diag std_n²) at all pairs of ``grid``, ``(G, G)``."""
    if mean.ndim != 2 or mean.shape[1] != 2 or std.shape != mean.shape:
        raise ValueError(
            f"means and standard deviations must be (N, 2): got {mean.shape} and {std.shape}"
        )
    scaled = (grid[None, :, None] - mean[:, None, :]) / std[:, None, :]
    bells = np.exp(-0.5 * scaled**2) / (std[:, None, :] * np.sqrt(2 * np.pi))
    return np.einsum("ni,nj->ij", bells[..., 0], bells[..., 1]) / len(mean)
