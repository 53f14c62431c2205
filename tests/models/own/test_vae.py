"""`verify_vae`: right programs pass, planted mistakes are named, and nothing is left behind."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from companion.models.own.vae import verify_vae
from tests.models.own import designs


def report(name, mistake=None, seed=0, dtype=torch.float64):
    net, _, given, words = designs.build(name, seed, dtype)
    loss = designs.right(net) if mistake is None else designs.MISTAKES[mistake].plant(net)
    return verify_vae(*given, loss=loss, **words)


@pytest.mark.parametrize("name", designs.DESIGNS)
def test_right_programs_pass(name, threads):
    for dtype in (torch.float64, torch.float32):
        for count in (1, 2):
            threads(count)
            found = report(name, dtype=dtype, seed=count)
            assert found.passed, found
            assert not found.findings


@pytest.fixture
def threads():
    """Sets the number of torch's threads, and puts it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def planted():
    return [
        (name, mistake)
        for name in designs.DESIGNS
        for mistake, what in designs.MISTAKES.items()
        if not what.only or name in what.only
    ]


@pytest.mark.parametrize(("number", "name", "mistake"), [(n, *p) for n, p in enumerate(planted())])
def test_mistakes_are_named(number, name, mistake):
    what = designs.MISTAKES[mistake]
    found = report(name, mistake, dtype=(torch.float64, torch.float32)[number % 2])
    assert re.search(what.says, " ".join(found.findings)), found
    assert (found.value_right, found.gradient_right) == (what.value, what.gradient)


class Stubborn(designs.FixedNoise):
    """Runs in float32 only, as some custom kernels do."""

    def encode(self, x):
        if self.enc[0].weight.dtype != torch.float32:
            raise RuntimeError("expected float32")
        return super().encode(x)


@pytest.mark.parametrize("mistake", [None, "β = ½", "z detached", "mean for sample", "−1 lost"])
def test_what_refuses_float64_is_judged_in_its_own_precision(mistake, monkeypatch):
    monkeypatch.setitem(designs.DESIGNS, "fixed noise", Stubborn)
    found = report("fixed noise", mistake, dtype=torch.float32)
    assert any("does not run in float64" in note for note in found.notes)
    if mistake is None:
        assert found.passed, found
    else:
        what = designs.MISTAKES[mistake]
        assert re.search(what.says, " ".join(found.findings)), found
        assert (found.value_right, found.gradient_right) == (what.value, what.gradient)


def test_the_usual_vae_of_fixed_noise_is_right():
    """Squared error and KL, σ = 1: the VAE that most people write."""
    torch.manual_seed(0)
    encoder, decoder, x = nn.Linear(6, 4), nn.Linear(2, 6), torch.rand(50, 6)

    def loss(x):
        mean, log_variance = encoder(x).chunk(2, -1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
        return (0.5 * ((x - decoder(z)) ** 2).sum(1) + kl).mean()

    found = verify_vae(
        lambda x: encoder(x).chunk(2, -1), decoder, x, loss=loss, likelihood="gaussian"
    )
    assert found.gradient_right
    assert not found.value_right
    assert found.findings == (
        "The constant (D/2) log 2π is missing: 5.51363 nats for each data point.",
    )
    assert found.entropies.holds
