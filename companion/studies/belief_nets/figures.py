"""The three entropies as parts of one code length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from companion.book.display import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["code_length"]


def code_length(
    entropies: Mapping[str, tuple[float, float, float]], *, unit: str = "bits per data point"
) -> Figure:
    """Prior and observable entropy laid end to end, and the posterior entropy taken back, per row.

    ``entropies`` maps a label to the entropies (posterior, prior, observable). The black mark is
    what remains: minus the entropy sum.
    """
    from matplotlib import pyplot

    with style():
        figure, axes = pyplot.subplots(figsize=(7.0, 0.75 * len(entropies) + 1.5))
        for row, (posterior, prior, observable) in enumerate(entropies.values()):
            first = row == 0
            for left, width, colour, label in (
                (0.0, observable, COLOURS[5], "observable entropy"),
                (observable, prior, COLOURS[4], "+ prior entropy"),
            ):
                axes.barh(
                    *(row, width),
                    left=left,
                    height=0.36,
                    color=colour,
                    label=label if first else None,
                )
            total = observable + prior
            axes.barh(
                *(row + 0.36, -posterior),
                left=total,
                height=0.3,
                color=COLOURS[2],
                label="− posterior entropy" if first else None,
            )
            axes.plot(
                [total - posterior] * 2,
                [row - 0.22, row + 0.55],
                color="black",
                label="= code length" if first else None,
            )
            axes.annotate(
                f" {total - posterior:.2f}",
                (total - posterior, row + 0.36),
                va="center",
                ha="right" if posterior > 0 else "left",
                fontsize=10,
                xytext=(-4, 0),
                textcoords="offset points",
            )
        axes.set_yticks([row + 0.1 for row in range(len(entropies))], list(entropies))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(unit)
        figure.legend(
            *axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=9
        )
    return figure
