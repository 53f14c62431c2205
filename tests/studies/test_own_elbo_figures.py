"""Figures of the chapters on a reader's own code and model: what is drawn where."""

import numpy as np

from companion.studies.own_elbo import figures


def test_residuals_are_drawn_with_their_predictions():
    figure = figures.residuals_by_case({"right": 0.0, "wrong": -2.0}, {"wrong": 2.0}, 1e-12)
    axes = figure.axes[0]
    measured = axes.collections[1].get_offsets()
    np.testing.assert_allclose(measured, [[1e-17, 1.0], [2.0, 0.0]])
    predicted, tolerance = axes.lines
    np.testing.assert_array_equal(predicted.get_xydata(), [[2.0, 0.0]])
    assert set(tolerance.get_xdata()) == {1e-12}
    assert [text.get_text() for text in axes.get_yticklabels()] == ["right", "wrong"]
