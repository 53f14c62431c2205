"""What may stand in the place of a right argument: the same, what is wrong, what is doubtful.

``same`` must give the same result; ``wrong`` must be refused in one sentence; ``doubtful`` may be
refused so, or give a result without NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

NAN = math.nan


def same(value: Any) -> Iterator[tuple[str, Any]]:
    """A tensor as other kinds of arrays, of the same numbers."""
    array = value.numpy()
    yield "list", value.tolist()
    yield "array", array.copy()
    yield "big-endian", array.astype(">f8")
    yield "long double", array.astype(np.longdouble)
    yield "objects", array.astype(object)
    yield "unmasked", np.ma.MaskedArray(array.copy())
    if value.dim():
        yield "flipped", np.flip(np.flip(array, -1).copy(), -1)
        yield "read-only", np.broadcast_to(array, array.shape)
        yield "strided", np.repeat(array, 2, axis=-1)[..., ::2]
        yield "requires grad", value.clone().requires_grad_()
        yield "Fortran", np.asfortranarray(array)
    if bool((value.float().double() == value).all()):
        yield "float32", value.float()
    if bool((value == value.round()).all()):
        yield "integers", value.long()
        yield "int8", array.astype(np.int8)


def wrong_numbers(value: Tensor) -> Iterator[tuple[str, Any]]:
    """What is no array of numbers, or has what no array here may have."""
    yield "text", "digits"
    yield "dictionary", {"a": 1.0}
    yield "function", len
    yield "object", object()
    yield "complex", value + 1j
    yield "texts", np.full(tuple(value.shape), "1.5")
    yield "dates", np.full(tuple(value.shape), np.datetime64("2020-01-01"))
    yield "NaN", value * NAN
    yield "meta", value.to("meta")
    yield "identifiers", torch.full_like(value, 2**60, dtype=torch.int64)
    if value.dim():
        spoilt = value.clone()
        spoilt[(-1,) * value.dim()] = math.inf
        yield "one infinity", spoilt
        yield "ragged", [value.tolist(), 1.0]
        yield "masked", np.ma.masked_equal(value.numpy(), value.numpy().flat[0])
        yield "sparse", value.to_sparse()
        yield "nested", torch.nested.nested_tensor([value, value])
    if value.dim() == 2:
        yield "sparse matrix", scipy.sparse.csr_matrix(value.numpy())


def doubtful_numbers(value: Tensor) -> Iterator[tuple[str, Any]]:
    yield "negative", -1 - value.abs()
    yield "zeros", torch.zeros_like(value)
    yield "huge", value + 1e300
    yield "large", value * 1e6
    yield "tiny", value * 1e-300
    yield "halves", torch.floor(value) + 0.5
    yield "one more axis", value[None, None]
    if value.dim():
        yield "empty", value[:0]
        yield "no columns", value[..., :0]
        yield "one column more", torch.cat([value, value[..., -1:]], -1)
        yield "one column", value[..., :1]
        yield "one row less", value[:-1]
        yield "a number", value.reshape(-1)[0]


def wrong_names(value: Mapping[str, Tensor]) -> Iterator[tuple[str, Any]]:
    """What are no parameters by name."""
    yield "list", list(value.values())
    yield "text", "weights"
    yield "number", 3.0
    for name, each in list(value.items())[-1:]:
        yield "None inside", {**value, name: None}
        yield "text inside", {**value, name: "much"}
        yield "NaN inside", {**value, name: each * NAN}
        if not isinstance(each, Tensor):
            continue
        yield "float32 inside", {**value, name: each.to(torch.float16)}
        yield "complex inside", {**value, name: each + 1j}
        yield "sparse inside", {**value, name: each.to_sparse()}


def doubtful_names(value: Mapping[str, Tensor]) -> Iterator[tuple[str, Any]]:
    yield "nothing", {}
    for name, each in list(value.items())[-1:]:
        yield "missing", {k: v for k, v in value.items() if k != name}
        yield "another shape", {**value, name: torch.cat([each.reshape(-1), each.reshape(-1)])}
        yield "huge", {**value, name: each + 1e300}
        yield "large", {**value, name: each + 800.0}
        yield "very negative", {**value, name: each - 800.0}
    yield "extra", {**value, "sigma": torch.ones(()).double()}


def wrong(value: Any) -> Iterator[tuple[str, Any]]:
    """What must be refused in the place of ``value``."""
    if isinstance(value, Tensor):
        yield from wrong_numbers(value)
    elif isinstance(value, Mapping):
        yield from wrong_names(value)
    elif isinstance(value, bool):
        yield from (("text", "yes"), ("NaN", NAN), ("list", [True]), ("object", object()))
    elif isinstance(value, int | float):
        yield from (("text", "3"), ("NaN", NAN), ("list", [1.0]), ("complex", 1j))
        yield from (("object", object()), ("function", len))
    elif isinstance(value, str):
        yield from (("number", 3), ("another", "nonsense"), ("list", ["a"]), ("object", object()))
    elif isinstance(value, tuple | list):
        yield from (("number", 3.5), ("object", object()), ("nonsense", ["nonsense"]))
    elif callable(value) and not isinstance(value, torch.nn.Module):
        yield from (("text", "f"), ("number", 3.0), ("object", object()))
    elif value is not None:
        yield from (("text", "f"), ("number", 3.0), ("list", [1.0]), ("object", object()))


def doubtful(value: Any) -> Iterator[tuple[str, Any]]:
    """What may be refused in the place of ``value``, or be right."""
    if isinstance(value, Tensor):
        yield from doubtful_numbers(value)
    elif isinstance(value, Mapping) and any(isinstance(v, Tensor) for v in value.values()):
        yield from doubtful_names(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from (("negative", -2), ("zero", 0), ("infinity", math.inf), ("fraction", 1.5))
        yield from (("beyond all", 10**30), ("true", True))
    elif isinstance(value, tuple | list):
        yield from (("empty", []), ("text", "abc"), ("NaN", [NAN]), ("negative", [-1]))
