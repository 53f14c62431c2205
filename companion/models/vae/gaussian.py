"""Gaussian variational autoencoders: linear, VAE-0, VAE-1, VAE-2 and VAE-3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from companion.families import DiagonalGaussian, GaussianMean, SphericalGaussian
from companion.families.numerics import softplus
from companion.models.vae.networks import Activation, Decoder
from companion.support.checks import one_of
from companion.theory.model import Factor, Parameters

__all__ = ["GaussianVAE", "Noise"]

Noise = Literal["scalar", "pixel", "head", "softplus", "fixed"]


@dataclass(frozen=True)
class GaussianVAE(Decoder):
    """z ~ N(0, I) or N(0, diag e^λ), x | z ~ N(μ(z), σ²) with a network μ.

    Its parameters are ``hidden0``, ``hidden1``, …, ``mean``, each with ``.weights`` and ``.bias``,
    those of the noise, and with ``learnable_prior=True`` ``prior_log_variance`` λ ``(H,)``. Its
    ``noise_type`` is

    * ``"scalar"``: one learnable variance, ``log_variance`` ``()`` (VAE-1, VAE-2)
    * ``"pixel"``: one for every observable, ``log_variance`` ``(D,)``
    * ``"head"``: σ²(z) = exp(linear head of the decoder), ``log_variance.weights`` and ``.bias``
      (VAE-3)
    * ``"softplus"``: σ(z) = softplus(linear head), ``std.weights`` and ``.bias``: misses the
      criterion, for comparison only
    * ``"fixed"``: σ² = ``variance``, not learned (VAE-0): the base measure N(x; 0, σ²I) is not
      constant, so that the identity holds for the pseudo-entropy.

    Direction v: −1 on log-variances (on the *bias* of the head for VAE-3; for VAE-0 the last
    layer's weights and biases times +1 instead); for the fixed prior
    also −1/2 of every weight matrix that reads z, with q rescaled at rate 1/2; for the learnable
    prior (VAE-2) −1 on its log-variances instead.

    Parameters
    ----------
    observed, latent
        D and H.
    hidden
        Sizes of the decoder's hidden layers, ``()`` for a linear decoder.
    noise_type
        One of the above.
    learnable_prior
        Whether the prior's variances are learned, or 1.
    variance
        σ² for ``noise_type="fixed"``, and only then.
    activation
        Of the hidden layers, ``"tanh"`` or ``"relu"``.

    Source: Damm et al. (arXiv:2010.14860), Theorems 1 to 3.

    >>> vae = GaussianVAE(observed=4, latent=2, hidden=(8,), noise_type="head")
    >>> sorted(vae.initial_parameters(torch.Generator().manual_seed(0)))[:2]
    ['hidden0.bias', 'hidden0.weights']
    """

    observed: int
    latent: int
    hidden: tuple[int, ...] = ()
    noise_type: Noise = "scalar"
    learnable_prior: bool = False
    variance: float | None = None
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self.noise_type, "noise_type", Noise)
        if (self.variance is None) == (self.noise_type == "fixed"):
            raise ValueError(
                'variance must be given for noise_type="fixed", and only then: got '
                f"variance={self.variance!r} with noise_type={self.noise_type!r}"
            )
        if self.variance is not None:
            GaussianMean(self.variance)  # says so if it is not positive

    @property
    def has_gap_direction(self) -> bool:
        return self.noise_type != "softplus"

    @property
    def heads(self) -> tuple[str, ...]:
        noise = {"head": ("log_variance",), "softplus": ("std",)}
        return ("mean", *noise.get(self.noise_type, ()))

    @property
    def observable_shapes(self) -> dict[str, tuple[int, ...]]:
        noise = {"scalar": (), "pixel": (self.observed,)}
        own = {"log_variance": noise[self.noise_type]} if self.noise_type in noise else {}
        return super().observable_shapes | own

    def moments(self, parameters: Parameters, z: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`decode` and :meth:`noise_variance`, from one pass through the network."""
        mean, *noise = self.outputs(parameters, z)
        if self.variance is not None:
            return mean, torch.full_like(mean[..., :1], self.variance)
        if not noise:
            return mean, parameters["log_variance"].exp()
        return mean, noise[0].exp() if self.noise_type == "head" else softplus(noise[0]) ** 2

    def decode(self, parameters: Parameters, z: Tensor) -> Tensor:
        """The mean μ(z) of x given z, ``(..., H)`` → ``(..., D)``."""
        return self.moments(parameters, z)[0]

    def noise_variance(self, parameters: Parameters, z: Tensor) -> Tensor:
        """The variance σ² of x given z, which broadcasts to ``(..., D)``."""
        return self.moments(parameters, z)[1]

    @property
    def factors(self) -> tuple[Factor, ...]:
        if self.variance is not None:
            known = GaussianMean(self.variance)
            return self.prior, Factor(
                "observable", known, lambda p, z: known.natural_parameters(self.decode(p, z))
            )
        family = SphericalGaussian() if self.noise_type == "scalar" else DiagonalGaussian()

        def located(parameters: Parameters, z: Tensor) -> tuple[Tensor, Tensor]:
            mean, noise = self.moments(parameters, z)
            return mean, noise.expand(mean.shape[:-1]) if self.noise_type == "scalar" else noise

        return self.prior, Factor.gaussian("observable", family, located)

    def observable_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        """Block of v for p(x|z), see the class.

        Raises
        ------
        ValueError
            For ``noise_type="softplus"``, which has none.
        """
        if not self.has_gap_direction:
            raise ValueError(
                'noise_type="softplus" has no gap direction: no step of the parameters rescales '
                'the standard deviation softplus(a); use noise_type="head" (a log-variance head)'
            )
        if self.noise_type == "fixed":
            return self.tempered(parameters, "mean")
        name = "log_variance.bias" if self.noise_type == "head" else "log_variance"
        return {name: -torch.ones_like(parameters[name])}
