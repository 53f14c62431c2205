"""Checks at the public boundary: one sentence names argument, value given, values allowed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["all_finite", "as_data", "as_names", "positive_integer"]


def all_finite(x: Tensor) -> bool:
    """Whether there is no NaN and no infinity in ``x``."""
    # A finite sum has finite terms, and is many times sooner had than a look at each of them.
    return bool(torch.isfinite(x.sum())) or bool(torch.isfinite(x).all())


def as_data(x: Any, name: str = "x", columns: int | None = None) -> Tensor:
    """Return ``x`` as a finite float64 tensor of shape ``(N, D)``.

    Accepts a torch tensor, a NumPy array or nested lists.

    Raises
    ------
    ValueError
        If ``x`` is empty, is not two-dimensional, has NaN or infinite entries, or does not have
        ``columns`` columns.

    >>> as_data([[0, 1], [1, 0]]).dtype
    torch.float64
    >>> as_data([[0.0, float("nan")]])
    Traceback (most recent call last):
        ...
    ValueError: x must be finite: found 1 NaN or infinite value among 2; remove or impute them first
    """
    try:
        # Lists go through NumPy, which keeps their float64; torch would make them float32.
        data = x if isinstance(x, Tensor) else torch.as_tensor(np.require(x, requirements="W"))
        data = data.detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} must be a tensor, an array or nested lists of numbers: got {type(x).__name__}"
        ) from error
    if data.is_complex():
        raise ValueError(f"{name} must be real: got dtype {data.dtype}")
    data = data.to(torch.float64)
    if data.dim() != 2:
        raise ValueError(
            f"{name} must have shape (N, D), one row per data point: got shape {tuple(data.shape)}"
        )
    if data.shape[0] == 0 or data.shape[1] == 0:
        raise ValueError(f"{name} must not be empty: got shape {tuple(data.shape)}")
    bad = 0 if all_finite(data) else int((~torch.isfinite(data)).sum())
    if bad:
        values = "value" if bad == 1 else "values"
        raise ValueError(
            f"{name} must be finite: found {bad} NaN or infinite {values} among {data.numel()}; "
            "remove or impute them first"
        )
    if columns is not None and data.shape[1] != columns:
        raise ValueError(
            f"{name} must have {columns} columns, as the model has observables: "
            f"got shape {tuple(data.shape)}"
        )
    return data


def positive_integer(value: Any, name: str) -> int:
    """Return ``value`` as an ``int`` of at least 1, or raise a ``ValueError`` that names it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive integer: got {value!r}")
    return value


def as_names(given: Iterable[str]) -> tuple[str, ...]:
    """The names given; a string is one name, not its letters.

    >>> as_names("weights"), as_names(["a", "b"])
    (('weights',), ('a', 'b'))
    """
    return (given,) if isinstance(given, str) else tuple(given)
