"""Covariances of whole series against the filter's likelihood."""

import pytest
import torch
from scipy.stats import multivariate_normal

from companion import models
from companion.studies.time_series.levels import joint_normal, local_level, random_walk_normal

X = torch.tensor([[[1.0], [3.0], [2.5], [-1.0], [0.5]]], dtype=torch.float64)


def test_a_local_level_is_one_gaussian():
    model, parameters = models.LinearDynamical(1, 1), local_level(9.0, 2.0, 0.5)
    covariance = random_walk_normal(model.system(parameters), 5)
    wanted = multivariate_normal(cov=covariance).logpdf(X[0, :, 0].numpy())
    assert float(model.log_likelihood(parameters, X)) == pytest.approx(wanted, abs=1e-12)


def test_a_stationary_system_is_one_gaussian():
    model = models.LinearDynamical(1, 1, initial_type="stationary")
    parameters = model.initial_parameters(torch.Generator().manual_seed(3))
    mean, covariance = joint_normal(model.system(parameters), 5)
    wanted = multivariate_normal(mean, covariance).logpdf(X[0, :, 0].numpy())
    assert float(model.log_likelihood(parameters, X)) == pytest.approx(wanted, abs=1e-12)
