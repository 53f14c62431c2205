"""A training step can be recorded on a GPU: nothing in it reads a number."""

import pytest
import torch

from companion import models
from companion.support import checks
from companion.support.doors import door
from companion.theory import nodes
from companion.training import Plan
from companion.training.run import _objective

KINDS = [
    ("scalar", (), "exp", False, ()),
    ("scalar", (5,), "softplus", False, ()),
    ("pixel", (5,), "exp", True, ("noise", "prior")),
    ("head", (5,), "exp", True, ("prior",)),
    ("softplus", (5, 5), "softplus", False, ()),
]


@pytest.mark.parametrize("samples", [1, 12])
@pytest.mark.parametrize(("noise", "hidden", "scale", "prior", "profile"), KINDS)
def test_a_step_reads_no_number(noise, hidden, scale, prior, profile, samples, monkeypatch):
    """Tensors without numbers, of the device "meta", refuse what a recording refuses."""
    monkeypatch.setattr(checks, "recording", lambda: True)
    model = models.GaussianVAE(4, 2, hidden, noise, prior)
    encoder = models.Encoder(4, 2, hidden, scale=scale)
    start = {f"p.{k}": v for k, v in model.initial_parameters().items()}
    start |= {f"q.{k}": v for k, v in encoder.initial_parameters().items()}
    at = {k: torch.stack([v, v]).to("meta", torch.float32) for k, v in start.items()}
    at = {k: v.requires_grad_() for k, v in at.items()}
    given = [torch.empty(size, device="meta") for size in ((2, 6, 4), (2, 6, samples, 2))]
    weights = torch.empty(samples, device="meta")
    objective = _objective(model, encoder, Plan(samples=samples, profile=profile), 2, 6)

    @door
    def step() -> None:
        objective(at, *given, weights).backward()

    step()
    assert all(v.grad is not None for v in at.values())


def test_outside_of_a_recording_weights_are_read():
    assert not checks.recording()
    with pytest.raises(ValueError, match="sum to one"):
        nodes.probabilities(torch.tensor([0.5, 0.4]), "weights must be such that they")
