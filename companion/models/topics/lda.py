"""Latent Dirichlet allocation: documents as mixtures of topics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.families import Categorical
from companion.families.numerics import numpy_draw
from companion.models.scaled import check_logs
from companion.models.topics.counts import Counts, as_counts
from companion.models.topics.mean_field import (
    DirichletTopics,
    Learned,
    MeanFieldTopics,
    Words,
    dirichlet_maximum,
    shares,
)
from companion.support.checks import positive_integer
from companion.theory.elbo import expected_elbo
from companion.theory.model import Factor, Model, Parameters, normal_draws
from companion.theory.variational import Variational

__all__ = ["LDA"]

#: What a topic keeps for a word that it never has, so that logarithms stay finite.
_NEVER = 1e-300


@dataclass(frozen=True)
class LDA(Model):
    """θ_n ~ Dir(α), for every word i of document n: z_i ~ Cat(θ_n), w_i ~ Cat(softmax β_{z_i}).

    Data are counts ``(N, V)`` of V words in N documents, none empty: a tensor, an array, or a
    sparse tensor or SciPy matrix, of which only cells that are not zero are worked with. A data
    point is a document, as a sequence of words (so without a multinomial coefficient); its latents
    are θ_n and all z_i *together*, and q is a :class:`companion.models.MeanFieldTopics`.

    Parameters: ``log_concentration`` log α ``(K,)``, ``topic_logits`` β ``(K, V)``. By Theorem 2
    with the base measure h = Π_i θ_{z_i} v is (α − 1)/α on log α and β on β; the entropy sum is
    mean H[q] − H[Dir(α)] − E Σ_i H[p(w | z_i)] + E Σ_i log θ_{z_i}. With θ and z as factors of
    their own there is no v: p(z | θ) has no parameter.

    Source: Blei, Ng & Jordan (2001) for the model and its learning; Lücke & Warnken
    (arXiv:2209.03077), Theorem 2; this companion for the entropy sum.

    >>> LDA(observed=1000, topics=3).shapes
    {'log_concentration': (3,), 'topic_logits': (3, 1000)}
    """

    observed: int
    topics: int

    take_any = ("check", "check_data")

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        if positive_integer(self.topics, "topics") < 2:
            raise ValueError("topics must be at least 2: one topic leaves nothing to infer")

    @property
    def latent_size(self) -> int:
        """Number of topics K."""
        return self.topics

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        K = self.topics
        return {"log_concentration": (K,), "topic_logits": (K, self.observed)}

    @property
    def factors(self) -> tuple[Factor, ...]:
        family = DirichletTopics()

        def prior(parameters: Parameters, z: Tensor) -> Tensor:
            return family.natural_parameters(parameters["log_concentration"].exp())

        def words(parameters: Parameters, z: Tensor) -> Tensor:
            return z @ parameters["topic_logits"]

        def in_their_topics(parameters: Parameters, q: Variational, x: Tensor) -> Tensor:
            q, cells = _topics(q), _topics(q).x
            log_p = torch.log_softmax(parameters["topic_logits"], -1).T[cells.columns]
            found: Tensor = cells.per_document((q.words[0] * log_p).sum(-1))
            return found

        return (
            Factor(
                *("prior", family, prior, lambda z: z), marginal=lambda q: _topics(q).expected()
            ),
            Words(
                *("observable", Categorical(), words),
                closed_form=in_their_topics,
                marginal=lambda q: _topics(q).word_nodes(),
            ),
        )

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        step = -torch.expm1(-parameters["log_concentration"])
        return {"log_concentration": step, "topic_logits": parameters["topic_logits"]}

    def check_data(self, x: Any) -> Tensor:
        return as_counts(x, self.observed)

    def check_parameters(self, parameters: Parameters) -> None:
        super().check_parameters(parameters)
        check_logs(parameters, ("log_concentration",))

    def resolved(self, parameters: Parameters, q: Variational | None, x: Tensor) -> Variational:
        q = super().resolved(parameters, q, x)
        if isinstance(q, MeanFieldTopics) and not q.x.same(Counts.of(x)):
            raise ValueError("q must be of the same counts as x: got a q of other documents")
        return q

    def check_q(self, q: Variational, points: int | None) -> None:
        super().check_q(_topics(q), points)

    def posterior(self, parameters: Parameters, x: Any) -> Variational:
        """Not available in closed form: :meth:`infer` gives the best q of its kind."""
        raise self._without("posterior", ": use infer for the best q of its kind")

    def log_joint(self, parameters: Parameters, x: Tensor, z: Tensor) -> Tensor:
        """Not available: the latents of a document are no row of numbers.

        Raises
        ------
        ValueError
            Always.
        """
        raise self._without("joint density of rows of numbers", ": use elbo with a q")

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """0.3 times standard-normal draws."""
        return {k: 0.3 * normal_draws(*v, generator=generator) for k, v in self.shapes.items()}

    def random_start(self, x: Any, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """A start for :meth:`learn`: α = 1, topics that are the corpus, its shares varied."""
        counts = Counts.of(self.check_data(x))
        share = counts.per_word(torch.ones_like(counts.counts)[:, None])[:, 0] + 1
        drawn = numpy_draw(
            "exponential", torch.ones(self.topics, self.observed), generator=generator
        )
        return {
            "log_concentration": torch.zeros(self.topics, dtype=torch.float64),
            "topic_logits": ((0.5 + drawn) * share).log() - share.sum().log(),
        }

    def random_q(self, x: Any, generator: torch.Generator | None = None) -> MeanFieldTopics:
        """A random q for these counts, which knows nothing of them."""
        counts = Counts.of(self.check_data(x))
        log_concentration = normal_draws(counts.shape[0], self.topics, generator=generator)
        logits = normal_draws(len(counts.rows), self.topics, generator=generator)
        return MeanFieldTopics(counts, log_concentration, logits)

    def infer(
        self,
        parameters: Parameters,
        x: Any,
        *,
        q: MeanFieldTopics | None = None,
        sweeps: int = 200,
        tolerance: float = 1e-9,
    ) -> MeanFieldTopics:
        """The best q at these parameters: γ = α + n and φ_k ∝ exp(E log θ_k) β_kw, in turn.

        The ELBO never falls.

        Parameters
        ----------
        parameters, x
            The model's, and counts.
        q
            Where to start, in place of γ = α + W/K.
        sweeps, tolerance
            At most so many, until no γ changes by more than ``tolerance`` times itself.
        """
        counts = Counts.of(x)
        alpha = parameters["log_concentration"].exp()
        gamma = alpha + counts.lengths[:, None] / self.topics
        if q is not None:
            gamma = _topics(self.resolved(parameters, q, x)).log_concentration.exp()
        log_p = torch.log_softmax(parameters["topic_logits"], -1).T[counts.columns]
        for _ in range(positive_integer(sweeps, "sweeps")):
            before = gamma
            log_theta = torch.digamma(gamma) - torch.digamma(gamma.sum(-1, keepdim=True))
            logits = log_theta[counts.rows] + log_p
            gamma = alpha + counts.per_document(shares(logits)[0])
            if bool(((gamma - before).abs() <= tolerance * gamma).all()):
                break
        return MeanFieldTopics(counts, gamma.log(), logits)

    def m_step(self, parameters: Parameters, q: Variational | None, x: Any) -> dict[str, Tensor]:
        """As for every model, with α by Newton's method from that of ``parameters``."""
        return self._fitted(parameters, _topics(self.resolved(parameters, q, x)))

    def _fitted(self, parameters: Parameters, q: MeanFieldTopics) -> dict[str, Tensor]:
        words = q.topic_words.clamp(min=_NEVER)
        logits = words.log() - words.sum(-1, keepdim=True).log()
        alpha = parameters["log_concentration"].exp()
        found = dirichlet_maximum(q.log_proportions.mean(0), alpha)
        return {"log_concentration": found.log(), "topic_logits": logits}

    def learn(
        self,
        parameters: Parameters,
        x: Any,
        steps: int = 100,
        sweeps: int = 3,
        tolerance: float = 1e-7,
    ) -> Learned:
        """Coordinate ascent: so many ``sweeps`` of :meth:`infer`, then :meth:`m_step`, in turn.

        The ELBO never falls, and after each step it equals the entropy sum.

        Parameters
        ----------
        parameters, x
            A start, such as :meth:`random_start`, and counts.
        steps, sweeps, tolerance
            At most so many, until the ELBO rises by less than ``tolerance`` times its size.
        """
        elbos: list[Tensor] = []
        own, q, x = dict(parameters), None, x if x.is_sparse else x.to_sparse()
        for _ in range(positive_integer(steps, "steps")):
            q = self.infer(own, x, q=q, sweeps=sweeps)
            own = self._fitted(own, q)
            elbos.append(expected_elbo(self, own, q, x))
            if len(elbos) > 1 and elbos[-1] - elbos[-2] <= tolerance * elbos[-1].abs():
                break
        assert q is not None
        return Learned(own, q, torch.stack(elbos))

    def sample(
        self, parameters: Parameters, lengths: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Counts ``(N, V)`` of documents of so many words each, ``lengths`` ``(N,)``."""
        alpha = parameters["log_concentration"].exp().expand(len(lengths), -1)
        gamma = numpy_draw("standard_gamma", alpha, generator=generator)
        theta = gamma / gamma.sum(-1, keepdim=True)
        p = theta @ torch.softmax(parameters["topic_logits"], -1)
        return numpy_draw("multinomial", lengths.long(), p, generator=generator)


def _topics(q: Variational) -> MeanFieldTopics:
    """``q`` as the one that this model needs."""
    if not isinstance(q, MeanFieldTopics):
        raise ValueError(f"q must be a MeanFieldTopics for topic models: got {type(q).__name__}")
    return q
