"""Annealing, sums over all states and learning of the chapter on Boltzmann machines."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from companion import elbo, entropy_sum, models, verify
from companion.studies.undirected.annealing import annealed
from companion.studies.undirected.machines import coarse_digits, every_state, learned
from tests.cases import draw, generator


def machine(observed, latent):
    model = models.BoltzmannMachine(observed, latent)
    return model, model.initial_parameters(generator("machine"))


def test_annealing_estimates_what_enumeration_gives():
    model, parameters = machine(6, 4)
    found = annealed(parameters, 300, 2000, generator("chains"))
    natural = model.factors[0].natural(parameters, model.states)
    exact = float(model.family.log_partition(natural))
    assert abs(float(found.log_partitions[-1]) - exact) < 5 * float(found.errors[-1]) < 0.1
    assert float(found.log_partitions[0]) == pytest.approx(10 * np.log(2), rel=1e-14)
    for k in (100, 200):
        there = float(model.family.log_partition(found.t[k] * natural))
        assert abs(float(found.log_partitions[k]) - there) < 5 * float(found.errors[k])
    expected = float((natural * model.family.mean_parameters(natural)).sum())
    assert abs(float(found.potentials.mean()) - expected) < 5 * found.potential_error
    joint, error = float(model.family.entropy(natural)), found.potential_error + found.errors[-1]
    assert abs(dict(found.rows())["joint entropy"] - joint) < 5 * float(error)


def test_learning_climbs_and_blocks_become_pixels():
    digits = torch.zeros(1, 64)
    digits[0, [2, 10]] = 9.0
    digits[0, [0, 1, 11, 40]] = 16.0
    assert coarse_digits(digits)[0].tolist() == [1.0] + [0.0] * 15
    x = (draw(50, 6, g=generator("small")) > 0).double()
    model = models.BoltzmannMachine(6, 2)
    few = learned(model, x, 1, generator("start"))
    many = learned(model, x, 30, generator("start"))
    assert model.log_likelihood(many, x) > model.log_likelihood(few, x) + 0.01


def test_every_state_is_counted():
    model, parameters = machine(4, 3)
    x = (draw(9, 4, g=generator("rows")) > 0).double()
    found, sums = every_state(parameters, x), entropy_sum(model, parameters, None, x)
    assert found.joint == pytest.approx(float(sums.hidden["joint"]), rel=1e-12)
    assert found.given_data == pytest.approx(float(sums.posterior), rel=1e-12)
    assert found.log_likelihood == pytest.approx(float(elbo(model, parameters, None, x)), rel=1e-12)
    assert found.joint == pytest.approx(found.observed + found.given_model, rel=1e-12)


def test_weight_decay_leaves_the_gap_that_it_should():
    x = (draw(50, 6, g=generator("decayed")) > 0).double()
    model = models.BoltzmannMachine(6, 2)
    own = learned(model, x, 200, generator("start"), decay=0.02)
    gap = 0.02 * float(own["weights"].square().sum())
    assert verify(model, own, None, x).gap == pytest.approx(gap, abs=1e-9) and gap > 1e-4
