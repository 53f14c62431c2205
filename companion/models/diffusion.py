"""Diffusion models: data are noised step by step, and a chain of Gaussians leads back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from companion.families import SphericalGaussian
from companion.families.gaussian import LOG_2PI
from companion.models.noised_chain import Backward, NoisedChain
from companion.models.scaled import check_logs
from companion.models.vae.networks import (
    Activation,
    apply_hidden,
    check_network,
    initial_network,
    linear,
    network_shapes,
)
from companion.support.checks import positive_integer
from companion.theory.model import Factor, Model, Parameters, normal_draws
from companion.theory.variational import Nodes, Variational

__all__ = ["Diffusion"]

#: Sines and cosines of 1, 2, 4, … half turns tell the network which step it is at.
_TURNS = 4


@dataclass(frozen=True)
class Diffusion(Model):
    """x_T ~ N(0, λI), x_{t−1} | x_t ~ N(m_t(x_t, x̂_0(x_t, t)), σ_t² I) for t = T, …, 1.

    ``betas`` ``(T,)`` is the schedule of the noise that q adds; m_t(x_t, x_0) is the mean of
    q(x_{t−1} | x_t, x_0), and x̂_0 = √ᾱ_t x_t − √(1−ᾱ_t) v̂ comes from a network with ``hidden``
    layers that sees x_t and t. A data point is x_0; its latents are x_1, …, x_T, and q is
    :meth:`noised`, without parameters.

    Parameters: ``log_variance`` log σ_1² ``()``, ``hidden_log_variance`` log σ_t² for t = 2, …, T,
    those of the network, and ``prior_log_variance`` log λ ``()``. v is −1 on all log-variances. The
    entropy sum is (D/2) Σ_t log β_t/σ_t² − (D/2) log 2πeλ: T numbers and one more. Without
    ``learnable_prior`` λ = 1; q can't be stretched, so that there is no v, and with v on the steps
    alone the gap of p(x_T) is left, (ᾱ_T/2)(D − E‖x_0‖²).

    Source: Sohl-Dickstein et al. (2015), Ho, Jain & Abbeel (2020) for the model; Salimans & Ho
    (2022) for v̂; this companion for the entropy sum.

    >>> Diffusion(observed=2, betas=torch.tensor([0.1, 0.5]), hidden=(4,)).shapes["velocity.bias"]
    (2,)
    """

    observed: int
    betas: Tensor
    hidden: tuple[int, ...] = (64, 64)
    learnable_prior: bool = True
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        check_network(self.hidden, self.activation)
        inside = bool(((self.betas > 0) & (self.betas < 1)).all())
        if self.betas.dim() != 1 or len(self.betas) < 2 or not inside:
            raise ValueError(
                "betas must be two numbers or more between 0 and 1, one for each step: got shape "
                f"{tuple(self.betas.shape)} and values {self.betas.flatten()[:3].tolist()} …"
            )
        object.__setattr__(self, "betas", self.betas.to(torch.float64))

    @property
    def latent_size(self) -> None:
        """Not asked of q: its nodes are the steps."""
        return None

    @property
    def has_gap_direction(self) -> bool:
        return self.learnable_prior

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        sizes = (self.observed + 2 * _TURNS, *self.hidden)
        steps = {"log_variance": (), "hidden_log_variance": (len(self.betas) - 1,)}
        prior = {"prior_log_variance": ()} if self.learnable_prior else {}
        return network_shapes(sizes, ("velocity",), self.observed) | steps | prior

    @property
    def log_scales(self) -> tuple[str, ...]:
        scales = ("log_variance", "hidden_log_variance", "prior_log_variance")
        return scales if self.learnable_prior else scales[:2]

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Random weights of variance 1/inputs; σ_t² = β_t and λ = 1."""
        logs = self.betas.log()
        own = initial_network(self.shapes, generator)
        return own | {"log_variance": logs[0], "hidden_log_variance": logs[1:]}

    def check_parameters(self, parameters: Parameters) -> None:
        super().check_parameters(parameters)
        check_logs(parameters, self.log_scales)

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        v = {name: torch.zeros_like(value) for name, value in parameters.items()}
        return v | {name: v[name] - 1 for name in self.log_scales}

    def noised(self, x: Tensor, generator: torch.Generator | None = None) -> NoisedChain:
        """q: the forward chain from every data point, with frozen draws."""
        noise = normal_draws(len(x), len(self.betas), x.shape[-1], generator=generator)
        return NoisedChain(x, self.betas, noise)

    def steps(self, t: Tensor) -> Tensor:
        """``t`` as indices; a ``ValueError`` unless all are whole numbers from 1 to T."""
        found = t.detach().long()
        if not bool(((found == t) & (found >= 1) & (found <= len(self.betas))).all()):
            raise ValueError(
                f"t must be steps from 1 to {len(self.betas)}: found {t.flatten()[:3].tolist()}"
            )
        return found

    @cached_property
    def kept(self) -> Tensor:
        """ᾱ_t for t = 0, …, T: what is left of a variance of x_0, ``(T + 1,)``."""
        return torch.cat([self.betas.new_ones(1), torch.cumprod(1 - self.betas, 0)])

    def denoised(self, parameters: Parameters, z: Tensor, t: Tensor) -> Tensor:
        """x̂_0 from x_t: ``(..., D)``, for ``t`` that broadcasts to ``(...)``, from 1 to T."""
        return denoised(self, parameters, z, self.steps(t))

    def bridge(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """a, b and c of q(x_{t−1} | x_t, x_0) = N(a x_0 + b x_t, cI), each as ``t``."""
        t = self.steps(t)
        now, before, beta = self.kept[t], self.kept[t - 1], self.betas[t - 1]
        share = (1 - before) / (1 - now)
        return before.sqrt() * beta / (1 - now), (1 - beta).sqrt() * share, beta * share

    def errors(self, parameters: Parameters, x: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """E‖x_{t−1} − m_t‖²/D, over x_{t−1} given x_t and x_0: ``(N, S)``.

        Parameters
        ----------
        parameters, x
            The model's, and data x_0, ``(N, D)``.
        z, t
            Nodes x_t, ``(N, S, D)``, and which steps they are, ``(S,)``.
        """
        a, _, c = self.bridge(t)
        square = (x[:, None] - self.denoised(parameters, z, t)).square().mean(-1)
        return a**2 * square + c

    @property
    def factors(self) -> tuple[Factor, ...]:
        family, T = SphericalGaussian(), len(self.betas)

        def back(name: str, t: Tensor, scale: str) -> Factor:
            def log_variances(p: Parameters) -> Tensor:
                return p[scale].reshape(-1)

            def natural(p: Parameters, z: Tensor) -> Tensor:
                a, b, _ = self.bridge(t)
                mean = a[:, None] * self.denoised(p, z, t) + b[:, None] * z
                return family.natural_parameters(mean, p[scale].exp().expand(mean.shape[:-1]))

            def marginal(q: Variational) -> Nodes:
                return Nodes(q.nodes().z[:, t - 1], torch.ones_like(self.betas[t - 1]))

            def errors(p: Parameters, x: Tensor, z: Tensor) -> Tensor:
                return self.errors(p, x, z, t)

            return Backward(
                *(name, family, natural),
                marginal=marginal,
                errors=errors,
                log_variances=log_variances,
            )

        def prior_log_variance(p: Parameters) -> Tensor:
            return p.get("prior_log_variance", self.betas.new_zeros(())).reshape(1)

        def prior(p: Parameters, z: Tensor) -> Tensor:
            variance = prior_log_variance(p).exp()
            return family.natural_parameters(z.new_zeros(1, self.observed), variance)

        def spread(p: Parameters, x: Tensor, z: Tensor) -> Tensor:
            return self.kept[T] * x.square().mean(-1, keepdim=True) + 1 - self.kept[T]

        def last(q: Variational) -> Nodes:
            return Nodes(q.nodes().z[:, T - 1 :], self.betas.new_ones(1))

        start = Backward(
            *("prior", family, prior),
            marginal=last,
            errors=spread,
            log_variances=prior_log_variance,
        )
        return (
            start,
            back("hidden", torch.arange(2, T + 1), "hidden_log_variance"),
            back("observable", torch.arange(1, 2), "log_variance"),
        )

    def variances(self, parameters: Parameters) -> Tensor:
        """σ_1², …, σ_T², ``(T,)``."""
        logs = parameters["log_variance"][None], parameters["hidden_log_variance"]
        return torch.cat(logs).exp()

    def closed_form_entropy_sum(
        self, parameters: Parameters, q: Variational | None = None
    ) -> Tensor:
        """(D/2) Σ_t log β_t/σ_t² − (D/2) log 2πeλ: no nodes, no data, no network."""
        steps = (self.betas / self.variances(parameters)).log().sum()
        prior = parameters.get("prior_log_variance", self.betas.new_zeros(()))
        return 0.5 * self.observed * (steps - 1 - LOG_2PI - prior)

    def sample(
        self, parameters: Parameters, count: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draws x_T, …, x_0 of so many paths, ``(T + 1, count, D)``: the last are data."""
        z = normal_draws(positive_integer(count, "count"), self.observed, generator=generator)
        z = z * (0.5 * parameters.get("prior_log_variance", self.betas.new_zeros(()))).exp()
        path, deviations = [z], self.variances(parameters).sqrt()
        for t in torch.arange(len(self.betas), 0, -1):
            a, b, _ = self.bridge(t)
            mean = a * self.denoised(parameters, z, t) + b * z
            z = mean + deviations[t - 1] * normal_draws(*z.shape, generator=generator)
            path.append(z)
        return torch.stack(path)


def denoised(model: Diffusion, parameters: Parameters, z: Tensor, t: Tensor) -> Tensor:
    """:meth:`Diffusion.denoised` in the precision of z, for what is known to be valid."""
    turns = math.pi / len(model.betas) * 2 ** torch.arange(_TURNS, dtype=z.dtype)
    angles = t[..., None] * turns
    step = torch.cat([angles.sin(), angles.cos()], -1).expand(*z.shape[:-1], -1)
    features = apply_hidden(
        parameters, len(model.hidden), model.activation, torch.cat([z, step], -1)
    )
    kept = model.kept.to(z.dtype)[t][..., None]
    return kept.sqrt() * z - (1 - kept).sqrt() * linear(parameters, "velocity", features)
