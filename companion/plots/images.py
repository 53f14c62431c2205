"""Rows of small grey images: data, weights, reconstructions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from companion.plots.display import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["image_grid"]


def image_grid(
    images: Any,
    shape: tuple[int, int],
    *,
    columns: int = 10,
    titles: list[str] | None = None,
    symmetric: bool = False,
) -> Figure:
    """Draw ``images`` ``(K, D)``, each of ``shape`` with height · width = D, row by row.

    ``symmetric`` centres the colours at zero, for weights; otherwise all share one grey scale.

    Raises
    ------
    ValueError
        If ``shape`` does not fit the images, or there is another number of titles.
    """
    from matplotlib import pyplot

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
    with style():
        figure, axes = pyplot.subplots(
            rows, columns, figsize=(7.0, 7.0 / columns * rows + 0.2), squeeze=False
        )
        for index, panel in enumerate(axes.flat):
            panel.axis("off")
            if index >= len(pixels):
                continue
            panel.imshow(
                pixels[index].reshape(shape),
                cmap="RdBu_r" if symmetric else "gray_r",
                vmin=low,
                vmax=high,
                interpolation="nearest",
            )
            if titles is not None:
                panel.set_title(titles[index], fontsize=8)
    return figure
