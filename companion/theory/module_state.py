"""Other people's modules: run them, in float64 if that is wanted, and leave no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

__all__ = ["LastBits", "Promoted", "coarsest", "kept"]

#: Methods that change the dtype of a tensor by their name alone.
_CASTS = (Tensor.float, Tensor.half, Tensor.bfloat16)


@contextmanager
def kept(
    *modules: nn.Module,
    tensors: Iterable[Tensor] = (),
    dtype: torch.dtype | None = None,
    change: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[None]:
    """Within: the modules, on copies of their tensors; after, also after an exception, as before.

    Restored bit for bit: parameters, their ``grad`` and ``requires_grad``, buffers, attributes and
    the mode of every sub-module, and torch's random state. What a module appends to a list of its
    own stays appended. Tensors stay the same objects, so that closures and optimisers hold them.

    Parameters
    ----------
    modules
        Any modules; parts that they share are seen once.
    tensors
        Parameters that no module has.
    dtype
        Within, floating-point tensors have it; ``None`` leaves each its own.
    change
        Applied to the value of each of these, before it is cast.

    Raises
    ------
    ValueError
        If a parameter is lazy, and has no shape before the module has run once.
    """
    parts = list(dict.fromkeys(part for module in modules for part in module.modules()))
    found = {id(value): value for value in (*_own(parts), *tensors)}
    if any(is_lazy(value) for value in found.values()):
        raise ValueError("module must have run once: it has lazy parameters without a shape")
    states = [(part, part.training, _attributes(part)) for part in parts]
    leaves = [
        (value, value.data, value.grad, value.requires_grad)
        for value in found.values()
        if value.is_leaf
    ]
    drawing = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=drawing):
        try:
            for value, data, _, _ in leaves:
                value.grad, value.data = None, _copy(data, dtype, change)
            yield
        finally:
            for part, training, attributes in states:
                for holder, entries in attributes:
                    holder.clear()
                    holder.update(entries)
                part.training = training
            for value, data, gradient, learned in leaves:
                value.grad, value.data = None, data
                value.requires_grad_(learned).grad = gradient


def _own(parts: Iterable[nn.Module]) -> Iterator[Tensor]:
    """Parameters, buffers and plain attributes of these parts, not of what is below them."""
    for part in parts:
        yield from part.parameters(recurse=False)
        yield from part.buffers(recurse=False)
        yield from (value for value in vars(part).values() if isinstance(value, Tensor))


def _attributes(part: nn.Module) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The dictionaries in which a part keeps what it has, each with a copy of what they hold."""
    own = vars(part)
    below = [own.get(name) for name in ("_parameters", "_buffers", "_modules")]
    return [(holder, dict(holder)) for holder in (own, *below) if isinstance(holder, dict)]


def _copy(
    data: Tensor, dtype: torch.dtype | None, change: Callable[[Tensor], Tensor] | None
) -> Tensor:
    if not data.is_floating_point():
        return data.clone()
    changed = data if change is None else change(data)
    return changed.to(data.dtype if dtype is None else dtype, copy=True)


class Promoted(TorchFunctionMode):
    """Within: what torch's functions take and give is float64, data of closures included.

    A program written for float32 then runs in float64, as it stands: its tensors and what it
    creates are promoted, its own casts to a coarser dtype are not made. Only a tensor that is
    changed in place keeps its dtype. ``coarse`` says whether anything had to be promoted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.coarse = False
        self._default = torch.get_default_dtype()

    def __enter__(self) -> Promoted:
        self._default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch.set_default_dtype(self._default)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        changed, kept = _changes(func)
        words = {k: v if k == "out" else self._promote(v) for k, v in (kwargs or {}).items()}
        if func in _CASTS:
            func = Tensor.double
        rest = map(self._promote, args[kept:])
        return self._promote(func(*args[:kept], *rest, **words), changed)

    def _promote(self, value: Any, changed: bool = False) -> Any:
        if isinstance(value, Tensor):
            dtype = value.dtype
            if changed or dtype == torch.float64 or not dtype.is_floating_point:
                return value
            self.coarse = True
            return value.double()
        kind = type(value)
        if kind is tuple or kind is list:
            return kind([self._promote(each) for each in value])
        if kind is dict:
            return {k: self._promote(v) for k, v in value.items()}
        return torch.float64 if kind is torch.dtype and value.is_floating_point else value


@lru_cache(4096)
def _changes(func: Callable[..., Any]) -> tuple[bool, int]:
    """Whether a function changes its first argument in place; how many arguments stay as given."""
    name = getattr(func, "__name__", "")
    changed = (name.endswith("_") and not name.startswith("__")) or name == "__setitem__"
    changed |= name.startswith("__i") and name not in ("__invert__", "__index__", "__int__")
    return changed, int(changed or name == "__set__")


class LastBits:
    """A ``change`` for :func:`kept`: every entry moves by the eps of its dtype, up or down.

    What this moves beyond what it must move is round-off. ``seed`` gives the signs, which are the
    same each time.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, value: Tensor) -> Tensor:
        draws = torch.Generator().manual_seed(1000 * self._seed + value.numel())
        signs = 2 * torch.randint(2, value.shape, generator=draws).to(value) - 1
        return value * (1 + torch.finfo(value.dtype).eps * signs)


def coarsest(module: nn.Module) -> torch.dtype:
    """The dtype with the fewest digits among a module's parameters."""
    dtypes = {value.dtype for value in module.parameters() if value.is_floating_point()}
    return max(dtypes, key=lambda dtype: torch.finfo(dtype).eps, default=torch.float64)
