"""Models whose latents have a prior of width one, or of learnable widths."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from companion.families import DiagonalGaussian
from companion.support.checks import known, positive_integer
from companion.theory.model import Factor, Model, Parameters

__all__ = ["ScaledLatents", "check_logs"]


#: Logarithms of scales are at most that large: exponentials, and their products, stay numbers.
LARGEST_LOG = 300


def check_logs(parameters: Parameters, names: Iterable[str]) -> None:
    """A ``ValueError`` that names the first of these logarithms that is too large or too small."""
    for name in names:
        value = parameters.get(name)
        size = 0.0 if value is None or not known(value) else float(value.detach().abs().max())
        if size > LARGEST_LOG:
            raise ValueError(
                f"parameters[{name!r}] must lie between -{LARGEST_LOG} and {LARGEST_LOG}, as its "
                f"exponential has to be a number: found an entry of size {size:g}"
            )


class ScaledLatents(Model):
    """z ~ N(0, diag λ) with widths λ that are learned, as logarithms, or all 1.

    With learnable widths v is −1 on every log λ_h. A fixed prior has no parameter for that step; q
    is rescaled in its place, at rate ½, and the weights that read z absorb it: −½ of them in v.
    A subclass may have another prior, with a width and a rate of its own.
    """

    latent: int
    learnable_prior: bool

    #: The parameter that holds log λ, ``(H,)``, and the rate of q for a fixed prior.
    prior_parameter: ClassVar[str] = "prior_log_variance"
    fixed_rate: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        positive_integer(self.latent, "latent")

    @property
    @abstractmethod
    def observable_shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the parameters of p(x|z)."""

    @property
    @abstractmethod
    def reads_latents(self) -> tuple[str, ...]:
        """Names of the weights that multiply z."""

    @abstractmethod
    def observable_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        """Block of v for p(x|z)."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all parameters."""
        prior = {self.prior_parameter: (self.latent,)} if self.learnable_prior else {}
        return self.observable_shapes | prior

    @property
    def log_scales(self) -> tuple[str, ...]:
        return ("log_variance", "log_variance.bias", self.prior_parameter)

    @property
    def latent_rescaling(self) -> float:
        return 0.0 if self.learnable_prior else self.fixed_rate

    def absorption(self, parameters: Parameters, rate: Tensor) -> dict[str, Tensor]:
        return {name: -rate * parameters[name] for name in self.reads_latents}

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        direction = {name: torch.zeros_like(value) for name, value in parameters.items()}
        direction |= self.observable_direction(parameters)
        if self.learnable_prior:
            name = self.prior_parameter
            return direction | {name: -torch.ones_like(parameters[name])}
        rate = torch.tensor(self.fixed_rate, dtype=torch.float64)
        absorbed = self.absorption(parameters, rate)
        return direction | {name: direction[name] + part for name, part in absorbed.items()}

    def check(self, parameters: Parameters, x: Any) -> Tensor:
        data = super().check(parameters, x)
        check_logs(parameters, self.log_scales)
        return data

    def prior_widths(self, parameters: Parameters) -> Tensor:
        """The widths λ of the prior, ``(H,)``: variances if it is Gaussian."""
        if self.learnable_prior:
            return parameters[self.prior_parameter].exp()
        return torch.ones(self.latent, dtype=torch.float64)

    def unit_prior(self) -> dict[str, Tensor]:
        """Parameters of the prior for which all its widths are 1; none if it is fixed."""
        if not self.learnable_prior:
            return {}
        return {self.prior_parameter: torch.zeros(self.latent, dtype=torch.float64)}

    @property
    def prior(self) -> Factor:
        """The factor p(z)."""
        family = DiagonalGaussian()

        def natural(parameters: Parameters, z: Tensor) -> Tensor:
            variance = self.prior_widths(parameters)
            return family.natural_parameters(torch.zeros_like(variance), variance)

        return Factor("prior", family, natural, lambda z: z)
