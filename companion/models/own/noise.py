"""What a program draws while it runs: each draw with the generator's state before and after."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["Draw", "Recorder", "rewind", "seeded", "set_state", "state"]

#: torch's functions that draw, by what they draw; the others of `_OTHER` are kept for their states.
_NORMAL = frozenset({"randn", "randn_like", "normal", "normal_"})
_UNIFORM = frozenset({"rand", "rand_like", "uniform_"})
_OTHER = frozenset({"_standard_gamma", "_sample_dirichlet", "exponential_", "cauchy_"})


@dataclass(frozen=True)
class Draw:
    """One call that drew: standard-normal numbers (or ``None``), and the states around it."""

    noise: Tensor | None
    before: tuple[Tensor, ...]
    after: tuple[Tensor, ...]


class Recorder(TorchFunctionMode):
    """Within: every draw of torch is written down, in order, and nothing else is changed."""

    def __init__(self) -> None:
        super().__init__()
        self.draws: list[Draw] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name, words = getattr(func, "__name__", ""), kwargs or {}
        if name not in _NORMAL | _UNIFORM | _OTHER:
            return func(*args, **words)
        before = state()
        result = func(*args, **words)
        noise = None
        if isinstance(result, Tensor) and result.is_floating_point():
            noise = _standard(name, result.detach().clone(), args, words)
        self.draws.append(Draw(noise, before, state()))
        return result


def _standard(
    name: str, drawn: Tensor, args: tuple[Any, ...], words: Mapping[str, Any]
) -> Tensor | None:
    """The standard-normal numbers from which a draw was made."""
    if name in _UNIFORM:
        low, high = (*args[1:], 0.0, 1.0)[:2] if name == "uniform_" else (0.0, 1.0)
        share = (drawn - words.get("from", low)) / (words.get("to", high) - words.get("from", low))
        return torch.special.ndtri(share)
    if name == "normal":
        mean, std = (*args, 0.0, 1.0)[:2] if len(args) < 3 else args[:2]
        mean, std = words.get("mean", mean), words.get("std", std)
        return ((drawn - mean) / std).detach()
    if name == "normal_":
        mean, std = (*args[1:], *(0.0, 1.0)[len(args) - 1 :])[:2]
        return (drawn - words.get("mean", mean)) / words.get("std", std)
    return drawn if name in _NORMAL else None


def state() -> tuple[Tensor, ...]:
    """State of torch's generators: the CPU's, and those of CUDA devices in use."""
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return (torch.get_rng_state(), *devices)


def set_state(states: tuple[Tensor, ...]) -> None:
    """Set torch's generators to what :func:`state` gave."""
    torch.set_rng_state(states[0])
    for device, each in enumerate(states[1:]):
        torch.cuda.set_rng_state(each, device)


def seeded(seed: int) -> None:
    """Seed the generators of torch, NumPy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  a user's program may draw from it
    random.seed(seed)


class rewind:
    """Within: anything may be drawn; after, NumPy's and Python's generators are as before."""

    def __enter__(self) -> None:
        self._states = np.random.get_state(), random.getstate()  # noqa: NPY002

    def __exit__(self, *error: object) -> None:
        np.random.set_state(self._states[0])  # noqa: NPY002
        random.setstate(self._states[1])
