"""What models of sequences have in common, and what their q have: the steps of each sequence."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

from torch import Tensor

from companion.models.chains.sequences import check_observed, steps_of
from companion.theory.model import Model, Parameters
from companion.theory.variational import Variational

__all__ = ["Chain", "SequenceModel"]


class Chain(Variational):
    """q_n(z_1, …, z_T), which knows at which steps there is an observation."""

    observed: Tensor | None

    @cached_property
    def within(self) -> Tensor:
        """Which steps belong to each chain, ``(N, T)``, as numbers."""
        assert self.observed is not None
        return steps_of(self.observed).double()


C = TypeVar("C", bound=Chain)


class SequenceModel(Model, Generic[C]):
    """A model of sequences ``(N, T, D)``: its q are of one ``kind``, and it is learned by EM."""

    kind: type[C]

    def _chain(self, q: Variational) -> C:
        """``q`` as the chain that this model needs."""
        if not isinstance(q, self.kind):
            raise ValueError(
                f"q must be a {self.kind.__name__} for a {type(self).__name__}: got "
                f"{type(q).__name__}"
            )
        return q

    def checked(
        self, parameters: Parameters, q: Variational | None, x: Any
    ) -> tuple[Variational, Tensor]:
        q, data = super().checked(parameters, q, x)
        return self._observing(parameters, q, data), data

    def _observing(self, parameters: Parameters, q: Variational | None, x: Tensor) -> C:
        """q, ``resolved``, as the chain that this model needs, made for the steps that x has."""
        chain = self._chain(self.resolved(parameters, q, x))
        check_observed(chain.observed, x)
        return chain

    @abstractmethod
    def em_step(self, parameters: Parameters, x: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """One step of EM: the log-likelihood per sequence before it, and the parameters after."""

    def em_map(self, x: Any) -> Callable[[Parameters], tuple[Tensor, dict[str, Tensor]]]:
        """:meth:`em_step` for these sequences, as a function of the parameters alone."""
        return partial(self.em_step, x=x)
