"""Gaussian variational autoencoders: linear, VAE-0, VAE-1, VAE-2 and VAE-3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from companion.families import DiagonalGaussian, GaussianMean, SphericalGaussian
from companion.families.numerics import softplus
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

__all__ = ["GaussianVAE", "Noise"]

Noise = Literal["scalar", "pixel", "head", "softplus", "fixed"]


@dataclass(frozen=True)
class GaussianVAE(Model):
    """z ~ N(0, I) or N(0, diag e^λ), x | z ~ N(μ(z), σ²) with a tanh network μ.

    ``hidden`` are the decoder's hidden layers, ``()`` for a linear decoder. ``noise`` is

    * ``"scalar"``: one learnable variance, ``log_variance`` ``()`` (VAE-1, VAE-2)
    * ``"pixel"``: one for every observable, ``log_variance`` ``(D,)``
    * ``"head"``: σ²(z) = exp(linear head of the decoder)   (VAE-3)
    * ``"softplus"``: σ(z) = softplus(linear head): misses the criterion, for comparison only
    * ``"fixed"``: σ² = ``variance``, not learned (VAE-0): the base measure N(x; 0, σ²I) is not
      constant, so that the identity holds for the pseudo-entropy.

    Direction v: −1 on log-variances (on the *bias* of the head for VAE-3; for VAE-0 the last
    layer's weights and biases times +1 instead); for the fixed prior
    also −1/2 of every weight matrix that reads z, with q rescaled at rate 1/2; for the learnable
    prior (VAE-2) −1 on its log-variances instead.

    Source: Damm et al. (arXiv:2010.14860), Theorems 1 to 3.

    >>> vae = GaussianVAE(observed=4, latent=2, hidden=(8,), noise="head")
    >>> sorted(vae.initial_parameters(torch.Generator().manual_seed(0)))[:2]
    ['hidden0.bias', 'hidden0.weight']
    """

    observed: int
    latent: int
    hidden: tuple[int, ...] = ()
    noise: Noise = "scalar"
    learnable_prior: bool = False
    variance: float | None = None

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        positive_integer(self.latent, "latent")
        check_hidden(self.hidden)
        if self.noise not in get_args(Noise):
            raise ValueError(f"noise must be one of {list(get_args(Noise))}: got {self.noise!r}")
        if (self.variance is None) == (self.noise == "fixed"):
            raise ValueError(
                'variance must be given for noise="fixed", and only then: got '
                f"variance={self.variance!r} with noise={self.noise!r}"
            )
        if self.variance is not None:
            GaussianMean(self.variance)  # says so if it is not positive

    @property
    def latent_rescaling(self) -> float:
        return 0.0 if self.learnable_prior else 0.5

    @property
    def log_scales(self) -> tuple[str, ...]:
        return ("log_variance", "variance.bias", "prior_log_variance")

    def absorption(self, parameters: Parameters, rate: Tensor) -> dict[str, Tensor]:
        return {name: -rate * parameters[name] for name in self._weights_on_latents}

    @property
    def has_gap_direction(self) -> bool:
        return self.noise != "softplus"

    @property
    def _has_head(self) -> bool:
        return self.noise in ("head", "softplus")

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        sizes = (self.latent, *self.hidden)
        parameters = hidden_layers(sizes, generator)
        weight, bias = linear_layer(sizes[-1], self.observed, generator)
        parameters |= {"mean.weight": weight, "mean.bias": bias}
        if self._has_head:
            weight, bias = linear_layer(sizes[-1], self.observed, generator)
            parameters |= {"variance.weight": 0.1 * weight, "variance.bias": bias}
        elif self.noise != "fixed":
            shape = () if self.noise == "scalar" else (self.observed,)
            parameters["log_variance"] = torch.zeros(shape, dtype=torch.float64)
        if self.learnable_prior:
            parameters["prior_log_variance"] = torch.zeros(self.latent, dtype=torch.float64)
        return parameters

    def decode(self, parameters: Parameters, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean μ(z) ``(..., D)`` and variance σ², which broadcasts to ``(..., D)``."""
        hidden = apply_hidden(parameters, len(self.hidden), z)
        mean = apply_linear(parameters, "mean", hidden)
        if self.variance is not None:
            return mean, torch.full_like(mean[..., :1], self.variance)
        if not self._has_head:
            return mean, parameters["log_variance"].exp()
        output = apply_linear(parameters, "variance", hidden)
        return mean, output.exp() if self.noise == "head" else softplus(output) ** 2

    @property
    def factors(self) -> tuple[Factor, ...]:
        prior = gaussian_prior(self.latent, self.learnable_prior)
        spherical, diagonal = SphericalGaussian(), DiagonalGaussian()

        def scalar_natural(parameters: Parameters, z: Tensor) -> Tensor:
            mean, variance = self.decode(parameters, z)
            return spherical.natural_parameters(mean, variance.expand(mean.shape[:-1]))

        def diagonal_natural(parameters: Parameters, z: Tensor) -> Tensor:
            return diagonal.natural_parameters(*self.decode(parameters, z))

        if self.variance is not None:
            known = GaussianMean(self.variance)

            def mean_natural(parameters: Parameters, z: Tensor) -> Tensor:
                return known.natural_parameters(self.decode(parameters, z)[0])

            return prior, Factor("observable", known, mean_natural)
        if self.noise == "scalar":
            return prior, Factor("observable", spherical, scalar_natural)
        return prior, Factor("observable", diagonal, diagonal_natural)

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        """The direction v, see the class.

        Raises
        ------
        ValueError
            For ``noise="softplus"``, which has none.
        """
        if not self.has_gap_direction:
            raise ValueError(
                'noise="softplus" has no gap direction: no step of the parameters rescales the '
                'standard deviation softplus(a); use noise="head" (a log-variance head)'
            )
        direction = {name: torch.zeros_like(value) for name, value in parameters.items()}
        if self.noise == "fixed":
            direction["mean.weight"] = parameters["mean.weight"]
            direction["mean.bias"] = parameters["mean.bias"]
        else:
            noise = "variance.bias" if self.noise == "head" else "log_variance"
            direction[noise] = -torch.ones_like(parameters[noise])
        if self.learnable_prior:
            return direction | prior_direction(parameters)
        absorbed = self.absorption(
            parameters, torch.tensor(self.latent_rescaling, dtype=torch.float64)
        )
        return direction | {name: direction[name] + part for name, part in absorbed.items()}

    @property
    def _weights_on_latents(self) -> tuple[str, ...]:
        if self.hidden:
            return ("hidden0.weight",)
        return ("mean.weight", "variance.weight") if self._has_head else ("mean.weight",)
