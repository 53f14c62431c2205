"""The criterion in the form of scores: densities that pass, that fail, and that need no gauge."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Gumbel, StudentT, Weibull

from companion import check_criterion, families
from companion.theory.criterion import TOLERANCE
from companion.theory.scores import check_distribution, check_score_criterion
from tests.cases import FAMILIES, draw, generator

X = draw(60, 1, g=generator("score points"))


def scalars(*names):
    g = generator("score parameters")
    return {name: 0.5 * draw(g=g) for name in names}


def checked(make, parameters, x=X, **options):
    """The check of a distribution of torch, an implementation that is not ours."""
    return check_distribution(make, parameters, x[:, 0], **options)


def student(p):
    return StudentT(p["log_dof"].exp(), p["location"], p["log_scale"].exp(), validate_args=False)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_every_family_of_mixtures_passes_with_its_direction(family):
    g = generator("score " + type(family).__name__)
    parameters = {name: 0.5 * draw(4, g=g) for name in family.coordinates}
    natural = family.from_coordinates(*parameters.values())
    x = family.sample(natural.expand(200, -1), g)

    def density(p, x):
        return family.log_prob(x, family.from_coordinates(*p.values()))

    def entropy(p, x):
        return family.pseudo_entropy(family.from_coordinates(*p.values()))

    base = family.log_base_measure
    found = check_score_criterion(density, entropy, parameters, x, log_base_measure=base)
    assert found.verdict == "pass", str(found)
    own = dict(zip(parameters, family.direction(*parameters.values()), strict=True))
    difference = {name: found.direction[name] - own[name] for name in own}
    # v is known up to directions that move no distribution (over-complete statistics).
    moved = torch.func.jvp(lambda p: density(p, x), (parameters,), (difference,))[1]
    torch.testing.assert_close(moved, torch.zeros(len(x)).double(), rtol=0, atol=1e-8)


def test_student_t_passes_and_fails_once_its_degrees_of_freedom_are_fixed():
    parameters = scalars("location", "log_scale", "log_dof")
    found = checked(student, parameters)
    assert found.verdict == "pass"
    nu = parameters["log_dof"].exp()
    torch.testing.assert_close(found.direction["log_dof"], (nu + 1) / nu)
    torch.testing.assert_close(found.direction["log_scale"], -(nu + 1) / (2 * nu))
    assert abs(float(found.direction["location"])) < 1e-8
    fixed = checked(student, parameters, subset=["location", "log_scale"])
    assert fixed.verdict == "fail" and fixed.residual > 1e-3
    assert fixed.subset == ("location", "log_scale") and fixed.direction["log_dof"] == 0


FAILS = {
    "Weibull": lambda p: Weibull(p["log_scale"].exp(), p["log_shape"].exp(), validate_args=False),
    "Gumbel": lambda p: Gumbel(p["log_shape"], p["log_scale"].exp(), validate_args=False),
}


@pytest.mark.parametrize("name", FAILS)
def test_densities_that_are_not_closed_under_tempering_fail(name):
    parameters = scalars("log_scale", "log_shape")
    x = X.exp() if name == "Weibull" else X
    found = checked(FAILS[name], parameters, x)
    assert found.verdict == "fail" and found.residual > 1e-3 > TOLERANCE
    assert found.rank < found.equations == 30


def test_a_wrong_entropy_fails():
    """The entropy must be that of the density: a missing constant shows."""
    parameters = scalars("location", "log_scale", "log_dof")
    found = check_score_criterion(
        lambda p, x: student(p).log_prob(x[:, 0]),
        lambda p, x: student(p).entropy() + 1e-3,
        parameters,
        X,
    )
    assert found.verdict == "fail"


def test_the_poisson_distribution_needs_its_base_measure():
    family, p = families.Poisson(), {"log_rate": draw(1, g=generator("rate"))}
    x = family.sample(p["log_rate"].expand(40, 1), generator("counts"))

    def check(**options):
        return check_score_criterion(
            lambda p, x: family.log_prob(x, p["log_rate"]),
            lambda p, x: family.pseudo_entropy(p["log_rate"]),
            *(p, x),
            **options,
        )

    found = check(log_base_measure=family.log_base_measure)
    assert found.verdict == "pass"
    torch.testing.assert_close(found.direction["log_rate"], p["log_rate"], rtol=1e-7, atol=1e-9)
    assert check().verdict == "fail"


def test_over_complete_statistics_need_no_gauge():
    """log-softmax outputs: η fails without a gauge, the scores pass."""
    g, family = generator("over-complete"), families.Categorical()
    p = {"W": draw(4, 2, g=g), "b": draw(4, g=g)}
    z = draw(60, 2, g=g)

    def natural(p, z):
        return torch.log_softmax(z @ p["W"].T + p["b"], -1)

    x = family.sample(natural(p, z), g)
    assert check_criterion(natural, p, z).verdict == "fail"
    found = check_score_criterion(
        lambda p, xz: family.log_prob(xz[:, :4], natural(p, xz[:, 4:])),
        lambda p, xz: family.entropy(natural(p, xz[:, 4:])),
        p,
        torch.cat([x, z], 1),
    )
    assert found.verdict == "pass" and found.residual < 1e-10


def test_few_points_leave_it_undecided():
    parameters = scalars("log_scale", "log_shape")
    found = checked(FAILS["Gumbel"], parameters, X[:4])
    assert found.verdict == "undecided" and found.rank == found.equations == 2


def test_what_is_refused():
    parameters = scalars("location", "log_scale", "log_dof")
    with pytest.raises(ValueError, match=r"points must have shape \(P, K\)"):
        checked(student, parameters, X[:1])
    with pytest.raises(ValueError, match=r"points must have shape \(P,\): got \(60, 1\)"):
        check_distribution(student, parameters, X)
    with pytest.raises(ValueError, match="subset must name some of"):
        checked(student, parameters, subset=["scale"])
    with pytest.raises(ValueError, match="must be a float64 tensor"):
        checked(student, {name: value.float() for name, value in parameters.items()})
    with pytest.raises(ValueError, match=r"for each point, \(30,\): got shape \(30, 1\)"):
        check_score_criterion(lambda p, x: student(p).log_prob(x), lambda p, x: 0.0, parameters, X)
    with pytest.raises(ValueError, match=r"sum of shape \(30, 30\) for 30 points"):
        check_score_criterion(
            lambda p, x: student(p).log_prob(x[:, 0]), lambda p, x: x, parameters, X
        )
    with pytest.raises(ValueError, match="finite: found NaN or infinity"):
        checked(student, parameters | {"log_scale": torch.tensor(float("nan")).double()})


@pytest.mark.parametrize("spread", [0.0, 1e-6, 1e-4])
def test_points_that_hardly_differ_prove_nothing(spread):
    """A Weibull density fails; on points that are nearly the same it would pass."""
    x = 1 + spread * draw(40, g=generator("narrow points"))
    p = {"scale": draw(g=generator("narrow")), "shape": draw(g=generator("narrow, shape"))}

    def weibull(p):
        return Weibull(p["scale"].exp(), p["shape"].exp(), validate_args=False)

    found = check_distribution(weibull, p, x)
    assert found.verdict != "pass"
    wide = 1 + 0.5 * torch.rand(40, dtype=torch.float64, generator=generator("wide points"))
    assert check_distribution(weibull, p, wide).verdict == "fail"
