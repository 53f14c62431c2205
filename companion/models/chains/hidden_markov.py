"""Hidden Markov models: a mixture whose component depends on the one before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from companion.families import Categorical
from companion.models.chains.base import SequenceModel
from companion.models.chains.counts import RAREST, expected_counts
from companion.models.chains.markov import MarkovChain
from companion.models.chains.sequences import as_sequences, rows_of, steps_of
from companion.models.mixtures.base import Mixture
from companion.theory.model import Factor, Parameters, normal_draws
from companion.theory.variational import Variational

__all__ = ["HiddenMarkov"]

#: What a state that is never entered keeps of probability, so that logarithms stay finite.
_NEVER = 1e-300


@dataclass(frozen=True)
class Step(Factor):
    """A factor of a chain, which occurs at many steps; of x some may be missing."""

    take_any = ("log_prob", "log_base_measure", "excess")


@dataclass(frozen=True)
class Emission(Step):
    """p(x_t | z_t) at every step that was observed: the nodes are K states for each step."""

    def log_prob(self, parameters: Parameters, x: Tensor, z: Tensor) -> Tensor:
        rows, states = filled(x).flatten(0, 1), z[: z.shape[-1]]
        return super().log_prob(parameters, rows, states).reshape(len(x), -1)

    def excess(self, parameters: Parameters, x: Tensor, z: Tensor) -> Tensor | None:
        rows, states = filled(x).flatten(0, 1), z[: z.shape[-1]]
        excess = super().excess(parameters, rows, states)
        return None if excess is None else excess.reshape(len(x), -1)

    def log_base_measure(self, x: Tensor, z: Tensor) -> Tensor:
        base = self.family.log_base_measure(filled(x))
        return base.repeat_interleave(z.shape[-1], -1)


def filled(x: Tensor) -> Tensor:
    """Sequences with some observation in place of what is missing, which counts with weight 0."""
    missing = x.isnan()
    return torch.where(missing, x[~missing.any(-1)][0], x) if bool(missing.any()) else x


@dataclass(frozen=True)
class HiddenMarkov(SequenceModel[MarkovChain]):
    """z_1 ~ Cat(softmax a), z_t | z_{t−1} = k ~ Cat(softmax A_k), x_t | z_t = c ~ p(x | η_c).

    ``emission`` is the mixture with the components p(x | η_c): a
    :class:`companion.models.FamilyMixture` of any family, or a
    :class:`companion.models.GaussianMixture`; its components are the K states, independent of each
    other in the mixture, one after the other here.

    Data are N sequences, ``(N, T, D)``, NaN where a step is missing
    (:func:`companion.models.padded` makes them from sequences of unequal length); a data point
    is a whole sequence, and q a :class:`companion.models.MarkovChain` over all of its steps.
    Parameters: those of the mixture, with ``prior_logits`` a, ``(K,)``, for the first state,
    and ``transition_logits`` A, ``(K, K)``. They are shared over time, and so is v: A ← A, and
    on the others as in the mixture. The entropy sum is mean H[q] − H[p(z_1)] − E Σ_t H[p(z_t |
    z_{t−1})] − E Σ_t H[p(x_t | z_t)].

    Source: Baum, Petrie, Soules & Weiss (1970) for the model and its learning; this companion for
    the entropy sum.

    >>> from companion import families, models
    >>> model = HiddenMarkov(models.FamilyMixture(families.Poisson(), observed=1, components=2))
    >>> model.shapes
    {'prior_logits': (2,), 'log_rates': (2, 1), 'transition_logits': (2, 2)}
    """

    emission: Mixture

    kind = MarkovChain
    take_any = (
        *("check", "check_data", "checked", "resolved", "posterior", "log_likelihood", "m_step"),
        *("em_step", "em_map", "random_start"),
    )

    @property
    def observed(self) -> int:  # type: ignore[override]
        """Number of observables D."""
        return self.emission.observed

    @property
    def components(self) -> int:
        """Number of states K."""
        return self.emission.components

    @property
    def factors(self) -> tuple[Factor, ...]:
        size, family = self.components, self.emission.family
        seen = self.emission.factors[-1]
        located = seen.located
        return (
            Step(
                *("prior", Categorical(), lambda p, z: p["prior_logits"], lambda z: z),
                marginal=lambda q: self._chain(q).first_nodes(),
            ),
            Step(
                *("transition", Categorical()),
                natural=lambda p, z: z[..., :size] @ p["transition_logits"],
                value=lambda z: z[..., size:],
                marginal=lambda q: self._chain(q).pair_nodes(),
            ),
            Emission(
                *("observable", family),
                natural=lambda p, z: seen.natural(self._own(p), z),
                marginal=lambda q: self._chain(q).observed_nodes(),
                located=None if located is None else lambda p, z: located(self._own(p), z),
            ),
        )

    def _own(self, parameters: Parameters) -> dict[str, Tensor]:
        """The parameters of the mixture."""
        return {name: parameters[name] for name in self._names}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.emission.shapes or ())

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        own = {"transition_logits": parameters["transition_logits"]}
        return self.emission.gap_direction(self._own(parameters)) | own

    @property
    def log_scales(self) -> tuple[str, ...]:
        return self.emission.log_scales

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        size = (self.components, self.components)
        drawn = self.emission.initial_parameters(generator)
        return drawn | {"transition_logits": normal_draws(*size, generator=generator)}

    def random_start(self, x: Any, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """A start for EM: the mixture's, which knows no order, and states that last ten steps.

        Raises
        ------
        ValueError
            As the mixture's ``random_start``, or for invalid sequences.
        """
        data = self.check_data(x)
        start = self.emission.random_start(data[~data.isnan().any(-1)], generator)
        stay = 0.9 * torch.eye(self.components, dtype=data.dtype) + 0.1 / self.components
        return start | {"transition_logits": stay.log()}

    def check_data(self, x: Any) -> Tensor:
        data = as_sequences(x, self.observed)
        reason = self.emission.family.invalid(data[~data.isnan().any(-1)])
        if reason is not None:
            raise ValueError(f"x {reason}")
        return data

    def _logs(self, parameters: Parameters, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log p(z_1), log p(z_{t+1} | z_t) and log p(x_t | z_t), zero where x_t is missing."""
        states = torch.eye(self.components, dtype=x.dtype)
        emitted = self.factors[-1].log_prob(parameters, x, states).unflatten(1, (x.shape[1], -1))
        prior, moves = (parameters[name] for name in ("prior_logits", "transition_logits"))
        observed = ~x.isnan().any(-1, keepdim=True)
        return torch.log_softmax(prior, -1), torch.log_softmax(moves, -1), emitted * observed

    def posterior(self, parameters: Parameters, x: Any) -> MarkovChain:
        """The exact posterior p(z_1, …, z_T | x) of every sequence: a Markov chain."""
        prior, moves, emitted = self._logs(parameters, x)
        pairs = moves + emitted[:, 1:, None, :]
        return MarkovChain(prior + emitted[:, 0], pairs, ~x.isnan().any(-1))

    def log_likelihood(self, parameters: Parameters, x: Any) -> Tensor:
        """(1/N) Σ_n log p(x_n), in nats per sequence."""
        return self.posterior(parameters, x).marginals.log_partition.mean()

    def m_step(self, parameters: Parameters, q: Variational | None, x: Any) -> dict[str, Tensor]:
        """As for every model: the M-step of Baum and Welch, for a q that knows what is missing."""
        chain = self._observing(parameters, q, x)
        return self._updated(chain.marginals.steps, chain.marginals.pairs.sum((0, 1)), x)

    def _updated(self, steps: Tensor, moves: Tensor, x: Tensor) -> dict[str, Tensor]:
        """The M-step from q(z_t) and how often each state follows each."""
        seen, moves = ~x.isnan().any(-1), moves + _NEVER
        return self.emission._fitted(rows_of(steps, seen), rows_of(x, seen)) | {
            "prior_logits": steps[:, 0].mean(0).clamp(min=_NEVER).log(),
            "transition_logits": (moves / moves.sum(1, keepdim=True)).log(),
        }

    def em_step(self, parameters: Parameters, x: Any) -> tuple[Tensor, dict[str, Tensor]]:
        prior, moves, emitted = (each.detach() for each in self._logs(parameters, x))
        if moves.min() < math.log(RAREST):
            q = self.posterior(parameters, x)
            return q.marginals.log_partition.mean(), self.m_step(parameters, q, x)
        within = steps_of(~x.isnan().any(-1)).to(x.dtype)
        found = expected_counts(prior, moves.exp(), emitted, within)
        return found.log_likelihood.mean(), self._updated(found.steps, found.moves, x)
