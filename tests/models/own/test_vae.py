"""`verify_vae`: right programs pass, planted mistakes are named, and nothing is left behind."""

from __future__ import annotations

import math
import random
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import ContinuousBernoulli, Normal

from companion.models.own.vae import verify_vae
from tests.models.own import designs


def report(name, mistake=None, seed=0, dtype=torch.float64):
    net, _, given, words = designs.build(name, seed, dtype)
    loss = designs.right(net) if mistake is None else designs.MISTAKES[mistake].plant(net)
    return verify_vae(*given, loss=loss, **words)


DTYPES = torch.float64, torch.float32


def with_a_dtype(cases):
    """Each case (a tuple) with the one dtype or the other, in turn; with both if `crossed`."""
    return [
        pytest.param(*case, dtype, marks=[pytest.mark.crossed] if (number + other) % 2 else [])
        for number, case in enumerate(cases)
        for other, dtype in enumerate(DTYPES)
    ]


@pytest.mark.parametrize(
    ("name", "count", "dtype"),
    with_a_dtype((name, 1 + number // 2 % 2) for number, name in enumerate(designs.DESIGNS)),
)
def test_right_programs_pass(name, count, dtype, threads):
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
    """Every mistake in every design: each in a fifth of them by default, the rest `crossed`."""
    for number, (mistake, what) in enumerate(designs.MISTAKES.items()):
        fitting = [name for name in designs.DESIGNS if not what.only or name in what.only]
        for place, name in enumerate(fitting):
            turn = (place - number) % min(5, len(fitting))
            dtype = DTYPES[(number + place // 5) % 2]
            yield pytest.param(name, mistake, dtype, marks=[pytest.mark.crossed] if turn else [])


@pytest.mark.parametrize(("name", "mistake", "dtype"), list(planted()))
def test_mistakes_are_named(name, mistake, dtype):
    what = designs.MISTAKES[mistake]
    found = report(name, mistake, dtype=dtype)
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
    said = next(note for note in found.notes if "does not run in float64" in note)
    assert "as may 1e-3 inside a logarithm, can't be seen" in said
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
    assert ("its value", "is NOT the negative ELBO") in found.rows()


def test_a_constant_that_is_missing_from_a_scaled_term_is_said_to_be_scaled():
    parts = small()
    encoder, decoder, *_ = parts

    def loss(x):
        mean, log_variance = encoder(x).chunk(2, -1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
        return (((x - decoder(z)) ** 2).sum(1) + kl).mean()

    assert any(
        sentence.startswith(
            "The constant (D/2) log 2π is missing, 2 times as the whole reconstruction term: 11.02"
        )
        for sentence in judged(parts, loss).findings
    )


def small(dtype=torch.float64):
    """Two networks, data, and a right loss by its pieces: reconstruction, KL and sample."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4)).to(dtype)
    decoder = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 6)).to(dtype)
    constant = 3 * torch.log(torch.tensor(2 * torch.pi, dtype=dtype))

    def pieces(x):
        mean, log_variance = encoder(x).chunk(2, -1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
        return (0.5 * ((x - decoder(z)) ** 2).sum(1) + constant).mean(), kl, z

    return encoder, decoder, torch.rand(40, 6, dtype=dtype), pieces


def judged(parts, loss, likelihood="gaussian"):
    encoder, decoder, x, _ = parts
    words = {} if likelihood is None else {"likelihood": likelihood}
    return verify_vae(lambda x: encoder(x).chunk(2, -1), decoder, x, loss=loss, **words)


BOTH = pytest.mark.parametrize("dtype", DTYPES)


@BOTH
def test_a_constant_of_the_program_s_own_precision_is_no_mistake(dtype):
    parts = small(dtype)
    found = judged(parts, lambda x: sum(parts[3](x)[:2]))
    assert found.passed, found


PENALTIES = (
    (lambda p: p.square().sum(), r"weight decay \(½ Σ θ²\) of"),
    (lambda p: p.square().sum() * (p.dim() > 1), "biases left out\\) of"),
    (lambda p: p.abs().sum(), "L1 penalty .* of"),
)


@pytest.mark.parametrize(
    ("penalty", "says", "whose", "dtype"),
    with_a_dtype((*each, whose) for whose in (0, 1) for each in PENALTIES),
)
def test_a_penalty_on_one_network_alone_is_named(penalty, says, whose, dtype):
    parts = small(dtype)
    paid = list(parts[whose].parameters())
    found = judged(parts, lambda x: sum(parts[3](x)[:2]) + 0.01 * sum(map(penalty, paid)))
    network = ("encoder", "decoder")[whose]
    assert re.search(f"{says} the {network} alone added", " ".join(found.findings)), found
    assert (found.value_right, found.gradient_right) == (False, False)


@pytest.mark.parametrize(("gamma", "capacity", "dtype"), with_a_dtype(((10.0, 3.0), (2.0, 0.1))))
def test_a_squared_capacity_is_named(gamma, capacity, dtype):
    parts = small(dtype)

    def loss(x):
        reconstruction, kl, _ = parts[3](x)
        return reconstruction + gamma * (kl - capacity) ** 2

    found = judged(parts, loss)
    said = f"The KL divergence has a capacity: it enters as {gamma:g} · (KL − {capacity:g})²."
    assert found.findings == (said,)


@BOTH
def test_the_normaliser_of_a_continuous_bernoulli_is_missed(dtype):
    encoder, decoder, x, pieces = small(dtype)

    def cross_entropy(x):
        _, kl, z = pieces(x)
        logits = decoder(z)
        return nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum") / 40 + kl

    def normalised(x):
        _, kl, z = pieces(x)
        return -ContinuousBernoulli(logits=decoder(z)).log_prob(x).sum(1).mean() + kl

    continuous = (encoder, lambda z: ContinuousBernoulli(logits=decoder(z)), x, pieces)
    assert judged(continuous, normalised, None).passed
    found = judged(continuous, cross_entropy, None)
    assert "without the continuous Bernoulli's normaliser" in found.findings[0]
    found = judged((encoder, decoder, x, pieces), normalised, "bernoulli_logits")
    assert "that of a continuous Bernoulli (let the decoder return one)" in found.findings[0]


@pytest.mark.slow
@pytest.mark.parametrize(("repeated", "dtype"), with_a_dtype(((False,), (True,))))
def test_an_importance_weighted_bound_is_named(repeated, dtype):
    parts = small(dtype)
    encoder, decoder, *_ = parts

    def weights(x, count=5):
        mean, log_variance = encoder(x.repeat(count, 1) if repeated else x).chunk(2, -1)
        shape = mean.shape if repeated else (count, *mean.shape)
        std = (log_variance / 2).exp()
        z = mean + std * torch.randn(shape, dtype=dtype)
        target = x.repeat(count, 1) if repeated else x
        total = -(0.5 * (target - decoder(z)) ** 2).sum(-1) - 3 * math.log(2 * math.pi)
        total = total + Normal(0.0, 1.0).log_prob(z).sum(-1) - Normal(mean, std).log_prob(z).sum(-1)
        return total.reshape(count, -1)

    found = judged(parts, lambda x: -(weights(x).logsumexp(0) - math.log(5)).mean())
    assert found.findings == (
        "It is the importance-weighted bound of 5 samples, not the ELBO: see iwae_bound.",
    )
    if not repeated:
        assert judged(parts, lambda x: -weights(x).mean()).passed


def test_a_hierarchy_of_latents_is_refused_in_one_sentence():
    parts = small()
    encoder, decoder, x, pieces = parts
    above = nn.Linear(2, 2).double()

    def loss(x):
        reconstruction, kl, z = pieces(x)
        mean, log_variance = above(z).chunk(2, -1)
        top = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        return reconstruction + kl + (top**2).mean()

    found = judged(parts, loss)
    assert re.search(r"noise of shape \(40, 1\).*hierarchy", found.findings[0])
    assert len(found.findings) == 1
    with pytest.raises(ValueError, match=r"got 4 parts .*give a hierarchy of latents as one q"):
        verify_vae(lambda x: (*encoder(x).chunk(2, -1),) * 2, decoder, x, likelihood="gaussian")


def test_noise_of_another_width_is_brought_to_one():
    parts = small()
    encoder, decoder, *_ = parts

    def loss(x):
        mean, log_variance = encoder(x).chunk(2, -1)
        noise = torch.empty_like(mean).normal_(1.0, 2.0)
        z = mean + (log_variance / 2).exp() * (noise - 1) / 2
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
        return (0.5 * ((x - decoder(z)) ** 2).sum(1)).mean() + 3 * math.log(2 * math.pi) + kl

    assert judged(parts, loss).passed


def test_numpy_and_python_draw_on_from_where_they_were():
    parts, before = small(), (str(np.random.get_state()), random.getstate())  # noqa: NPY002
    judged(parts, lambda x: sum(parts[3](x)[:2]))
    assert (str(np.random.get_state()), random.getstate()) == before  # noqa: NPY002
