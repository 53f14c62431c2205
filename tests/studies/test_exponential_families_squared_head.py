"""The expectation that a squared head leaves infinite, against SciPy's quadrature."""

import math

import pytest
import torch
from scipy.integrate import quad

from companion.studies.exponential_families.squared_head import by_nodes, outside


@pytest.mark.parametrize("nearest", [1e-3, 0.1, 1.0])
def test_the_expectation_outside_of_a_gap_is_scipys(nearest):
    def density(a):
        return math.exp(-0.5 * (a - 0.3) ** 2) / (a * a * math.sqrt(2 * math.pi))

    parts = [quad(density, *ends, limit=500)[0] for ends in ((nearest, 1), (1, 40))]
    parts += [quad(density, *ends, limit=500)[0] for ends in ((-1, -nearest), (-40, -1))]
    found = float(outside(torch.tensor([nearest]).double()))
    assert found == pytest.approx(sum(parts), rel=1e-6)


def test_it_grows_without_limit_and_node_rules_hide_that():
    near = outside(torch.tensor([1e-5, 1e-6]).double())
    assert float(near[1] / near[0]) == pytest.approx(10, rel=1e-4)
    assert max(by_nodes((10, 20, 40))) < 1e-3 * float(near[1])
