"""What a generative model is: a product of conditional distributions from exponential families."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from companion.support.arguments import check_names, check_tensors
from companion.support.blocks import in_blocks
from companion.support.checks import all_finite, as_data, known
from companion.support.doors import Guarded
from companion.theory.factor import Factor, Parameters
from companion.theory.nodes import probabilities
from companion.theory.variational import Variational

__all__ = ["Factor", "Model", "Parameters", "normal_draws"]


def normal_draws(*shape: int, generator: torch.Generator | None) -> Tensor:
    """Standard-normal float64 draws of the given shape, ``()`` included."""
    return torch.randn(shape, dtype=torch.float64, generator=generator)


class Model(Guarded, ABC):
    """A model p(x, z) = Π_k p_k: immutable, holds sizes only; parameters are passed in.

    Parameters are a plain ``dict`` of float64 tensors, so that every quantity is a pure function of
    them and the identity is one Jacobian-vector product.

    >>> from companion import models
    >>> model = models.PPCA(observed=4, latent=2)
    >>> isinstance(model, Model), [factor.name for factor in model.factors]
    (True, ['prior', 'observable'])
    """

    observed: int

    #: Methods that are checks themselves.
    checks = ("check", "check_data", "check_parameters", "check_q", "checked")
    #: Methods that take data in blocks too (:class:`companion.datasets.Blocks`).
    read_in_blocks: tuple[str, ...] = ()

    def admit(self, method: str, given: dict[str, Any]) -> None:
        """Refuse data, parameters, latents or a q that do not fit this model."""
        if method in self.checks:
            return
        x, z, q = given.get("x"), given.get("z"), given.get("q")
        blocks = in_blocks(x) if method in self.read_in_blocks else None
        if blocks is not None:
            given["x"] = blocks.of(self.columns)
        elif "x" in given:
            given["x"] = self.check_data(x)
        if "parameters" in given:
            self.check_parameters(given["parameters"])
        if z is not None and (z.dim() == 0 or self.latent_size not in (None, z.shape[-1])):
            raise ValueError(
                f"z must have {self.latent_size} entries, the latents, in its last axis: got shape "
                f"{tuple(z.shape)}"
            )
        if q is not None:
            self.check_q(q, None if x is None else len(given["x"]))

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

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]] | None:
        """Names and shapes of the parameters; ``None`` for a model that takes any dictionary."""
        drawn = self.initial_parameters(torch.Generator().manual_seed(0))
        return {name: tuple(value.shape) for name, value in drawn.items()}

    @property
    def has_gap_direction(self) -> bool:
        """Whether the parameterization criterion holds, so that there is a direction v."""
        return True

    @property
    def latent_size(self) -> int | None:
        """Number of latent variables (of components for a mixture), ``None`` if not known."""
        return getattr(self, "latent", getattr(self, "components", None))

    @property
    def latent_rescaling(self) -> float | Tensor:
        """The rate at which q's latent space is rescaled along v: not 0 only for a fixed prior.

        One number, or one for each latent, ``(H,)``.
        """
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

    @property
    def states(self) -> Tensor | None:
        """All values of a discrete latent, ``(P, H)``; ``None`` if they are not finitely many."""
        return None

    def posterior(self, parameters: Parameters, x: Tensor) -> Variational:
        """The exact posterior p(z | x_n) as a variational distribution, where there is one."""
        hint = ": pass a variational distribution from companion.theory.variational"
        raise self._without("posterior", hint)

    def m_step(self, parameters: Parameters, q: Variational | None, x: Tensor) -> dict[str, Tensor]:
        """The parameters that maximise the ELBO for a given q, where they have a closed form.

        After it the ELBO of this *same* q equals the entropy sum, unless v moves q too. What is in
        closed form does not depend on ``parameters``, what is found in steps starts from them, and
        ``q=None`` is the exact posterior at them: then this is a step of EM.

        Raises
        ------
        ValueError
            For a model without such a step or a q of another kind than it needs, or if a part of
            the model dies or collapses: it has no data left, or no variance.
        """
        raise self._without("M-step", ": learn with fit.lbfgs and fit.newton")

    def decode(self, parameters: Parameters, z: Tensor) -> Tensor:
        """The mean E[x | z] for all z, ``(P, H)`` → ``(P, D)``."""
        raise self._without("mean of x given z")

    def closed_form_entropy_sum(
        self, parameters: Parameters, q: Variational | None = None
    ) -> Tensor:
        """The entropy sum without nodes and data, in nats; ``q=None`` is the exact posterior."""
        raise self._without("entropy sum")

    def _without(self, what: str, hint: str = "") -> ValueError:
        return ValueError(f"{type(self).__name__} has no {what} in closed form{hint}")

    @property
    def columns(self) -> int | None:
        """How many columns data must have; ``None`` where the model does not fix it."""
        return self.observed

    def check(self, parameters: Parameters, x: Any) -> Tensor:
        """Return ``x`` as valid data for this model, or say in one sentence what is wrong.

        Raises
        ------
        ValueError
            For data that are empty, not finite, of the wrong shape or outside the support; for
            parameters that are missing, unknown, of the wrong shape or not finite.
        """
        data = self.check_data(x)
        self.check_parameters(parameters)
        return data

    def check_data(self, x: Any) -> Tensor:
        """The first half of ``check``; a tensor that requires gradients keeps its graph."""
        data = as_data(x, columns=self.columns, keep_graph=True)
        reason = self.factors[-1].family.invalid(data) if known(data) else None
        if reason is not None:
            raise ValueError(f"x {reason}")
        return data

    def check_parameters(self, parameters: Parameters) -> None:
        """The second half of ``check``."""
        expected = self.shapes
        if not isinstance(parameters, Mapping):
            raise ValueError(
                "parameters must be a dictionary of float64 tensors by name: got "
                f"{type(parameters).__name__}"
            )
        if expected is None:
            check_tensors(parameters, "parameters")
        else:
            check_names(parameters, expected, type(self).__name__)

    def checked(
        self, parameters: Parameters, q: Variational | None, x: Any
    ) -> tuple[Variational, Tensor]:
        """q, :meth:`resolved`, and x as a tensor, once all of them have been found to be valid.

        Public functions call this, once; what they call in turn does not check again.

        Raises
        ------
        ValueError
            As ``check``, ``resolved`` and ``check_q``.
        """
        data = self.check(parameters, x).detach()
        q = self.resolved(parameters, q, data)
        self.check_q(q, len(data))
        return q, data

    def resolved(self, parameters: Parameters, q: Variational | None, x: Tensor) -> Variational:
        """``q`` as it is; for ``None``, as everywhere here, the exact posterior."""
        return self.posterior(parameters, x) if q is None else q

    def check_q(self, q: Variational, points: int | None) -> None:
        """Say in one sentence why ``q`` does not fit the model and its data, if it does not.

        Raises
        ------
        ValueError
            For another number of data points or of latents, another dtype, or what is not finite.
        """
        if not isinstance(q, Variational):
            raise ValueError(
                f"q must be {Variational.told}, or None for the exact posterior: got "
                f"{type(q).__name__}"
            )
        for name, value in q.parameters.items():
            if value.dtype != torch.float64:
                raise ValueError(f"q must hold float64 tensors: its {name} has dtype {value.dtype}")
        q = q.evaluated()
        entropy, (nodes, weights) = q.entropy(), q.nodes()
        if points not in (None, len(entropy)):
            raise ValueError(
                f"q must have one distribution for each of the {points} data points: "
                f"got {len(entropy)}"
            )
        seen = known(entropy) and known(nodes)
        if seen and not (all_finite(entropy) and all_finite(nodes)):
            raise ValueError(
                "q must have finite entropies and nodes: found NaN or infinity; are its parameters "
                "finite and its scales not zero?"
            )
        if seen and known(weights):
            probabilities(weights, "q must have weights that")
        size = nodes.shape[-1]
        if self.latent_size not in (None, size):
            raise ValueError(f"q must be over the model's {self.latent_size} latents: got {size}")

    def log_joint(self, parameters: Parameters, x: Tensor, z: Tensor) -> Tensor:
        """log p(x_n, z_p) = Σ_k log p_k for every pair, shape ``(N, P)``."""
        terms = [factor.log_prob(parameters, x, z) for factor in self.factors]
        return torch.stack(torch.broadcast_tensors(*terms)).sum(0)
