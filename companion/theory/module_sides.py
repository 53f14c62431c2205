"""Both sides of the identity of a module, in the dtype that is wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from companion.support.checks import as_numbers
from companion.theory.module_state import LastBits, Promoted, coarsest, kept

__all__ = ["Directions", "Scalar", "Sides", "checked_direction", "scalar", "sides_in"]

Scalar = Callable[[nn.Module], Tensor]
Direction = Mapping[str, Tensor | float]
Directions = Direction | Callable[[nn.Module], Direction]

#: Allowed |gap − slope| over the sum of absolute terms, by the dtype of what is evaluated.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
#: The same in float64, for a program with data or constants that were rounded to less.
ROUNDED = 1e-6


class Sides(NamedTuple):
    """Both sides of the identity, and the sum of the absolute terms in them."""

    elbo: float
    entropy_sum: float
    blocks: dict[str, float]
    scale: float

    @property
    def excess(self) -> float:
        """gap − slope."""
        return self.elbo - self.entropy_sum - math.fsum(self.blocks.values())


def sides_in(
    module: nn.Module,
    elbo: Scalar,
    entropy_sum: Scalar,
    direction: Directions,
    seed: int,
    dtype: torch.dtype | None,
    change: LastBits | None = None,
) -> tuple[Sides, float]:
    """Both sides in one dtype, and the tolerance that goes with it.

    Parameters
    ----------
    module, elbo, entropy_sum, direction, seed
        As for :func:`companion.verify_module`.
    dtype
        What to evaluate in; ``None`` for the module's own.
    change
        Made to the module's tensors first, the same for both sides.
    """
    own, rounded, totals, blocks, scale = coarsest(module), False, [], {}, 1.0
    for function, name in ((elbo, "elbo"), (entropy_sum, "entropy_sum")):
        mode = nullcontext() if dtype is None else Promoted()
        with kept(module, dtype=dtype, change=change), mode, torch.enable_grad():
            v, named = checked_direction(direction, module), dict(module.named_parameters())
            value = scalar(function, module, seed, name)
            totals.append(float(value.detach()))
            scale += abs(totals[-1])
            if name == "elbo":
                if not value.requires_grad:
                    raise ValueError(
                        "elbo must depend on the module's parameters: it has no gradient"
                    )
                found = torch.autograd.grad(value, [named[k] for k in v], materialize_grads=True)
                terms = {k: (g * v[k]).double() for k, g in zip(v, found, strict=True)}
                blocks = {k: float(term.sum()) for k, term in terms.items()}
                scale += sum(float(term.abs().sum()) for term in terms.values())
        rounded |= isinstance(mode, Promoted) and mode.coarse
    if not math.isfinite(scale):
        raise ValueError(f"the slope must be finite: got {blocks} by parameter")
    if dtype is None:
        tolerance = TOLERANCE.get(own, 8 * torch.finfo(own).eps)
    else:
        tolerance = ROUNDED if rounded else TOLERANCE[dtype]
    return Sides(totals[0], totals[1], blocks, scale), tolerance


def checked_direction(direction: Directions, module: nn.Module) -> dict[str, Tensor]:
    """v as tensors like the parameters that it moves, or what is wrong with it in one sentence."""
    v, named = {}, dict(module.named_parameters())
    for name, entry in (direction(module) if callable(direction) else direction).items():
        if name not in named:
            raise ValueError(
                f"direction names {name!r}, which is no parameter of the module: "
                f"it has {sorted(named)}"
            )
        parameter = named[name]
        if not parameter.requires_grad:
            raise ValueError(
                f"direction names {name!r}, which is not learned: set its requires_grad to True"
            )
        number = as_numbers(entry, f"direction[{name!r}]", finite=False)
        value = number.to(parameter).detach()
        if value.dim() and value.shape != parameter.shape:
            raise ValueError(
                f"direction[{name!r}] must be a number or have shape {tuple(parameter.shape)}: "
                f"got {tuple(value.shape)}"
            )
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"direction[{name!r}] must be finite: found NaN or infinity")
        v[name] = value.expand(parameter.shape)
    if not v:
        raise ValueError("direction must have at least one entry: got none")
    return v


def scalar(function: Scalar, module: nn.Module, seed: int, name: str) -> Tensor:
    """The value of a function under a seed, or one sentence that says that it is none.

    Parameters
    ----------
    function, module, seed
        What is called with what, under which seed.
    name
        What the sentence calls the function.
    """
    torch.manual_seed(seed)
    value = function(module)
    if not isinstance(value, Tensor) or value.numel() != 1 or not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name} must return a finite scalar tensor: got {value!r}")
    return value.reshape(())
