"""Sums and integrals of a density see what the identity cannot."""

from __future__ import annotations

import math

import pytest
import torch

from companion import families, models
from companion.families.sums import sums


def natural_of(family, seed=0):
    model = models.FamilyMixture(family, 1 if family.independent_columns else 4, 2)
    generator = torch.Generator().manual_seed(seed)
    return model.component_natural(model.initial_parameters(generator))


@pytest.mark.parametrize("family", families.EVERY_FAMILY, ids=repr)
def test_every_family_agrees_with_sums_of_its_density(family):
    limit = 1e-6 if isinstance(family, families.Beta) else 1e-10
    # Beta variables next to 1 are rounded to it: what lies there is left out.
    assert max(sums(family, natural_of(family))) < limit


class Constant(families.Geometric):
    def log_partition(self, natural):
        return super().log_partition(natural) + 0.3


class Base(families.Poisson):
    def log_base_measure(self, x):
        return -torch.lgamma(x + 2).sum(-1)


class Sign(families.VonMises):
    def pseudo_entropy(self, natural):
        return -super().pseudo_entropy(natural)


class Mean(families.Bernoulli):
    def mean_parameters(self, natural):
        return torch.sigmoid(-natural)


def test_each_mistake_shows_where_it_must():
    constant = sums(Constant(), natural_of(families.Geometric()))
    assert constant.total == pytest.approx(1 - math.exp(-0.3), rel=1e-10)
    assert sums(Base(), natural_of(families.Poisson())).total > 0.1
    assert sums(Sign(), natural_of(families.VonMises())).entropy > 0.1
    assert sums(Mean(), natural_of(families.Bernoulli())).mean > 0.1
