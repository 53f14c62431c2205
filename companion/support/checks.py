"""Checks at the public boundary: one sentence names argument, value given, values allowed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "all_finite",
    "as_data",
    "as_names",
    "as_numbers",
    "integer",
    "known",
    "one_of",
    "positive_integer",
    "readable",
]

#: Whole numbers beyond this are not all float64 numbers: identifiers and hashes, mostly.
LARGEST_INTEGER = 2**53


def known(x: Tensor) -> bool:
    """Whether the entries can be looked at: not within ``torch.func.vmap``, ``grad`` or ``jvp``.

    Nor while a step is recorded on a GPU, in which no number can be read.
    """
    return not (torch._C._functorch.is_functorch_wrapped_tensor(x) or recording())


def readable(x: Tensor) -> bool:
    """Whether a decision can depend on the entries: not within ``torch.func.vmap``."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(x):
        if functorch.is_batchedtensor(x):
            return False
        x = functorch.get_unwrapped(x)
    return not recording()


def recording() -> bool:
    """Whether a CUDA graph is being recorded."""
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


def all_finite(x: Tensor) -> bool:
    """Whether there is no NaN and no infinity in ``x``."""
    # A finite sum has finite terms, and is many times sooner had than a look at each of them.
    x = x.detach()
    return bool(torch.isfinite(x.sum())) or bool(torch.isfinite(x).all())


def as_numbers(x: Any, name: str, finite: bool = True) -> Tensor:
    """Return numbers of any kind as a real float64 tensor of the same shape.

    A float64 tensor comes back as it is, with its graph; within ``torch.func`` only its type is
    looked at. Others are taken from tensors and arrays of any dtype and layout, from columns and
    tables of pandas, and from nested lists.

    Parameters
    ----------
    x
        The numbers.
    name
        What sentences call them.
    finite
        Whether NaN and infinity are refused.

    Raises
    ------
    ValueError
        For what holds no numbers, or text, dates, complex or masked ones; for whole numbers beyond
        2⁵³; for tensors and matrices that are sparse, nested or without entries (``meta``).

    >>> as_numbers([[0, 1], [1, 0]], "x").dtype
    torch.float64
    >>> as_numbers(np.ma.masked_less([1.0, -9.0], 0), "x")
    Traceback (most recent call last):
        ...
    ValueError: x must have no masked entries: found 1 among 2; fill them or leave their rows out
    """
    data = _of_tensor(x, name) if isinstance(x, Tensor) else torch.from_numpy(_array(x, name))
    if not finite or not known(data) or all_finite(data):
        return data
    bad = int((~torch.isfinite(data)).sum())
    raise ValueError(
        f"{name} must be finite: found {bad} NaN or infinite value{'s' * (bad > 1)} among "
        f"{data.numel()}; remove or impute them first"
    )


def _of_tensor(x: Tensor, name: str) -> Tensor:
    if x.is_complex():
        raise ValueError(f"{name} must be real: got dtype {x.dtype}")
    if x.is_nested or x.is_quantized or x.is_meta or x.layout != torch.strided:
        kinds = {"nested": x.is_nested, "quantized": x.is_quantized, "meta": x.is_meta}
        kind = next((kind for kind, found in kinds.items() if found), "sparse")
        raise ValueError(
            f"{name} must be a dense tensor that holds its numbers: got a {kind} tensor"
        )
    if not (x.is_floating_point() or x.dtype == torch.bool) and known(x) and x.numel():
        _check_integers(int(x.min()), int(x.max()), name)
    return x.to(torch.float64)


def _check_integers(smallest: int, largest: int, name: str) -> None:
    if max(-smallest, largest) > LARGEST_INTEGER:
        raise ValueError(
            f"{name} must have whole numbers of at most 2**53 = {LARGEST_INTEGER}, which float64 "
            f"tells apart: found {largest if largest > LARGEST_INTEGER else smallest}"
        )


def _array(x: Any, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What is no tensor, as an array of float64 that torch takes."""
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise ValueError(f"{name} must be dense: got a sparse {type(x).__name__}; use its toarray")
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(x, pandas.DataFrame | pandas.Series | pandas.Index):
        return _of_pandas(x, pandas, name)
    if isinstance(x, np.ma.MaskedArray):
        masked = int(np.ma.getmaskarray(x).sum())
        if masked:
            raise ValueError(
                f"{name} must have no masked entries: found {masked} among {x.size}; fill them or "
                "leave their rows out"
            )
        x = x.data
    try:
        array = np.asarray(x)
    except (TypeError, ValueError, RuntimeError):
        array = np.empty((), dtype=object)
    if array.dtype.kind == "c":
        raise ValueError(f"{name} must be real: got dtype {array.dtype}")
    if array.dtype.kind == "O" and (array.ndim or isinstance(x, np.ndarray)):
        array = _of_objects(array, name)
    if array.dtype.kind not in "biuf":
        given = f"an array of {array.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
        raise ValueError(
            f"{name} must be a tensor, an array or nested lists of numbers: got {given}"
        )
    if array.dtype.kind in "iu" and array.size:
        _check_integers(int(array.min()), int(array.max()), name)
    with np.errstate(over="ignore"):  # long doubles beyond float64: found not to be finite
        array = np.require(array, np.float64, ["C", "W"])
    # Along axes of one entry NumPy does not mind, and torch does.
    return array.copy() if min(array.strides, default=0) < 0 else array


def _of_objects(array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """An array of objects as one of numbers, if each of them is one or is missing."""
    if any(isinstance(each, str | bytes | complex) for each in array.flat):
        return array
    whole = [each for each in array.flat if isinstance(each, int)]
    _check_integers(min(whole, default=0), max(whole, default=0), name)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        return array


def _of_pandas(x: Any, pandas: Any, name: str) -> np.ndarray[Any, Any]:
    """The numbers of a table or a column; text and missing ones are named by where they stand."""
    arrays = []
    for label, column in (x.to_frame() if x.ndim == 1 else x).items():
        there = column.dropna()
        if not pandas.api.types.is_numeric_dtype(column.dtype) and (
            column.dtype != object or any(isinstance(each, str) for each in there)
        ):
            example = f", such as {there.iloc[0]!r}" if len(there) else ""
            raise ValueError(
                f"{name} must hold numbers: its column {label!r} has dtype {column.dtype}{example};"
                " leave it out or encode it as numbers"
            )
        if len(there) < len(column):
            first = int(column.isna().to_numpy().argmax())
            raise ValueError(
                f"{name} must be finite: {len(column) - len(there)} of {len(column)} values are "
                f"missing in its column {label!r}, first in row {first}; remove or impute them "
                "first"
            )
        arrays.append(_array(column.to_numpy(), name))
    if x.ndim == 1:
        return arrays[0]
    return np.stack(arrays, 1) if arrays else np.empty((len(x), 0))


def as_data(
    x: Any, name: str = "x", columns: int | None = None, keep_graph: bool = False
) -> Tensor:
    """Return ``x`` as a finite float64 tensor of shape ``(N, D)``.

    Parameters
    ----------
    x, name
        As for :func:`as_numbers`.
    columns
        D, if it is known.
    keep_graph
        Whether a tensor that requires gradients keeps its graph; else it is cut off.

    Raises
    ------
    ValueError
        As :func:`as_numbers`, and if ``x`` is empty, is not two-dimensional or does not have
        ``columns`` columns.

    >>> as_data([[0.0, float("nan")]])
    Traceback (most recent call last):
        ...
    ValueError: x must be finite: found 1 NaN or infinite value among 2; remove or impute them first
    """
    data = as_numbers(x, name, finite=False)
    shape = tuple(data.shape)
    if len(shape) != 2:
        raise ValueError(
            f"{name} must have shape (N, D), one row per data point: got shape {shape}"
        )
    if 0 in shape:
        raise ValueError(f"{name} must not be empty: got shape {shape}")
    data = as_numbers(data, name)
    if columns is not None and shape[1] != columns:
        raise ValueError(
            f"{name} must have {columns} columns, as the model has observables: got shape {shape}"
        )
    return data if keep_graph else data.detach()


def positive_integer(value: Any, name: str) -> int:
    """Return ``value`` as an ``int`` of at least 1, or raise a ``ValueError`` that names it."""
    return integer(value, name, 1)


def integer(value: Any, name: str, least: int = 0) -> int:
    """Return ``value`` as an ``int`` that is not below ``least``, 0 or 1."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not least <= value <= LARGEST_INTEGER:
        kind = "a positive integer" if least else "an integer of at least 0"
        raise ValueError(f"{name} must be {kind}: got {value!r}")
    return int(value)


def one_of(value: Any, name: str, allowed: Any) -> None:
    """Raise a ``ValueError`` unless ``value`` is among ``allowed``, a ``Literal`` or a collection.

    >>> one_of("diag", "covariance_type", ("diagonal", "full"))
    Traceback (most recent call last):
        ...
    ValueError: covariance_type must be one of diagonal, full: got 'diag'
    """
    words = get_args(allowed) or tuple(allowed)
    if value not in words:
        raise ValueError(f"{name} must be one of {', '.join(map(str, words))}: got {value!r}")


def as_names(given: Iterable[str]) -> tuple[str, ...]:
    """The names given; a string is one name, not its letters.

    >>> as_names("weights"), as_names(["a", "b"])
    (('weights',), ('a', 'b'))
    """
    return (given,) if isinstance(given, str) else tuple(given)
