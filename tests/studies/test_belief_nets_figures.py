"""Figures of sigmoid belief nets."""

from companion.studies.belief_nets import figures


def test_the_code_length_is_what_remains():
    axes = figures.code_length({"exact": (0.5, 2.0, 7.0), "point": (0.0, 2.0, 7.5)}).axes[0]
    assert [line.get_xdata()[0] for line in axes.lines] == [8.5, 9.5]
    assert [text.get_text().strip() for text in axes.texts] == ["8.50", "9.50"]
