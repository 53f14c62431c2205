"""A family that the package does not know, in ten lines: its mixture, its row, its tempering."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from companion import families, fit, models, verify
from companion.families import ExponentialFamily
from companion.families.gamma import PositiveVariables
from companion.models.mixtures.family import pointwise_residual
from companion.studies.any_family.survey import survey
from companion.studies.temperature.tempering import tempered_elbo, tempered_log_prob
from companion.theory.variational import Tabulated
from tests.cases import draw, generator
from tests.oracles import Measured, positive_line


class Sign(ExponentialFamily):
    """x_d ∈ {−1, 0, 1} with p(x_d) ∝ e^{ηx_d}: it says nothing about coordinates."""

    requirement = "−1, 0 or 1"

    def log_partition(self, natural):
        return torch.log1p(2 * natural.cosh()).sum(-1)

    def sample(self, natural, generator=None):
        below, above = (torch.exp(a * natural) / (1 + 2 * natural.cosh()) for a in (-1, 1))
        u = torch.rand(natural.shape, dtype=natural.dtype, generator=generator)
        return (u < above).double() - (u > 1 - below).double()

    def support(self, x):
        return (x == x.round()) & (x.abs() <= 1)


class Maxwell(PositiveVariables):
    """p(x_d) = √(2/π) x_d² e^{−x_d²/2a²}/a³: coordinates, v and an M-step of its own."""

    coordinates = ("log_scales",)
    in_words = "log_scales log a; −1/2"

    def from_coordinates(self, log_scales):
        return -0.5 * torch.exp(-2 * log_scales)

    def direction(self, log_scales):
        return (torch.full_like(log_scales, -0.5),)

    def statistics(self, x):
        return x * x

    def log_partition(self, natural):
        return -1.5 * torch.log(-2 * natural).sum(-1)

    def log_base_measure(self, x):
        return (2 * x.log() + 0.5 * math.log(2 / math.pi)).sum(-1)

    def maximum_likelihood(self, x, average):
        return (0.5 * (average(x * x) / 3).log(),)

    def sample(self, natural, generator=None):
        noise = torch.randn(3, *natural.shape, dtype=natural.dtype, generator=generator)
        return noise.norm(dim=0) / torch.sqrt(-2 * natural)


class Squares(ExponentialFamily):
    """The same values with T = (x, x²): twice as many natural parameters as columns."""

    def statistics(self, x):
        return torch.cat([x, x * x], -1)

    def log_partition(self, natural):
        first, second = natural.chunk(2, -1)
        return torch.log1p(2 * second.exp() * first.cosh()).sum(-1)

    def sample(self, natural, generator=None):
        first, second = natural.chunk(2, -1)
        up, down = torch.exp(second + first), torch.exp(second - first)
        u = (1 + up + down) * torch.rand(first.shape, dtype=first.dtype, generator=generator)
        return (u < up).double() - (u > 1 + up).double()


class Events(families.Poisson):
    """A class derived from one of the package's."""


CUSTOM = families.Custom(
    Squares().statistics, Squares().log_partition, sampler=Squares().sample, name="squares"
)
NEW = (Sign(), Maxwell(), Squares(), Events(), CUSTOM)
every_new = pytest.mark.parametrize("family", NEW, ids=repr)


def drawn(family, name):
    """A mixture, parameters, q at random, and data from components at other parameters."""
    g = generator(f"new {name} {family!r}")
    mixture = models.FamilyMixture(family, 4, 3)
    natural = mixture.component_natural(mixture.initial_parameters(g))
    x = family.sample(natural.repeat(20, 1), g)
    q = Tabulated(mixture.states, draw(60, 3, g=g))
    return mixture, mixture.initial_parameters(g), q, x


@every_new
def test_its_mixture_obeys_the_identity(family):
    mixture, parameters, q, x = drawn(family, "identity")
    for chosen in (q, mixture.posterior(parameters, x)):
        report = verify(mixture, parameters, chosen, x)
        assert report.relative_residual <= 1e-12 and abs(report.gap) > 1e-3
    assert pointwise_residual(mixture, parameters, x) <= 1e-12
    wrong = {name: 1.01 * block for name, block in mixture.gap_direction(parameters).items()}
    wrong["q.logits"] = torch.zeros_like(q.logits)
    assert verify(mixture, parameters, q, x, wrong).relative_residual > 1e-6


@every_new
def test_it_has_a_row_in_the_survey(family):
    found = survey([family], points=60)
    (row,) = found
    assert row.random.relative_residual <= 1e-12 and row.pointwise <= 1e-12
    assert abs(row.converged.gap) <= 1e-7
    shown = found.rows()[0]
    assert shown[0] == repr(family).removesuffix("()") and shown[2] == family.in_words
    assert shown[1] == ("constant" if family.constant_base_measure else "not constant")


def test_it_is_measured_by_sums_and_quadrature():
    natural, values = torch.tensor([0.7], dtype=torch.float64), torch.tensor([[-1.0], [0], [1]])
    scale = Maxwell().from_coordinates(torch.tensor([0.3], dtype=torch.float64))
    for family, eta, points in (
        (Sign(), natural, (values.double(), torch.zeros(3, dtype=torch.float64))),
        (Maxwell(), scale, positive_line()),
    ):
        measured = Measured(family, eta, *points)
        assert measured.total == pytest.approx(1, abs=1e-12)
        assert float(family.pseudo_entropy(eta)) == pytest.approx(measured.pseudo_entropy)
        mean = measured.mean(family.statistics(measured.x))
        torch.testing.assert_close(family.mean_parameters(eta), mean)
        for t in (0.5, 2.0):
            powers = t * measured.log_p + (1 - t) * measured.log_h - measured.log_normaliser(t)
            ours = tempered_log_prob(family, measured.x, eta, t)
            torch.testing.assert_close(ours, powers, rtol=1e-11, atol=1e-11)


@every_new
def test_its_mixture_can_be_tempered(family):
    mixture, parameters, q, x = drawn(family, "tempered")
    slope = torch.func.grad(lambda t: tempered_elbo(mixture, parameters, q, x, t))
    gap = verify(mixture, parameters, q, x).gap
    assert float(slope(torch.tensor(1.0).double())) == pytest.approx(gap, rel=1e-12)


def test_with_an_estimate_it_has_em_and_without_one_only_ascent():
    mixture, parameters, q, x = drawn(Maxwell(), "em")
    updated = mixture.m_step(parameters, q, x)
    report = verify(mixture, updated, q, x, fixed=["q.logits"])
    assert abs(report.gap) <= 1e-12 and report.gradient_norm <= 1e-12
    start = mixture.random_start(x, generator("start"))
    run = fit.em(mixture, start, x, steps=2000)
    assert run.converged and abs(run.final.gap) <= 1e-6
    assert run.final.elbo > float(mixture.log_likelihood(start, x))

    mixture, start, q, x = drawn(Sign(), "no em")
    refused = "Sign has no closed-form M-step: learn with fit.lbfgs and fit.newton from any start"
    for call in (
        lambda: mixture.m_step(start, q, x),
        lambda: mixture.random_start(x),
        lambda: fit.em(mixture, start, x),
    ):
        with pytest.raises(ValueError, match=refused):
            call()


def test_column_densities_are_for_a_family_that_says_its_columns_are_independent():
    mixture, parameters, _, _ = drawn(Maxwell(), "columns")
    grid = torch.linspace(0.1, 4, 9, dtype=torch.float64)
    weights = torch.softmax(parameters["prior_logits"], 0)
    scale = parameters["log_scales"][:, 2].exp()
    oracle = weights * torch.as_tensor(stats.maxwell.pdf(grid[:, None], scale=scale))
    ours = mixture.column_densities(parameters, grid, column=2)
    torch.testing.assert_close(ours, oracle, rtol=1e-12, atol=0)
    mixture, parameters, _, _ = drawn(Sign(), "columns")
    with pytest.raises(ValueError, match="those of Sign are not"):
        mixture.column_densities(parameters, 0 * grid)


def test_parameters_outside_the_domain_are_named():
    rates = families.Custom(lambda x: x, lambda eta: -(-eta).log().sum(-1), name="rates")
    mixture, x = models.FamilyMixture(rates, 2, 2), torch.ones(3, 2, dtype=torch.float64)
    parameters = {"prior_logits": torch.zeros(2).double(), "natural": -torch.ones(2, 2).double()}
    q = mixture.posterior(parameters, x)
    assert verify(mixture, parameters, q, x).relative_residual <= 1e-12
    parameters["natural"][1, 0] = 0.5
    with pytest.raises(ValueError, match=r"inside the domain of Custom\(rates\).*\['natural'\]"):
        verify(mixture, parameters, q, x)
