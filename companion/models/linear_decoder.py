"""A linear map from latents to the mean of x, with Gaussian noise."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from companion.families import DiagonalGaussian, SphericalGaussian
from companion.models.scaled import ScaledLatents
from companion.theory.model import Factor, Parameters, normal_draws
from companion.theory.variational import Variational

__all__ = ["LOG_2PI", "LinearDecoder"]

LOG_2PI = math.log(2 * math.pi)


class LinearDecoder(ScaledLatents):
    """x | z ~ N(Wz + μ, noise): ``weights`` W ``(D, H)``, ``mean`` μ ``(D,)``, ``log_variance``.

    v is −1 on every log-variance of the noise. A spherical noise has one variance, ``()``, a
    diagonal one has one for each observable, ``(D,)``.
    """

    noise_family: ClassVar[SphericalGaussian | DiagonalGaussian] = SphericalGaussian()

    @property
    def observable_shapes(self) -> dict[str, tuple[int, ...]]:
        spherical = isinstance(self.noise_family, SphericalGaussian)
        return {
            "weights": (self.observed, self.latent),
            "mean": (self.observed,),
            "log_variance": () if spherical else (self.observed,),
        }

    @property
    def reads_latents(self) -> tuple[str, ...]:
        return ("weights",)

    def observable_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        return {"log_variance": -torch.ones_like(parameters["log_variance"])}

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        drawn = {
            name: normal_draws(*shape, generator=generator) for name, shape in self.shapes.items()
        }
        scales = {name: 0.3 * drawn[name] for name in self.log_scales if name in drawn}
        return drawn | scales

    def decode(self, parameters: Parameters, z: Tensor) -> Tensor:
        """E[x | z] = Wz + μ, ``(..., H)`` → ``(..., D)``."""
        return z @ parameters["weights"].T + parameters["mean"]

    def noise_variance(self, parameters: Parameters) -> Tensor:
        """Noise variances σ² of all observables, ``(D,)``."""
        return parameters["log_variance"].exp().expand(self.observed)

    def _located(self, parameters: Parameters, z: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = self.decode(parameters, z), parameters["log_variance"].exp()
        spherical = isinstance(self.noise_family, SphericalGaussian)
        return mean, variance.expand(mean.shape[:-1]) if spherical else variance

    @property
    def factors(self) -> tuple[Factor, ...]:
        return self.prior, Factor.gaussian("observable", self.noise_family, self._located)

    @abstractmethod
    def prior_entropy(self, parameters: Parameters) -> Tensor:
        """H[p(z)], in nats."""

    def closed_form_entropy_sum(
        self, parameters: Parameters, q: Variational | None = None
    ) -> Tensor:
        """mean H[q] − H[p(z)] − ½ Σ_d log(2πeσ_d²): no nodes, no data.

        Raises
        ------
        ValueError
            Without ``q``, for a model that has no exact posterior.
        """
        if q is None:
            raise ValueError(
                f"{type(self).__name__} has no posterior in closed form: q must be given for its "
                "entropy sum"
            )
        noise = 0.5 * (1 + LOG_2PI + parameters["log_variance"].expand(self.observed)).sum()
        return q.entropy().mean() - self.prior_entropy(parameters) - noise
