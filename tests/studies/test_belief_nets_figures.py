"""Figures of sigmoid belief nets."""

from companion.studies.belief_nets import figures
from tests.figures import words


def test_the_code_length_is_what_remains():
    parts = {"exact": (0.5, 2.0, 7.0), "point": (0.0, 2.0, 7.5)}
    axes = figures.code_length(parts, unit="bits").axes[0]
    assert [mark[0, 0] for mark in axes.collections[0].get_segments()] == [8.5, 9.5]
    assert [word.strip() for word in words(axes.texts)] == ["8.50", "9.50"]
    assert words(axes.get_yticklabels()) == list(parts)
