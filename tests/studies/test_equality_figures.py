"""Figures of equality without convergence: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import pyplot

from companion.fit import Trace
from companion.studies.equality import figures
from companion.theory.identity import verify
from tests.cases import point


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def test_gaps_at_zero_are_drawn_at_round_off():
    figure = figures.before_and_after(
        {"one": (-3.0, 0.0), "two": (2.0, 1e-13)}, {"one": (30.0, 20.0), "two": (5.0, 4.0)}
    )
    left, right = figure.axes
    assert left.lines[0].get_xdata().tolist() == [3.0, 2.0]
    assert left.lines[1].get_xdata().tolist() == [1e-16, 1e-13]
    assert right.lines[1].get_xdata().tolist() == [20.0, 4.0]
    assert [label.get_text() for label in left.get_yticklabels()] == ["one", "two"]


def test_orders_and_noise_have_logarithmic_axes():
    g = np.logspace(-4, -1, 4)
    for figure in (
        figures.orders_of_convergence(g, {"sum": g, "bound": g**2}),
        figures.noise_by_samples([1, 4, 16], {"a": [2.0, 1.0, 0.5], "b": [2.1, 1.1, 0.6]}),
    ):
        (axes,) = figure.axes
        assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.lines[2].get_ydata().tolist() == [2.0, 1.0, 0.5]


def test_the_unbounded_sum_marks_the_maximum():
    figure = figures.unbounded_sum([-2.0, 0.0], [-9.0, -8.0], [5.0, -8.0], best=-8.0, here=0.0)
    marked = figure.axes[0].lines[3]
    assert (marked.get_xdata()[0], marked.get_ydata()[0]) == (0.0, -8.0)


def test_certificates_are_divided_by_the_gap():
    record = verify(*point("vae-scalar-fixed-1-hidden/mlp-encoder"))
    figure = figures.certificate_ratios({"a": Trace((0, 1), (record, record))})
    full, support, blocks, _ = (line.get_ydata()[0] for line in figure.axes[0].lines)
    assert full >= support >= blocks >= 1
    assert blocks == record.certificate / abs(record.gap)
