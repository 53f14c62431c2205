"""Gaussian processes, exact and with inducing points: one function, seen at N inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from companion.families import SphericalGaussian
from companion.families.base import Family
from companion.families.gaussian import positive_definite_inverse
from companion.models.scaled import check_logs
from companion.support.checks import as_data
from companion.theory.model import Factor, Model, Parameters, normal_draws
from companion.theory.variational import Gaussian

__all__ = ["GaussianProcess"]

#: Added to the diagonal of a kernel, so that its Cholesky factor exists.
JITTER = 1e-10


def squared_exponential(first: Tensor, second: Tensor) -> Tensor:
    """exp(−‖a − b‖²/2) of all pairs, ``(A, F)`` and ``(B, F)`` → ``(A, B)``."""
    return (-0.5 * (first[:, None] - second).square().sum(-1)).exp()


class Price(Family):
    """No distribution of its own: what a q that is tied to the model pays, as an entropy.

    η is that price in nats; log p = −η, and the "entropy" is η, so that the two cancel in a gap.
    """

    def log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        return -natural[..., 0]

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        return natural[..., 0]

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.zeros_like(natural)


@dataclass(frozen=True)
class GaussianProcess(Model):
    """f ~ GP(0, s k(·/ℓ, ·/ℓ)), y_n = f(input_n) + noise of variance r; exact, or Titsias' bound.

    A data point is a whole function: y is ``(1, N)`` for one, ``(M, N)`` for M functions at the
    same ``inputs`` ``(N, F)``. The latents are white, u ~ N(0, sI), with f = L u at the inputs,
    LLᵀ = k: or at P ``inducing`` inputs ``(P, F)``, which f then follows as far as it can,
    E[f | u] = A u, A = k_{NP} L_P^{−T}. What is left of f is p(f | u) in q too, which costs
    s tr(k − AAᵀ)/(2r) nats: the price of a q that is tied to the model.

    Parameters: ``prior_log_variance`` log s ``()``, ``log_lengthscale`` log ℓ ``(F,)``,
    ``log_variance`` log r ``()``; v is −1 on log s and on log r, and 0 on log ℓ. The price depends
    on s/r alone and adds nothing to the slope: the entropy sum is mean H[q(u)] − H[p(u)] −
    H[p(y | f)] − price. For the exact process and posterior that is −½ log det 2πeC, C = sk + rI.

    ``kernel`` gives k, of variance one, for inputs divided by ℓ: exp(−‖a − b‖²/2) by default.

    Source: Rasmussen & Williams (2006); Titsias (2009); this companion for the entropy sum.

    >>> model = GaussianProcess(torch.linspace(0, 1, 5)[:, None])
    >>> model.shapes
    {'prior_log_variance': (), 'log_lengthscale': (1,), 'log_variance': ()}
    """

    inputs: Tensor = field(repr=False)
    inducing: Tensor | None = field(default=None, repr=False)
    kernel: Callable[[Tensor, Tensor], Tensor] = field(
        default_factory=lambda: squared_exponential, repr=False
    )

    def __post_init__(self) -> None:
        inputs = as_data(self.inputs, name="inputs")
        object.__setattr__(self, "inputs", inputs)
        if self.inducing is not None:
            inducing = as_data(self.inducing, columns=inputs.shape[1], name="inducing")
            object.__setattr__(self, "inducing", inducing)

    @property
    def observed(self) -> int:  # type: ignore[override]
        """Number of inputs N."""
        return len(self.inputs)

    @property
    def latent_size(self) -> int:
        """Number of inducing inputs, or of inputs."""
        return len(self.inputs if self.inducing is None else self.inducing)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            "prior_log_variance": (),
            "log_lengthscale": tuple(self.inputs.shape[1:]),
            "log_variance": (),
        }

    @property
    def log_scales(self) -> tuple[str, ...]:
        return ("prior_log_variance", "log_variance")

    def check_parameters(self, parameters: Parameters) -> None:
        super().check_parameters(parameters)
        check_logs(parameters, self.shapes)

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """0.3 times standard-normal draws; length scales of the inputs' standard deviations."""
        drawn = {k: 0.3 * normal_draws(*v, generator=generator) for k, v in self.shapes.items()}
        spread = self.inputs.std(0, correction=0).clamp(min=1e-3).log()
        return drawn | {"log_lengthscale": drawn["log_lengthscale"] + spread}

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        v = {name: torch.zeros_like(value) for name, value in parameters.items()}
        return v | {name: v[name] - 1 for name in self.log_scales}

    def weights(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        """A with E[f(inputs) | u] = A u, ``(I, F)`` → ``(I, P)``."""
        scale = parameters["log_lengthscale"].exp()
        places = (self.inputs if self.inducing is None else self.inducing) / scale
        eye = torch.eye(len(places), dtype=places.dtype)
        factor = torch.linalg.cholesky(self.kernel(places, places) + JITTER * eye)
        if inputs is self.inputs and self.inducing is None:
            return factor
        across = self.kernel(places, inputs / scale)
        return torch.linalg.solve_triangular(factor, across, upper=False).mT

    def price(self, parameters: Parameters) -> Tensor:
        """s tr(k − AAᵀ)/(2r), in nats; zero for the exact process."""
        left = len(self.inputs) - self.weights(parameters, self.inputs).square().sum()
        ratio = parameters["prior_log_variance"] - parameters["log_variance"]
        return 0.5 * ratio.exp() * left * (self.inducing is not None)

    def covariance(self, parameters: Parameters) -> Tensor:
        """C = s AAᵀ + rI, ``(N, N)``: that of y, or what stands for it with inducing points."""
        A = self.weights(parameters, self.inputs)
        noise = parameters["log_variance"].exp() * torch.eye(len(A), dtype=A.dtype)
        return parameters["prior_log_variance"].exp() * A @ A.mT + noise

    @property
    def factors(self) -> tuple[Factor, ...]:
        family = SphericalGaussian()

        def prior(parameters: Parameters, z: Tensor) -> Tensor:
            variance = parameters["prior_log_variance"].exp()
            return family.natural_parameters(z.new_zeros(self.latent_size), variance)

        def located(parameters: Parameters, z: Tensor) -> tuple[Tensor, Tensor]:
            mean = self.decode(parameters, z)
            return mean, parameters["log_variance"].exp().expand(mean.shape[:-1])

        first = Factor("prior", family, prior, lambda z: z)
        tied = Factor("tied", Price(), lambda p, z: self.price(p)[None], lambda z: z[..., :1])
        last = Factor.gaussian("observable", family, located)
        return (first, last) if self.inducing is None else (first, tied, last)

    def decode(self, parameters: Parameters, z: Tensor) -> Tensor:
        """E[y | u], ``(..., P)`` → ``(..., N)``."""
        return z @ self.weights(parameters, self.inputs).mT

    def posterior(self, parameters: Parameters, x: Tensor) -> Gaussian:
        """p(u | y), or with inducing points the best q(u): N(m, S), S⁻¹ = I/s + AᵀA/r."""
        A = self.weights(parameters, self.inputs)
        noise = parameters["log_variance"].exp()
        eye = torch.eye(A.shape[1], dtype=A.dtype)
        precision = A.mT @ A / noise + (-parameters["prior_log_variance"]).exp() * eye
        covariance = positive_definite_inverse(precision)
        mean = x @ A / noise @ covariance
        return Gaussian(mean, torch.linalg.cholesky(covariance).repeat(len(x), 1, 1))

    def log_likelihood(self, parameters: Parameters, x: Tensor) -> Tensor:
        """(1/M) Σ_m log N(y_m; 0, C), less the price: exact, or Titsias' bound, in nats."""
        factor = torch.linalg.cholesky(self.covariance(parameters))
        white = torch.linalg.solve_triangular(factor, x.mT, upper=False)
        constant = factor.diagonal().log().sum() + 0.5 * self.observed * math.log(2 * math.pi)
        return -0.5 * white.square().sum() / len(x) - constant - self.price(parameters)
