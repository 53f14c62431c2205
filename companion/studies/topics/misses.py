"""What a topic model's entropies miss when θ and z are two factors, and oracles by other means."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import stats
from scipy.special import digamma, gammaln
from torch import Tensor

from companion.models import MeanFieldTopics
from companion.models.topics.counts import Counts, as_counts
from companion.theory.model import Parameters

__all__ = ["misses", "of_scikit_learn", "predicted_misses", "sampled"]


def misses(q: MeanFieldTopics) -> Tensor:
    """E log Π_i θ_{z_i} + W_n E H[Cat(θ)] of every document, ``(N,)``, in nats.

    So much is the entropy sum of the theorem above the one with p(z | θ) as a factor of its own.
    """
    gamma = q.log_concentration.exp()
    total = gamma.sum(-1, keepdim=True)
    entropy = -(q.proportions * (torch.digamma(gamma + 1) - torch.digamma(total + 1))).sum(-1)
    return (q.topics * q.log_proportions).sum(-1) + q.topics.sum(-1) * entropy


def predicted_misses(q: MeanFieldTopics, alpha: Tensor) -> np.ndarray[Any, Any]:
    """The same where q is the best one, so that γ = α + n: from α and γ alone.

    Σ_k (α_0 γ_k/γ_0 − α_k) E log θ_k − (K − 1) W/γ_0, with sums α_0 and γ_0.
    """
    a, gamma = alpha.numpy(), q.log_concentration.exp().numpy()
    total = gamma.sum(1, keepdims=True)
    logs = digamma(gamma) - digamma(total)
    words = total[:, 0] - a.sum()
    lean = ((a.sum() * gamma / total - a) * logs).sum(1)
    found: np.ndarray[Any, Any] = lean - (len(a) - 1) * words / total[:, 0]
    return found


def sampled(
    parameters: Parameters, q: MeanFieldTopics, draws: int, seed: int
) -> tuple[Tensor, Tensor]:
    """log p − log q, and log Π_i θ_{z_i} + W H[θ], at draws of (θ, z) of all documents.

    Means over documents, ``(draws,)`` each, by NumPy's and SciPy's Dirichlet and multinomial
    distributions: nothing is taken in expectation.
    """
    g, counts = np.random.default_rng(seed), q.x
    alpha = parameters["log_concentration"].exp().numpy()
    topics = torch.log_softmax(parameters["topic_logits"], -1).numpy().T[counts.columns]
    gamma, phi = q.log_concentration.exp().numpy(), torch.softmax(q.logits, -1).numpy()
    rows, times = counts.rows.numpy(), counts.counts.numpy().astype(int)
    both = np.zeros((2, draws))
    for draw in range(draws):
        gammas = np.maximum(g.standard_gamma(gamma), 1e-300)
        theta = gammas / gammas.sum(1, keepdims=True)
        z = g.multinomial(times, phi)
        logs = np.log(np.maximum(theta, 1e-300))
        base = (z * logs[rows]).sum()
        both[0, draw] = base + (z * (topics - np.log(np.maximum(phi, 1e-300)))).sum()
        both[0, draw] += _log_dirichlet(logs, alpha).sum() - _log_dirichlet(logs, gamma).sum()
        both[1, draw] = base + times @ stats.entropy(theta, axis=1)[rows]
    first, second = torch.tensor(both / len(gamma))
    return first, second


def _log_dirichlet(logs: np.ndarray[Any, Any], alpha: np.ndarray[Any, Any]) -> Any:
    """log-density of Dir(α) at log θ."""
    constant = gammaln(alpha.sum(-1)) - gammaln(alpha).sum(-1)
    return constant + ((alpha - 1) * logs).sum(-1)


def of_scikit_learn(estimator: Any, x: Any) -> tuple[dict[str, Tensor], MeanFieldTopics, float]:
    """Parameters and q of a fitted ``LatentDirichletAllocation``, and the rest of its ``score``.

    Its topics are random, with Dirichlet distributions: what stands for the log-probabilities of a
    word is E log, the logarithm of numbers that sum to less than 1. The parameters here are these,
    normalised. Its ``score`` is N times the ELBO plus the rest: what normalising adds for every
    word, and minus the divergence of its topics from their prior.
    """
    given = np.asarray(estimator.components_, dtype=float)
    logs = digamma(given) - digamma(given.sum(1, keepdims=True))
    lost = np.log(np.exp(logs).sum(1))
    topics, size = given.shape
    prior, words = estimator.doc_topic_prior_, estimator.topic_word_prior_
    counts = Counts.of(as_counts(x))
    gamma = estimator.transform(x) * (topics * prior + counts.lengths.numpy())[:, None]
    log_theta = digamma(gamma) - digamma(gamma.sum(1, keepdims=True))
    logits = torch.tensor(log_theta)[counts.rows] + torch.tensor(logs.T)[counts.columns]
    q = MeanFieldTopics(counts, torch.tensor(gamma).log(), logits)
    rest = float(q.topics.sum(0).numpy() @ lost)
    rest += float(_log_dirichlet(logs, np.full(size, words)).sum())
    rest -= float(_log_dirichlet(logs, given).sum())
    own = {
        "log_concentration": torch.full((topics,), prior, dtype=torch.float64).log(),
        "topic_logits": torch.tensor(logs - lost[:, None]),
    }
    return own, q, rest
