"""Is my ELBO right? The identity as a unit test for any ``torch.nn.Module``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import nn

from companion.support.doors import door
from companion.support.tables import Record
from companion.theory.module_sides import (
    TOLERANCE,
    Directions,
    Scalar,
    checked_direction,
    scalar,
    sides_in,
)
from companion.theory.module_state import LastBits, coarsest, kept

__all__ = ["ModuleVerification", "verify_module"]

#: Above this, round-off would hide a mistake of a thousandth.
LARGEST = 1e-3
#: Round-off is at most so many times what so many changes of the last bits move.
_MARGIN, _CHANGES = 16, 4

_WORDS = {
    "pass": "the identity holds",
    "fail": "the identity FAILS",
    "undecided": "undecided: round-off would hide a mistake, use float64",
}


@dataclass(frozen=True, repr=False)
class ModuleVerification(Record):
    """ELBO − entropy sum against ⟨∇ELBO, v⟩ for a module, in the units of its own ELBO.

    ``verdict`` is "pass" where the residual is round-off, at most ``tolerance`` · ``scale`` with
    ``scale`` = 1 + |ELBO| + |entropy sum| + Σ|∇ELBO · v|, and "fail" where it is more; "undecided"
    where round-off is so large that it would hide a mistake of a thousandth. ``dtype`` is what the
    values were evaluated in. ``blocks`` splits the slope by parameter: a wrong ELBO often shows as
    a missing or doubled block.
    """

    elbo: float
    entropy_sum: float
    slope: float
    blocks: Mapping[str, float]
    tolerance: float
    scale: float
    dtype: torch.dtype

    decimals = 6

    @property
    def gap(self) -> float:
        """ELBO − entropy sum."""
        return self.elbo - self.entropy_sum

    @property
    def residual(self) -> float:
        """|gap − slope|."""
        return abs(self.gap - self.slope)

    @property
    def verdict(self) -> Literal["pass", "fail", "undecided"]:
        """Whether the residual is round-off, or cannot be told from it."""
        if self.residual > self.tolerance * self.scale:
            return "fail"
        return "pass" if self.tolerance <= LARGEST else "undecided"

    @property
    def passed(self) -> bool:
        """Whether the verdict is "pass"."""
        return self.verdict == "pass"

    def rows(self) -> list[tuple[str, str | float]]:
        """Label and value of everything, in reading order."""
        return [
            ("ELBO", self.elbo),
            ("entropy sum", self.entropy_sum),
            ("gap = ELBO − entropy sum", self.gap),
            *((f"slope, {name}", value) for name, value in self.blocks.items()),
            ("slope = ⟨∇ELBO, v⟩", self.slope),
            ("residual |gap − slope|", self.residual),
            ("verdict", _WORDS[self.verdict]),
        ]


@partial(door, tells=False)
def verify_module(
    module: nn.Module,
    elbo: Scalar,
    entropy_sum: Scalar,
    direction: Directions,
    seed: int = 0,
) -> ModuleVerification:
    """Check ELBO − entropy sum = ⟨∇ELBO, v⟩ at the module's present parameters.

    No training is needed. All is evaluated in float64, whatever the module and its data are made
    of: tensors are cast in place and put back, bit for bit, as are buffers, the modes of all parts
    and torch's random state. A program that refuses float64 (a scripted module, a device without
    it) is judged in its own dtype, by what round-off moves in it.

    Parameters
    ----------
    module
        Any module; its parameters are the variables of the ELBO.
    elbo, entropy_sum
        Functions of the module that return a scalar, both in the same units (per data point, say)
        and on the same data.
    direction
        v by parameter name, or a function of the module that gives it; a number stands for a
        constant tensor, and parameters that are left out have v = 0.
    seed
        Set before each of the two functions, which may draw samples: they see the same ones if
        torch draws them in the same order, and then one sample is enough.

    Raises
    ------
    ValueError
        If a name in ``direction`` is no parameter of the module or one that is not learned
        (``requires_grad=False``), or an entry has another shape or is not finite; if ELBO or
        entropy sum is no finite scalar, in the module's own dtype already, or the slope is not
        finite; if the ELBO differs between two runs with one seed.

    Source: this companion.

    >>> class Noise(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.log_variance = nn.Parameter(torch.tensor(0.3))
    >>> x = torch.tensor([0.1, -2.0, 0.7])
    >>> def log_likelihood(m):
    ...     std = (m.log_variance / 2).exp()
    ...     return torch.distributions.Normal(0.0, std).log_prob(x).mean()
    >>> def minus_entropy(m):
    ...     return -(m.log_variance + math.log(2 * math.pi * math.e)) / 2
    >>> verify_module(Noise(), log_likelihood, minus_entropy, {"log_variance": -1.0}).passed
    True
    """
    if not any(True for _ in module.parameters()):
        raise ValueError("module must have parameters: got none")
    own = coarsest(module)
    with kept(module), torch.enable_grad():
        checked_direction(direction, module)
    values = []
    for function, name in ((elbo, "elbo"), (elbo, "elbo"), (entropy_sum, "entropy_sum")):
        with kept(module), torch.enable_grad():  # In its own dtype, as whoever wrote it runs it.
            values.append(float(scalar(function, module, seed, name).detach()))
    if abs(values[0] - values[1]) > TOLERANCE.get(own, LARGEST) * (1 + abs(values[0])):
        raise ValueError(
            f"elbo must give the same value twice under one seed: got {values[0]:.9g} and "
            f"{values[1]:.9g}; draw its samples with torch, not with another generator"
        )
    run = partial(sides_in, module, elbo, entropy_sum, direction, seed)
    dtype: torch.dtype | None = torch.float64
    try:
        sides, tolerance = run(dtype)
    except Exception:  # It refuses float64; anything else is raised again.
        dtype = None
        sides, tolerance = run(dtype)
    if abs(sides.excess) > tolerance * sides.scale:
        excess = [sides.excess]
        for change in map(LastBits, range(_CHANGES)):
            with suppress(Exception):  # What may not be changed, a probability of one, say.
                excess.append(run(dtype, change)[0].excess)
        tolerance = max(tolerance, _MARGIN * (max(excess) - min(excess)) / sides.scale)
    return ModuleVerification(
        elbo=sides.elbo,
        entropy_sum=sides.entropy_sum,
        slope=math.fsum(sides.blocks.values()),
        blocks=sides.blocks,
        tolerance=tolerance,
        scale=sides.scale,
        dtype=dtype or own,
    )
