"""Diffusion models against whole sampled paths, conditioning in NumPy, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from companion import elbo, entropy_sum, models, project, verify
from companion.models.noised_chain import NoisedChain
from tests.cases import draw, generator

D, T = 2, 5
BETAS = torch.tensor([0.05, 0.1, 0.3, 0.2, 0.6], dtype=torch.float64)
MODEL = models.Diffusion(D, BETAS, (4,))
FIXED = models.Diffusion(D, BETAS, (4,), learnable_prior=False)


def parameters(model=MODEL):
    g = generator("network")
    return {k: v + 0.3 * draw(*v.shape, g=g) for k, v in model.initial_parameters(g).items()}


def without_network(model=MODEL):
    """x̂_0 = √ᾱ_t x_t, which is best for data of N(0, I), and the variances that go with it."""
    own = {name: torch.zeros(shape).double() for name, shape in model.shapes.items()}
    return own | {"log_variance": BETAS[0].log(), "hidden_log_variance": BETAS[1:].log()}


def test_the_bound_is_log_p_less_log_q_of_whole_paths():
    own, g = parameters(), generator("paths")
    x = draw(40_000, D, g=g) + 0.5
    total, before, kept = torch.zeros(len(x)).double(), x, 1.0
    logs = [float(own["log_variance"]), *own["hidden_log_variance"].tolist()]
    for t, beta in enumerate(BETAS.tolist(), 1):
        kept *= 1 - beta
        forward = Normal(math.sqrt(1 - beta) * before, math.sqrt(beta))
        z = forward.mean + math.sqrt(beta) * draw(*x.shape, g=g)
        noise = (z - math.sqrt(kept) * MODEL.denoised(own, z, torch.tensor(float(t)))) / math.sqrt(
            1 - kept
        )
        mean = (z - beta / math.sqrt(1 - kept) * noise) / math.sqrt(1 - beta)
        total += Normal(mean, math.exp(0.5 * logs[t - 1])).log_prob(before).sum(-1)
        total -= forward.log_prob(z).sum(-1)
        before = z
    scale = math.exp(0.5 * float(own["prior_log_variance"]))
    total += Normal(0.0, scale).log_prob(before).sum(-1)
    error = float(total.std()) / math.sqrt(len(x))
    value = float(elbo(MODEL, own, MODEL.noised(x, g), x))
    assert abs(value - float(total.mean())) < 5 * error < 0.3


def test_steps_of_q_and_their_bridges_are_those_of_its_joint_distribution():
    chol = np.zeros((T, T))  # of x_1, …, x_T given x_0 = 0, in one coordinate
    for t, beta in enumerate(BETAS.tolist()):
        chol[t] = np.sqrt(1 - beta) * chol[t - 1] if t else 0
        chol[t, t] = np.sqrt(beta)
    covariance = chol @ chol.T
    kept = np.cumprod(1 - BETAS.numpy())
    np.testing.assert_allclose(covariance.diagonal(), 1 - kept, rtol=1e-12)
    np.testing.assert_allclose(MODEL.kept[1:], kept, rtol=1e-14)
    for t in range(2, T + 1):
        now, before, across = (
            covariance[t - 1, t - 1],
            covariance[t - 2, t - 2],
            covariance[t - 2, t - 1],
        )
        slope = across / now
        a, b, c = MODEL.bridge(torch.tensor(float(t)))
        assert float(b) == pytest.approx(slope, rel=1e-12)
        assert float(a) == pytest.approx(math.sqrt(kept[t - 2]) - slope * math.sqrt(kept[t - 1]))
        assert float(c) == pytest.approx(before - slope * across, rel=1e-12)
    assert [float(each) for each in MODEL.bridge(torch.tensor(1.0))] == pytest.approx([1, 0, 0])
    q = MODEL.noised(torch.zeros(3, D).double(), generator("q"))
    expected = D * np.log(np.sqrt(2 * np.pi * np.e) * chol.diagonal()).sum()
    assert q.entropy().tolist() == pytest.approx([expected] * 3, rel=1e-12)
    many = MODEL.noised(2 * torch.ones(40_000, D).double(), generator("many")).nodes().z
    error = 5 / math.sqrt(40_000)
    assert float((many.mean(0) - 2 * MODEL.kept[1:, None].sqrt()).abs().max()) < error
    assert float((many.var(0) - (1 - MODEL.kept[1:, None])).abs().max()) < 2 * error


def test_the_sum_needs_nothing_but_t_numbers():
    own, x = parameters(), draw(9, D, g=generator("x"))
    sums = entropy_sum(MODEL, own, MODEL.noised(x), x)
    variances = np.exp([float(own["log_variance"]), *own["hidden_log_variance"].tolist()])
    np.testing.assert_allclose(MODEL.variances(own), variances)
    steps = np.log(BETAS.numpy() / variances).sum()
    prior = np.log(2 * np.pi * np.e) + float(own["prior_log_variance"])
    assert float(sums.total) == pytest.approx(D / 2 * (steps - prior), rel=1e-12)
    closed = MODEL.closed_form_entropy_sum(own)
    assert float(closed) == pytest.approx(float(sums.total), rel=1e-12)


def test_a_fixed_start_leaves_the_gap_that_is_known_in_advance():
    own, x = parameters(FIXED), 2 * draw(9, D, g=generator("x"))
    assert not FIXED.has_gap_direction and "prior_log_variance" not in own
    q = FIXED.noised(x, generator("q"))
    assert math.isnan(verify(FIXED, own, q, x).slope)
    report = verify(FIXED, own, q, x, direction=FIXED.gap_direction(own))
    kept = float(torch.prod(1 - BETAS))
    expected = kept / 2 * (D - float(x.square().sum(1).mean()))
    assert report.gap - report.slope == pytest.approx(expected, abs=1e-12)
    assert abs(expected) > 1e-3


def test_normal_data_have_an_exact_bound_and_exact_draws():
    own, x = without_network(), draw(50_000, D, g=generator("normal"))
    value = float(elbo(MODEL, own, MODEL.noised(x, generator("q")), x))
    assert value == pytest.approx(-0.5 * D * math.log(2 * math.pi * math.e), abs=0.03)
    path = MODEL.sample(own, 20_000, generator("draws"))
    assert path.shape == (T + 1, 20_000, D)
    for z in path[[0, 2, T]]:
        assert float(z.mean().abs()) < 0.03 and float((z.var() - 1).abs()) < 0.05


def test_projection_puts_in_the_mean_squared_errors():
    own, x = parameters(), draw(20, D, g=generator("x"))
    q = MODEL.noised(x, generator("q"))
    moved, _ = project(MODEL, own, q, x)
    errors = MODEL.errors(own, x, q.nodes().z, torch.arange(1.0, T + 1)).mean(0)
    torch.testing.assert_close(MODEL.variances(moved), errors)
    kept = float(torch.prod(1 - BETAS))
    expected = kept * float(x.square().mean()) + 1 - kept
    assert float(moved["prior_log_variance"].exp()) == pytest.approx(expected, rel=1e-12)
    assert all(torch.equal(moved[name], own[name]) for name in own if "log" not in name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"betas": torch.tensor([0.1, 1.0])}, "betas must be"),
        ({"betas": torch.tensor([0.0, 0.5])}, "betas must be"),
        ({"betas": torch.tensor([0.5])}, "betas must be"),
        ({"betas": BETAS, "observed": 0}, "observed must be"),
        ({"betas": BETAS, "hidden": (0,)}, "hidden must be"),
    ],
)
def test_schedules_and_sizes_that_can_not_be(arguments, said):
    with pytest.raises(ValueError, match=said):
        models.Diffusion(**{"observed": D, **arguments})


@pytest.mark.parametrize("t", [0.0, 6.0, 1.5])
def test_steps_that_are_none_are_refused(t):
    with pytest.raises(ValueError, match="t must be steps from 1 to 5"):
        MODEL.bridge(torch.tensor(t))


def test_q_is_never_learned():
    q = MODEL.noised(draw(3, D, g=generator("x")))
    assert isinstance(q, NoisedChain) and q.parameters == {} and q.with_parameters({}) is q
    assert q.rescaling(0.0) == {}
