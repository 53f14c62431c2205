"""Variational autoencoders for discrete data: binary pixels, and categorical variables."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from companion.families import Bernoulli, CategoricalProduct, ExponentialFamily
from companion.models.priors import gaussian_prior, prior_direction
from companion.models.vae.networks import (
    apply_hidden,
    apply_linear,
    check_hidden,
    hidden_layers,
    linear_layer,
)
from companion.support.checks import positive_integer
from companion.theory.model import Factor, Model, Parameters

__all__ = ["BernoulliVAE", "CategoricalVAE"]


class DiscreteVAE(Model):
    """z ~ N(0, I) or N(0, diag e^λ); logits of x | z from tanh layers and a linear last layer.

    Direction v: the weights and biases of the last layer, times +1 (a step of the inverse
    temperature of p(x|z)); for the fixed prior −1/2 of the weights that read z, with q rescaled at
    rate 1/2; for the learnable prior −1 on its log-variances instead. Without hidden layers the
    last layer reads z, and its weights get +1 − 1/2.
    """

    latent: int
    hidden: tuple[int, ...]
    learnable_prior: bool

    @property
    @abstractmethod
    def family(self) -> ExponentialFamily:
        """The family of p(x|z), whose natural parameters are logits."""

    @property
    def latent_rescaling(self) -> float:
        return 0.0 if self.learnable_prior else 0.5

    @property
    def log_scales(self) -> tuple[str, ...]:
        return ("prior_log_variance",)

    def absorption(self, parameters: Parameters, rate: Tensor) -> dict[str, Tensor]:
        reads_z = "hidden0.weights" if self.hidden else "logits.weights"
        return {reads_z: -rate * parameters[reads_z]}

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        sizes = (self.latent, *self.hidden)
        parameters = hidden_layers(sizes, generator)
        weight, bias = linear_layer(sizes[-1], self.observed, generator)
        parameters |= {"logits.weights": weight, "logits.bias": bias}
        if self.learnable_prior:
            parameters["prior_log_variance"] = torch.zeros(self.latent, dtype=torch.float64)
        return parameters

    def logits(self, parameters: Parameters, z: Tensor) -> Tensor:
        """Natural parameters of x | z, ``(..., H)`` → ``(..., D)``."""
        hidden = apply_hidden(parameters, len(self.hidden), z)
        return apply_linear(parameters, "logits", hidden)

    def decode(self, parameters: Parameters, z: Tensor) -> Tensor:
        """E[x | z], the probabilities of ones, ``(..., H)`` → ``(..., D)``."""
        return self.family.mean_parameters(self.logits(parameters, z))

    @property
    def factors(self) -> tuple[Factor, ...]:
        prior = gaussian_prior(self.latent, self.learnable_prior)
        return prior, Factor("observable", self.family, self.logits)

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        direction = {name: torch.zeros_like(value) for name, value in parameters.items()}
        direction["logits.weights"] = parameters["logits.weights"]
        direction["logits.bias"] = parameters["logits.bias"]
        if self.learnable_prior:
            return direction | prior_direction(parameters)
        reads_z = "hidden0.weights" if self.hidden else "logits.weights"
        direction[reads_z] = direction[reads_z] - 0.5 * parameters[reads_z]
        return direction


@dataclass(frozen=True)
class BernoulliVAE(DiscreteVAE):
    """z ~ N(0, I) or N(0, diag e^λ), x_d | z ~ Bern(σ(a_d(z))) with a tanh network a.

    ``hidden`` are the decoder's hidden layers, ``()`` for linear logits. Parameters: ``hidden0``,
    ``hidden1``, …, ``logits``, each with ``.weights`` and ``.bias``; with ``learnable_prior=True``
    also ``prior_log_variance`` ``(H,)``.

    Direction v: +1 times the last layer; for the fixed prior also −1/2 of the weights that read z,
    with q rescaled at rate 1/2; for the learnable prior −1 on its log-variances.
    Entropy sum: mean H[q] − H[p(z)] − E_q̄ Σ_d H[Bern(σ(a_d(z)))].

    Source: Kingma & Welling (2014) for the model; the direction is this companion's, for the
    theorem of Lücke & Warnken (arXiv:2209.03077).

    >>> vae = BernoulliVAE(observed=4, latent=2, hidden=(8,))
    >>> parameters = vae.initial_parameters(torch.Generator().manual_seed(0))
    >>> vae.decode(parameters, torch.zeros(3, 2, dtype=torch.float64)).shape
    torch.Size([3, 4])
    """

    observed: int
    latent: int
    hidden: tuple[int, ...] = ()
    learnable_prior: bool = False

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        positive_integer(self.latent, "latent")
        check_hidden(self.hidden)

    @property
    def family(self) -> ExponentialFamily:
        return Bernoulli()


@dataclass(frozen=True)
class CategoricalVAE(DiscreteVAE):
    """z ~ N(0, I) or N(0, diag e^λ), each x_d | z one of C categories with logits a_d(z).

    ``variables`` is the number of categorical variables, ``categories`` C. Data are their one-hot
    vectors in a row, ``(N, variables * categories)``; ``observed`` is that number of columns.
    Parameters and direction v as for :class:`BernoulliVAE`.

    >>> vae = CategoricalVAE(variables=2, categories=3, latent=1)
    >>> parameters = vae.initial_parameters(torch.Generator().manual_seed(0))
    >>> vae.decode(parameters, torch.zeros(1, 1, dtype=torch.float64)).sum()   # one per variable
    tensor(2.0000, dtype=torch.float64)
    """

    variables: int
    categories: int
    latent: int
    hidden: tuple[int, ...] = ()
    learnable_prior: bool = False
    observed: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        positive_integer(self.variables, "variables")
        positive_integer(self.categories, "categories")
        positive_integer(self.latent, "latent")
        check_hidden(self.hidden)
        object.__setattr__(self, "observed", self.variables * self.categories)

    @property
    def family(self) -> ExponentialFamily:
        return CategoricalProduct(self.variables)
