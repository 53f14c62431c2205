"""Arguments by their annotations: kinds of values, numbers, tensors by name."""

from __future__ import annotations

import inspect
import os
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from companion.support.checks import all_finite, as_numbers, known

__all__ = ["check_names", "check_tensors", "conforming", "declared", "described", "of_fields"]

#: Kinds of arguments by class: what they must be, in words, and the classes that are taken.
_KINDS: dict[Any, tuple[str, Any]] = {
    float: ("a number", Real),
    bool: ("True or False", bool),
    str: ("a text", str),
    Mapping: ("a dictionary", Mapping),
    dict: ("a dictionary", Mapping),
    Callable: ("a function", Callable),
    os.PathLike: ("a PathLike", os.PathLike),
    Sequence: ("a list", Sequence),
    Iterable: ("a list", Iterable),
    typing.Literal: ("a text", str),
}
_NOT_CHECKED_HERE = (int, tuple, list, object, Any)


def conforming(value: Any, hint: Any, name: str, finite: bool = True) -> Any:
    """``value`` if it is of the annotated kind, numbers as a tensor where that is asked for.

    Parameters
    ----------
    value, hint, name
        An argument, its annotation and its name.
    finite
        Whether NaN and infinity are refused among numbers.

    Raises
    ------
    ValueError
        If it is of another kind.
    """
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = typing.get_args(hint) if union else (hint,)
    if value is None and type(None) in kinds:
        return None
    plain = isinstance(value, Real) and not isinstance(value, bool)
    named = isinstance(value, Mapping) and any(
        typing.get_origin(k) in (dict, Mapping) for k in kinds
    )
    if Tensor in kinds and not named and not (float in kinds and plain):
        return as_numbers(value, name, finite)
    words, classes = [], []
    for kind in kinds:
        origin = typing.get_origin(kind) or kind
        if origin in _KINDS:
            what, taken = _KINDS[origin]
        elif isinstance(origin, type) and origin not in _NOT_CHECKED_HERE:
            what, taken = vars(origin).get("told", f"a {origin.__name__}"), origin
        else:
            return value
        if taken is not type(None):
            words.append(what)
            classes.append(taken)
    if isinstance(value, bool) and bool not in classes and Real in classes:
        classes.remove(Real)
    if not isinstance(value, tuple(classes)):
        raise ValueError(f"{name} must be {' or '.join(words)}: got {_shown(value)}")
    if isinstance(value, Mapping) and any(Tensor in typing.get_args(kind) for kind in kinds):
        check_tensors(value, name)
    return value


def check_names(
    tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], whose: str
) -> None:
    """A ``ValueError`` unless ``parameters`` are exactly those of ``shapes``, each of its shape."""
    if set(tensors) != set(shapes):
        missing, unknown = set(shapes) - set(tensors), set(tensors) - set(shapes)
        raise ValueError(
            f"parameters must be exactly {sorted(shapes)} for {whose}: missing "
            f"{sorted(missing) if set(shapes) - missing else 'all of them'}, "
            f"unknown {sorted(unknown, key=str)}"
        )
    check_tensors(tensors, "parameters", shapes)


def check_tensors(
    tensors: Mapping[str, Tensor], name: str, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> None:
    """A ``ValueError`` unless each is a finite float64 tensor of its shape, if these are known."""
    for key, value in tensors.items():
        if not isinstance(value, Tensor) or value.dtype != torch.float64:
            found = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name}[{key!r}] must be a float64 tensor: got {found}")
        if value.is_meta or value.layout != torch.strided or value.is_nested:
            as_numbers(value, f"{name}[{key!r}]")  # says what is wrong
        if shapes is not None and value.shape != shapes[key]:
            raise ValueError(
                f"{name}[{key!r}] must have shape {shapes[key]}: got {tuple(value.shape)}"
            )
        if known(value) and not all_finite(value):
            raise ValueError(f"{name}[{key!r}] must be finite: found NaN or infinity")


def _shown(value: Any) -> str:
    """A value in a sentence: itself if it is short, else its type."""
    short = isinstance(value, str | int | float | bool) and len(repr(value)) <= 60
    return repr(value) if short or value is None else type(value).__name__


def described(given: Mapping[str, Any]) -> str:
    """Arguments in a sentence: shapes of tensors, and the rest by type."""
    parts = []
    for name, value in given.items():
        if isinstance(value, Tensor):
            parts.append(f"{name} of shape {tuple(value.shape)}")
        elif name != "self":
            parts.append(f"{name} {_shown(value)}")
    return ", ".join(parts) or "none"


@cache
def declared(function: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, Any]]:
    """The signature of a function, and its annotations as far as they can be evaluated."""
    signature = inspect.signature(function)
    namespace = getattr(inspect.unwrap(function), "__globals__", {})
    hints = _evaluated(inspect.get_annotations(function), namespace)
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) and name in hints:
            hints[name] = Tensor if hints[name] is Any else hints[name]
    return signature, hints


@cache
def of_fields(kind: Any) -> dict[str, Any]:
    """Annotations of a class and of those that it is derived from."""
    hints: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        namespace = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
        hints |= _evaluated(inspect.get_annotations(base), namespace)
    return hints


def _evaluated(annotations: Mapping[str, Any], namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Annotations as objects; those that a reader's module does not define are left out."""
    hints = {}
    for name, hint in annotations.items():
        try:
            hints[name] = eval(hint, dict(namespace)) if isinstance(hint, str) else hint
        except NameError:
            continue
    return hints
