"""The figures of streaming model selection: what is drawn where, and bad calls."""

import numpy as np
import pytest

from companion.studies.streaming import figures

MARKS = {"switches": (0, 4), "truth": (2, 4)}


def test_a_trace_is_the_median_of_each_bin():
    values = np.array([0.0, 2.0, 10.0, 30.0, 5.0, 5.0, 1.0, 3.0])
    figure = figures.score_traces(
        {"a": {"one": values}, "b": {"one": -values}}, ylabel="score", bins=4, **MARKS
    )
    left, right = figure.axes
    assert left.lines[0].get_xydata().tolist() == [[1, 1], [3, 20], [5, 5], [7, 2]]
    assert right.lines[0].get_ydata().tolist() == [-1, -20, -5, -2]
    assert left.lines[1].get_xdata() == [4, 4]  # the switch, and none at batch 0
    assert len(left.lines) == 2
    assert [text.get_text() for text in left.texts] == ["true: 2", "true: 4"]


def test_strips_show_the_most_frequent_choice():
    chosen = np.array([[2, 2, 2, 4, 4, 4, 0, 0]])
    figure = figures.choice_strips({"a": chosen}, (2, 4), bins=2, **MARKS)
    truth, strip = (axes.images[0].get_array() for axes in figure.axes)
    assert truth.tolist() == [[1, 2]]
    assert strip.tolist() == [[1, 0]]  # a tie between 4 and nothing goes to nothing


def test_after_a_switch_the_bins_average_every_batch_once():
    values = np.arange(12.0).reshape(2, 6)
    axes = figures.after_switch({"a": {"one": values}}, ylabel="v", bins=3).axes[0]
    line = axes.lines[0]
    np.testing.assert_allclose(line.get_ydata(), [3, 4.5, 7])  # batches 0; 1, 2; 3, 4, 5
    assert axes.get_xscale() == axes.get_yscale() == "log"
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (0.0, 10.0)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: figures.score_traces({}, ylabel="s", **MARKS), "scores must be of one length"),
        (
            lambda: figures.score_traces({"a": {"x": [1], "y": [1, 2]}}, ylabel="s", **MARKS),
            r"one length, at least one: got \[1, 2\]",
        ),
        (
            lambda: figures.score_traces(
                {"a": {"x": [1]}}, ylabel="s", switches=(0,), truth=(2, 4)
            ),
            "equally many: got 1 and 2",
        ),
        (lambda: figures.choice_strips({}, (2, 4), **MARKS), "choices must be of one length"),
        (lambda: figures.after_switch({"a": {"x": [1.0]}}, ylabel="s"), r"shape \(S, t\)"),
    ],
)
def test_bad_calls(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
