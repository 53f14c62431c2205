"""Every row of the table of targets, in the order of the page."""

from benchmarks.harness import Row
from benchmarks.rows import (
    book,
    bound,
    criteria,
    deep_vaes,
    linear_gaussian,
    linear_vae,
    mixtures,
    sigmoid_belief,
    stream,
)

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (
    *mixtures.ROWS,
    *linear_gaussian.ROWS,
    *sigmoid_belief.ROWS,
    *criteria.ROWS,
    *book.ROWS,
    *linear_vae.ROWS,
    *deep_vaes.ROWS,
    *stream.ROWS,
    *bound.ROWS,
)
