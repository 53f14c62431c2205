"""Figures of training on entropies: what is drawn is what was given."""

import numpy as np
import pytest

from companion.studies.profiling import figures
from tests.figures import curves, words


def test_runs_that_never_arrive_are_left_out():
    lines = {"a": ([0.01, 0.1], [300.0, np.inf]), "b": ([0.01, 0.1], [100.0, 50.0])}
    left, right = figures.steps_by_rate({"one": lines, "two": lines}).axes
    np.testing.assert_array_equal(curves(left)["a"][1], [300, np.nan])
    assert curves(left)["b"][1] == [100, 50]
    assert left.get_xscale() == left.get_yscale() == "log"
    assert words(right.get_xticklabels()) == ["0.01", "0.1"]


def test_the_line_of_inserted_variances_and_both_marks_are_where_they_belong():
    figure = figures.distance_by_start([-1.0, 0.0], [3.0, 2.0], 0.5, start=1.5, best=-4.0)
    drawn = curves(figure.axes[0])
    assert drawn["variances learned"][1] == [3, 2]
    assert set(drawn["best variances inserted"][1]) == {0.5}
    assert [text.get_position()[0] for text in figure.axes[0].texts] == [1.5, -4.0]


def test_the_bias_is_drawn_with_two_standard_errors():
    figure = figures.bias_by_batch({"one": ([2, 4], [0.4, 0.2], [0.05, 0.02], [0.5, 0.25])})
    axes = figure.axes[0]
    assert curves(axes)["predicted, leading order"][1] == [0.5, 0.25]
    (bars,) = axes.collections
    lower, upper = bars.get_segments()[0][:, 1]
    assert (lower, upper) == pytest.approx((0.3, 0.5))
