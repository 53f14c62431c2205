"""Figures of the chapters on a reader's own code and model: what is drawn where."""

import numpy as np
import pytest

from companion import plots


def test_residuals_are_drawn_with_their_predictions():
    figure = plots.residuals_by_case({"right": 0.0, "wrong": -2.0}, {"wrong": 2.0}, 1e-12)
    axes = figure.axes[0]
    measured = axes.collections[1].get_offsets()
    np.testing.assert_allclose(measured, [[1e-17, 1.0], [2.0, 0.0]])
    predicted, tolerance = axes.lines
    np.testing.assert_array_equal(predicted.get_xydata(), [[2.0, 0.0]])
    assert set(tolerance.get_xdata()) == {1e-12}
    assert [text.get_text() for text in axes.get_yticklabels()] == ["right", "wrong"]


def test_frequencies_of_counts_are_relative():
    figure = plots.count_frequencies([1, 1, 3], [1, 2, 3], {"flat": [0.5, 0.25, 0.25]})
    data, flat = figure.axes[0].lines
    np.testing.assert_allclose(data.get_xydata(), [[1, 2 / 3], [3, 1 / 3]])
    np.testing.assert_array_equal(flat.get_ydata(), [0.5, 0.25, 0.25])
    with pytest.raises(ValueError, match="at least 1: found 0"):
        plots.count_frequencies([0, 1], [1], {})
