"""Figures that several chapters share: learning, entropies, predictions, parts, small images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from companion.book.panels import BANDS, GREY, curve_panels, curves, draw, panels
from companion.book.rows import RING, bars, dots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "BANDS",
    "GREY",
    "RING",
    "Run",
    "bars",
    "bound_and_entropies",
    "bounds_by_model",
    "columns",
    "crossing",
    "curve_panels",
    "curves",
    "dots",
    "gap_and_gradient",
    "histograms",
    "image_grid",
    "predicted_and_measured",
    "three_entropies",
]

_BOUND = {"ELBO": "elbo", "entropy sum": "entropy_sum"}
_TERMS = {
    "average entropy of q": "posterior_entropy",
    "− entropy of the prior": "prior_entropy",
    "− entropy of the observables": "observable_entropy",
}
_SIZES = {
    "|ELBO − entropy sum|": "gap",
    "gradient norm": "gradient_norm",
    "residual of the identity": "residual",
}


class Run(Protocol):
    """What figures need of :class:`companion.fit.Trace` or :class:`companion.training.Ensemble`."""

    @property
    def steps(self) -> Sequence[int]: ...

    def column(self, name: str) -> Any: ...


def columns(run: Run, names: Mapping[str, str], skip: int = 0) -> dict[str, tuple[Any, Any]]:
    """Curves of columns of ``run``, ``{label: column}``; a label with a − turns the sign.

    ``skip`` leaves out that many logged steps at the start, where the values may be far away.
    """
    return {
        label: (run.steps[skip:], run.column(name)[..., skip:] * (-1 if label[0] == "−" else 1))
        for label, name in names.items()
    }


def bound_and_entropies(trace: Run, *, skip: int = 0, log_steps: bool = False) -> Figure:
    """ELBO and entropy sum over learning, in nats per data point, in one panel."""
    figure = curves(columns(trace, _BOUND, skip))
    if log_steps:
        figure.axes[0].set_xscale("symlog", linthresh=1)
    return figure


def gap_and_gradient(trace: Run) -> Figure:
    """|ELBO − entropy sum|, gradient norm and the identity's residual, on a logarithmic axis."""
    sizes = columns(trace, _SIZES).items()
    return curves({k: v for k, v in sizes if np.isfinite(v[1]).all()}, yscale="log")


def three_entropies(
    runs: Mapping[str, Run], *, also: Mapping[str, Any] | None = None, skip: int = 0
) -> Figure:
    """ELBO and entropy sum above, its three terms below: a column of panels for each name.

    The terms have the sign with which they enter the sum. ``also`` maps labels to further values
    for the first panel; a single run, without a name, has its two panels side by side.
    """
    groups = {}
    for what, names in (("the bound", _BOUND), ("its three entropies", _TERMS)):
        for name, run in runs.items():
            groups[f"{name}: {what}" if name else what] = columns(run, names, skip)
    first, steps = next(iter(groups)), next(iter(runs.values())).steps[skip:]
    further = {label: (steps, values[..., skip:]) for label, values in (also or {}).items()}
    groups[first] = {**further, **groups[first]}
    return curve_panels(groups, columns=max(2, len(runs)), across=[0])


def bounds_by_model(traces: Mapping[str, Run], skip: int = 0) -> Figure:
    """ELBO (lines) and entropy sum (dashes) over learning, one colour for each model."""
    pale = {"linewidth": 4, "alpha": 0.35}  # the dashes on top can be seen where both are equal
    lines = {n: (*columns(t, _BOUND, skip)["ELBO"], "-", pale) for n, t in traces.items()}
    with panels(size=(7.4, 4.2)) as (figure, (axes,)):
        draw(axes, lines)
        for line, trace in zip(axes.get_lines(), traces.values(), strict=True):
            axes.plot(*columns(trace, _BOUND, skip)["entropy sum"], "--", color=line.get_color())
        axes.plot([], [], color="0.4", label="ELBO", **pale)
        axes.plot([], [], "--", color="0.4", label="entropy sum")
    return figure


def crossing(x: Any, pair: Mapping[str, Any], *, here: float, xlabel: str) -> Figure:
    """Two curves, a dot on top of the first and a line where we are.

    Where the second curve is the first less its slope, it goes through the dot.

    Parameters
    ----------
    x
        Where the values are given, ``(K,)``.
    pair
        Two labels with their values, ``(K,)``.
    here
        The place of the line.
    xlabel
        Name of the horizontal axis.
    """
    first, values = next(iter(pair.items()))
    top = int(np.argmax(values))
    lines: dict[str, tuple[Any, ...]] = {label: (x, each) for label, each in pair.items()}
    lines[f"highest {first}"] = ([x[top]], [values[top]], "o", {"color": "black"})
    return curves(lines, xlabel=xlabel, upright=[here])


def predicted_and_measured(
    values: Any, predicted: Any, measured: Any, *, xlabel: str, ylabel: str, **options: Any
) -> Figure:
    """Measured points on a predicted line, over the values of a parameter.

    Parameters
    ----------
    values, predicted, measured
        The parameter, and what is predicted and measured there, ``(K,)``.
    xlabel, ylabel
        Names of the axes.
    **options
        Those of :func:`companion.book.panels.panels`.
    """
    lines = {"predicted": (values, predicted, "-", GREY), "measured": (values, measured, "o")}
    return curves(lines, across=[0], xlabel=xlabel, ylabel=ylabel, **options)


def histograms(
    data: Mapping[str, tuple[Any, Mapping[str, Sequence[Any]]]],
    *,
    bins: int = 12,
    counts: bool = False,
) -> Figure:
    """A panel for each column of data: its histogram and labelled curves, such as densities.

    ``data`` maps the name of the horizontal axis to values ``(N,)`` and curves as in
    :func:`curve_panels`. With ``counts`` the values are whole numbers, shown as frequencies.
    """
    size = (max(7.0, 2.8 * len(data)), 3.4)
    ylabel = "relative frequency" if counts else "density"
    with panels([""] * len(data), ylabel=ylabel, size=size, share="") as (figure, shown):
        for axes, (name, (values, lines)) in zip(shown, data.items(), strict=True):
            x = np.asarray(next(iter(lines.values()))[0])
            edges: Any = np.arange(x.min() - 0.5, x.max() + 1) if counts else bins
            axes.hist(
                np.asarray(values), edges, density=True, color="0.84", rwidth=0.9, label="data"
            )
            draw(axes, lines)
            axes.set_xlabel(name)
            axes.xaxis.get_major_locator().set_params(integer=counts)
    return figure


def image_grid(
    images: Any,
    shape: tuple[int, int],
    *,
    columns: int = 10,
    titles: list[str] | None = None,
    symmetric: bool = False,
) -> Figure:
    """Draw images row by row.

    Parameters
    ----------
    images
        The pixels of each, ``(K, D)``.
    shape
        Height and width, with height · width = D.
    columns
        How many stand side by side.
    titles
        One for each image.
    symmetric
        Whether colours are centred at zero, for weights; otherwise all share one grey scale.

    Raises
    ------
    ValueError
        If ``shape`` does not fit the images, or there is another number of titles.
    """
    pixels = np.asarray(images, dtype=np.float64)
    if pixels.ndim != 2 or pixels.shape[1] != shape[0] * shape[1]:
        raise ValueError(
            f"shape {shape} must have as many pixels as a row of images: got {pixels.shape}"
        )
    if titles is not None and len(titles) != len(pixels):
        raise ValueError(f"titles must be one for each image: got {len(titles)} for {len(pixels)}")
    columns = min(columns, len(pixels))
    rows = -(-len(pixels) // columns)
    high = np.abs(pixels).max() if symmetric else pixels.max()
    low = -high if symmetric else pixels.min()
    colours = {"cmap": "RdBu_r" if symmetric else "gray_r", "vmin": low, "vmax": high}
    side = min(7.0 / columns, 1.5)
    with panels(
        titles or [""] * len(pixels), columns=columns, size=(side * columns, side * rows + 0.2)
    ) as (figure, shown):
        for axes, image in zip(shown, pixels, strict=True):
            axes.imshow(image.reshape(shape), interpolation="nearest", **colours)
            axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
            axes.spines[:].set(visible=True, color="0.8", linewidth=0.6)  # white margins end here
            axes.title.set_fontsize(8)
    return figure
