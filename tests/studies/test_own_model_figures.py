"""Figures of the chapter on a model of one's own."""

import numpy as np
import pytest

from companion.studies.own_model import figures


def test_frequencies_of_counts_are_relative():
    figure = figures.count_frequencies([1, 1, 3], [1, 2, 3], {"flat": [0.5, 0.25, 0.25]})
    data, flat = figure.axes[0].lines
    np.testing.assert_allclose(data.get_xydata(), [[1, 2 / 3], [3, 1 / 3]])
    np.testing.assert_array_equal(flat.get_ydata(), [0.5, 0.25, 0.25])
    with pytest.raises(ValueError, match="at least 1: found 0"):
        figures.count_frequencies([0, 1], [1], {})
