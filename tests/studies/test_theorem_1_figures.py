"""Figures on Theorem 1: what is drawn is what is given."""

from companion.studies.theorem_1 import figures
from tests.figures import curves


def test_gaps_are_drawn_over_slopes_with_the_diagonal():
    points = {"model": ([-2.0, 3.0], [-2.0, 3.5], [1e-16, 0.1])}
    left, right = figures.gap_against_slope(points, 1e-12).axes
    assert curves(left)["model"] == ([-2.0, 3.5], [-2.0, 3.0])
    diagonal, steps = left.lines[0], right.lines[0]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    assert steps.get_xdata()[-1] == 0.1 and steps.get_ydata()[-1] == 1


def test_the_gap_is_drawn_on_a_straight_line():
    left, right = figures.affine_gap([0, 0.5, 1], [0, 1, 1], [1, 1, 0], [-1, 0, 1]).axes
    assert curves(left)["entropy sum"] == ([0, 0.5, 1], [1, 1, 0])
    assert curves(right)["straight line"] == ([0, 1], [-1, 1])
    assert curves(right)["gap"] == ([0, 0.5, 1], [-1, 0, 1])
