"""What is seen of a program at one setting: pieces of the ELBO, by term and by path."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from companion.models.own.programs import Program
from companion.models.own.regress import rows
from companion.models.own.terms import Stand

__all__ = ["SAMPLES", "Look", "Make", "Noise", "Sample", "paths", "through"]

Make = Callable[[Tensor, Tensor, Tensor], Tensor]

#: How people make z from mean, standard deviation and noise; the first is right.
SAMPLES: dict[str, Make] = {
    "μ + τε": lambda m, t, e: m + t * e,
    "μ": lambda m, t, e: m + 0 * t,
    "μ + τ²ε": lambda m, t, e: m + t.square() * e,
    "μ + √τ ε": lambda m, t, e: m + t.sqrt() * e,
    "μ + log τ² ε": lambda m, t, e: m + 2 * t.log() * e,
    "ε": lambda m, t, e: 0 * m + 0 * t + e,
    "μ + ε": lambda m, t, e: m + 0 * t + e,
    "μ − τε": lambda m, t, e: m - t * e,
    "μ + ½τε": lambda m, t, e: m + 0.5 * t * e,
}


@dataclass(frozen=True)
class Noise:
    """Standard-normal noise of shape (L, ...) as the mean, and for each of the L draws the states
    of the generators before and after."""

    values: Tensor
    before: Sequence[tuple[Tensor, ...]]
    after: Sequence[tuple[Tensor, ...]]


@dataclass
class Look:
    """Pieces at one setting: gradients (rows of all parameters), values, constants by name."""

    latents: int
    observed: int
    atoms: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    constants: dict[str, float] = field(default_factory=dict)
    closed: dict[str, float] = field(default_factory=dict)
    stands: dict[str, Stand] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    kl: Tensor | None = None
    floors: dict[str, float] = field(default_factory=dict)

    @property
    def constant(self) -> float:
        """Sum of the reconstruction's constants."""
        return math.fsum(self.constants.values())

    def add(self, name: str, gradient: Sequence[Tensor], share: float = 1.0) -> None:
        """Add a share of a gradient to an atom."""
        vector = share * torch.cat(rows(gradient))
        self.atoms[name] = self.atoms[name] + vector if name in self.atoms else vector

    def gain(self, name: str, value: Tensor, share: float = 1.0) -> None:
        """Add a share of a value."""
        self.values[name] = self.values.get(name, 0.0) + share * float(value.detach())


@dataclass(frozen=True)
class Sample:
    """z and how it follows the mean and the standard deviation (or its own graph)."""

    z: Tensor
    by_mean: Tensor | None
    by_std: Tensor | None


def through(
    program: Program,
    mean: Tensor,
    std: Tensor | None,
    by_mean: Tensor | None,
    by_std: Tensor | None,
) -> list[Tensor]:
    """Gradient that reaches the parameters through mean and standard deviation.

    Parameters
    ----------
    program
        Whose parameters.
    mean, std
        What the encoder gave, with its graph.
    by_mean, by_std
        Derivatives in these; ``None`` for a path that is left out.
    """
    total = torch.zeros((), dtype=mean.dtype, device=mean.device)
    if by_mean is not None:
        total = total + (mean * by_mean.detach()).sum()
    if by_std is not None and std is not None:
        total = total + (std * by_std.detach()).sum()
    return program.gradient(total)


def paths(
    found: Look,
    program: Program,
    name: str,
    by_z: Tensor,
    mean: Tensor,
    std: Tensor | None,
    sample: Sample,
    share: float,
) -> None:
    if std is None:
        found.add(f"{name}.z", program.gradient((sample.z * by_z.detach()).sum()), share)
        return
    assert sample.by_mean is not None and sample.by_std is not None
    found.add(f"{name}.m", through(program, mean, None, by_z * sample.by_mean, None), share)
    found.add(f"{name}.t", through(program, mean, std, None, by_z * sample.by_std), share)
