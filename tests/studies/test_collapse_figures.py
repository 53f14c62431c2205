"""The figures of single latents: what is drawn where, and bad calls."""

import numpy as np
import pytest
from matplotlib import pyplot

from companion.studies.collapse import figures


@pytest.fixture(autouse=True)
def _close():
    yield
    pyplot.close("all")


def test_every_latent_has_a_line_and_the_largest_is_darkest():
    values = np.array([[0.0, 0.1], [0.2, 1.0], [0.1, 2.0]])
    first, second = figures.contributions_over_steps([0, 1, 2], {"a": values, "b": values}).axes
    assert first.get_title() == "a"
    assert second.get_title() == "b"
    small, large = first.lines[:2]
    np.testing.assert_array_equal(large.get_ydata(), values[:, 1])
    assert sum(large.get_color()[:3]) < sum(small.get_color()[:3])


@pytest.mark.parametrize("panels", [{}, {"a": np.zeros((2, 3))}, {"a": np.zeros(3)}])
def test_panels_of_another_shape_are_refused(panels):
    with pytest.raises(ValueError, match="panels"):
        figures.contributions_over_steps([0, 1, 2], panels)


def test_bars_and_markers_are_sorted_by_the_bars():
    numbers = {"KL": [0.1, 3.0, 1.0], "difference": [0.0, 2.5, 1.5]}
    axes = figures.sorted_contributions({"model": numbers}).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [3.0, 1.0, 0.1]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [2.5, 1.5, 0.0])


@pytest.mark.parametrize("panels", [{}, {"a": {}}, {"a": {"KL": [1.0], "I": [1.0, 2.0]}}])
def test_numbers_of_different_length_are_refused(panels):
    with pytest.raises(ValueError, match="panels"):
        figures.sorted_contributions(panels)


def test_predicted_lines_and_learned_dots():
    noise = np.array([0.5, 1.0, 2.0])
    lines = np.array([[0.7, 0.3], [0.4, 0.0], [0.0, 0.0]])
    axes = figures.contributions_by_noise(noise, lines, noise[:1], lines[:1], [2.0, 1.0]).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), lines[:, 0])
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [0.7])
    with pytest.raises(ValueError, match="predicted and learned must have shapes"):
        figures.contributions_by_noise(noise, lines, noise, lines[:1], [2.0, 1.0])


def test_collapsed_latents_lie_on_the_diagonal():
    panel = (np.array([0.1, 0.5]), np.array([1.0, 0.5]), np.array([True, False]))
    axes = figures.prior_and_posterior_variances({"VAE": panel}).axes[0]
    active, collapsed = (line for line in axes.lines if line.get_label() in ("active", "collapsed"))
    assert (active.get_xdata(), active.get_ydata()) == ([0.1], [1.0])
    assert (collapsed.get_xdata(), collapsed.get_ydata()) == ([0.5], [0.5])


def test_a_marker_for_each_seed():
    axes = figures.active_latents(
        {"a": ([3, 4], [1.0, 2.0]), "b": ([5], [3.0])}, xlabel="active", ylabel="ELBO"
    ).axes[0]
    assert [len(line.get_xdata()) for line in axes.lines] == [2, 1]
    assert axes.lines[0].get_marker() != axes.lines[1].get_marker()
