"""Every counterexample: a stationary point, a gap, and a formula that gives that gap."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import norm as normal

from companion import datasets, models, variational, verify
from companion.studies import what_breaks as breaks
from companion.studies.what_breaks.heads import HEADS
from companion.studies.what_breaks.record import climb
from companion.theory.explain import beyond_gradient, nearest_direction
from tests.cases import generator

IRIS = datasets.iris()
SCALED = datasets.iris(standardize=True)
WINES = datasets.wine(standardize=True)[:, [0, 6, 9]].contiguous()
DOTS = datasets.digits(binary=True).reshape(-1, 8, 8)[:600, 2:4, 2:5].reshape(-1, 6)


def gaussian_rows():
    return breaks.without_scale(IRIS[:, 1:2])


def mixture(**settings):
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(3, random_state=0, **settings).fit(IRIS.numpy())


def linear_vae(learnable_prior):
    vae = models.GaussianVAE(4, 1, learnable_prior=learnable_prior)
    encoder = models.Encoder(4, 1)
    q = encoder.posterior(encoder.initial_parameters(generator("encoder")), SCALED)
    return vae, vae.initial_parameters(generator("decoder")), q, SCALED


def decayed_net(rate):
    net = models.SigmoidBeliefNet(6, 2)
    start = net.initial_parameters(generator("net"))
    return breaks.decay("", net, start, None, DOTS, rate)


#: Each with the smallest gap that it must have, so that the prediction is put to a test.
MAKERS = {
    "N(μ, 1)": (lambda: gaussian_rows()[0], 0.1),
    "N(a, a)": (lambda: gaussian_rows()[1], 0.1),
    "N(a, a²)": (lambda: gaussian_rows()[2], 0.1),
    "Poisson": (lambda: breaks.poisson("", datasets.digits()[:, 35:36]), 0.5),
    "VAE-0, linear": (lambda: breaks.known_noise("", SCALED, (), 0.2, 0), 0.5),
    "VAE-0, tanh": (lambda: breaks.known_noise("", WINES, (2,), 0.25, 0), 0.5),
    "mixing weights": (lambda: breaks.constant_weights("", SCALED, (0.6, 0.3, 0.1), 0), 0.1),
    "floor": (lambda: breaks.variance_floor("", IRIS, 3, 0.1, 0), 0.1),
    "only b": (
        lambda: breaks.frozen_net("", DOTS, (1.0, -0.5), ["prior_logits", "weights"], 0),
        5e-3,
    ),
    "fixed prior": (lambda: breaks.frozen_net("", DOTS, (1.0,), ["prior_logits"], 0), 1e-3),
    "shared": (lambda: breaks.shared_parameters("", DOTS, 1, 0), 1e-2),
    "tied": (lambda: breaks.tied_encoder("", SCALED, 1, False, 0), 0.1),
    "softplus encoder": (lambda: breaks.softplus_encoder("", WINES, (2,), 0), 1e-5),
    "decay, SBN": (lambda: decayed_net(0.01), 1e-2),
    "decay, VAE-1": (lambda: breaks.decay("", *linear_vae(False), 0.01), 1e-3),
    "decay, VAE-2": (lambda: breaks.decay("", *linear_vae(True), 0.01), 1e-3),
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_gap_is_there_and_predicted_at_a_stationary_point(name):
    make, smallest = MAKERS[name]
    row = make()
    assert row.gradient_norm <= 1e-9
    assert abs(row.gap) >= smallest
    assert abs(row.error) <= 1e-8


def test_the_gaps_of_the_gaussians_against_scipy():
    x = IRIS[:, 1].numpy()
    mu, a, square = gaussian_rows()
    expected = normal(x.mean(), 1).logpdf(x).mean() + normal(0, 1).entropy()
    assert mu.gap == pytest.approx(float(expected), abs=1e-12)
    for row, power in ((a, 0.5), (square, 1.0)):
        grid = torch.linspace(1.0, 4.0, 300_001, dtype=torch.float64).numpy()
        second, mean = (x**2).mean(), x.mean()
        values = -power * torch.log(torch.from_numpy(grid)).numpy() - (
            second - 2 * grid * mean + grid**2
        ) / (2 * grid ** (2 * power))
        best = grid[values.argmax()]
        model = normal(best, best**power)
        assert row.gap == pytest.approx(float(model.logpdf(x).mean() + model.entropy()), abs=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: breaks.constant_weights("", SCALED, (1 / 3,) * 3, 0),
        lambda: breaks.frozen_net("", DOTS, (0.0,), ["prior_logits"], 0),
        lambda: breaks.frozen_net("", DOTS, (0.5,), [], 0),
        lambda: breaks.tied_encoder("", SCALED, 1, True, 0),
    ],
    ids=["uniform weights", "prior at one half", "nothing fixed", "tied, prior learned"],
)
def test_what_looks_broken_and_is_not(make):
    row = make()
    assert row.gradient_norm <= 1e-9
    assert abs(row.gap) <= 1e-8
    assert abs(row.predicted) <= 1e-8


def test_the_floor_is_active_for_some_and_not_for_all():
    assert "of 12 on it" in breaks.variance_floor("", IRIS, 3, 0.1, 0).case
    assert " (0 of 12" in breaks.variance_floor("", IRIS, 3, 1e-4, 0).case


def test_the_law_of_scikit_learn():
    from sklearn.decomposition import PCA

    settled = mixture(tol=1e-12, max_iter=10_000, reg_covar=1e-3)
    row = breaks.biased_mixture("", settled, IRIS)
    assert row.gap > 1e-2
    assert abs(row.error) < 1e-6
    early = breaks.biased_mixture("", mixture(), IRIS)
    assert abs(early.error) > 1e-4
    pca = breaks.unbiased_pca("", PCA(2).fit(IRIS.numpy()), IRIS)
    assert pca.predicted == 4 / 300
    assert abs(pca.error) < 1e-12


def test_climb_reaches_a_maximum_of_any_function():
    end, norm = climb(
        lambda p: -((p["a"] * p["b"] - 2) ** 2) - (p["a"] - 1) ** 2,
        {"a": torch.tensor(0.5).double(), "b": torch.tensor(0.5).double()},
    )
    assert norm <= 1e-12
    assert float(end["a"]) == pytest.approx(1)
    assert float(end["b"]) == pytest.approx(2)


def test_the_law_of_weight_decay_is_no_accident_of_one_rate():
    weak, strong = decayed_net(0.01), decayed_net(0.3)
    assert abs(weak.predicted - strong.predicted) > 0.01
    assert abs(strong.error) < 1e-9


PASS = {name for name in HEADS if name.startswith(("exp(a)", "exp(2a", "exp(−a", "a²"))} - {
    "exp(a), no bias"
} | {"(eᶜ softplus(a))²", "exp(c + 2 tanh a)", "η₂ = −exp(a), η₁ linear"}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("seed", range(3))
def test_heads_pass_and_fail_as_they_must(name, seed):
    found = breaks.check_head(name, seed)
    assert found.verdict == ("pass" if name in PASS else "fail")
    assert found.residual < 1e-10 if name in PASS else found.residual > 1e-5


def test_heads_are_variances():
    a, c = torch.linspace(-3, 3, 50, dtype=torch.float64), torch.tensor(0.3).double()
    assert all(bool((head(a, c) > 0).all()) for head in HEADS.values())


def test_an_unknown_head_is_refused():
    with pytest.raises(ValueError, match="name must be one of"):
        breaks.check_head("sinh(a)")


def nearest(noise, **other):
    """A VAE at random parameters, and the identity along the direction nearest to v."""
    draws = generator("nearest")
    vae, encoder = models.GaussianVAE(3, 2, (4,), noise, **other), models.Encoder(3, 2, (4,))
    parameters, phi = vae.initial_parameters(draws), encoder.initial_parameters(draws)
    q = encoder.posterior(phi, WINES, variational.gauss_hermite(2, 4))
    v = nearest_direction(vae, parameters, q)
    along = verify(vae, parameters, q, WINES, direction=v)
    assert along.residual == beyond_gradient(vae, parameters, q, WINES)
    return along, verify(vae, parameters, q, WINES)


@pytest.mark.parametrize("noise", ["scalar", "pixel", "head"])
def test_the_nearest_direction_gives_the_whole_gap_where_the_criterion_holds(noise):
    along, at = nearest(noise)
    assert abs(at.gap) > 0.1
    assert abs(along.slope - at.gap) < 1e-10
    assert along.gap == at.gap


def test_the_nearest_direction_of_a_softplus_leaves_a_part_of_the_gap():
    along, at = nearest("softplus")
    assert 1e-6 < along.residual < 0.1 * abs(at.gap)


def test_a_learnable_prior_has_no_nearest_direction_here():
    with pytest.raises(ValueError, match="model must have a fixed prior"):
        nearest("head", learnable_prior=True)


def test_the_table_shows_every_row():
    rows = gaussian_rows()
    assert [line[0] for line in breaks.tabulate(rows).rows()] == [row.case for row in rows]
