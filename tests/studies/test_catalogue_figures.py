"""The figure of all residuals shows every number it is given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import pyplot

from companion.studies.catalogue import figures


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    pyplot.close("all")


def test_every_residual_is_drawn_on_the_line_of_its_name():
    right = {"first": [1e-16, 0.0], "second": [3e-15]}
    wrong = {"first": [0.1, 0.2], "second": [0.03]}
    (axes,) = figures.residual_lines(right, wrong, bound=1e-12).axes
    good, bad, line = axes.lines
    np.testing.assert_allclose(good.get_xdata(), [1e-16, 1e-17, 3e-15])
    np.testing.assert_allclose(good.get_ydata(), [0, 0, 1])
    np.testing.assert_allclose(bad.get_xdata(), [0.1, 0.2, 0.03])
    assert line.get_xdata()[0] == 1e-12 and axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["first", "second"]
    lower, upper = axes.get_xlim()
    assert lower < 1e-17 and upper > 0.2
    assert axes.yaxis_inverted(), "the first name stands on top"
