"""Figures of a gap in its parts: what is drawn is what was computed."""

import numpy as np
import pytest
import torch

from companion import fit, models
from companion.studies.layers import figures

LAYERS = {
    "top": ["prior_logits"],
    "hidden": ["hidden.weights", "hidden.bias"],
    "pixels": ["weights", "bias"],
}


@pytest.fixture(autouse=True)
def close_all():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture
def trace():
    generator = torch.Generator().manual_seed(0)
    model = models.DeepSigmoidBeliefNet(observed=4, hidden=2, latent=1)
    x = (torch.rand(20, 4, generator=generator, dtype=torch.float64) < 0.5).double()
    parameters = model.initial_parameters(generator)
    return fit.adam(model, parameters, None, x, steps=6, log_every=2).trace


def test_every_dimension_has_a_bar_of_its_part():
    parts = {"before": np.array([0.2, -0.3, 0.1]), "after": np.zeros(3)}
    axes = figures.gap_by_dimension(["a", "b", "c"], parts).axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == [0.2, -0.3, 0.1, 0, 0, 0]
    rows = [bar.get_y() for bar in axes.patches[:3]]
    assert rows == sorted(rows, reverse=True)  # the first name on top
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]


@pytest.mark.parametrize("parts", [{}, {"point": [1.0, 2.0]}])
def test_parts_that_do_not_fit_the_names(parts):
    with pytest.raises(ValueError, match="one for each of 3 dimensions"):
        figures.gap_by_dimension(["a", "b", "c"], parts)


def test_the_parts_of_all_layers_are_drawn_and_make_up_the_slope(trace):
    axes = figures.gap_by_layer(trace, LAYERS).axes[0]
    assert [line.get_label() for line in axes.lines] == list(LAYERS)
    blocks = trace.records[-1].blocks
    for line, names in zip(axes.lines, LAYERS.values(), strict=True):
        assert tuple(line.get_xdata()) == trace.steps
        assert line.get_ydata()[-1] == pytest.approx(abs(sum(blocks[name] for name in names)))
    assert sum(blocks.values()) == pytest.approx(trace.records[-1].gap, abs=1e-12)
    assert len(figures.gap_by_layer(trace, LAYERS, skip=1).axes[0].lines[0].get_xdata()) == 3


def test_a_layer_with_an_unknown_parameter(trace):
    with pytest.raises(ValueError, match=r"got \['U'\]"):
        figures.gap_by_layer(trace, {"top": ["U"]})
