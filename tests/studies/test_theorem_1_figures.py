"""Figures on exponential families and on Theorem 1: what is drawn is what is given."""

import matplotlib

matplotlib.use("Agg")

import pytest
from matplotlib import pyplot

from companion.book import charts
from companion.studies.theorem_1 import figures


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def line(axes, label):
    return next(shape for shape in axes.lines if shape.get_label() == label)


def test_gaps_are_drawn_over_slopes_with_the_diagonal():
    points = {"model": ([-2.0, 3.0], [-2.0, 3.5], [1e-16, 0.1])}
    left, right = figures.gap_against_slope(points, 1e-12).axes
    drawn = line(left, "model")
    assert list(drawn.get_xdata()) == [-2.0, 3.5] and list(drawn.get_ydata()) == [-2.0, 3.0]
    assert line(right, "model").get_xdata()[-1] == 0.1


def test_the_highest_elbo_is_marked():
    axes = figures.along_direction([0, 1, 2], [1.0, 3.0, 2.0], [0, 3, 6], 0.0, "t").axes[0]
    mark = line(axes, "highest ELBO")
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (1, 3)


def test_the_thermometer_has_one_bar_for_each_moment_and_parameter():
    blocks = {"start": {"W": 1.0, "b": -1e-3}, "end": {"W": 1e-16}}
    axes = figures.thermometer(blocks).axes[0]
    assert [patch.get_width() for patch in axes.patches] == [1.0, -1e-3, 1e-16, 0.0]


def test_affine_gap_and_prediction_show_the_points_they_are_given():
    _, right = figures.affine_gap([0, 0.5, 1], [0, 1, 1], [1, 1, 0], [-1, 0, 1]).axes
    assert list(line(right, "straight line").get_ydata()) == [-1, 1]
    axes = charts.predicted_and_measured([1, 2], [3, 4], [3, 5], xlabel="x", ylabel="y").axes[0]
    assert list(line(axes, "measured").get_ydata()) == [3, 5]
