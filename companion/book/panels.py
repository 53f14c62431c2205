"""What every figure is built of: panels in one style, labelled curves, rows of dots."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BANDS",
    "GREY",
    "NATS",
    "ROUND_OFF",
    "both_signs",
    "curve_panels",
    "curves",
    "draw",
    "panels",
]

#: What is drawn of many seeds, for captions.
BANDS = (
    "Lines are medians over the seeds, dark bands reach from the lower to the upper quartile, "
    "light bands from the smallest to the largest value."
)
#: Places of lines, if need be by label.
Lines = Mapping[str, float] | Sequence[float]
#: On a logarithmic axis smaller values are drawn here: they are zero to float64.
ROUND_OFF = 1e-16
NATS = "nats per data point"
DASHES = ("-", "--", ":", "-.")
MARKERS = "oXsD^vP"
#: The look of what is not a result: diagonals, predictions.
GREY: dict[str, Any] = {"color": "0.6"}

_GUIDE: dict[str, Any] = {"color": "0.5", "linewidth": 0.9, "linestyle": "--", "zorder": 0}
#: How many characters of labels stand side by side in a legend below the panels.
_LEGEND_WIDTH = 105


@contextlib.contextmanager
def panels(
    titles: Iterable[str] = ("",),
    *,
    columns: int = 3,
    xlabel: str = "step",
    ylabel: str = NATS,
    across: Lines = (),
    upright: Lines = (),
    xticks: Sequence[float] = (),
    legend: str = "",
    size: tuple[float, float] | None = None,
    share: str = "xy",
    grid: Mapping[str, Any] | None = None,
    **properties: Any,
) -> Iterator[tuple[Figure, list[Any]]]:
    """Draw in a figure with a panel for each title, in the book's style; afterwards add a legend.

    What a ``with`` gets is the figure and the list of its panels. Their axes are named once in each
    row and column; there is one legend, inside a single panel, below several.

    Parameters
    ----------
    titles
        One for each panel; an empty one for none.
    columns
        How many panels at most stand side by side.
    across, upright
        Heights and places of thin dashed lines through every panel, or ``{label: place}``.
    xticks
        Values that are written out along the horizontal axis, for logarithmic ones.
    legend
        Where it stands, in matplotlib's words.
    size
        Width and height in inches.
    share
        Which axes all panels have in common: "xy", "x", "y" or "".
    grid
        Ratios of heights and widths, as for :func:`matplotlib.pyplot.subplots`.
    **properties
        Set for every panel: ``yscale="log"``, ``xlim``, ...
    """
    from matplotlib import pyplot

    names = list(titles)
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    size = size or ((7.0, 3.8) if len(names) == 1 else (8.2, max(3.6, 2.0 * rows + 0.6)))
    common: dict[str, Any] = {"sharex": "x" in share, "sharey": "y" in share}
    with style():
        figure, axes = pyplot.subplots(
            rows, columns, figsize=size, squeeze=False, gridspec_kw=dict(grid or {}), **common
        )
        for unused in axes.flat[len(names) :]:
            unused.set_axis_off()
        shown = list(axes.flat[: len(names)])
        for number, (panel, name) in enumerate(zip(shown, names, strict=True)):
            panel.set(title=name, **properties)
            if number % columns == 0:
                panel.set_ylabel(ylabel)
            if number >= len(names) - columns:
                panel.set_xlabel(xlabel)
                panel.tick_params(labelbottom=True)
            for label, height in _labelled(across):
                panel.axhline(height, label=label, **_GUIDE)
            for label, place in _labelled(upright):
                panel.axvline(place, label=label, **_GUIDE)
            if len(xticks):
                panel.set_xticks(xticks, [f"{tick:g}" for tick in xticks])
                panel.set_xticks([], minor=True)
        yield figure, shown
        _legend(figure, shown, legend)


def _labelled(lines: Lines) -> Iterable[tuple[str, float]]:
    return lines.items() if isinstance(lines, Mapping) else [("", place) for place in lines]


def _legend(figure: Any, shown: list[Any], place: str) -> None:
    """One legend for all panels; none where there is one thing only and no place is given."""
    handles: dict[str, Any] = {}
    for panel in shown:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if len(shown) == 1 and not place.startswith("outside"):
        if len(handles) > 1:
            shown[0].legend(loc=place or "best")
    elif len(handles) > 1 or (handles and place):
        place = place or "outside lower center"
        ncols = max(1, min(len(handles), _LEGEND_WIDTH // (max(map(len, handles)) + 6)))
        figure.legend(handles.values(), handles, loc=place, ncols=ncols)


def draw(axes: Axes, curves: Mapping[str, Sequence[Any]], labels: Sequence[str] = ()) -> None:
    """Draw each curve with its label, the colour and the dashes of the label's place in ``labels``.

    A curve is ``(x, y)``, ``(x, y, format)`` or ``(x, y, format, properties)``: x ``(T,)``, and y
    ``(T,)`` or, with a row for each of S seeds, ``(S, T)``: then the line is the median, a dark
    band reaches from the lower to the upper quartile, a light one from the smallest to the largest
    value. The format is matplotlib's (``"o"``, ``"--"``), or ``"points"`` for a marker of the
    label's own. On a logarithmic axis |y| is drawn, and no lower than ``ROUND_OFF``.

    Raises
    ------
    ValueError
        If a curve has another shape, or is not finite for all seeds.
    """
    places = list(labels or curves)
    for label, (x, y, *look) in curves.items():
        number = places.index(label)
        marker = MARKERS[number % len(MARKERS)]
        form = (look[0] if look else DASHES[number % len(DASHES)]).replace("points", marker)
        properties = {"color": COLOURS[number % len(COLOURS)], "label": label, **dict(*look[1:])}
        x, values = np.asarray(x), _checked(label, len(x), y)
        if axes.get_yscale() == "log":
            values = np.maximum(np.abs(values), ROUND_OFF)
        if values.ndim == 2:
            low, lower, values, upper, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1), axis=0)
            axes.fill_between(x, low, high, color=properties["color"], alpha=0.15, lw=0)
            axes.fill_between(x, lower, upper, color=properties["color"], alpha=0.3, lw=0)
        axes.plot(x, values, form, **properties)


def both_signs(axes: Axes, side: str, linear_below: float, every: int = 2) -> None:
    """Make an axis logarithmic on both sides of zero, with the numbers around it linear.

    Parameters
    ----------
    axes
        The panel.
    side
        Which of its axes: "x" or "y".
    linear_below
        Numbers up to this size are drawn linearly.
    every
        One decade in so many is written out.

    >>> with panels(xlabel="gap") as (figure, (axes,)):
    ...     lines = axes.plot([-100, 0.5], [0, 1])
    ...     both_signs(axes, "x", linear_below=0.01)
    >>> [float(tick) for tick in axes.get_xticks()]
    [-100.0, -1.0, 0.0, 1.0, 100.0]
    """
    getattr(axes, f"set_{side}scale")("symlog", linthresh=linear_below)
    axis = getattr(axes, f"{side}axis")
    largest = np.log10(np.abs(axis.get_data_interval()).max())
    decades = 10.0 ** np.arange(np.log10(linear_below) + every, largest + 1, every)
    axis.set_ticks([*-decades[::-1], 0.0, *decades])
    axis.set_ticks([], minor=True)


def _checked(label: str, count: int, y: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = np.asarray(y, dtype=np.float64)
    if values.ndim not in (1, 2) or values.shape[-1] != count or not len(values):
        raise ValueError(
            f"curves[{label!r}] must have shape ({count},) or (S, {count}), one value for each x, "
            f"one row for each seed: got {values.shape}"
        )
    if values.ndim == 2 and not np.isfinite(values).all():
        raise ValueError(f"curves[{label!r}] must be finite: found NaN or infinity")
    return values


def curve_panels(curves: Mapping[str, Mapping[str, Sequence[Any]]], **options: Any) -> Figure:
    """A panel for each title, in it labelled curves; a label has one colour in all panels.

    Curves are as in :func:`draw`, ``options`` those of :func:`panels`; where there are seeds,
    ``BANDS`` is the sentence for the caption.

    Raises
    ------
    ValueError
        If there are no curves, or as :func:`draw`.
    """
    labels = list(dict.fromkeys(label for group in curves.values() for label in group))
    if not labels:
        raise ValueError("curves must hold at least one label and its values: got none")
    with panels(curves, **options) as (figure, shown):
        for axes, group in zip(shown, curves.values(), strict=True):
            draw(axes, group, labels)
    return figure


def curves(curves: Mapping[str, Sequence[Any]], **options: Any) -> Figure:
    """Labelled curves in one panel: :func:`curve_panels` without a title.

    >>> figure = curves({"ELBO": ([0, 1], [-3, -2]), "entropy sum": ([0, 1], [-4, -2])})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['ELBO', 'entropy sum']
    """
    return curve_panels({"": curves}, **options)
