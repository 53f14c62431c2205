"""Families with independent columns against densities of one column."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from companion import (
    families,
)
from tests.cases import draw, generator
from tests.models.helpers import (
    N,
)


def test_categorical_product_is_a_product():
    g = generator("product")
    family, single = families.CategoricalProduct(2), families.Categorical()
    eta, x = draw(N, 6, g=g), torch.eye(3, dtype=torch.float64)[torch.tensor([[0, 2], [1, 1]])]
    log_p = family.log_prob(x.flatten(1), eta[:2])
    parts = single.log_prob(x, eta[:2].reshape(2, 2, 3)).sum(-1)
    torch.testing.assert_close(log_p, parts)
    drawn = family.sample(eta.repeat(4000, 1), g)
    assert family.invalid(drawn) is None
    frequency = drawn.reshape(4000, N, 6).mean(0)
    torch.testing.assert_close(frequency, family.mean_parameters(eta), atol=0.04, rtol=0)
    with pytest.raises(ValueError, match="groups must be a positive integer"):
        families.CategoricalProduct(0)


def test_zero_laplace_against_scipy():
    scale = torch.tensor([0.5, 3.0], dtype=torch.float64)
    family, x = families.ZeroLaplace(), torch.tensor([[-1.2, 0.3]], dtype=torch.float64)
    eta = family.natural_parameters(scale)
    oracle = stats.laplace(scale=scale.numpy())
    assert float(family.log_prob(x, eta)[0]) == pytest.approx(oracle.logpdf(x.numpy()).sum())
    assert float(family.entropy(eta)) == pytest.approx(oracle.entropy().sum())
    drawn = family.sample(eta.repeat(40_000, 1), generator("laplace"))
    for column, size in zip(drawn.T, scale, strict=True):
        assert stats.kstest(column.numpy(), "laplace", args=(0, float(size))).pvalue > 1e-3
