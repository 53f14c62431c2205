"""Figures on Theorem 1: what is drawn is what is given."""

from companion.book.panels import ROUND_OFF
from companion.studies.theorem_1 import figures
from tests.figures import curves


def test_residuals_are_drawn_over_the_size_of_gaps_of_either_sign():
    points = {"first": ([-2.0, 3.0], [1e-14, 1e-15]), "second": ([5.0], [0.0])}
    first, second = figures.gaps_and_residuals(points, 1e-12).axes
    assert curves(first)["gap below zero"] == ([2.0], [1e-14])
    assert curves(first)["gap above zero"] == ([3.0], [1e-15])
    assert curves(second)["gap above zero"] == ([5.0], [ROUND_OFF])
    assert first.get_ylim()[0] < ROUND_OFF < 1e-12 < first.get_ylim()[1]
