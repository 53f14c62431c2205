"""A variational distribution over chains of discrete states: any Markov chain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from companion.models.chains.base import Chain
from companion.models.chains.scan import messages
from companion.models.chains.sequences import as_sequences, truth_values
from companion.theory.model import normal_draws
from companion.theory.variational import Nodes

__all__ = ["Marginals", "MarkovChain"]


class Marginals(NamedTuple):
    """q's ``pairs`` q(z_t, z_{t+1}), ``(N, T − 1, K, K)``, ``steps`` q(z_t), ``(N, T, K)``, and
    the logarithm of its normaliser, ``log_partition`` ``(N,)``. Zero after the end of a sequence.
    """

    pairs: Tensor
    steps: Tensor
    log_partition: Tensor


@dataclass(frozen=True)
class MarkovChain(Chain):
    """q_n(z_1, …, z_T) ∝ exp(a_n(z_1) + Σ_t b_nt(z_t, z_{t+1})): any Markov chain of K states.

    ``first`` is a, ``(N, K)``, ``pairs`` b, ``(N, T − 1, K, K)``. ``observed``, ``(N, T)``, says at
    which steps there is an observation (everywhere, by default); a chain ends with its last one.
    With the model's log-probabilities for a and b this is the exact posterior, its log-normaliser
    the log-likelihood, and the marginals those of forward–backward.

    >>> q = MarkovChain(torch.zeros(1, 3).double(), torch.zeros(1, 4, 3, 3).double())
    >>> (q.entropy() / torch.tensor(3.0).log()).round(decimals=6)   # five free choices of three
    tensor([5.0000], dtype=torch.float64)
    """

    first: Tensor
    pairs: Tensor
    observed: Tensor | None = None

    def __post_init__(self) -> None:
        points, states = self.first.shape[0], self.first.shape[-1]
        steps = self.pairs.shape[1] + 1 if self.pairs.dim() == 4 else 0
        if self.first.dim() != 2 or self.pairs.shape != (points, steps - 1, states, states):
            raise ValueError(
                "first and pairs must have shapes (N, K) and (N, T − 1, K, K): got "
                f"{tuple(self.first.shape)} and {tuple(self.pairs.shape)}"
            )
        object.__setattr__(self, "observed", truth_values(self.observed, points, steps))

    @classmethod
    def random(cls, x: Any, states: int, generator: torch.Generator | None = None) -> Self:
        """A random chain for every sequence of ``x``, ``(N, T, D)``, which it knows nothing of."""
        data = as_sequences(x)
        points, steps, _ = data.shape
        first = normal_draws(points, states, generator=generator)
        pairs = normal_draws(points, steps - 1, states, states, generator=generator)
        return cls(first, pairs, ~data.isnan().any(-1))

    @property
    def parameters(self) -> dict[str, Tensor]:
        return {"first": self.first, "pairs": self.pairs}

    @cached_property
    def marginals(self) -> Marginals:
        """Marginals of pairs and of steps, by a scan forwards and one backwards in time."""
        if self.pairs.shape[1] == 0:
            steps = torch.softmax(self.first, -1)[:, None]
            return Marginals(self.pairs, steps, torch.logsumexp(self.first, -1))
        states = self.first.shape[-1]
        # After the end all states follow all states with probability 1/K, which changes nothing.
        inside = self.within[:, 1:, None, None] > 0
        pairs = torch.where(inside, self.pairs, -torch.tensor(float(states)).double().log())
        forward, backward = messages(self.first, pairs, torch.zeros_like(self.first))
        log_joint = forward[:, :-1, :, None] + pairs + backward[:, 1:, None, :]
        joint = torch.softmax(log_joint.flatten(2), -1).unflatten(2, (states, states))
        steps = torch.cat([joint[:, :1].sum(-1), joint.sum(-2)], 1)
        log_partition = torch.logsumexp(forward[:, -1], -1)
        return Marginals(joint * inside, steps * self.within[..., None], log_partition)

    def entropy(self) -> Tensor:
        pairs, steps, log_partition = self.marginals
        inner = (self.first * steps[:, 0]).sum(-1) + (self.pairs * pairs).sum((1, 2, 3))
        return log_partition - inner

    def first_nodes(self) -> Nodes:
        """The K states of z_1, one-hot, with their probabilities ``(N, K)``."""
        states = torch.eye(self.first.shape[-1], dtype=self.first.dtype)
        return Nodes(states, self.marginals.steps[:, 0])

    def pair_nodes(self) -> Nodes:
        """All K² pairs (z_t, z_{t+1}), ``(K², 2K)``, with how often each is expected, ``(N, K²)``.

        Expected under q over all steps of a chain, so that the weights sum to T_n − 1.
        """
        states = torch.eye(self.first.shape[-1], dtype=self.first.dtype)
        size = len(states)
        both = torch.cat([states.repeat_interleave(size, 0), states.repeat(size, 1)], 1)
        return Nodes(both, self.marginals.pairs.sum(1).flatten(1))

    def observed_nodes(self) -> Nodes:
        """K states for each step, ``(T·K, K)``, with q(z_t) where x_t is there, zero elsewhere."""
        steps = self.marginals.steps
        states = torch.eye(steps.shape[-1], dtype=steps.dtype).repeat(steps.shape[1], 1)
        assert self.observed is not None
        return Nodes(states, (steps * self.observed[..., None]).flatten(1))

    def nodes(self) -> Nodes:
        """K states for each step, ``(T·K, K)``, weighted as if one step were drawn at random."""
        weights = self.marginals.steps.flatten(1)
        return Nodes(self.observed_nodes().z, weights / weights.sum(1, keepdim=True))
