"""Figures on exponential families and on Theorem 1: what is drawn is what is given."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
from matplotlib import pyplot

from companion import families, plots


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def line(axes, label):
    return next(shape for shape in axes.lines if shape.get_label() == label)


def test_tangents_cross_the_axis_at_the_entropy():
    family = families.Bernoulli()
    eta = torch.linspace(-4, 4, 9, dtype=torch.float64)[:, None]
    A, mean, H = family.log_partition(eta), family.mean_parameters(eta)[:, 0], family.entropy(eta)
    left, right = plots.tangent_and_entropy(eta[:, 0], A, mean, H, [2, 6]).axes
    tangents = [shape for shape in left.lines if shape.get_linestyle() == "--"]
    assert len(tangents) == 2
    for tangent, index in zip(tangents, (2, 6), strict=True):
        assert np.isclose(np.interp(0, *tangent.get_data()), float(H[index]), atol=1e-12)
    assert np.allclose(line(right, "entropy (nats)").get_ydata(), H)


def test_residuals_fall_on_the_side_of_their_verdict():
    figure = plots.criterion_residuals({"good": 0.0, "bad": 0.3, "near": 5e-3}, 1e-8)
    axes = figure.axes[0]
    assert len(line(axes, "passes").get_xdata()) == 1
    assert sorted(line(axes, "fails").get_xdata()) == [5e-3, 0.3]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["good", "bad", "near"]


def test_gaps_are_drawn_over_slopes_with_the_diagonal():
    points = {"model": ([-2.0, 3.0], [-2.0, 3.5], [1e-16, 0.1])}
    left, right = plots.gap_against_slope(points, 1e-12).axes
    drawn = line(left, "model")
    assert list(drawn.get_xdata()) == [-2.0, 3.5] and list(drawn.get_ydata()) == [-2.0, 3.0]
    assert line(right, "model").get_xdata()[-1] == 0.1


def test_the_highest_elbo_is_marked():
    axes = plots.along_direction([0, 1, 2], [1.0, 3.0, 2.0], [0, 3, 6], 0.0, "t").axes[0]
    mark = line(axes, "highest ELBO")
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (1, 3)


def test_the_thermometer_has_one_bar_for_each_moment_and_parameter():
    blocks = {"start": {"W": 1.0, "b": -1e-3}, "end": {"W": 1e-16}}
    axes = plots.thermometer(blocks).axes[0]
    assert [patch.get_width() for patch in axes.patches] == [1.0, -1e-3, 1e-16, 0.0]


def test_affine_gap_and_prediction_show_the_points_they_are_given():
    _, right = plots.affine_gap([0, 0.5, 1], [0, 1, 1], [1, 1, 0], [-1, 0, 1]).axes
    assert list(line(right, "straight line").get_ydata()) == [-1, 1]
    axes = plots.predicted_and_measured([1, 2], [3, 4], [3, 5], xlabel="x", ylabel="y").axes[0]
    assert list(line(axes, "measured").get_ydata()) == [3, 5]


def test_plane_histogram_and_nodes_can_be_drawn_from_tensors():
    first, second = torch.linspace(-2, 2, 9), torch.linspace(-2, -0.1, 7)
    values = first[None] ** 2 - second[:, None]
    figure = plots.log_partition_plane(first, second, values, values, {"ray": (first, -first)})
    assert len(figure.axes) == 2
    x = torch.linspace(0, 1, 20)
    assert line(plots.histogram_and_density(x, x, {"p": 1 + x}, "x").axes[0], "p") is not None
    nodes = plots.residual_against_nodes([8, 16], {"head": ([1e-15, 1e-3], [0.1, 0.2])}, 12)
    assert list(line(nodes.axes[0], "head: held out").get_ydata()) == [0.1, 0.2]
