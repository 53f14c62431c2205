"""Networks of variational autoencoders: hidden layers, then linear heads; encoder and decoder."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from companion.families.numerics import softplus
from companion.models.scaled import ScaledLatents
from companion.support.arguments import check_names
from companion.support.checks import as_data, one_of, positive_integer
from companion.support.doors import Guarded
from companion.theory.model import Parameters, normal_draws
from companion.theory.nodes import Nodes, rates_of
from companion.theory.variational import Amortized

__all__ = ["Activation", "Decoder", "Encoder", "EncoderScale"]

Shapes = dict[str, tuple[int, ...]]
#: Units of hidden layers.
Activation = Literal["tanh", "relu"]
#: What makes an encoder's standard deviations positive.
EncoderScale = Literal["exp", "softplus"]

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


def linear(parameters: Parameters, name: str, inputs: Tensor) -> Tensor:
    """The layer ``name``: inputs Wᵀ + b; of many networks at once where all have a first axis."""
    weights, bias = parameters[f"{name}.weights"], parameters[f"{name}.bias"]
    if weights.dim() == 3:
        return torch.baddbmm(bias[:, None], inputs, weights.mT)
    return torch.nn.functional.linear(inputs, weights, bias)


def apply_hidden(
    parameters: Parameters, hidden: int, activation: Activation, inputs: Tensor
) -> Tensor:
    """So many ``hidden`` layers: tanh(inputs Wᵀ + b), or max(0, inputs Wᵀ + b), in turn."""
    bend = torch.tanh if activation == "tanh" else torch.relu
    for index in range(hidden):
        inputs = bend(linear(parameters, f"hidden{index}", inputs))
    return inputs


def check_network(hidden: tuple[int, ...], activation: Activation) -> None:
    """Raise a ``ValueError`` unless these are a tuple of positive layer sizes and an activation."""
    if not isinstance(hidden, tuple):
        raise ValueError(f"hidden must be a tuple of layer sizes, () for linear: got {hidden!r}")
    for size in hidden:
        positive_integer(size, "every entry of hidden")
    one_of(activation, "activation", Activation)


class Decoder(ScaledLatents):
    """A network z ↦ the parameters of p(x|z), with a Gaussian prior of z.

    Parameters: ``hidden0``, ``hidden1``, … and the :attr:`heads`, each with ``.weights`` and
    ``.bias``; with ``learnable_prior=True`` also ``prior_log_variance`` ``(H,)``. ``hidden=()``
    is a linear decoder. For the fixed prior v has −½ of every weight matrix that reads z.
    """

    hidden: tuple[int, ...]
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_network(self.hidden, self.activation)

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
        seen = self.features(parameters, z)
        return [linear(parameters, head, seen) for head in self.heads]

    def features(self, parameters: Parameters, z: Tensor) -> Tensor:
        """What the heads see: the last hidden layer, or z itself, ``(..., H)`` → ``(..., K)``."""
        return apply_hidden(parameters, len(self.hidden), self.activation, z)

    def tempered(self, parameters: Parameters, head: str) -> dict[str, Tensor]:
        """Block of v that multiplies the output of one head: its weights and biases, times +1."""
        return {name: parameters[name] for name in (f"{head}.weights", f"{head}.bias")}


class OfData(Guarded):
    """What is computed from data by networks with parameters of these ``shapes``."""

    observed: int

    @property
    @abstractmethod
    def shapes(self) -> Shapes:
        """Names and shapes of all parameters."""

    def admit(self, method: str, given: dict[str, Any]) -> None:
        """Refuse parameters and data that do not fit the networks."""
        if "parameters" in given:
            check_names(given["parameters"], self.shapes, repr(self))
        if "x" in given:
            given["x"] = as_data(given["x"], columns=self.observed, keep_graph=True)


@dataclass(frozen=True)
class Encoder(OfData):
    """A network x ↦ (m(x), s(x)) for q(z|x) = N(m, diag s²): hidden layers, then two linear heads.

    The heads give the mean and the *logarithm* of the standard deviation, so that rescaling the
    latent space is a step of the mean head and of the bias of the log-std head. ``hidden=()`` is a
    linear encoder; the activation is tanh or relu. Parameters: ``hidden0``, ``hidden1``, …,
    ``mean`` and ``log_std``, each with ``.weights`` and ``.bias``.

    With ``scale="softplus"`` s = log(1 + eᵃ) of a head ``std``: then no step of the parameters
    rescales the latent space, and a model with a fixed prior has no direction v. It is for
    comparison only.

    >>> encoder = Encoder(observed=4, latent=2)
    >>> phi = encoder.initial_parameters(torch.Generator().manual_seed(0))
    >>> mean, std = encoder(phi, torch.zeros(3, 4, dtype=torch.float64))
    >>> mean.shape, bool((std > 0).all())
    (torch.Size([3, 2]), True)
    """

    observed: int
    latent: int
    hidden: tuple[int, ...] = ()
    activation: Activation = "tanh"
    scale: EncoderScale = "exp"

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        positive_integer(self.latent, "latent")
        check_network(self.hidden, self.activation)
        one_of(self.scale, "scale", EncoderScale)

    @property
    def can_be_rescaled(self) -> bool:
        """Whether :meth:`rescaling` exists."""
        return self.scale == "exp"

    @property
    def heads(self) -> tuple[str, str]:
        """Names of the linear layers at the end, with H outputs each."""
        return "mean", "log_std" if self.can_be_rescaled else "std"

    @property
    def shapes(self) -> Shapes:
        return network_shapes((self.observed, *self.hidden), self.heads, self.latent)

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Random weights of variance 1/inputs, zero biases."""
        return initial_network(self.shapes, generator)

    def __call__(self, parameters: Parameters, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z | x_n), both ``(N, H)``."""
        seen = apply_hidden(parameters, len(self.hidden), self.activation, x)
        mean, scale = (linear(parameters, head, seen) for head in self.heads)
        return mean, scale.exp() if self.can_be_rescaled else softplus(scale)

    def rescaling(self, parameters: Parameters, rate: float | Tensor) -> dict[str, Tensor]:
        """Direction of φ along which z is rescaled: rate × mean head, rate on the log-std bias.

        ``rate`` is one number, or one for each latent, ``(H,)``.

        Raises
        ------
        ValueError
            For ``scale="softplus"``, which has none.
        """
        if not self.can_be_rescaled:
            raise ValueError(
                'scale="softplus" has no rescaling of the latent space, which a fixed prior needs: '
                'use scale="exp", or give the prior a learnable variance'
            )
        rates = rates_of(rate, self.latent)
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
