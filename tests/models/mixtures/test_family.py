"""Mixtures over any family: starts, M-steps, learning on real data, and refusals."""

from __future__ import annotations

import itertools
import math
import re

import pytest
import torch

from companion import datasets, elbo, entropy_sum, families, fit, models, variational, verify
from tests.cases import FAMILIES, C, D, draw, generator

N = 60


def label(family):
    return type(family).__name__


def draws(family, name):
    """Sixty points from three components that differ."""
    g = generator(f"{name} {label(family)}")
    mixture = models.FamilyMixture(family, D, C)
    natural = mixture.component_natural(mixture.initial_parameters(g))
    return mixture, family.sample(natural[torch.arange(N) % C], g), g


every_family = pytest.mark.parametrize("family", FAMILIES, ids=label)
exact = [f for f in FAMILIES if f.has_m_step]
inexact = [f for f in FAMILIES if not f.has_m_step]


@every_family
def test_a_random_start_is_valid_seeded_and_better_than_random_parameters(family):
    mixture, x, g = draws(family, "start")
    start = mixture.random_start(x, generator("a"))
    mixture.check(start, x)
    again, other = mixture.random_start(x, generator("a")), mixture.random_start(x, generator("b"))
    assert all(torch.equal(start[k], again[k]) for k in start)
    assert any(not torch.equal(start[k], other[k]) for k in start)
    # The data come from parameters of standard deviation ½: these are off, the start is not.
    random = {k: 3 * v for k, v in mixture.initial_parameters(g).items()}
    assert mixture.log_likelihood(start, x) > mixture.log_likelihood(random, x)
    report = verify(mixture, start, mixture.posterior(start, x), x)
    assert report.relative_residual <= 1e-12


@pytest.mark.parametrize("family", exact, ids=label)
def test_after_an_m_step_the_elbo_equals_the_entropy_sum(family):
    """For the responsibilities that it was given: then all derivatives vanish."""
    mixture, x, g = draws(family, "m-step")
    start = mixture.initial_parameters(g)
    q = mixture.posterior(start, x)
    updated = mixture.m_step(start, q, x)
    report = verify(mixture, updated, q, x, fixed=("q.logits",))
    assert abs(report.gap) <= 1e-11 * (1 + abs(report.elbo))
    assert report.gradient_norm <= 1e-9 * (1 + abs(report.elbo))
    for name, value in updated.items():
        for sign in (-1, 1):
            moved = updated | {name: value + sign * 1e-2 * draw(*value.shape, g=g)}
            assert float(elbo(mixture, moved, q, x)) < report.elbo


@pytest.mark.parametrize("family", exact, ids=label)
def test_em_never_lowers_the_likelihood(family):
    mixture, x, _ = draws(family, "em")
    parameters = mixture.random_start(x, generator("em"))
    values = [float(mixture.log_likelihood(parameters, x))]
    for _ in range(5):
        parameters = mixture.m_step(parameters, None, x)
        values.append(float(mixture.log_likelihood(parameters, x)))
    assert min(b - a for a, b in itertools.pairwise(values)) >= -1e-12
    # One observation of one categorical: the start already has the frequencies of the data.
    assert values[-1] > values[0] or isinstance(family, families.Categorical)


@pytest.mark.parametrize("family", inexact, ids=label)
def test_families_without_a_closed_form_have_no_m_step(family):
    mixture, x, g = draws(family, "no m-step")
    with pytest.raises(ValueError, match=f"{label(family)} has no closed-form M-step: learn with"):
        mixture.m_step(mixture.initial_parameters(g), None, x)


# --- learning on real data ------------------------------------------------------------------------

REAL = {
    "word counts, Poisson": (families.Poisson(), lambda: datasets.word_counts(8)[:, :8], 3, 1),
    "word counts, negative binomial": (
        families.NegativeBinomial(successes=3.0),
        lambda: datasets.word_counts(4)[:, :4],
        2,
        1,
    ),
    "word counts, multinomial": (families.Multinomial(50), lambda: datasets.word_counts(4), 2, 1),
    "word counts, geometric": (families.Geometric(), lambda: datasets.word_counts(8)[:, :8], 2, 1),
    "cell sizes, gamma": (families.Gamma(), datasets.cell_sizes, 3, 1),
    "cell sizes, inverse Gaussian": (families.InverseGaussian(), datasets.cell_sizes, 2, 1),
    "cell sizes, log-normal": (families.LogNormal(), datasets.cell_sizes, 2, 1),
    "patches, Student t": (families.StudentT(), lambda: datasets.image_patches(500, 2), 2, 1),
    "petals, beta": (families.Beta(), datasets.petal_proportions, 2, 1),
    "orientations, von Mises": (families.VonMises(), lambda: datasets.orientations(500), 2, 1),
}


@pytest.mark.parametrize("name", REAL)
def test_real_data_are_learned_to_a_vanishing_gradient(name):
    family, load, components, seed = REAL[name]
    x = load()
    mixture = models.FamilyMixture(family, x.shape[1], components)
    start = mixture.random_start(x, torch.Generator().manual_seed(seed))
    first = fit.lbfgs(mixture, start, None, x, tolerance=1e-4)
    result = fit.newton(mixture, first.parameters, None, x, tolerance=1e-10)
    assert result.converged and result.gradient_norm <= 1e-10
    assert abs(result.final.gap) <= 1e-9
    assert result.final.elbo > first.trace.records[0].elbo
    for record in first.trace.records + result.trace.records:
        assert record.relative_residual <= 1e-12
    weights = torch.softmax(result.parameters["prior_logits"], 0)
    assert float(weights.min()) > 0.02, "a component without data shows nothing"


def test_true_entropies_of_poisson_components_miss_the_elbo():
    """The control: at the stationary point the pseudo form equals the ELBO, the true one does not.

    S̃ − S for x is mean log g(x) − E_q̄ E_p log g, with the expectations summed over counts.
    """
    family, load, components, seed = REAL["word counts, Poisson"]
    x = load()
    mixture = models.FamilyMixture(family, x.shape[1], components)
    start = mixture.random_start(x, torch.Generator().manual_seed(seed))
    first = fit.lbfgs(mixture, start, None, x, tolerance=1e-4)
    result = fit.newton(mixture, first.parameters, None, x, tolerance=1e-10)
    weights = result.q.probabilities.mean(0)
    natural = mixture.component_natural(result.parameters)
    pseudo = entropy_sum(mixture, result.parameters, result.q, x)
    true = pseudo.posterior - pseudo.prior - weights @ family.entropy_by_summation(natural)
    gap = result.final.elbo - float(true)
    k = torch.arange(200, dtype=torch.float64)[:, None]
    p = family.log_prob(k, natural[..., None, None]).exp()
    expected_base = (p * family.log_base_measure(k)).sum((-2, -1))
    predicted = float(family.log_base_measure(x).mean() - weights @ expected_base)
    assert gap == pytest.approx(predicted, abs=1e-9)
    assert abs(gap) > 1e-3 and abs(result.final.gap) <= 1e-9


# --- refusals -------------------------------------------------------------------------------------

POISSON = models.FamilyMixture(families.Poisson(), 2, 2)
COUNTS = torch.tensor([[0.0, 3], [1, 2], [4, 1], [2, 2]], dtype=torch.float64)


def shared_out(components):
    """The M-step for data points that belong to these components with certainty."""
    q = variational.Tabulated.from_probabilities(POISSON.states, POISSON.states[components])
    return POISSON.m_step(POISSON.initial_parameters(generator("shared out")), q, COUNTS)


@pytest.mark.parametrize(
    ("call", "sentence"),
    (
        (
            lambda: models.FamilyMixture(families.FullGaussian(), 2, 2),
            "got FullGaussian(); for Gaussian components use GaussianMixture",
        ),
        (lambda: models.FamilyMixture("poisson", 2, 2), "of must be a Family: got 'poisson'"),
        (lambda: models.FamilyMixture(families.Poisson(), 0, 2), "observed must be a positive"),
        (lambda: models.FamilyMixture(families.Poisson(), 2, 2.0), "components must be a positive"),
        (
            lambda: models.FamilyMixture(families.CategoricalProduct(2), 5, 2),
            "observed must be a multiple of the family's 2 groups: got 5",
        ),
        (lambda: POISSON.random_start(COUNTS[:1]), "got 1 for 2 components"),
        (lambda: POISSON.random_start(COUNTS[:, :1]), "x must have 2 columns"),
        (lambda: POISSON.random_start(COUNTS + 0.5), "x must be counts"),
        (
            lambda: POISSON.random_start(torch.cat([COUNTS[:, :1], 0 * COUNTS[:, :1]], 1)),
            "x must vary in every column: columns [1] are constant",
        ),
        (
            lambda: shared_out([0, 1, 1, 1]),
            "a component died or collapsed: ['log_rates'] became infinite",
        ),
        (
            lambda: shared_out([0, 0, 0, 0]),
            "a component died or collapsed: ['prior_logits', 'log_rates'] became infinite",
        ),
    ),
)
def test_bad_arguments_are_named(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call()


def test_a_mixture_refuses_data_outside_the_support():
    parameters = POISSON.initial_parameters(generator("refusal"))
    q = POISSON.posterior(parameters, COUNTS)
    with pytest.raises(ValueError, match=r"x must be counts .* for Poisson\(\)"):
        verify(POISSON, parameters, q, COUNTS - 1)
    assert repr(POISSON) == "FamilyMixture(of=Poisson(), observed=2, components=2)"


# --- the data -------------------------------------------------------------------------------------


def test_word_counts_are_those_of_the_text():
    x, words = datasets.word_counts(words=10, length=40), datasets.most_frequent_words(10)
    assert x.shape[1] == 11 and len(words) == len(set(words)) == 10 and words[0] == "the"
    assert x.dtype == torch.float64 and bool((x.sum(1) == 40).all()) and len(x) > 50
    text = [w for t in datasets.packaged._texts() for w in t[: len(t) // 40 * 40]]
    assert x.sum(0).tolist() == [*(text.count(w) for w in words), sum(w not in words for w in text)]
    assert torch.equal(x, datasets.word_counts(words=10, length=40))
    with pytest.raises(ValueError, match="length must be at most"):
        datasets.word_counts(length=10**6)
    with pytest.raises(ValueError, match="words must be at most"):
        datasets.most_frequent_words(10**6)


def test_orientations_are_angles_of_the_gradient():
    x = datasets.orientations(4000)
    assert x.shape == (4000, 1) and families.VonMises().invalid(x) is None
    assert float(x.abs().max()) <= math.pi and len(x.unique()) == 4000
    # Photographs of buildings: gradients point along the axes more often than between them.
    along = float((x.remainder(math.pi / 2) - math.pi / 4).abs().mean())
    assert along > math.pi / 8 + 0.02
    assert not torch.equal(x, datasets.orientations(4000, seed=1))
    with pytest.raises(ValueError, match="count must be at most"):
        datasets.orientations(10**7)


def test_petal_proportions_and_cell_sizes():
    x = datasets.petal_proportions()
    assert x.shape == (150, 3) and families.Beta().invalid(x) is None
    torch.testing.assert_close(x[0], torch.tensor([0.2 / 1.4, 1.4 / 5.1, 3.5 / 5.1]).double())
    sizes = datasets.cell_sizes()
    assert sizes.shape == (569, 2) and families.Gamma().invalid(sizes) is None
    torch.testing.assert_close(sizes.mean(0), torch.ones(2).double())
    ratio = sizes[:, 0] / datasets.breast_cancer()[:, 3]
    torch.testing.assert_close(ratio, ratio[0].expand(569))
