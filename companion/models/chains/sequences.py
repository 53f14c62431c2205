"""Sequences of unequal length, with missing steps, as one tensor ``(N, T, D)`` with NaN."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from companion.support.checks import as_numbers

__all__ = [
    "as_sequences",
    "check_observed",
    "padded",
    "rows_of",
    "steps_of",
    "truth_values",
]


def padded(sequences: Sequence[Any], mask: Sequence[Any] | None = None) -> Tensor:
    """One tensor ``(N, T, D)`` from sequences ``(T_n, D)`` or ``(T_n,)`` of any lengths.

    Where a sequence has ended, and where its ``mask``, ``(T_n,)``, is false, the tensor is NaN:
    this is how models of this room take missing observations. What is NaN in a sequence without a
    mask is refused.

    Raises
    ------
    ValueError
        For sequences of different widths, empty ones, values that are not finite where they count,
        or masks that do not fit.

    >>> padded([[1.0, 2.0, 3.0], [4.0]])[..., 0]
    tensor([[1., 2., 3.],
            [4., nan, nan]], dtype=torch.float64)
    """
    rows = _each(sequences, "sequences")
    rows = [each[:, None] if each.dim() == 1 else each for each in rows]
    shapes = [tuple(each.shape) for each in rows]
    if not rows or any(len(s) != 2 or 0 in s or s[1] != shapes[0][1] for s in shapes):
        raise ValueError(f"sequences must have shapes (T_n, D) with one D: got {shapes}")
    masks = [torch.ones(len(each), dtype=torch.bool) for each in rows]
    if mask is not None:
        masks = _each(mask, "mask")
        lengths = [tuple(m.shape) for m in masks]
        if lengths != [(len(each),) for each in rows] or not all(map(_is_truth, masks)):
            raise ValueError(
                "mask must have one truth value for each step of each sequence: got shapes "
                f"{lengths} for sequences of {[len(each) for each in rows]}"
            )
        masks = [each == 1 for each in masks]
    for index, (each, seen) in enumerate(zip(rows, masks, strict=True)):
        if not bool(each[seen].isfinite().all()):
            raise ValueError(
                f"sequences must be finite where the mask is true: sequence {index} is not; mark "
                "missing steps in mask"
            )
    pairs = zip(rows, masks, strict=True)
    whole = [torch.where(seen[:, None], each, torch.nan) for each, seen in pairs]
    return torch.nn.utils.rnn.pad_sequence(whole, batch_first=True, padding_value=torch.nan)


def _each(given: Any, name: str) -> list[Tensor]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"{name} must be a list, one for each: got {type(given).__name__}")
    return [as_numbers(each, f"each of {name}", finite=False) for each in given]


def _is_truth(values: Tensor) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def as_sequences(x: Any, columns: int | None = None) -> Tensor:
    """``x`` as a float64 tensor ``(N, T, D)``: a step is finite, or NaN in all columns if missing.

    Raises
    ------
    ValueError
        For another shape, infinities, steps that are missing in part, sequences of unequal length
        that are not :func:`padded`, or a sequence without any observation.
    """
    if isinstance(x, list | tuple):
        lengths = sorted({len(each) for each in x if hasattr(each, "__len__")})
        if len(lengths) > 1:
            raise ValueError(
                f"x must have sequences of one length: got lengths from {lengths[0]} to "
                f"{lengths[-1]}; pass models.padded(sequences), with a mask for missing steps"
            )
    data = as_numbers(x, "x", finite=False)
    if data.dim() != 3 or 0 in data.shape or columns not in (None, data.shape[-1]):
        width = "D" if columns is None else columns
        raise ValueError(
            f"x must have shape (N, T, {width}), N sequences of T steps with the model's "
            f"observables: got {tuple(data.shape)}"
        )
    seen = data.isfinite()
    if not bool((seen.all(-1) | data.isnan().all(-1)).all()):
        raise ValueError(
            "x must be finite, or NaN in all columns of a step that is missing: found steps with "
            "infinities, or missing in part"
        )
    empty = torch.nonzero(~seen.all(-1).any(1))[:, 0].tolist()
    if empty:
        raise ValueError(f"x must have an observation in every sequence: {empty} have none")
    return data


def steps_of(observed: Tensor) -> Tensor:
    """Which steps belong to a sequence, ``(N, T)``: those up to its last observation."""
    return observed.flip(1).cummax(1).values.flip(1) if observed.numel() else observed


def rows_of(values: Tensor, seen: Tensor) -> Tensor:
    """The ``values``, ``(N, T, ...)``, at the steps that are ``seen``, one after the other."""
    return values.flatten(0, 1) if bool(seen.all()) else values[seen]


def check_observed(observed: Tensor | None, x: Tensor) -> None:
    """A ``ValueError`` if a q was made for other missing steps than those of ``x``."""
    if observed is None or not torch.equal(observed, ~x.isnan().any(-1)):
        raise ValueError(
            "q must know which steps of x are observed: make it with observed=~x.isnan().any(-1), "
            f"of shape {tuple(x.shape[:2])}"
        )


def truth_values(observed: Tensor | None, points: int, steps: int) -> Tensor:
    """``observed`` as truth values ``(N, T)``, all true by default; numbers may be 0 and 1."""
    seen = torch.ones(points, steps, dtype=torch.bool) if observed is None else observed
    if seen.shape != (points, steps) or not _is_truth(seen):
        raise ValueError(
            f"observed must have truth values of shape {(points, steps)}: got {seen.dtype} of "
            f"shape {tuple(seen.shape)}"
        )
    return seen == 1
