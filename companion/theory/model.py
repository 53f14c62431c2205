"""What a generative model is: a product of conditional distributions from exponential families."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.families import Family
from companion.support.checks import as_data

__all__ = ["Factor", "Model", "Parameters", "normal_draws"]

Parameters = Mapping[str, Tensor]


def normal_draws(*shape: int, generator: torch.Generator | None) -> Tensor:
    """Standard-normal float64 draws of the given shape, ``()`` included."""
    return torch.randn(shape, dtype=torch.float64, generator=generator)


@dataclass(frozen=True)
class Factor:
    """One conditional distribution of the model, p(value | natural parameters).

    ``natural(parameters, z)`` gives η with shape ``(L,)`` (no dependence on z), ``(P, L)`` or
    ``(N, P, L)``. ``value(z)`` picks the latent variables that the factor is a distribution of;
    ``None`` stands for the observed x.

    ``closed_form(parameters, x, q)`` gives E_{q_n}[log p], ``(N,)``, without nodes, or ``None`` for
    a q for which there is no such formula; then, and without it, the nodes of q are used.
    """

    name: str
    family: Family
    natural: Callable[[Parameters, Tensor], Tensor]
    value: Callable[[Tensor], Tensor] | None = None
    closed_form: Callable[[Parameters, Tensor, Any], Tensor | None] | None = None

    def log_prob(self, parameters: Parameters, x: Tensor, z: Tensor) -> Tensor:
        """log p of this factor at every pair (x_n, z_p): broadcastable to ``(N, P)``."""
        natural = self.natural(parameters, z)
        if self.value is not None:
            return self.family.log_prob(self.value(z), natural)
        return self.family.pairwise_log_prob(x, natural)

    def log_base_measure(self, x: Tensor, z: Tensor) -> Tensor:
        """log of the base measure, broadcastable to ``(N, P)``."""
        if self.value is not None:
            return self.family.log_base_measure(self.value(z))
        return self.family.log_base_measure(x)[:, None]


class Model(ABC):
    """A model p(x, z) = Π_k p_k: immutable, holds sizes only; parameters are passed in.

    Parameters are a plain ``dict`` of float64 tensors, so that every quantity is a pure function of
    them and the identity is one Jacobian-vector product.
    """

    observed: int

    @property
    @abstractmethod
    def factors(self) -> tuple[Factor, ...]:
        """The prior first, then hidden layers if there are any, the observable last."""

    @abstractmethod
    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        """The direction v with ELBO − entropy sum = ⟨∇ELBO, v⟩, one tensor for every parameter."""

    @abstractmethod
    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Random parameters at a sensible scale, by name."""

    @property
    def has_gap_direction(self) -> bool:
        """Whether the parameterization criterion holds, so that there is a direction v."""
        return True

    @property
    def latent_size(self) -> int | None:
        """Number of latent variables (of components for a mixture), ``None`` if not known."""
        return getattr(self, "latent", getattr(self, "components", None))

    @property
    def latent_rescaling(self) -> float:
        """The rate at which q's latent space is rescaled along v: not 0 only for a fixed prior."""
        return 0.0

    @property
    def log_scales(self) -> tuple[str, ...]:
        """Parameters whose entries are logarithms of separate scales, so that v is ±1 on each."""
        return ()

    def absorption(self, parameters: Parameters, rate: Tensor) -> dict[str, Tensor] | None:
        """How the parameters move so that z ↦ e^{rate·t} z leaves p(x|z) as it is.

        ``rate`` is ``()`` or ``(H,)``; only parameters that move are named. ``None`` if not known.
        """
        return None

    def posterior(self, parameters: Parameters, x: Tensor) -> Any:
        """The exact posterior p(z | x_n) as a variational distribution, where there is one."""
        raise ValueError(
            f"{type(self).__name__} has no posterior in closed form: pass a variational "
            "distribution from companion.theory.variational"
        )

    @property
    def columns(self) -> int | None:
        """How many columns data must have; ``None`` where the model does not fix it."""
        return self.observed

    def expected_parameters(self, parameters: Parameters) -> Parameters:
        """Parameters with the names and shapes that this model takes."""
        return self.initial_parameters(torch.Generator().manual_seed(0))

    def check(self, parameters: Parameters, x: Any) -> Tensor:
        """Return ``x`` as valid data for this model, or say in one sentence what is wrong.

        Raises
        ------
        ValueError
            For data that are empty, not finite, of the wrong shape or outside the support; for
            parameters that are missing, unknown, of the wrong shape or not finite.
        """
        data = as_data(x, columns=self.columns)
        reason = self.factors[-1].family.invalid(data)
        if reason is not None:
            raise ValueError(f"x {reason}")
        expected = self.expected_parameters(parameters)
        if set(parameters) != set(expected):
            missing, unknown = set(expected) - set(parameters), set(parameters) - set(expected)
            raise ValueError(
                f"parameters must be exactly {sorted(expected)} for {self!r}: "
                f"missing {sorted(missing)}, unknown {sorted(unknown)}"
            )
        for name, value in parameters.items():
            if not isinstance(value, Tensor) or value.dtype != torch.float64:
                found = value.dtype if isinstance(value, Tensor) else type(value).__name__
                raise ValueError(f"parameters[{name!r}] must be a float64 tensor: got {found}")
            if value.shape != expected[name].shape:
                raise ValueError(
                    f"parameters[{name!r}] must have shape {tuple(expected[name].shape)}: "
                    f"got {tuple(value.shape)}"
                )
            if not bool(torch.isfinite(value).all()):
                raise ValueError(f"parameters[{name!r}] must be finite: found NaN or infinity")
        return data

    def log_joint(self, parameters: Parameters, x: Tensor, z: Tensor) -> Tensor:
        """log p(x_n, z_p) = Σ_k log p_k for every pair, shape ``(N, P)``."""
        terms = [factor.log_prob(parameters, x, z) for factor in self.factors]
        return torch.stack(torch.broadcast_tensors(*terms)).sum(0)
