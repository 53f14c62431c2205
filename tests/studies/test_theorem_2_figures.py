"""The figures of base measures: what is drawn where."""

import numpy as np

from companion.studies.theorem_2 import figures


def test_both_entropies_and_their_difference_are_drawn():
    left, right = figures.true_and_pseudo_entropy([1.0, 2.0], [3.0, 4.0], [2.0, 1.0]).axes
    np.testing.assert_array_equal(left.lines[1].get_ydata(), [3.0, 4.0])
    np.testing.assert_array_equal(left.lines[2].get_ydata(), [2.0, 1.0])
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [1.0, 3.0])
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "true entropy",
        "pseudo-entropy",
    ]


def test_the_line_of_dispersion_spans_all_groups_and_equidispersion():
    groups = {"real": ([2.0, 4.0], [-0.4, -1.3]), "drawn": ([1.5], [-0.2])}
    axes = figures.dispersion_and_gap(groups).axes[0]
    line, real, drawn = axes.lines[2:]
    np.testing.assert_array_equal(line.get_xdata(), [1.0, 4.0])
    np.testing.assert_array_equal(line.get_ydata(), [0.0, -1.5])
    np.testing.assert_array_equal(real.get_ydata(), [-0.4, -1.3])
    np.testing.assert_array_equal(drawn.get_xdata(), [1.5])
