"""Mixture models: a categorical latent picks the component of a family."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from companion.families import Categorical, Family
from companion.models.enumerated import Enumerated
from companion.models.scaled import check_logs
from companion.theory.model import Factor, Parameters
from companion.theory.variational import Tabulated, Variational

__all__ = ["Mixture"]


class Mixture(Enumerated):
    """c ~ Cat(softmax a), x | c ~ p(x | η_c): the latent z is the one-hot vector of c.

    A subclass gives the component family, its natural parameters ``(C, L)`` and its block of v. The
    block of the prior is v = a on the parameter ``prior_logits`` a, ``(C,)``.

    >>> from companion import models
    >>> isinstance(models.GaussianMixture(observed=2, components=3), Mixture)
    True
    """

    components: int

    @property
    @abstractmethod
    def family(self) -> Family:
        """The family of the components."""

    @abstractmethod
    def component_natural(self, parameters: Parameters) -> Tensor:
        """Natural parameters η_c of all components, ``(C, L)``."""

    @abstractmethod
    def component_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        """Block of v for the parameters of the components."""

    @property
    def factors(self) -> tuple[Factor, ...]:
        return (
            Factor("prior", Categorical(), lambda p, z: p["prior_logits"], lambda z: z),
            Factor("observable", self.family, lambda p, z: z @ self.component_natural(p)),
        )

    def check(self, parameters: Parameters, x: Any) -> Tensor:
        data = super().check(parameters, x)
        check_logs(parameters, (*self.log_scales, "log_diagonal"))
        return data

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        return {"prior_logits": parameters["prior_logits"]} | self.component_direction(parameters)

    @property
    def states(self) -> Tensor:
        """The C one-hot states of the latent."""
        return torch.eye(self.components, dtype=torch.float64)

    def m_step(self, parameters: Parameters, q: Variational | None, x: Tensor) -> dict[str, Tensor]:
        return self._fitted(self._responsibilities(parameters, q, x), x)

    @abstractmethod
    def _fitted(self, responsibilities: Tensor, x: Tensor) -> dict[str, Tensor]:
        """The M-step for responsibilities ``(N, C)``, whose rows sum to one."""

    def _responsibilities(self, parameters: Parameters, q: Variational | None, x: Tensor) -> Tensor:
        q = self.resolved(parameters, q, x)
        if not isinstance(q, Tabulated) or not torch.equal(q.states, self.states):
            raise ValueError(
                f"q must be a Tabulated over the {self.components} states of a "
                f"{type(self).__name__}, as Tabulated.from_probabilities(model.states, "
                f"responsibilities) is: got {type(q).__name__}"
            )
        return q.probabilities

    @abstractmethod
    def random_start(self, x: Any, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Parameters to start learning from, at random, for data ``(N, D)``."""

    def em_step(self, parameters: Parameters, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """One step of EM: the log-likelihood per point before it, and the parameters after it."""
        log_joint = self.log_joint(parameters, x, self.states)
        updated = self._fitted(torch.softmax(log_joint, -1), x)
        return torch.logsumexp(log_joint, -1).mean(), updated

    def em_map(self, x: Tensor) -> Callable[[Parameters], tuple[Tensor, dict[str, Tensor]]]:
        """:meth:`em_step` for these data, as a function of the parameters alone."""
        return partial(self.em_step, x=x)

    def _check_points(self, points: int) -> None:
        if points < self.components:
            raise ValueError(
                f"x must have at least as many points as components: got {points} for "
                f"{self.components} components"
            )
