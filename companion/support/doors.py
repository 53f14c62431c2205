"""Doors: what is public looks at its arguments once, by its own annotations.

A door takes numbers of any kind where a ``Tensor`` is asked for, refuses other types, asks the
object that it belongs to for more (:meth:`Guarded.admit`), and lets no NaN out. What it calls in
turn is inside and not looked at again. Gradients pass; within ``torch.func`` only types are seen.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, ClassVar, ParamSpec, TypeVar

import torch
from torch import Tensor

from companion.support.arguments import conforming, declared, described, of_fields
from companion.support.checks import all_finite, known
from companion.support.tables import Record

__all__ = ["Guarded", "door"]

P = ParamSpec("P")
R = TypeVar("R")

_INSIDE: ContextVar[bool] = ContextVar("inside", default=False)

#: What PyTorch raises for shapes that don't go together and for matrices without a decomposition,
#: and a reader's own functions for parameters that they do not find.
_RAW: tuple[type[Exception], ...] = (
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]  # exported, but not said to be
    *(RuntimeError, IndexError, OverflowError, MemoryError),
    *(KeyError, TypeError, AttributeError),
)


def door(function: Callable[P, R], tells: bool = True) -> Callable[P, R]:
    """The function with its arguments checked, if it is called from outside.

    Without ``tells``, errors of PyTorch pass as they are: they are those of a reader's own program.

    Raises
    ------
    ValueError
        For an argument of another kind than its annotation, for what :meth:`Guarded.admit` refuses,
        for shapes that do not go together, and for a result that is no number.
    """

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if _INSIDE.get() or torch.compiler.is_compiling():
            return function(*args, **kwargs)
        signature, hints = declared(function)
        bound = signature.bind(*args, **kwargs)
        owner = bound.arguments.get("self")
        finite = function.__name__ not in getattr(owner, "take_any", ())
        with _entered(function.__name__, bound.arguments, tells):
            for name in [each for each in bound.arguments if each in hints]:
                given, several = bound.arguments[name], signature.parameters[name].kind
                if several == inspect.Parameter.VAR_POSITIONAL:
                    given = tuple(conforming(each, hints[name], name, finite) for each in given)
                elif several == inspect.Parameter.VAR_KEYWORD:
                    given = {
                        each: conforming(v, hints[name], each, finite) for each, v in given.items()
                    }
                else:
                    given = conforming(given, hints[name], name, finite)
                bound.arguments[name] = given
            if isinstance(owner, Guarded) and function.__name__ != "__init__":
                owner.admit(function.__name__, bound.arguments)
            result = function(*bound.args, **bound.kwargs)
        if not _is_number(result):
            raise ValueError(
                f"{function.__name__} must be given arguments at which it is finite: got NaN or "
                f"infinity for {described(bound.arguments)}"
            )
        return result

    return checked


class Guarded:
    """A class whose constructor and public methods are doors, those of its subclasses included."""

    #: Methods whose numbers may be NaN and infinity.
    take_any: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, value in list(vars(cls).items()):
            if name in ("__post_init__", "__init__") and isinstance(value, types.FunctionType):
                setattr(cls, name, _constructor(value) if name == "__post_init__" else door(value))
            elif name == "admit" or name.startswith("_") != (name == "__call__"):
                continue
            elif isinstance(value, types.FunctionType):
                setattr(cls, name, door(value))
            elif isinstance(value, classmethod):
                setattr(cls, name, classmethod(door(value.__func__)))

    def __post_init__(self) -> None:
        """For dataclasses: their fields are looked at."""

    def admit(self, method: str, given: dict[str, Any]) -> None:
        """Look at the arguments of one of its methods, and put better ones in their place."""


def _constructor(post_init: Callable[[Any], None]) -> Callable[[Any], None]:
    """``__post_init__`` of a dataclass, once its fields have been found to be of their kinds."""

    @wraps(post_init)
    def checked(self: Any) -> None:
        if _INSIDE.get() or torch.compiler.is_compiling():
            return post_init(self)
        kind: Any = type(self)
        hints = of_fields(kind)
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        with _entered(kind.__name__, given):
            for name in [each for each in given if each in hints]:
                given[name] = conforming(given[name], hints[name], name)
                object.__setattr__(self, name, given[name])
            return post_init(self)

    return checked


Guarded.__post_init__ = _constructor(Guarded.__post_init__)  # type: ignore[method-assign,assignment]


@contextmanager
def _entered(name: str, given: Mapping[str, Any], tells: bool = True) -> Iterator[None]:
    """Inside of the door ``name``; what PyTorch raises there becomes one sentence."""
    token = _INSIDE.set(True)
    try:
        yield
    except _RAW as error:
        if not tells or type(error) not in _RAW:
            raise
        first = f"{type(error).__name__}: {error}".split("\n")[0].removeprefix("RuntimeError: ")
        raise ValueError(
            f"{name} must be given arguments that go together: got {described(given)} ({first})"
        ) from error
    finally:
        _INSIDE.reset(token)


def _is_number(result: Any) -> bool:
    """Whether there is no NaN and no infinity in a tensor, or in tensors side by side."""
    if isinstance(result, Tensor):
        return not result.is_floating_point() or not known(result) or all_finite(result)
    if is_dataclass(result) and issubclass(type(result), Guarded | Record):
        return all(_is_number(getattr(result, each.name)) for each in fields(result))
    if isinstance(result, dict):
        return all(map(_is_number, result.values()))
    return not isinstance(result, tuple | list) or all(map(_is_number, result))
