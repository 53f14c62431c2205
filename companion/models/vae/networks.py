"""Networks of variational autoencoders: tanh layers, then linear heads; encoder and decoder."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from companion.models.scaled import ScaledLatents
from companion.support.arguments import check_names
from companion.support.checks import as_data, positive_integer
from companion.support.doors import Guarded
from companion.theory.model import Parameters, normal_draws
from companion.theory.variational import Amortized, Nodes

__all__ = ["Decoder", "Encoder"]

Shapes = dict[str, tuple[int, ...]]

#: Heads that give scales start with weights a tenth as large, so that scales start close to 1.
_HEADS_OF_SCALES = ("log_std.weights", "log_variance.weights", "std.weights")


def network_shapes(sizes: tuple[int, ...], heads: Iterable[str], outputs: int) -> Shapes:
    """Layers ``hidden0``, ``hidden1``, … between consecutive ``sizes``, then ``heads``."""
    layers = {f"hidden{index}": pair for index, pair in enumerate(pairwise(sizes))}
    layers |= {head: (sizes[-1], outputs) for head in heads}
    shapes: Shapes = {}
    for name, (inputs, size) in layers.items():
        shapes |= {f"{name}.weights": (size, inputs), f"{name}.bias": (size,)}
    return shapes


def initial_network(shapes: Shapes, generator: torch.Generator | None) -> dict[str, Tensor]:
    """Random weights of variance 1/inputs, a hundredth of that for scales; all else zero."""
    parameters: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if name.endswith(".weights"):
            weights = normal_draws(*shape, generator=generator) / math.sqrt(shape[1])
            parameters[name] = 0.1 * weights if name in _HEADS_OF_SCALES else weights
        else:
            parameters[name] = torch.zeros(shape, dtype=torch.float64)
    return parameters


def apply_network(
    parameters: Parameters, hidden: int, heads: Iterable[str], inputs: Tensor
) -> list[Tensor]:
    """The linear ``heads`` on top of so many ``hidden`` layers: tanh(inputs Wᵀ + b) in turn."""

    def linear(name: str, inputs: Tensor) -> Tensor:
        return inputs @ parameters[f"{name}.weights"].T + parameters[f"{name}.bias"]

    for index in range(hidden):
        inputs = torch.tanh(linear(f"hidden{index}", inputs))
    return [linear(head, inputs) for head in heads]


def check_hidden(hidden: tuple[int, ...]) -> None:
    """Raise a ``ValueError`` unless ``hidden`` is a tuple of positive layer sizes."""
    if not isinstance(hidden, tuple):
        raise ValueError(f"hidden must be a tuple of layer sizes, () for linear: got {hidden!r}")
    for size in hidden:
        positive_integer(size, "every entry of hidden")


class Decoder(ScaledLatents):
    """A network z ↦ the parameters of p(x|z), with a Gaussian prior of z.

    Parameters: ``hidden0``, ``hidden1``, … and the :attr:`heads`, each with ``.weights`` and
    ``.bias``; with ``learnable_prior=True`` also ``prior_log_variance`` ``(H,)``. ``hidden=()``
    is a linear decoder. For the fixed prior v has −½ of every weight matrix that reads z.
    """

    hidden: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hidden(self.hidden)

    @property
    @abstractmethod
    def heads(self) -> tuple[str, ...]:
        """Names of the linear layers at the end, with D outputs each."""

    @property
    def observable_shapes(self) -> Shapes:
        return network_shapes((self.latent, *self.hidden), self.heads, self.observed)

    @property
    def reads_latents(self) -> tuple[str, ...]:
        first = ("hidden0",) if self.hidden else self.heads
        return tuple(f"{layer}.weights" for layer in first)

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Random weights of variance 1/inputs, all else zero."""
        return initial_network(self.shapes, generator)

    def outputs(self, parameters: Parameters, z: Tensor) -> list[Tensor]:
        """The outputs of all heads, ``(..., H)`` → ``(..., D)`` each."""
        return apply_network(parameters, len(self.hidden), self.heads, z)

    def tempered(self, parameters: Parameters, head: str) -> dict[str, Tensor]:
        """Block of v that multiplies the output of one head: its weights and biases, times +1."""
        return {name: parameters[name] for name in (f"{head}.weights", f"{head}.bias")}


@dataclass(frozen=True)
class Encoder(Guarded):
    """A network x ↦ (m(x), s(x)) for q(z|x) = N(m, diag s²): tanh layers, then two linear heads.

    The heads give the mean and the *logarithm* of the standard deviation, so that rescaling the
    latent space is a step of the mean head and of the bias of the log-std head. ``hidden=()`` is a
    linear encoder. Parameters: ``hidden0``, ``hidden1``, …, ``mean`` and ``log_std``, each with
    ``.weights`` and ``.bias``.

    >>> encoder = Encoder(observed=4, latent=2)
    >>> phi = encoder.initial_parameters(torch.Generator().manual_seed(0))
    >>> mean, std = encoder(phi, torch.zeros(3, 4, dtype=torch.float64))
    >>> mean.shape, bool((std > 0).all())
    (torch.Size([3, 2]), True)
    """

    observed: int
    latent: int
    hidden: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        positive_integer(self.latent, "latent")
        check_hidden(self.hidden)

    def admit(self, method: str, given: dict[str, Any]) -> None:
        """Refuse parameters and data that do not fit the network."""
        if "parameters" in given:
            check_names(given["parameters"], self.shapes, repr(self))
        if "x" in given:
            given["x"] = as_data(given["x"], columns=self.observed, keep_graph=True)

    @property
    def shapes(self) -> Shapes:
        """Names and shapes of all parameters."""
        return network_shapes((self.observed, *self.hidden), ("mean", "log_std"), self.latent)

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Random weights of variance 1/inputs, zero biases."""
        return initial_network(self.shapes, generator)

    def __call__(self, parameters: Parameters, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z | x_n), both ``(N, H)``."""
        mean, log_std = apply_network(parameters, len(self.hidden), ("mean", "log_std"), x)
        return mean, log_std.exp()

    def rescaling(self, parameters: Parameters, rate: float | Tensor) -> dict[str, Tensor]:
        """Direction of φ along which z is rescaled: rate × mean head, rate on the log-std bias.

        ``rate`` is one number, or one for each latent, ``(H,)``.
        """
        rates = torch.as_tensor(rate, dtype=torch.float64).expand(self.latent)
        direction = {name: torch.zeros_like(value) for name, value in parameters.items()}
        return direction | {
            "mean.weights": rates[:, None] * parameters["mean.weights"],
            "mean.bias": rates * parameters["mean.bias"],
            "log_std.bias": rates * torch.ones_like(parameters["log_std.bias"]),
        }

    def posterior(
        self, parameters: Mapping[str, Tensor], x: Tensor, rule: Nodes | None = None
    ) -> Amortized:
        """q(z | x_n) for all rows of ``x``, with a ``rule`` as in ``variational.Gaussian``."""
        return Amortized(self, dict(parameters), x, rule)
