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

__all__ = ["SAMPLES", "Look", "Make", "Noise", "Sample"]

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


@dataclass(frozen=True)
class Sample:
    """One of 1/``share`` samples: z and how it follows mean and std, or its own graph without."""

    z: Tensor
    mean: Tensor
    std: Tensor | None
    share: float
    by_mean: Tensor | None = None
    by_std: Tensor | None = None


@dataclass
class Look:
    """Pieces at one setting: gradients (rows of all parameters), values, constants by name."""

    program: Program
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

    def take(self, name: str, value: Tensor) -> None:
        """Add a value and its gradient."""
        self.add(name, self.program.gradient(value))
        self.gain(name, value)

    def follow(self, name: str, value: Tensor, sample: Sample, z: Tensor) -> None:
        """Add a value at a sample, and its gradients: directly, and by each path through z.

        Parameters
        ----------
        name
            Of the term.
        value
            Of the term, in nats per data point, with its graph.
        sample
            z as the encoder made it.
        z
            The same, as the leaf on which the value hangs.
        """
        *direct, by_z = self.program.gradient(value, z)
        self.add(f"{name}.d", direct, sample.share)
        self.gain(name, value, sample.share)
        self.paths(name, by_z, sample)

    def paths(self, name: str, by_z: Tensor, sample: Sample) -> None:
        """Add what reaches the parameters through z, by way of the mean and by way of the std."""
        if sample.std is None:
            self.through(f"{name}.z", sample.z, by_z, sample.share)
            return
        assert sample.by_mean is not None and sample.by_std is not None
        self.through(f"{name}.m", sample.mean, by_z * sample.by_mean, sample.share)
        self.through(f"{name}.t", sample.std, by_z * sample.by_std, sample.share)

    def through(self, name: str, part: Tensor, derivative: Tensor, share: float) -> None:
        """Add what reaches the parameters through ``part``, from the derivative in it.

        Parameters
        ----------
        name
            Of the atom.
        part, derivative
            A mean, a standard deviation or a sample, and the derivative in it.
        share
            How much of this is added.
        """
        self.add(name, self.program.gradient((part * derivative.detach()).sum()), share)
