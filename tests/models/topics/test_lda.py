"""Latent Dirichlet allocation against enumeration and quadrature, SciPy, and scikit-learn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import sparse, stats
from scipy.special import digamma, roots_legendre
from sklearn.decomposition import LatentDirichletAllocation

from companion import elbo, entropy_sum, models, verify
from companion.models.topics.mean_field import dirichlet_maximum
from tests.cases import draw, generator

V, K = 4, 3
MODEL = models.LDA(V, K)
X = torch.tensor([[2.0, 1, 0, 1], [0, 3, 1, 0], [1, 0, 0, 0], [5, 2, 9, 4]]).double()


def parameters(model=MODEL):
    g = generator("topics")
    return {name: draw(*shape, g=g) for name, shape in model.shapes.items()}


def corpus(topics=3, words=40, documents=80):
    model = models.LDA(words, topics)
    own = {name: 1.5 * value for name, value in parameters(model).items()}
    own["log_concentration"] = own["log_concentration"] / 2 - 1
    g = generator("corpus")
    return (
        model,
        own,
        model.sample(own, torch.randint(5, 60, (documents,), generator=g).double(), g),
    )


def test_elbo_and_entropies_of_a_tiny_corpus_by_enumeration_and_quadrature():
    """Two topics, two documents of three words: all z, and θ on a grid of 400 Legendre nodes."""
    model, x = models.LDA(3, 2), torch.tensor([[1.0, 2, 0], [0, 1, 2]]).double()
    own, q = parameters(model), model.random_q(x, generator("q"))
    alpha = own["log_concentration"].exp().numpy() + 3  # smooth densities, at the ends too
    own["log_concentration"] = torch.tensor(alpha).log()
    gamma = q.log_concentration.exp() + 3
    q = q.with_parameters({"log_concentration": gamma.log(), "logits": q.logits})
    topics = torch.softmax(own["topic_logits"], -1).numpy()
    phi = torch.softmax(q.logits, -1).numpy()
    node, weight = roots_legendre(400)
    theta, weight = np.stack([(1 + node) / 2, (1 - node) / 2], 1), weight / 2
    bound, entropy, cell = 0.0, 0.0, 0
    for n, words in enumerate(([0, 1, 1], [1, 2, 2])):
        rows = [cell if w == words[0] else cell + 1 for w in words]
        cell += 2
        q_theta = stats.beta(*gamma[n].numpy()).pdf(theta[:, 0])
        p_theta = stats.beta(*alpha).pdf(theta[:, 0])
        for z in itertools.product(range(2), repeat=3):
            q_z = np.prod([phi[row, k] for row, k in zip(rows, z, strict=True)])
            log_p = np.log(p_theta) + sum(
                np.log(theta[:, k]) + np.log(topics[k, w]) for w, k in zip(words, z, strict=True)
            )
            bound += q_z * weight @ (q_theta * (log_p - np.log(q_z * q_theta))) / 2
            entropy -= q_z * weight @ (q_theta * np.log(q_z * q_theta)) / 2
    assert float(elbo(model, own, q, x)) == pytest.approx(bound, rel=1e-9)
    sums = entropy_sum(model, own, q, x)
    assert float(sums.posterior) == pytest.approx(entropy, rel=1e-9)
    assert float(sums.prior) == pytest.approx(stats.dirichlet(alpha).entropy(), rel=1e-12)
    assert sums.form == "pseudo"


def test_entropies_and_base_measure_by_scipy():
    own, q = parameters(), MODEL.random_q(X, generator("q"))
    sums = entropy_sum(MODEL, own, q, X)
    gamma = q.log_concentration.exp().numpy()
    phi, n = torch.softmax(q.logits, -1).numpy(), np.zeros((len(X), K))
    of_topics = np.zeros(len(X))
    for m, (row, word) in enumerate(X.nonzero().tolist()):
        n[row] += float(X[row, word]) * phi[m]
        of_topics[row] += float(X[row, word]) * stats.entropy(phi[m])
    of_theta = np.array([stats.dirichlet(row).entropy() for row in gamma])
    np.testing.assert_allclose(q.parts()[0], of_theta, rtol=1e-11)
    np.testing.assert_allclose(q.parts()[1], of_topics, rtol=1e-12)
    np.testing.assert_allclose(q.topics, n, rtol=1e-12)
    words = stats.entropy(torch.softmax(own["topic_logits"], -1).numpy(), axis=1)
    assert float(sums.observable) == pytest.approx((n @ words).mean(), rel=1e-12)
    logs = digamma(gamma) - digamma(gamma.sum(1, keepdims=True))
    assert float(sums.base_measure) == pytest.approx((n * logs).sum(1).mean(), rel=1e-12)
    concentration = own["log_concentration"].exp().numpy()
    assert float(sums.prior) == pytest.approx(stats.dirichlet(concentration).entropy(), rel=1e-11)
    np.testing.assert_allclose(q.proportions, gamma / gamma.sum(1, keepdims=True), rtol=1e-12)


def test_the_bound_is_that_of_scikit_learn_for_the_same_q():
    """Its topics are random too: their part is left out, as what two sets of documents share."""
    model, _, x = corpus()
    theirs = LatentDirichletAllocation(model.topics, max_iter=3, random_state=0).fit(x.numpy())
    expected = theirs.exp_dirichlet_component_  # exp E log of a topic: its rows sum to less than 1
    own = {
        "log_concentration": torch.full((model.topics,), 1 / model.topics).double().log(),
        "topic_logits": torch.tensor(expected).log(),
    }
    gamma, _ = theirs._e_step(x.numpy(), cal_sstats=False, random_init=False)
    log_theta = digamma(gamma) - digamma(gamma.sum(1, keepdims=True))
    rows, columns = x.nonzero().T
    logits = torch.tensor(log_theta[rows] + np.log(expected).T[columns])
    q = models.MeanFieldTopics(x, torch.tensor(gamma).log(), logits)
    lost = float((q.topics @ torch.tensor(expected.sum(1)).log()).sum())
    ours = len(x) * float(elbo(model, own, q, x)) + lost
    whole, rest = x.numpy(), x.numpy()[:1]
    first = models.MeanFieldTopics(x[:1], q.log_concentration[:1], logits[: int((x[0] > 0).sum())])
    of_first = float(elbo(model, own, first, x[:1]))
    of_first += float((first.topics @ torch.tensor(expected.sum(1)).log()).sum())
    bound = theirs._approx_bound(whole, gamma, False) - theirs._approx_bound(rest, gamma[:1], False)
    # Its own digamma function is good to ten digits.
    assert ours - of_first == pytest.approx(bound, rel=1e-8)


def test_inference_ends_where_no_q_of_its_kind_is_better():
    model, own, x = corpus()
    q = model.infer(own, x, sweeps=3000, tolerance=1e-14)
    leaves = {name: value.clone().requires_grad_() for name, value in q.parameters.items()}
    value = elbo(model, own, q.with_parameters(leaves), x)
    for slope in torch.autograd.grad(value, list(leaves.values())):
        assert float(slope.abs().max()) < 1e-10
    assert all(
        float(elbo(model, own, model.infer(own, x, sweeps=few), x)) <= float(value.detach()) + 1e-12
        for few in (1, 2, 5, 20)
    )
    again = model.infer(own, x, q=model.infer(own, x, sweeps=5), sweeps=3000, tolerance=1e-14)
    torch.testing.assert_close(again.log_concentration, q.log_concentration, rtol=1e-9, atol=1e-9)


def test_one_m_step_gives_equality_at_the_old_q():
    model, own, x = corpus()
    q = model.random_q(x, generator("q"))
    best = model.m_step(own, q, x)
    report = verify(model, best, q, x)
    assert abs(report.gap) <= 1e-11 * (1 + abs(report.elbo))
    leaves = {name: value.clone().requires_grad_() for name, value in best.items()}
    for slope in torch.autograd.grad(elbo(model, leaves, q, x), list(leaves.values())):
        assert float(slope.abs().max()) < 1e-10
    assert report.elbo > verify(model, own, q, x).elbo + 1


def test_learning_never_falls_and_finds_topics_that_were_there():
    model, own, x = corpus(documents=300)
    found = model.learn(model.random_start(x, generator("start")), x, steps=200)
    assert float(found.elbos.diff().min()) > -1e-10
    assert float(elbo(model, found.parameters, found.q, x)) == float(found.elbos[-1])
    true = torch.softmax(own["topic_logits"], -1)
    learned = torch.softmax(found.parameters["topic_logits"], -1)
    apart = (true[:, None] - learned).abs().sum(-1) / 2
    assert sorted(apart.argmin(1).tolist()) == [0, 1, 2] and float(apart.min(1).values.max()) < 0.15
    truth = model.infer(own, x)
    assert float(found.elbos[-1]) > float(elbo(model, own, truth, x))


def test_the_bound_lies_below_the_likelihood():
    """With two topics log p(x) of a document is one integral over θ."""
    model, x = models.LDA(3, 2), torch.tensor([[1.0, 2, 0], [0, 1, 2], [4, 0, 4]]).double()
    own = parameters(model)
    own["log_concentration"] = torch.tensor([0.6, 0.2]).double()
    alpha, topics = own["log_concentration"].exp().numpy(), torch.softmax(own["topic_logits"], -1)
    node, weight = roots_legendre(400)
    theta = np.stack([(1 + node) / 2, (1 - node) / 2], 1)
    likelihood = np.prod((theta @ topics.numpy())[:, None] ** x.numpy(), -1)
    exact = np.log(weight / 2 @ (stats.beta(*alpha).pdf(theta[:, :1]) * likelihood)).mean()
    assert exact - 1 < float(elbo(model, own, model.infer(own, x), x)) < exact


def test_dirichlet_concentrations_have_the_expected_logarithms():
    for alpha in ([0.02, 0.5, 3.0], [40.0, 900.0], [1e-3, 1e-3]):
        logs = torch.tensor(digamma(alpha) - digamma(np.sum(alpha)))
        for start in (1e-2, 1.0, 1e2):
            found = dirichlet_maximum(logs, torch.full((len(alpha),), start).double())
            np.testing.assert_allclose(found, alpha, rtol=1e-8)


@pytest.mark.parametrize(
    "kind", [sparse.csr_matrix, sparse.coo_array, lambda x: torch.tensor(x).to_sparse()]
)
def test_sparse_counts_give_the_same(kind):
    own, q = parameters(), MODEL.random_q(X, generator("q"))
    given = kind(X.numpy())
    again = MODEL.random_q(given, generator("q"))
    assert float(elbo(MODEL, own, again, given)) == float(elbo(MODEL, own, q, X))
    first, second = verify(MODEL, own, again, given), verify(MODEL, own, q, X)
    assert first.gap == second.gap and first.residual < 1e-13
    start = MODEL.random_start(given, generator("start"))
    found = MODEL.learn(start, given, steps=4)
    torch.testing.assert_close(found.elbos, MODEL.learn(start, X, steps=4).elbos)
    holes = sparse.coo_array((np.array([1.0, 0, 2]), ([0, 0, 1], [1, 2, 3])), shape=(2, V))
    assert MODEL.random_q(holes).x.counts.tolist() == [1, 2]


def test_documents_have_the_moments_of_the_model():
    own = parameters()
    lengths = torch.full((20_000,), 7.0).double()
    x = MODEL.sample(own, lengths, generator("sample"))
    assert bool((x.sum(1) == 7).all())
    alpha = own["log_concentration"].exp()
    mean = 7 * (alpha / alpha.sum()) @ torch.softmax(own["topic_logits"], -1)
    assert float((x.mean(0) - mean).abs().max()) < 5 * float(x.std(0).max()) / 20_000**0.5


@pytest.mark.parametrize(
    ("x", "said"),
    [
        ([[1.0, 0.5, 0, 0]], "x must be counts .* not all of them whole numbers"),
        ([[1.0, -1, 0, 0]], r"x must be counts .* found values in \[-1, 1\]$"),
        ([[1.0, 0, 0, 0], [0, 0, 0, 0]], "found 1 empty among 2, the first in row 1"),
        ([[1.0, 0, 0]], "x must have 4 columns"),
        ([1.0, 0, 0, 0], r"x must have shape \(N, D\)"),
        ([[1.0, float("nan"), 0, 0]], "x must be finite"),
        (sparse.csr_matrix(np.ones((2, 3))), "x must have 4 columns, one for each word"),
        (sparse.csr_matrix([[1.0, 0, 0.5, 0]]), "x must be counts"),
        (sparse.csr_matrix([[1.0, 0, 0, 0], [0, 0, 0, 0]]), "the first in row 1"),
        (sparse.csr_matrix([[1.0, 0, np.inf, 0]]), "x must be finite"),
    ],
)
def test_counts_that_can_not_be(x, said):
    for method in (MODEL.check_data, MODEL.random_start, MODEL.random_q):
        with pytest.raises(ValueError, match=said):
            method(x)
    with pytest.raises(ValueError, match=said):
        elbo(MODEL, parameters(), MODEL.random_q(X), x)


def test_q_of_other_documents_or_of_another_kind_is_refused():
    own, q = parameters(), MODEL.random_q(X)
    with pytest.raises(ValueError, match="q must be of the same counts as x"):
        elbo(MODEL, own, q, X.flip(0))
    with pytest.raises(ValueError, match="q must be of the same counts as x"):
        MODEL.infer(own, X.flip(0), q=q)
    with pytest.raises(ValueError, match="q must be a MeanFieldTopics"):
        elbo(MODEL, own, models.PPCA(2, 1).posterior(*_ppca()), X)
    with pytest.raises(ValueError, match="LDA has no posterior in closed form: use infer"):
        elbo(MODEL, own, None, X)
    with pytest.raises(ValueError, match=r"shapes \(4, K\) and \(10, K\)"):
        models.MeanFieldTopics(X, q.log_concentration, q.logits[:-1])
    with pytest.raises(ValueError, match="over the model's 3 latents: got 2"):
        elbo(MODEL, own, models.LDA(V, 2).random_q(X), X)
    with pytest.raises(ValueError, match="LDA has no joint density"):
        MODEL.log_joint(own, X, torch.eye(K).double())


def _ppca():
    model, x = models.PPCA(2, 1), torch.ones(4, 2).double()
    return model.initial_parameters(generator("ppca")), x


@pytest.mark.parametrize(
    ("arguments", "said"), [((0, 2), "observed must be"), ((4, 1), "topics must be at least 2")]
)
def test_sizes_that_can_not_be(arguments, said):
    with pytest.raises(ValueError, match=said):
        models.LDA(*arguments)
