"""Figures of a gap in its parts: what is drawn is what was computed."""

import pytest
import torch

from companion import fit, models
from companion.studies.layers import figures

LAYERS = {
    "top": ["prior_logits"],
    "hidden": ["hidden.weights", "hidden.bias"],
    "pixels": ["weights", "bias"],
}


@pytest.fixture
def trace():
    generator = torch.Generator().manual_seed(0)
    model = models.DeepSigmoidBeliefNet(observed=4, hidden=2, latent=1)
    x = (torch.rand(20, 4, generator=generator, dtype=torch.float64) < 0.5).double()
    parameters = model.initial_parameters(generator)
    return fit.adam(model, parameters, None, x, steps=6, log_every=2).trace


def test_the_parts_of_all_layers_are_drawn_and_make_up_the_slope(trace):
    axes = figures.gap_by_layer(trace, LAYERS).axes[0]
    assert [line.get_label() for line in axes.lines] == list(LAYERS)
    blocks = trace.records[-1].blocks
    for line, names in zip(axes.lines, LAYERS.values(), strict=True):
        assert tuple(line.get_xdata()) == trace.steps
        assert line.get_ydata()[-1] == pytest.approx(abs(sum(blocks[name] for name in names)))
    assert sum(blocks.values()) == pytest.approx(trace.records[-1].gap, abs=1e-12)


def test_a_layer_with_an_unknown_parameter(trace):
    with pytest.raises(ValueError, match=r"got \['U'\]"):
        figures.gap_by_layer(trace, {"top": ["U"]})
