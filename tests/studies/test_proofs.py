"""Every proof goes through and a wrong v, entropy or density stops it; symbols are the code's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy as sp
import torch

from companion import families, models
from companion.studies.catalogue import entries
from companion.studies.proofs import (
    CONTRADICTIONS,
    FACTORS,
    FAMILIES,
    THETA,
    Proved,
    Refuted,
    agreement,
    evaluate,
    expected_direction,
    statements_of,
)
from companion.support import tree
from companion.theory.identity import full_direction

ALL = FAMILIES | FACTORS
ENTRIES = entries()


@pytest.mark.parametrize("name", ALL)
def test_it_is_proved(name):
    assert ALL[name].reduced == 0 and ALL[name].terms_left == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_a_wrong_sign_of_any_block_and_a_step_where_there_is_none_are_seen(name):
    statement = ALL[name]
    assert abs(statement.probe()) < 1e-20
    moved = statement.coordinates if name not in INDIFFERENT else statement.direction
    for block in moved:
        assert abs(statement.turned(block).probe()) > 1e-3, block


#: In these the coordinates beside v are weights: a step of them is seen as well, but f's is small.
INDIFFERENT = ("fixed Gaussian prior, encoder",)


@pytest.mark.parametrize("name", ["Gamma", "Beta", "VonMises", "log-variance head"])
def test_a_wrong_entropy_and_a_wrong_density_leave_terms(name):
    statement = ALL[name]
    assert replace(statement, entropy=statement.entropy + 1).terms_left > 0
    assert replace(statement, log_density=2 * statement.potential).terms_left > 0
    (block, *_) = statement.direction
    assert statement.turned(block).terms_left > 0


@pytest.mark.parametrize("family", families.EVERY_FAMILY, ids=repr)
def test_the_symbols_are_the_code_of_the_family(family):
    found = agreement(family)
    assert max(found.density, found.base_measure, found.entropy, found.direction) < 1e-12
    assert set(FAMILIES[type(family).__name__].coordinates) == set(family.coordinates)


def test_no_family_is_left_out():
    assert FAMILIES.keys() == {type(family).__name__ for family in families.EVERY_FAMILY}


@pytest.mark.parametrize(
    "part", ["log_partition", "log_base_measure", "pseudo_entropy", "direction"]
)
def test_a_family_that_computes_something_else_is_seen(part):
    class Poisson(families.Poisson):
        pass

    right = getattr(families.Poisson, part)

    def off(self, *arguments):
        value = right(self, *arguments)
        return tuple(-v for v in value) if isinstance(value, tuple) else value + 1e-6

    setattr(Poisson, part, off)
    found = agreement(Poisson())
    assert max(found.density, found.base_measure, found.entropy, found.direction) > 1e-8


def test_gaussians_of_mixtures_and_noise_are_the_code():
    g = torch.Generator().manual_seed(0)
    mean, x, lv = (torch.randn(3, dtype=torch.float64, generator=g) for _ in range(3))
    below = torch.randn(3, 3, dtype=torch.float64, generator=g).tril(-1)
    values = {
        f"{n}[{i}]": float(t[i]) for n, t in (("x", x), ("m", mean), ("d", lv)) for i in range(3)
    }
    values |= {f"L[{i}, {j}]": float(below[i, j]) for i in range(3) for j in range(i)}
    factor = below + torch.diag(lv.exp())
    full = families.FullGaussian()
    natural = full.natural_parameters(mean, factor @ factor.T)
    statement = FACTORS["full covariance"]
    assert evaluate(statement.potential, values) == pytest.approx(
        float(full.log_prob(x, natural)), rel=1e-9
    )
    assert evaluate(statement.entropy, values) == pytest.approx(
        float(full.entropy(natural)), rel=1e-12
    )
    diagonal, noise = families.DiagonalGaussian(), FACTORS["Gaussian noise"]
    natural = diagonal.natural_parameters(mean, lv.exp())
    each = [{"x": float(x[d]), "mu": float(mean[d]), "b": float(lv[d])} for d in range(3)]
    for expression, code in (
        (noise.potential, diagonal.log_prob(x, natural)),
        (noise.entropy, diagonal.entropy(natural)),
    ):
        assert sum(evaluate(expression, v) for v in each) == pytest.approx(float(code), rel=1e-12)


@pytest.mark.parametrize(
    "entry", ENTRIES, ids=lambda e: f"{e.name}/{'exact' if e.q is None else 'free'}"
)
def test_v_of_every_row_of_the_catalogue_is_that_of_its_proofs(entry):
    parameters, q = entry.random(torch.Generator().manual_seed(1))
    merged = tree.merge(parameters, q.parameters)
    code = full_direction(entry.model, parameters, q)
    proved = expected_direction(statements_of(entry.model, merged), merged)
    assert code.keys() == proved.keys()
    for name, v in code.items():
        torch.testing.assert_close(v, proved[name], rtol=1e-12, atol=1e-13, msg=name)


def test_the_covariance_of_a_stationary_start_is_that_of_the_code():
    model = models.LinearDynamical(observed=1, latent=2, initial_type="stationary")
    parameters = model.initial_parameters(torch.Generator().manual_seed(1))
    system, z = model.system(parameters), torch.tensor([0.7, -1.3], dtype=torch.float64)
    below, diagonal = (parameters[f"transition_{n}"] for n in ("cholesky", "log_diagonal"))
    values = {f"x[{i}]": float(z[i]) for i in range(2)} | {"L[1, 0]": float(below[1, 0])}
    values |= {f"d[{i}]": float(diagonal[i]) for i in range(2)}
    values |= {f"A[{i}, {j}]": float(system.transition[i, j]) for i in range(2) for j in range(2)}
    found = evaluate(FACTORS["stationary covariance"].potential, values)
    assert found == pytest.approx(float(z @ system.initial_covariance @ z), rel=1e-12)


def test_what_has_no_statement_is_refused():
    odd = families.Custom(lambda x: x, lambda eta: eta.exp().sum(-1))
    model = models.GenerativeModel(
        families.Bernoulli(), lambda p: p["prior_logits"], odd, lambda p, z: z @ p["weights"].T
    )
    with pytest.raises(ValueError, match="no statement for the factor observable"):
        statements_of(model, ["prior_logits", "weights"])


def test_rows_use_every_statement_but_the_one_without_a_model():
    used = {
        statement.name
        for entry in ENTRIES
        for statement, _ in statements_of(entry.model, parameter_names(entry))
    }
    assert ALL.keys() - used == {"standard deviation linear in z"}


def parameter_names(entry):
    parameters, q = entry.random(torch.Generator().manual_seed(1))
    return tree.merge(parameters, q.parameters)


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_breaks_is_refuted_at_a_few_points(name):
    case = CONTRADICTIONS[name]
    assert len(case.points) == len(case.columns) and abs(case.determinant) > 1e-3


@pytest.mark.parametrize("name", ["Exponential", "Gamma", "StudentT"])
def test_what_is_proved_is_not_refuted(name):
    """The same equations for a family that has a v: the determinant is round-off of 40 digits."""
    statement = FAMILIES[name]
    (x,) = [s for s in statement.potential.free_symbols if s.name == "x"]
    unknown = list(statement.coordinates.values())
    log_p = statement.potential
    columns = (*(sp.diff(log_p, p) for p in unknown), sp.Integer(1), log_p)
    case = replace(
        CONTRADICTIONS["Gumbel"],
        columns=columns,
        points=tuple({x: sp.Integer(n)} for n in (1, 2, 4, 7, 9)[: len(columns)]),
        at={p: sp.Rational(1, 2) for p in unknown},
    )
    assert abs(case.determinant) < 1e-25
    assert Refuted((case,)).rows()[0][-1] == "undecided"


def test_tables_say_what_was_found():
    gamma = FAMILIES["Gamma"]
    assert Proved((gamma,)).rows()[0][-2:] == (0, "proved")
    assert Proved((gamma.turned("log_rates"),)).rows()[0][-1] == "not proved"
    assert "θ/2" in Proved((FACTORS["full covariance"],)).rows()[0][1]


def test_a_step_is_not_taken_from_a_parameter_that_moved_already():
    """v of one parameter may be another: (a, b) moves by (b, a), and a² − b² stays."""
    a, b = sp.symbols("a b", real=True)
    still = replace(
        FAMILIES["Exponential"],
        potential=a**2 - b**2,
        entropy=b**2 - a**2,
        coordinates={"a": a, "b": b},
        direction={"a": b, "b": a},
    )
    assert still.slope == 0 and still.reduced == 0
    assert THETA not in still.slope.free_symbols
