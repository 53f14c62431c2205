"""Networks of variational autoencoders: tanh layers, and the encoder of a Gaussian q."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from companion.support.checks import positive_integer
from companion.theory.model import Parameters
from companion.theory.variational import Amortized, Nodes

__all__ = ["Encoder"]


def linear_layer(
    inputs: int, outputs: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Weights ``(outputs, inputs)`` with variance 1/inputs, and zero biases."""
    weight = torch.randn(outputs, inputs, dtype=torch.float64, generator=generator)
    return weight / math.sqrt(inputs), torch.zeros(outputs, dtype=torch.float64)


def apply_linear(parameters: Parameters, name: str, inputs: Tensor) -> Tensor:
    """The layer ``name``: inputs Wᵀ + b."""
    return inputs @ parameters[f"{name}.weights"].T + parameters[f"{name}.bias"]


def hidden_layers(sizes: tuple[int, ...], generator: torch.Generator | None) -> dict[str, Tensor]:
    """Parameters of tanh layers ``hidden0``, ``hidden1``, … between consecutive ``sizes``."""
    parameters: dict[str, Tensor] = {}
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        weight, bias = linear_layer(inputs, outputs, generator)
        parameters |= {f"hidden{index}.weights": weight, f"hidden{index}.bias": bias}
    return parameters


def apply_hidden(parameters: Parameters, count: int, inputs: Tensor) -> Tensor:
    """tanh of each hidden layer in turn; the inputs themselves if there is none."""
    for index in range(count):
        inputs = torch.tanh(apply_linear(parameters, f"hidden{index}", inputs))
    return inputs


def check_hidden(hidden: tuple[int, ...]) -> None:
    """Raise a ``ValueError`` unless ``hidden`` is a tuple of positive layer sizes."""
    if not isinstance(hidden, tuple):
        raise ValueError(f"hidden must be a tuple of layer sizes, () for linear: got {hidden!r}")
    for size in hidden:
        positive_integer(size, "every entry of hidden")


@dataclass(frozen=True)
class Encoder:
    """A network x ↦ (m(x), s(x)) for q(z|x) = N(m, diag s²): tanh layers, then two linear heads.

    The heads give the mean and the *logarithm* of the standard deviation, so that rescaling the
    latent space is a step of the mean head and of the bias of the log-std head. ``hidden=()`` is a
    linear encoder.

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

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Random weights of variance 1/inputs, zero biases."""
        sizes = (self.observed, *self.hidden)
        parameters = hidden_layers(sizes, generator)
        for head in ("mean", "log_std"):
            weight, bias = linear_layer(sizes[-1], self.latent, generator)
            parameters |= {f"{head}.weights": weight, f"{head}.bias": bias}
        parameters["log_std.weights"] = 0.1 * parameters["log_std.weights"]
        return parameters

    def __call__(self, parameters: Parameters, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z | x_n), both ``(N, H)``."""
        hidden = apply_hidden(parameters, len(self.hidden), x)
        log_std = apply_linear(parameters, "log_std", hidden)
        return apply_linear(parameters, "mean", hidden), log_std.exp()

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
