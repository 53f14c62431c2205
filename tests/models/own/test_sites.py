"""`verify_pyro`: the sites of Pyro programs, and which of Pyro's ELBOs a loss is."""

from __future__ import annotations

import sys

import pyro
import pytest
import torch
from pyro import distributions as dist
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, TraceMeanField_ELBO
from torch import nn

from companion.models.own.sites import verify_pyro


@pytest.fixture(autouse=True)
def _empty_store():
    pyro.clear_param_store()
    yield
    pyro.clear_param_store()


class Tutorial(nn.Module):
    """A VAE in Pyro's way: a plate over data, Bernoulli pixels, softplus widths."""

    def __init__(self, scale=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.enc, self.dec = nn.Linear(6, 4).double(), nn.Linear(2, 6).double()
        self.scale = scale

    def model(self, x):
        pyro.module("decoder", self.dec)
        with pyro.plate("data", len(x)):
            with poutine.scale(scale=self.scale):
                z = pyro.sample("z", dist.Normal(x.new_zeros(len(x), 2), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=self.dec(z)).to_event(1), obs=x)

    def guide(self, x):
        pyro.module("encoder", self.enc)
        mean, raw = self.enc(x).chunk(2, -1)
        with pyro.plate("data", len(x)), poutine.scale(scale=self.scale):
            pyro.sample("z", dist.Normal(mean, nn.functional.softplus(raw)).to_event(1))


def binary(points=20):
    return (torch.rand(points, 6, generator=torch.Generator().manual_seed(1)) < 0.4).double()


@pytest.mark.parametrize("estimator", [Trace_ELBO, TraceMeanField_ELBO])
def test_a_vae_matches_its_estimator(estimator):
    vae, x = Tutorial(), binary()
    found = verify_pyro(vae.model, vae.guide, x, loss=estimator())
    assert found.holds, found
    assert estimator.__name__ in found.matches
    assert ("Trace_ELBO" in found.matches) != ("TraceMeanField_ELBO" in found.matches)
    assert found.elbo == pytest.approx(-found.estimators["Trace_ELBO"], rel=1e-12)
    assert [s.name for s in found.sites] == ["z", "x"]


def mixture(x):
    weights = pyro.param("weights", torch.tensor([0.3, 0.7]).double(), dist.constraints.simplex)
    centres = pyro.param("centres", torch.tensor([-1.0, 2.0]).double())
    width = pyro.param("width", torch.tensor(0.7).double(), dist.constraints.positive)
    with pyro.plate("data", len(x)):
        c = pyro.sample("c", dist.Categorical(weights))
        pyro.sample("x", dist.Normal(centres[c], width), obs=x)


def responsibilities(x):
    logits = pyro.param("logits", torch.linspace(-1, 1, 2 * len(x)).double().reshape(len(x), 2))
    with pyro.plate("data", len(x)):
        pyro.sample("c", dist.Categorical(logits=logits))


def test_an_enumerated_mixture():
    x = torch.randn(15, generator=torch.Generator().manual_seed(2)).double()
    found = verify_pyro(mixture, responsibilities, x, loss=TraceEnum_ELBO())
    assert found.holds, found
    assert found.matches == ("TraceEnum_ELBO",)
    assert found.elbo == pytest.approx(-found.estimators["TraceEnum_ELBO"], rel=1e-12)
    q = torch.softmax(torch.linspace(-1, 1, 30).double().reshape(15, 2), 1)
    weights = torch.tensor([0.3, 0.7]).double()
    prior = next(s for s in found.sites if s.name == "c")
    assert prior.log_density == pytest.approx(float((q * weights.log()).sum()), rel=1e-6)
    assert prior.entropy == pytest.approx(-15 * float((weights * weights.log()).sum()), rel=1e-6)


def test_scales_and_factors_are_told():
    vae, x = Tutorial(scale=0.25), binary()
    found = verify_pyro(
        vae.model, vae.guide, x, loss=lambda m, g, x: 2 * Trace_ELBO().differentiable_loss(m, g, x)
    )
    assert found.holds, found
    assert "The loss is 2 times Trace_ELBO." in found.notes
    assert any(note.startswith("Site z has scale 0.25") for note in found.notes)
    assert found.elbo == pytest.approx(-found.estimators["Trace_ELBO"], rel=1e-12)
    assert not found.matches


def test_store_and_random_state_are_left_as_they_were():
    vae, x, state = Tutorial(), binary(), torch.get_rng_state()
    verify_pyro(vae.model, vae.guide, x)
    assert not pyro.get_param_store().keys()
    assert torch.equal(torch.get_rng_state(), state)


def test_losses_that_are_no_scalar_are_refused():
    vae, x = Tutorial(), binary()
    with pytest.raises(ValueError, match="loss must return a scalar"):
        verify_pyro(vae.model, vae.guide, x, loss=lambda m, g, x: x)


def test_without_pyro_one_sentence_says_what_to_install(monkeypatch):
    vae, x = Tutorial(), binary()
    monkeypatch.setitem(sys.modules, "pyro", None)
    with pytest.raises(ImportError, match=r"^verify_pyro needs Pyro: install pyro-ppl$"):
        verify_pyro(vae.model, vae.guide, x)
