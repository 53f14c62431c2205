"""The corpus of the chapter on topics, its words and figure, and the oracles of its misses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special
from sklearn.decomposition import LatentDirichletAllocation

from companion import elbo, models
from companion.studies.topics.corpus import (
    MODULES,
    Corpus,
    docstrings,
    shares_figure,
    telling,
    topics_table,
)
from companion.studies.topics.misses import misses, of_scikit_learn, predicted_misses, sampled
from tests.cases import draw, generator

MODEL = models.LDA(12, 3)


def made():
    g = generator("topics of the study")
    own = {name: draw(*shape, g=g) for name, shape in MODEL.shapes.items()}
    x = MODEL.sample(own, torch.randint(3, 40, (50,), generator=g).double(), g)
    return own, x, MODEL.random_q(x, g)


def test_the_corpus_is_scipys_docstrings_in_a_fixed_order():
    corpus, again = docstrings(least=15, every=10), docstrings(least=15, every=10)
    assert corpus.names == again.names and (corpus.counts != again.counts).nnz == 0
    documents, words = corpus.counts.shape
    assert documents == len(corpus.names) > 80 and words == len(corpus.words) > 100
    known = {module.__name__.partition(".")[2] for module in MODULES}
    assert set(corpus.modules) <= known and len(set(corpus.modules)) > 8
    assert corpus.counts.sum(1).min() > 0
    assert ((corpus.counts > 0).sum(0).min()) >= 15
    assert all(len(word) > 2 and word.isalpha() and word.islower() for word in corpus.words)
    text = special.gammaln.__doc__ if "special.gammaln" in corpus.names else None
    some = corpus.names.index(next(n for n in corpus.names if n.startswith("special.")))
    text = text or getattr(special, corpus.names[some].partition(".")[2]).__doc__
    heard = corpus.words[corpus.counts[some].nonzero()[1]]
    assert all(word in text.lower() for word in heard)


def test_words_that_tell_are_those_of_a_topic_and_not_those_of_all():
    words = np.array(["common", "left", "right", "rare"])
    counts = torch.tensor([[6.0, 4, 0, 0], [6, 0, 4, 0]])
    corpus = Corpus(counts, words, ["fft.left", "stats.right"])
    logits = torch.tensor([[0.6, 0.4, 1e-9, 1e-9], [0.6, 1e-9, 0.4, 1e-9]]).double().log()
    q = models.MeanFieldTopics(
        counts, torch.zeros(2, 2).double(), torch.tensor([[30.0, 0], [30, 0], [0, 30], [0, 30]])
    )
    assert telling(corpus, q, logits, 1).tolist() == [["left"], ["right"]]
    rows = topics_table(corpus, q, logits, 2).cells
    assert [row[0] for row in rows] == [50, 50] and {row[1] for row in rows} == {2}
    figure = shares_figure(corpus, q, logits)
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.images[0].get_array(), np.eye(2), atol=1e-12)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fft", "stats"]
    assert [text.get_text() for text in axes.texts] == ["100", "100"]


def test_misses_and_bound_are_those_of_draws():
    own, x, q = made()
    values, missed = sampled(own, q, 400, 0)
    for drawn, expected in ((values, elbo(MODEL, own, q, x)), (missed, misses(q).mean())):
        assert abs(float(drawn.mean() - expected)) < 5 * float(drawn.std()) / 20 < 3


def test_misses_of_the_best_q_need_nothing_but_concentrations():
    own, x, q = made()
    best = MODEL.infer(own, x, sweeps=5000, tolerance=1e-14)
    predicted = predicted_misses(best, own["log_concentration"].exp())
    np.testing.assert_allclose(misses(best), predicted, atol=1e-9)
    assert float(misses(best).abs().max()) > 0.1
    assert np.abs(predicted_misses(q, own["log_concentration"].exp()) - misses(q).numpy()).max() > 1


def test_they_average_to_zero_under_the_model():
    """With θ and z as they were drawn, and so by the tower property for an exact posterior."""
    own, g = made()[0], generator("under the model")
    alpha = own["log_concentration"].exp().numpy()
    random = np.random.default_rng(int(torch.randint(99, (), generator=g)))
    theta = random.dirichlet(alpha, 40_000)
    z = random.multinomial(7, theta)
    each = (z * np.log(theta)).sum(1) - 7 * (theta * np.log(theta)).sum(1)
    assert abs(each.mean()) < 5 * each.std() / 200


def test_the_score_of_scikit_learn_is_ours_and_the_rest():
    _, x, _ = made()
    counts = x.numpy()
    theirs = LatentDirichletAllocation(
        4, doc_topic_prior=0.3, topic_word_prior=0.7, max_iter=4, random_state=1
    ).fit(counts)
    own, q, rest = of_scikit_learn(theirs, counts)
    model = models.LDA(12, 4)
    ours = len(x) * float(elbo(model, own, q, x)) + rest
    assert ours == pytest.approx(theirs.score(counts), rel=1e-9)
    torch.testing.assert_close(own["topic_logits"].exp().sum(1), torch.ones(4).double())
