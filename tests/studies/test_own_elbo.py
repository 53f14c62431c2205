"""The VAE written the usual way: planted mistakes have the predicted residuals, or none."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from companion import verify_module
from companion.studies.own_elbo import public, usual_vae
from companion.studies.own_elbo.usual_vae import UsualVAE, planted
from tests.cases import generator

N, D, H = 11, 6, 3
CHAPTER = Path(__file__).parents[2] / "notebooks" / "is-my-elbo-right.ipynb"


@pytest.fixture
def vae():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        module = UsualVAE(D, H, hidden=7).double()
        nn.init.normal_(module.encoder[-1].bias)
    return module


@pytest.fixture
def x():
    return torch.randn(N, D, dtype=torch.float64, generator=generator("usual"))


def report(module, x, sums=usual_vae.entropy_sum):
    return verify_module(module, lambda m: m.elbo(x), lambda m: sums(m, x), usual_vae.direction)


def widths(vae, x):
    """(1/N) Σ_n Σ_h log τ_h, the difference of the entropies of q and prior."""
    return 0.5 * float(vae.encode(x)[1].detach().sum(-1).mean())


def test_the_right_programs_pass(vae, x):
    right = report(vae, x)
    assert right.passed
    assert abs(right.gap) > 0.1
    assert report(planted(vae, usual_vae.SampledKL), x, usual_vae.sampled_entropy_sum).passed


def test_the_elbo_is_that_of_torch_distributions(vae, x):
    from torch.distributions import Normal, kl_divergence

    torch.manual_seed(9)
    ours = vae.elbo(x)
    mean, log_variance = vae.encode(x)
    q = Normal(mean, (log_variance / 2).exp())
    torch.manual_seed(9)
    z = q.rsample()
    density = Normal(vae.decoder(z), (vae.log_variance / 2).exp()).log_prob(x).sum(-1)
    prior = Normal(torch.zeros_like(z), 1.0)
    torch.testing.assert_close(ours, (density - kl_divergence(q, prior).sum(-1)).mean())
    torch.manual_seed(9)
    sampled = (density + (prior.log_prob(z) - q.log_prob(z)).sum(-1)).mean()
    torch.testing.assert_close(planted(vae, usual_vae.SampledKL).elbo(x), sampled)


@pytest.mark.parametrize(
    ("mistake", "predicted"),
    [
        ("AveragedKL", lambda vae, x: (1 - 1 / H) * widths(vae, x)),
        ("LeftoverBeta", lambda vae, x: 0.5 * widths(vae, x)),
        ("ForgottenHalf", lambda vae, x: D / 2 * (1 + float(vae.log_variance.detach()))),
        ("MissingConstant", lambda vae, x: D / 2 * math.log(2 * math.pi)),
        ("CutGradient", lambda vae, x: report(vae, x).blocks["decoder.0.weight"]),
    ],
)
def test_residuals_are_as_predicted(vae, x, mistake, predicted):
    wrong = report(planted(vae, getattr(usual_vae, mistake)), x)
    assert not wrong.passed
    assert wrong.residual > 1e-3
    assert wrong.residual == pytest.approx(abs(predicted(vae, x)), rel=1e-9)


def test_squared_widths_are_seen(vae, x):
    assert report(planted(vae, usual_vae.SquaredWidth), x).residual > 1e-3


def test_a_cut_gradient_leaves_the_value(vae, x):
    assert report(planted(vae, usual_vae.CutGradient), x).elbo == report(vae, x).elbo


def test_a_doubled_error_is_not_seen(vae, x):
    doubled = report(planted(vae, usual_vae.DoubledError), x)
    assert doubled.passed
    assert abs(doubled.elbo - report(vae, x).elbo) > 1


def test_missing_samples_show_with_a_sampled_kl_only(vae, x):
    closed = planted(vae, usual_vae.SilentAtEvaluation).eval()
    assert report(closed, x).passed
    assert report(closed, x).elbo != report(vae, x).elbo
    sampled = planted(vae, usual_vae.SilentSampledKL).eval()
    noise = torch.randn(N, H, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    seen = report(sampled, x, usual_vae.sampled_entropy_sum)
    assert seen.residual == pytest.approx(float(noise.square().sum(1).mean() / 2), rel=1e-9)
    assert report(sampled.train(), x, usual_vae.sampled_entropy_sum).passed


def test_a_mistake_in_both_is_not_seen(vae, x):
    silent = planted(vae, usual_vae.SilentSampledKL).eval()
    both = report(silent, x, lambda m, x: usual_vae.sampled_entropy_sum(m, x, m.sample))
    assert both.passed


def test_planting_keeps_parameters_mode_and_random_state(vae):
    state = torch.get_rng_state()
    twin = planted(vae.eval(), usual_vae.AveragedKL)
    assert torch.equal(torch.get_rng_state(), state)
    assert not twin.training
    assert twin.log_variance.dtype == torch.float64
    for name, value in vae.state_dict().items():
        assert torch.equal(twin.state_dict()[name], value)
    assert twin.log_variance is not vae.log_variance


def test_the_test_that_readers_paste_works_and_can_fail(monkeypatch):
    cells = json.loads(CHAPTER.read_text("utf-8"))["cells"]
    (source,) = ["".join(c["source"]) for c in cells if c["id"] == "bugs-pytest"]
    (block,) = re.findall(r"^```python\n(.*?)^```", source, re.M | re.S)
    namespace = {}
    exec(compile(block, "the pasted test", "exec"), namespace)
    namespace["test_elbo"](seed=1)
    monkeypatch.setattr(UsualVAE, "kl", usual_vae.AveragedKL.kl)
    with pytest.raises(AssertionError, match="FAILS"):
        namespace["test_elbo"](seed=1)


class Softplus(UsualVAE):
    """A standard deviation from a softplus."""

    def encode(self, x):
        mean, raw = super().encode(x)
        return mean, 2 * nn.functional.softplus(raw).log()


class Clamped(UsualVAE):
    """A log-variance that is clamped."""

    def encode(self, x):
        mean, log_variance = super().encode(x)
        return mean, log_variance.clamp(-1, 0.5)


@pytest.mark.parametrize("kind", [UsualVAE, Softplus, Clamped, usual_vae.SampledKL])
def test_a_right_program_needs_no_layer_names(vae, x, kind):
    found = public.asked(planted(vae, kind), x)
    assert found.passed, found


def kl_of(entries):
    """A program with another KL divergence, from mean and log-variance."""
    return type("Wrong", (UsualVAE,), {"kl": lambda s, z, m, v: entries(m, v).sum(-1)})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            lambda m, v: m**2 + 0.5 * (v.exp() - 1 - v),
            "The squared mean in the KL divergence is",
        ),
        (lambda m, v: 0.5 * (v.exp() - 1 - v), "The squared mean in the KL divergence is missing."),
        (lambda m, v: 0.5 * (m**2 - 1 - v), "The variance τ² in the KL divergence is missing."),
    ],
)
def test_what_the_identity_does_not_see_of_a_kl_divergence_is_named(vae, x, wrong, says):
    program = planted(vae, kl_of(wrong))
    assert report(program, x).passed
    found = public.asked(program, x)
    assert found.findings[0].startswith(says)
    assert not found.value_right and not found.gradient_right


class Fixed(UsualVAE):
    """σ = 1, a number: squared error and KL divergence."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        del self.log_variance
        self.log_variance = torch.zeros(())


def test_fixed_noise_passes_with_the_row_of_the_table(x):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = Fixed(D, H).double()

    def pseudo(m):
        mean, log_variance = m.encode(x)
        mu = m.decoder(m.sample(mean, log_variance))
        base = -(x.square().sum(1) / 2).mean() - D / 2 * math.log(2 * math.pi)
        return log_variance.sum(1).mean() / 2 + (mu.square().sum(1) / 2).mean() + base

    def last_layer(m):
        moved = {k: v for k, v in usual_vae.direction(m).items() if k != "log_variance"}
        last = {"decoder.2.weight": m.decoder[2].weight, "decoder.2.bias": m.decoder[2].bias}
        return moved | last

    assert verify_module(vae, lambda m: m.elbo(x), pseudo, last_layer).passed
    assert public.asked(vae, x).passed
    told = CHAPTER.read_text("utf-8")
    assert "fixed noise (squared error" in told and "softplus or a clamp in the encoder" in told


@pytest.mark.parametrize("design", public.DESIGNS, ids=lambda design: design.__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_public_designs_have_their_verdicts(design, dtype):
    pictures = torch.rand(30, 64, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = public.judged(design, pictures, seed=0)
    says, right = {
        public.ErrorAndKL: ("The reconstruction term is 2 times", False),
        public.EntropyAndKL: ("", True),
        public.WeightedMeans: ("The KL divergence is 0.008 times", False),
        public.OptimalNoise: ("", True),
        public.Capacity: ("The KL divergence has a capacity: it enters as 100 · |KL − 5|.", False),
        public.Distributions: ("", True),
    }[design]
    assert found.entropies.holds
    assert found.passed == right
    assert " ".join(found.findings).startswith(says)
    assert bool(found.findings) != right
