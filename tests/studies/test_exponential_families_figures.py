"""Figures on exponential families and on Theorem 1: what is drawn is what is given."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
from matplotlib import pyplot

from companion import families
from companion.studies.exponential_families import figures


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
    left, right = figures.tangent_and_entropy(eta[:, 0], A, mean, H, [2, 6]).axes
    tangents = [shape for shape in left.lines if shape.get_linestyle() == "--"]
    assert len(tangents) == 2
    for tangent, index in zip(tangents, (2, 6), strict=True):
        assert np.isclose(np.interp(0, *tangent.get_data()), float(H[index]), atol=1e-12)
    assert np.allclose(line(right, "entropy (nats)").get_ydata(), H)


def test_residuals_fall_on_the_side_of_their_verdict():
    figure = figures.criterion_residuals({"good": 0.0, "bad": 0.3, "near": 5e-3}, 1e-8)
    axes = figure.axes[0]
    assert len(line(axes, "passes").get_xdata()) == 1
    assert sorted(line(axes, "fails").get_xdata()) == [5e-3, 0.3]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["good", "bad", "near"]


def test_plane_histogram_and_nodes_can_be_drawn_from_tensors():
    first, second = torch.linspace(-2, 2, 9), torch.linspace(-2, -0.1, 7)
    values = first[None] ** 2 - second[:, None]
    figure = figures.log_partition_plane(first, second, values, values, {"ray": (first, -first)})
    assert len(figure.axes) == 2
    x = torch.linspace(0, 1, 20)
    assert line(figures.histogram_and_density(x, x, {"p": 1 + x}, "x").axes[0], "p") is not None
    nodes = figures.residual_against_nodes([8, 16], {"head": ([1e-15, 1e-3], [0.1, 0.2])}, 12)
    assert list(line(nodes.axes[0], "head: held out").get_ydata()) == [0.1, 0.2]
