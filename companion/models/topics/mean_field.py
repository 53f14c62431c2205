"""q of a topic model: Dirichlet proportions, and a topic for every word, all independent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from companion.families import ExponentialFamily
from companion.families.numerics import numpy_draw, positive
from companion.models.topics.counts import Counts, as_counts
from companion.theory.factor import Factor, Parameters
from companion.theory.variational import Nodes, Variational

__all__ = [
    "DirichletTopics",
    "Learned",
    "MeanFieldTopics",
    "Words",
    "dirichlet_maximum",
    "shares",
]


def shares(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax of the last axis, and its entropy: for few columns faster than torch's own."""
    centred = logits - logits.detach().amax(-1, keepdim=True)
    powers = centred.exp()
    total = powers.sum(-1, keepdim=True)
    found = powers / total
    return found, total.log()[..., 0] - (found * centred).sum(-1)


class DirichletTopics(ExponentialFamily):
    """θ ~ Dir(α) with a topic for each of W words, p(θ, z) = Dir(θ; α) Π_i θ_{z_i}: one variable.

    A value is (log θ, n), ``(..., 2K)``, with n_k the number of words of topic k. η = α − 1,
    T = log θ, A = Σ_k log Γ(α_k) − log Γ(Σ_k α_k). The topics are the base measure, with
    log h = ⟨n, log θ⟩: not constant, and in the latents.
    """

    def natural_parameters(self, concentration: Tensor) -> Tensor:
        """η = α − 1."""
        return concentration - 1

    def statistics(self, x: Tensor) -> Tensor:
        return x[..., : x.shape[-1] // 2]

    def log_base_measure(self, x: Tensor) -> Tensor:
        log_theta, topics = x.chunk(2, -1)
        return (log_theta * topics).sum(-1)

    def log_partition(self, natural: Tensor) -> Tensor:
        alpha = positive(natural + 1)
        return torch.lgamma(alpha).sum(-1) - torch.lgamma(alpha.sum(-1))

    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """log θ and the topic of one word."""
        gamma = numpy_draw("standard_gamma", natural + 1, generator=generator)
        theta = gamma / gamma.sum(-1, keepdim=True)
        topic = numpy_draw("multinomial", 1, theta, generator=generator)
        return torch.cat([theta.log(), topic], -1)


@dataclass(frozen=True)
class MeanFieldTopics(Variational):
    """q(θ_n, z_n) = Dir(θ_n; γ_n) Π_i Cat(z_ni; φ_{n, w_i}) for every document n.

    ``x`` are the counts ``(N, V)``, dense or sparse, in which q is evaluated; words of one kind in
    one document share their φ. ``log_concentration`` is log γ, ``(N, K)``; ``logits`` those of φ,
    ``(M, K)``, for the M counts that are not zero, row by row. Independent as they are,
    E log θ_{z_i} = Σ_k φ_k E log θ_k needs no nodes.

    >>> from companion import models
    >>> counts = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0]], dtype=torch.float64)
    >>> q = models.LDA(observed=3, topics=2).random_q(counts, torch.Generator().manual_seed(0))
    >>> isinstance(q, MeanFieldTopics), q.logits.shape     # four counts are not zero
    (True, torch.Size([4, 2]))
    """

    x: Any
    log_concentration: Tensor
    logits: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.x, Counts):
            object.__setattr__(self, "x", Counts.of(as_counts(self.x)))
        points, cells = self.x.shape[0], len(self.x.rows)
        topics = self.log_concentration.shape[-1]
        if self.log_concentration.shape != (points, topics) or self.logits.shape != (cells, topics):
            raise ValueError(
                f"log_concentration and logits must have shapes ({points}, K) and ({cells}, K), a "
                "row for each document and each count that is not zero: got "
                f"{tuple(self.log_concentration.shape)} and {tuple(self.logits.shape)}"
            )

    @property
    def parameters(self) -> dict[str, Tensor]:
        return {"log_concentration": self.log_concentration, "logits": self.logits}

    @cached_property
    def words(self) -> tuple[Tensor, Tensor]:
        """φ, ``(M, K)``, and the entropy of each of its rows, ``(M,)``."""
        return shares(self.logits)

    @cached_property
    def topics(self) -> Tensor:
        """n: expected numbers of words of each topic in each document, ``(N, K)``."""
        counts: Counts = self.x
        return counts.per_document(self.words[0])

    @cached_property
    def topic_words(self) -> Tensor:
        """Expected numbers of words of each kind in each topic, ``(K, V)``."""
        counts: Counts = self.x
        return counts.per_word(self.words[0]).T

    @cached_property
    def log_proportions(self) -> Tensor:
        """E log θ = ψ(γ) − ψ(Σ γ), ``(N, K)``."""
        gamma = self.log_concentration.exp()
        return torch.digamma(gamma) - torch.digamma(gamma.sum(-1, keepdim=True))

    @property
    def proportions(self) -> Tensor:
        """E θ, ``(N, K)``."""
        return torch.softmax(self.log_concentration, -1)

    def parts(self) -> tuple[Tensor, Tensor]:
        """H[q(θ_n)] and H[q(z_n)] of every document, ``(N,)`` each."""
        counts: Counts = self.x
        natural = self.log_concentration.exp() - 1
        inner = (natural * self.log_proportions).sum(-1)
        return DirichletTopics().log_partition(natural) - inner, counts.per_document(self.words[1])

    def entropy(self) -> Tensor:
        of_theta, of_topics = self.parts()
        return of_theta + of_topics

    def expected(self) -> Nodes:
        """E (log θ, n), one node for each document: exact for what is linear in each of them."""
        both = torch.cat([self.log_proportions, self.topics], -1)
        return Nodes(both[:, None], torch.ones_like(both[:, :1]))

    def word_nodes(self) -> Nodes:
        """The K topics, with the expected number of words of each: the weights sum to W_n."""
        return Nodes(torch.eye(self.topics.shape[-1], dtype=self.topics.dtype), self.topics)

    def nodes(self) -> Nodes:
        """The K topics, weighted as if one word of a document were drawn at random."""
        states, topics = self.word_nodes()
        return Nodes(states, topics / topics.sum(-1, keepdim=True))


class Learned(NamedTuple):
    """Parameters and q where learning ended, and the ELBO after each step, ``(S,)``."""

    parameters: dict[str, Tensor]
    q: MeanFieldTopics
    elbos: Tensor


@dataclass(frozen=True)
class Words(Factor):
    """p(w_i | z_i) of all words of a document: of words of one topic, at a node."""

    def log_prob(self, parameters: Parameters, x: Tensor, z: Tensor) -> Tensor:
        """log-probability of all words of x if they all were of one topic, ``(N, P)``."""
        return x @ torch.log_softmax(self.natural(parameters, z), -1).T

    def log_base_measure(self, x: Tensor, z: Tensor) -> Tensor:
        return z.new_zeros(1, 1)


def dirichlet_maximum(log_theta: Tensor, alpha: Tensor) -> Tensor:
    """The α with ψ(α_k) − ψ(Σ α) = ``log_theta``, by Newton's method from ``alpha``, ``(K,)``."""
    for _ in range(200):
        total = alpha.sum()
        slope = torch.digamma(total) - torch.digamma(alpha) + log_theta
        if float((slope * alpha).abs().max()) < 1e-14 * (1 + float(log_theta.abs().max())):
            break
        curve = -torch.polygamma(1, alpha)
        shift = (slope / curve).sum() / (1 / torch.polygamma(1, total) + (1 / curve).sum())
        step = (slope - shift) / curve
        while bool((alpha - step <= 0).any()):
            step = step / 2
        alpha = alpha - step
    return alpha
