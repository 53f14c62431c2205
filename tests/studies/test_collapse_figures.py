"""The figures of single latents: what is drawn where."""

import numpy as np

from companion.studies.collapse import figures
from tests.figures import curves, titles


def test_every_latent_has_a_line_and_the_largest_is_darkest():
    values = np.array([[0.0, 0.1], [0.2, 1.0], [0.1, 2.0]])
    figure = figures.contributions_over_steps([0, 1, 2], {"a": values, "b": values})
    assert titles(figure) == ["a", "b"]
    small, large = figure.axes[0].lines[-2:]
    np.testing.assert_array_equal(large.get_ydata(), values[:, 1])
    assert sum(large.get_color()[:3]) < sum(small.get_color()[:3])


def test_bars_and_markers_are_sorted_by_the_bars():
    numbers = {"KL": [0.1, 3.0, 1.0], "difference": [0.0, 2.5, 1.5]}
    axes = figures.sorted_contributions({"model": numbers}).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [3.0, 1.0, 0.1]
    assert curves(axes)["difference"][1] == [2.5, 1.5, 0.0]


def test_predicted_lines_and_learned_dots():
    noise = np.array([0.5, 1.0, 2.0])
    lines = np.array([[0.7, 0.3], [0.4, 0.0], [0.0, 0.0]])
    axes = figures.contributions_by_noise(noise, lines, noise[:1], lines[:1], [2.0, 1.0]).axes[0]
    predicted, _, learned, mark = axes.lines[:4]
    assert predicted.get_ydata().tolist() == [0.7, 0.4, 0.0]
    assert learned.get_ydata().tolist() == [0.7] and mark.get_xdata() == [2.0]
    assert predicted.get_color() == learned.get_color() == mark.get_color()


def test_collapsed_latents_lie_on_the_diagonal():
    panel = (np.array([0.1, 0.5]), np.array([1.0, 0.5]), np.array([True, False]))
    drawn = curves(figures.prior_and_posterior_variances({"VAE": panel}).axes[0])
    assert drawn["active"] == ([0.1], [1.0]) and drawn["collapsed"] == ([0.5], [0.5])
