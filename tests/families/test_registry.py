"""Every family of the registry: complete, in its own words, and against sums and quadrature."""

from __future__ import annotations

import inspect

import pytest
import torch

from companion import families, models
from companion.families import ExponentialFamily, Family
from companion.studies.temperature.tempering import tempered_log_prob
from tests.cases import FAMILIES, draw, generator
from tests.oracles import Measured, every_value

every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
every_draw = pytest.mark.parametrize("seed", range(3))


def at_random(family: Family, seed: int) -> tuple[torch.Tensor, Measured]:
    """η from coordinates near 0.4, where p and its powers have no pole, and what is measured."""
    g = generator(f"registry {type(family).__name__} {seed}")
    size = 1 if family.independent_columns else 4
    theta = [0.4 + 0.15 * draw(size, g=g) for _ in family.coordinates]
    natural = family.from_coordinates(*theta)
    return natural, Measured(family, natural, *every_value(family, theta))


def test_one_of_each_family_with_coordinates_of_its_own_is_in_the_registry():
    kinds = [kind for kind in vars(families).values() if inspect.isclass(kind)]
    shared = ((), ExponentialFamily.coordinates)
    own = {kind for kind in kinds if issubclass(kind, Family) and kind.coordinates not in shared}
    assert len(own) == len(FAMILIES) == 17
    assert {type(family) for family in FAMILIES} == own


@every_family
def test_a_family_says_its_coordinates_and_v_in_words(family):
    named, block = family.in_words.split("; ")
    assert [part.split()[0] for part in named.split(", ")] == list(family.coordinates)
    assert len(block.split(", ")) == len(family.coordinates)
    assert set(family.kinks) <= set(family.coordinates)
    arguments = {name: torch.zeros(4, dtype=torch.float64) for name in family.coordinates}
    blocks = family.direction(**arguments)
    assert torch.equal(
        family.from_coordinates(**arguments), family.from_coordinates(*arguments.values())
    )
    assert [b.shape for b in blocks] == [(4,)] * len(arguments)


@every_family
def test_the_base_measure_is_constant_where_it_is_one(family):
    model = models.FamilyMixture(family, 4, 2)
    g = generator("base " + type(family).__name__)
    x = family.sample(model.component_natural(model.initial_parameters(g)).repeat(9, 1), g)
    assert family.constant_base_measure == bool((family.log_base_measure(x) == 0).all())


@every_draw
@every_family
def test_probabilities_are_one_in_all(family, seed):
    _, measured = at_random(family, seed)
    assert measured.total == pytest.approx(1, abs=1e-12)
    assert family.invalid(measured.x) is None


@every_draw
@pytest.mark.parametrize(
    "family",
    [family for family in FAMILIES if isinstance(family, ExponentialFamily)],
    ids=lambda family: type(family).__name__,
)
def test_mean_parameters_are_the_means_of_the_statistics(family, seed):
    natural, measured = at_random(family, seed)
    expected = measured.mean(family.statistics(measured.x))
    torch.testing.assert_close(family.mean_parameters(natural), expected, rtol=1e-11, atol=1e-12)


@every_draw
@every_family
def test_entropies_are_means_of_the_log_density(family, seed):
    natural, measured = at_random(family, seed)
    pseudo = float(family.pseudo_entropy(natural))
    assert pseudo == pytest.approx(measured.pseudo_entropy, rel=1e-11, abs=1e-12)
    if family.constant_base_measure or isinstance(family, families.GammaFixedShape):
        true = float(family.entropy(natural))
        assert true == pytest.approx(measured.entropy, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("t", (0.5, 0.9, 2.0))
@every_draw
@every_family
def test_tempered_densities_are_normalised_powers(family, seed, t):
    natural, measured = at_random(family, seed)
    expected = measured.log_normaliser(t)
    time = torch.tensor(t, dtype=torch.float64)
    found = float(family.log_tempered_normaliser(natural, time))
    assert found == pytest.approx(expected, rel=1e-11, abs=1e-11)
    powers = t * measured.log_p + (1 - t) * measured.log_h - expected
    ours = tempered_log_prob(family, measured.x, natural, t)
    torch.testing.assert_close(ours, powers, rtol=1e-11, atol=1e-11)
