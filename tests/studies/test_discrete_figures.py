"""The figures of decoders for discrete data and for fixed noise: what is drawn where."""

import numpy as np
import pytest

from companion.studies.discrete import figures


def test_the_dot_sits_on_the_highest_log_probability_and_entropies_enter_negative():
    axes = figures.inverse_temperature([0.5, 1.0, 2.0], [-4.0, -3.0, -5.0], [6.0, 3.5, 2.0]).axes[0]
    scores, entropies, dot, here = axes.lines
    np.testing.assert_array_equal(scores.get_ydata(), [-4.0, -3.0, -5.0])
    np.testing.assert_array_equal(entropies.get_ydata(), [-6.0, -3.5, -2.0])
    assert (list(dot.get_xdata()), list(dot.get_ydata())) == ([1.0], [-3.0])
    assert set(here.get_xdata()) == {1}


def test_each_variable_has_its_panel_and_bands_end_at_one():
    probabilities = np.array([[[0.2, 0.8], [0.5, 0.5]], [[0.6, 0.4], [0.1, 0.9]]])
    panels = figures.category_bands([0.0, 1.0], probabilities, ["a", "b"], ["low", "high"]).axes
    assert [panel.get_title() for panel in panels] == ["a", "b"]
    low, high = panels[1].collections
    assert low.get_paths()[0].get_extents().y1 == pytest.approx(0.5)
    assert high.get_paths()[0].get_extents().y1 == pytest.approx(1.0)


def test_names_and_categories_must_fit_the_probabilities():
    with pytest.raises(ValueError, match="must have shape"):
        figures.category_bands([0.0], np.ones((1, 2, 2)), ["a"], ["low", "high"])
    with pytest.raises(ValueError, match="at most 4 categories"):
        figures.category_bands([0.0], np.ones((1, 1, 5)), ["a"], list("abcde"))


def test_both_forms_and_the_prediction_are_drawn_over_the_variance():
    figure = figures.gap_over_variance(
        [0.5, 2.0], [-1.0, 1.0], [0.0, 0.1], [0.5, 1, 2], [3, 4, 5], 1
    )
    zero, best, predicted, true, pseudo = figure.axes[0].lines
    np.testing.assert_array_equal(predicted.get_ydata(), [3, 4, 5])
    np.testing.assert_array_equal(true.get_ydata(), [-1.0, 1.0])
    np.testing.assert_array_equal(pseudo.get_ydata(), [0.0, 0.1])
    assert (set(zero.get_ydata()), set(best.get_xdata())) == ({0}, {1})
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["0.5", "2"]
