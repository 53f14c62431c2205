"""Tempered ELBOs: slopes, concavity, refusals; that p_t is normalised is in test_registry.py."""

from __future__ import annotations

import math

import pytest
import torch

from companion import elbo, families, models, verify
from companion.studies.temperature.tempering import (
    at_any_temperature,
    log_tempered_normaliser,
    rate_of_cooling,
    tempered_elbo,
    tempered_log_prob,
    tempering_slopes,
)
from tests.cases import FAMILIES, draw, generator, in_turn, names, point


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_the_derivative_at_one_is_the_density_plus_the_pseudo_entropy(family):
    g = generator("tempering " + type(family).__name__)
    natural = family.from_coordinates(*(0.3 * draw(4, g=g) for _ in family.coordinates))
    x = family.sample(natural.expand(20, -1), g)
    value = tempered_log_prob(family, x, natural, 1.0)
    slope = rate_of_cooling(family, x, natural)
    torch.testing.assert_close(value, family.log_prob(x, natural), rtol=1e-13, atol=1e-13)
    expected = value - family.log_base_measure(x) + family.pseudo_entropy(natural)
    torch.testing.assert_close(slope, expected, rtol=1e-11, atol=1e-11)


#: The price of inducing points is no density: it has no temperature.
TEMPERED = [n for n in names() if "samples" not in n and not n.startswith("process-inducing")]


@pytest.mark.parametrize("name", in_turn(TEMPERED))
def test_the_slope_of_the_tempered_elbo_is_the_gap(name):
    model, parameters, q, x = point(name)[:4]
    report = verify(model, parameters, q, x)
    slopes = tempering_slopes(model, parameters, q, x)
    assert slopes.keys() == {factor.name for factor in model.factors}
    assert abs(sum(slopes.values()) - report.gap) <= 1e-12 * (1 + abs(report.elbo))
    assert float(tempered_elbo(model, parameters, q, x, 1.0)) == pytest.approx(report.elbo)


def test_it_needs_no_criterion():
    """A softplus head has no direction v; the slope in t is the gap all the same."""
    g = generator("softplus tempering")
    model = models.GaussianVAE(4, 2, (3,), noise_type="softplus")
    parameters = model.initial_parameters(g)
    x = draw(6, 4, g=g)
    q = models.Encoder(4, 2).posterior(models.Encoder(4, 2).initial_parameters(g), x)
    report = verify(model, parameters, q, x)
    assert not model.has_gap_direction and abs(report.gap) > 0.1
    slopes = tempering_slopes(model, parameters, q, x)
    assert sum(slopes.values()) == pytest.approx(report.gap, rel=1e-12)


def test_the_tempered_elbo_is_concave_and_below_its_tangent():
    g = generator("concave")
    model = models.FamilyMixture(families.Poisson(), 3, 2)
    parameters = model.initial_parameters(g)
    x = families.Poisson().sample(torch.ones(30, 3, dtype=torch.float64), g)
    q = model.posterior(parameters, x)
    t = torch.linspace(0, 3, 31, dtype=torch.float64)
    values = torch.stack([tempered_elbo(model, parameters, q, x, value) for value in t])
    assert float(values.diff(n=2).max()) < 0
    report = verify(model, parameters, q, x)
    assert bool((values <= report.elbo + (t - 1) * report.gap + 1e-12).all())
    assert float(values[0]) <= report.entropy_sum


@pytest.mark.parametrize("t", (0.5, 2.0))
def test_far_from_one_the_tempered_elbo_is_that_of_torch(t):
    """A mixture with weights π^t, normalised, and variances σ²/t; a net with t times its logits."""
    g = generator("tempered")
    model = models.GaussianMixture(3, 2, "diagonal")
    own, x = model.initial_parameters(g), draw(7, 3, g=g)
    q = model.posterior(own, x)
    scale = (0.5 * own["log_variance"]).exp() / t**0.5
    density = torch.distributions.Normal(own["means"], scale).log_prob(x[:, None]).sum(-1)
    terms = torch.log_softmax(t * own["prior_logits"], -1) + density - q.probabilities.log()
    expected = (q.probabilities * terms).sum(1).mean()
    torch.testing.assert_close(tempered_elbo(model, own, q, x, t), expected, rtol=1e-12, atol=0)

    net = models.SigmoidBeliefNet(4, 2)
    own, x = net.initial_parameters(g), (draw(6, 4, g=g) > 0).double()
    q = net.posterior(own, x)
    colder = {name: t * value for name, value in own.items()}
    torch.testing.assert_close(
        tempered_elbo(net, own, q, x, t), elbo(net, colder, q, x), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("t", (0.5, 1.0, 2.0))
def test_a_page_can_compute_the_tempered_elbo_of_a_mixture(t):
    g = generator("page")
    model = models.GaussianMixture(3, 2, "diagonal")
    own, x = model.initial_parameters(g), draw(7, 3, g=g)
    q = model.posterior(model.initial_parameters(g), x)
    found = at_any_temperature(own, q, x)
    prior = torch.log_softmax(t * torch.tensor(found["logits"], dtype=torch.float64), -1)
    total = found["posterior"] + float(x.new_tensor(found["shares"]) @ prior) + found["scale"]
    total += found["size"] / 2 * math.log(t) + t * found["stretch"]
    assert total == pytest.approx(float(tempered_elbo(model, own, q, x, t)), rel=1e-12)


def test_temperatures_by_factor_add_up():
    model = models.SigmoidBeliefNet(observed=3, latent=2)
    g = generator("by factor")
    parameters, x = model.initial_parameters(g), torch.ones(4, 3, dtype=torch.float64)
    q = model.posterior(parameters, x)

    def at(t):
        return float(tempered_elbo(model, parameters, q, x, t))

    here = float(elbo(model, parameters, q, x))
    parts = at({"prior": 1.7}) - here + at({"observable": 1.7}) - here
    assert at(1.7) - here == pytest.approx(parts, rel=1e-12)
    assert at({}) == pytest.approx(here)
    with pytest.raises(ValueError, match=r"some of the factors \['prior', 'observable'\]"):
        at({"likelihood": 2.0})


class Uniform(families.Family):
    """A family that the module does not know."""

    def log_prob(self, x, natural):
        return torch.zeros_like(x[..., 0])

    def pseudo_entropy(self, natural):
        return torch.zeros_like(natural[..., 0])

    def sample(self, natural, generator=None):
        return torch.rand_like(natural)

    def invalid(self, x):
        return None


def test_what_is_refused():
    one = torch.ones(1, dtype=torch.float64)
    with pytest.raises(ValueError, match="Uniform is not an exponential family"):
        log_tempered_normaliser(Uniform(), one, 2.0)
    gamma, beta, student = families.Gamma(), families.Beta(), families.StudentT()
    outside = "can't be normalised at t = "
    with pytest.raises(ValueError, match=f"Gamma {outside}3.5"):
        log_tempered_normaliser(gamma, gamma.natural_parameters(0.5 * one, one), 3.5)
    with pytest.raises(ValueError, match=f"Beta {outside}3.5"):
        log_tempered_normaliser(beta, beta.natural_parameters(2 * one, 0.5 * one), 3.5)
    with pytest.raises(ValueError, match=f"StudentT {outside}0.25"):
        log_tempered_normaliser(student, student.parameters(one, one, 2 * one), 0.25)
    with pytest.raises(ValueError, match=f"Laplace {outside}0"):
        log_tempered_normaliser(families.Laplace(), families.Laplace().parameters(one, one), 0.0)
    flat = families.Bernoulli()
    assert float(log_tempered_normaliser(flat, one, 0.0)) == pytest.approx(0.6931471805599453)
