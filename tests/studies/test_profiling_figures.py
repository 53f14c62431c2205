"""Figures of training on entropies: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import pyplot

from companion.studies.profiling import figures


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def test_runs_that_never_arrive_are_left_out():
    curves = {"a": ([0.01, 0.1], [300.0, np.inf]), "b": ([0.01, 0.1], [100.0, 50.0])}
    figure = figures.steps_by_rate({"one": curves, "two": curves})
    left, right = figure.axes
    first, second = left.lines
    assert first.get_ydata()[0] == 300
    assert np.isnan(first.get_ydata()[1])
    assert second.get_ydata().tolist() == [100, 50]
    assert left.get_xscale() == left.get_yscale() == "log"
    assert [label.get_text() for label in right.get_xticklabels()] == ["0.01", "0.1"]


def test_spectra_fall_and_leave_out_flat_directions():
    figure = figures.spectra({"one": {"plain": [1e-14, 1.0, 5.0], "inserted": [2.0, 1.0]}})
    plain, inserted = figure.axes[0].lines
    assert plain.get_ydata().tolist() == [5.0, 1.0]
    assert inserted.get_ydata().tolist() == [2.0, 1.0]
    assert inserted.get_xdata().tolist() == [1, 2]


def test_the_line_of_inserted_variances_and_both_marks_are_where_they_belong():
    figure = figures.distance_by_start([-1.0, 0.0], [3.0, 2.0], 0.5, start=1.5, best=-4.0)
    axes = figure.axes[0]
    curve, line, start, best = axes.lines
    assert curve.get_ydata().tolist() == [3.0, 2.0]
    assert set(line.get_ydata()) == {0.5}
    assert (start.get_xdata()[0], best.get_xdata()[0]) == (1.5, -4.0)


def test_the_runaway_keeps_the_whole_sum_in_sight():
    figure = figures.runaway([0, 1, 2], [-5.0, -9.0, -1e9], [-5.0, 20.0, 45.0], best=-5.0)
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    assert low == -65
    assert high > 45
    assert set(axes.lines[2].get_ydata()) == {-5.0}


def test_the_bias_is_drawn_with_two_standard_errors():
    figure = figures.bias_by_batch({"one": ([2, 4], [0.4, 0.2], [0.05, 0.02], [0.5, 0.25])})
    axes = figure.axes[0]
    assert axes.lines[0].get_ydata().tolist() == [0.5, 0.25]
    (bars,) = axes.collections
    lower, upper = bars.get_segments()[0][:, 1]
    assert (lower, upper) == pytest.approx((0.3, 0.5))
