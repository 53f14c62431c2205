"""The identity as a unit test for modules written the usual way, and bugs that it must catch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from companion import verify_module
from tests.cases import generator


class VAE(nn.Module):
    """A VAE-1 as many people write it: encoder with log-variance head, learnable noise."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.mean = nn.Linear(5, 7), nn.Linear(7, 2)
        self.log_variance = nn.Linear(7, 2)
        self.first, self.last = nn.Linear(2, 6), nn.Linear(6, 5)
        self.noise = nn.Parameter(torch.tensor(0.2))

    def forward(self, x):
        hidden = torch.tanh(self.encode(x))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        return self.last(torch.tanh(self.first(z))), mean, log_variance


def elbo(x, kl_factor=1.0, halved=True, constant=True, mean_kl=False, double=1.0):
    def value(m):
        reconstruction, mean, log_variance = m(x)
        square = ((x - reconstruction) ** 2).sum(1)
        log_likelihood = -0.5 * square * torch.exp(-double * m.noise) - 2.5 * m.noise
        if constant:
            log_likelihood = log_likelihood - 2.5 * math.log(2 * math.pi)
        kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp())
        kl = kl.mean(1) if mean_kl else kl.sum(1)
        return (log_likelihood - kl_factor * (kl if halved else 2 * kl)).mean()

    return value


def entropies(x):
    def value(m):
        log_variance = m.log_variance(torch.tanh(m.encode(x)))
        return 0.5 * log_variance.sum(1).mean() - 2.5 * (m.noise + math.log(2 * math.pi * math.e))

    return value


def direction(m):
    return {
        "noise": -1.0,
        "first.weight": -0.5 * m.first.weight,
        "mean.weight": 0.5 * m.mean.weight,
        "mean.bias": 0.5 * m.mean.bias,
        "log_variance.bias": 1.0,
    }


def module_and_data(dtype=torch.float64):
    torch.manual_seed(3)
    x = 2 * torch.randn(9, 5, generator=generator("module"), dtype=torch.float64).to(dtype)
    return VAE().to(dtype), x


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_correct_vae_passes_with_one_sample(dtype):
    module, x = module_and_data(dtype)
    report = verify_module(module, elbo(x), entropies(x), direction)
    assert report.passed
    assert abs(report.gap) > 0.1
    assert "the identity holds" in str(report)
    assert "the identity holds" in report._repr_html_()


@pytest.mark.parametrize(
    "bug",
    [
        {"mean_kl": True},
        {"halved": False},
        {"constant": False},
        {"kl_factor": 0.5},
        {"double": 2.0},
    ],
    ids=lambda bug: next(iter(bug)),
)
def test_classic_bugs_are_caught(bug):
    module, x = module_and_data()
    report = verify_module(module, elbo(x, **bug), entropies(x), direction)
    assert not report.passed
    assert report.residual > 1e-2
    assert "FAILS" in str(report)


def test_parameters_mode_gradients_and_random_state_are_left_alone():
    module, x = module_and_data()
    module.eval()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    state = torch.get_rng_state()
    verify_module(module, elbo(x), entropies(x), direction)
    assert torch.equal(state, torch.get_rng_state())
    assert not module.training
    assert all(p.grad is None for p in module.parameters())
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


def test_bad_input_is_named():
    module, x = module_and_data()
    good = elbo(x), entropies(x)
    with pytest.raises(ValueError, match="no parameter of the module"):
        verify_module(module, *good, {"sigma": -1.0})
    with pytest.raises(ValueError, match=r"direction\['noise'\] must be a number or have shape"):
        verify_module(module, *good, {"noise": torch.ones(3)})
    with pytest.raises(ValueError, match="at least one entry"):
        verify_module(module, *good, {})
    with pytest.raises(ValueError, match="elbo must return a finite scalar"):
        verify_module(module, lambda m: m(x)[0], good[1], direction)
    with pytest.raises(ValueError, match="entropy_sum must return a finite scalar"):
        verify_module(module, good[0], lambda m: m.noise * math.nan, direction)
    with pytest.raises(ValueError, match="must have parameters"):
        verify_module(nn.Tanh(), *good, {"noise": 1.0})
    with pytest.raises(ValueError, match="no gradient"):
        verify_module(module, lambda m: torch.tensor(1.0), good[1], direction)
    ticks = iter(range(100))
    with pytest.raises(ValueError, match="same value twice"):
        verify_module(module, lambda m: m.noise * next(ticks), good[1], direction)
