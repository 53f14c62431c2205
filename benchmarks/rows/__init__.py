"""Every row of the table of targets, in the order of the page."""

from benchmarks.harness import Row
from benchmarks.rows import (
    book,
    bound,
    checking,
    criteria,
    deep_vaes,
    linear_gaussian,
    linear_vae,
    mixture_grid,
    mixtures,
    sigmoid_belief,
    stream,
    time_series,
    vae_steps,
)

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (
    *mixtures.ROWS,
    *mixture_grid.ROWS,
    *vae_steps.ROWS,
    *checking.ROWS,
    *time_series.ROWS,
    *linear_gaussian.ROWS,
    *sigmoid_belief.ROWS,
    *criteria.ROWS,
    *book.ROWS,
    *linear_vae.ROWS,
    *deep_vaes.ROWS,
    *stream.ROWS,
    *bound.ROWS,
)
