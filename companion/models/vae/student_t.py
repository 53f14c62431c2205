"""A variational autoencoder with heavy-tailed noise: Student t about a network's output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from companion.families import StudentT
from companion.models.scaled import check_logs
from companion.models.vae.networks import Activation, Decoder, Shapes
from companion.support.checks import one_of
from companion.theory.model import Factor, Parameters

__all__ = ["StudentTVAE"]

Shared = Literal["scalar", "pixel"]


@dataclass(frozen=True)
class StudentTVAE(Decoder):
    """z ~ N(0, I) or N(0, diag e^λ), x_d | z ~ t_ν(m_d(z), s) with a network m.

    Its parameters are ``hidden0``, ``hidden1``, …, ``location``, each with ``.weights`` and
    ``.bias``, ``log_scale`` log s and ``log_dof`` log ν, each ``()`` for ``noise_type="scalar"``,
    ``(D,)`` for ``"pixel"``, and with ``learnable_prior=True`` ``prior_log_variance`` λ ``(H,)``.

    No exponential family, but closed under tempering if both ν and s are learned: v is
    −(ν + 1)/(2ν) on log s and (ν + 1)/ν on log ν, beside that of the prior, as for
    :class:`GaussianVAE`. With ν held, the gap at a stationary point is (ν + 1) ∂F/∂ν.
    Entropy sum: mean H[q] − H[p(z)] − Σ_d H[t_ν] − Σ_d log s.

    Parameters
    ----------
    observed, latent, hidden, learnable_prior, activation
        As for :class:`GaussianVAE`.
    noise_type
        One s and ν for all observables, or one for each.

    Source: this companion, from the tempering of Student t variables.

    >>> vae = StudentTVAE(observed=4, latent=2, hidden=(8,))
    >>> parameters = vae.initial_parameters(torch.Generator().manual_seed(0))
    >>> v = vae.gap_direction(parameters)     # at one degree of freedom
    >>> float(v["log_scale"]), float(v["log_dof"])
    (-1.0, 2.0)
    """

    observed: int
    latent: int
    hidden: tuple[int, ...] = ()
    noise_type: Shared = "scalar"
    learnable_prior: bool = False
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self.noise_type, "noise_type", Shared)

    @property
    def heads(self) -> tuple[str, ...]:
        return ("location",)

    @property
    def observable_shapes(self) -> Shapes:
        shape = () if self.noise_type == "scalar" else (self.observed,)
        return super().observable_shapes | {"log_scale": shape, "log_dof": shape}

    @property
    def log_scales(self) -> tuple[str, ...]:
        return (self.prior_parameter,)  # not log s and log ν: v moves both together

    def check(self, parameters: Parameters, x: Any) -> Tensor:
        data = super().check(parameters, x)
        check_logs(parameters, ("log_scale", "log_dof"))
        return data

    def decode(self, parameters: Parameters, z: Tensor) -> Tensor:
        """The centre m(z) of x given z, its mean where ν > 1: ``(..., H)`` → ``(..., D)``."""
        return self.outputs(parameters, z)[0]

    @property
    def factors(self) -> tuple[Factor, ...]:
        family = StudentT()

        def natural(parameters: Parameters, z: Tensor) -> Tensor:
            location = self.decode(parameters, z)
            shared = (parameters[name].expand_as(location) for name in ("log_scale", "log_dof"))
            return family.from_coordinates(location, *shared)

        return self.prior, Factor("observable", family, natural)

    def observable_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        logs = parameters["log_scale"], parameters["log_dof"]
        _, scale, dof = StudentT().direction(torch.zeros_like(logs[0]), *logs)
        return {"log_scale": scale, "log_dof": dof}
