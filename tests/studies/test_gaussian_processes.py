"""What the chapter on Gaussian processes computes and draws."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from companion import elbo, models
from companion.studies.gaussian_processes.processes import (
    band,
    centres,
    diabetes,
    learned,
    over_inducing,
    predicted,
    titsias,
)
from tests.cases import draw, generator

INPUTS, AT = draw(15, 1, g=generator("inputs")), draw(6, 1, g=generator("new inputs"))
Y = INPUTS.sin().T + 0.1 * draw(1, 15, g=generator("noise"))
EXACT = models.GaussianProcess(INPUTS)
OWN = EXACT.initial_parameters(generator("hyperparameters"))


def test_predictions_are_those_of_scikit_learn():
    s, length, r = (OWN[name].exp().item() for name in EXACT.shapes)
    oracle = GaussianProcessRegressor(ConstantKernel(s) * RBF(length), alpha=r, optimizer=None)
    mean, std = oracle.fit(INPUTS, Y[0]).predict(AT, return_std=True)
    for model in (EXACT, models.GaussianProcess(INPUTS, INPUTS)):
        ours = predicted(model, OWN, Y, AT)
        np.testing.assert_allclose(ours[0], mean, atol=1e-5)
        np.testing.assert_allclose(ours[1], std, atol=1e-5)


def test_titsias_formula_and_learning_over_inducing_points():
    ends = over_inducing(INPUTS, Y, (2, 3), OWN)
    assert list(ends) == [2, 3] and ends[2].gradient_norm < 1e-8
    model = models.GaussianProcess(INPUTS, centres(INPUTS, 3))
    value = float(elbo(model, ends[3].parameters, None, Y))
    assert abs(titsias(model, ends[3].parameters, Y[0]) - value) < 1e-6
    held = learned(model, OWN, Y, fixed=("log_variance",))
    assert held.parameters["log_variance"] == OWN["log_variance"]


def test_patients_are_standardised():
    places, progress = diabetes()
    assert places.shape == (442, 3) and progress.shape == (1, 442)
    for each in (*places.T, progress[0]):
        assert abs(float(each.mean())) < 1e-12 and abs(float(each.square().mean()) - 1) < 1e-12
    assert centres(places, 5).shape == (5, 3)


def test_bands_are_two_deviations_wide_and_marks_lie_below_the_data():
    at, y = np.arange(5.0), np.array([1.0, 3.0, 2.0, 5.0, 4.0])
    series = {"a": (torch.ones(5), 0.5 * torch.ones(5), []), "b": (at, at, [1.5, 2.5])}
    figure = band(at, y, at, series, "y")
    first, second = figure.axes
    path = first.collections[0].get_paths()[0].vertices
    assert path[:, 1].min() == 0 and path[:, 1].max() == 2
    assert [line.get_label() for line in first.get_lines()] == ["observed", "expected"]
    marks = second.get_lines()[-1]
    assert marks.get_xdata().tolist() == [1.5, 2.5] and max(marks.get_ydata()) < min(y)
