"""The figures of decoders for discrete data and for fixed noise: what is drawn where."""

import numpy as np
import pytest

from companion.studies.discrete import figures
from tests.figures import curves, titles, words


def test_each_variable_has_its_panel_and_bands_end_at_one():
    probabilities = np.array([[[0.2, 0.8], [0.5, 0.5]], [[0.6, 0.4], [0.1, 0.9]]])
    figure = figures.category_bands([0.0, 1.0], probabilities, ["a", "b"], ["low", "high"])
    assert titles(figure) == ["a", "b"]
    low, high = figure.axes[1].collections
    assert low.get_paths()[0].get_extents().y1 == pytest.approx(0.5)
    assert high.get_paths()[0].get_extents().y1 == pytest.approx(1.0)


def test_names_and_categories_must_fit_the_probabilities():
    with pytest.raises(ValueError, match="must have shape"):
        figures.category_bands([0.0], np.ones((1, 2, 2)), ["a"], ["low", "high"])
    with pytest.raises(ValueError, match="at most 4 categories"):
        figures.category_bands([0.0], np.ones((1, 1, 5)), ["a"], list("abcde"))


def test_each_form_has_a_panel_and_the_small_gaps_a_scale_of_their_own():
    figure = figures.gap_over_variance(
        [0.5, 2.0], [-1.0, 1.0], [1e-15, -1e-14], [0.5, 1, 2], [3, 4, 5], 1
    )
    left, right = figure.axes
    assert curves(left)["predicted"][1] == [3, 4, 5]
    assert curves(left)["at stationary points"][1] == [-1, 1]
    assert curves(right)["at stationary points"][1] == [1e-15, 1e-14]
    assert (left.get_yscale(), right.get_yscale()) == ("linear", "log")
    assert right.get_ylim()[0] < 1e-15 and right.get_ylim()[1] > 1
    assert words(left.get_xticklabels()) == ["0.5"]
