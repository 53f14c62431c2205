"""project and the blocks of v: every factor's own gap is closed, and the ELBO never falls."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from companion import elbo, families, gap_blocks, models, project, variational, verify
from companion.support import tree
from companion.theory.factors import factor_identities
from companion.theory.identity import full_direction
from companion.theory.projection import _blocks, _entries
from tests.cases import D, H, draw, every_model, generator, in_turn, names, point


def gaps_by_block(model, parameters, q, x):
    """The gap of each factor; those of factors that share a parameter together."""
    gaps = {f.name: f.gap for f in factor_identities(model, parameters, q, x)}
    blocks = gap_blocks(model, parameters, q, x)
    for both in [name for name in blocks if " and " in name]:
        gaps[both] = sum(gaps.pop(name) for name in both.split(" and "))
    return gaps


@every_model
def test_projection_closes_the_gap_of_every_factor_and_the_elbo_never_falls(name):
    model, parameters, q, x = point(name)
    before = verify(model, parameters, q, x)
    inputs = {k: v.clone() for k, v in tree.merge(parameters, q.parameters).items()}
    moved, moved_q = project(model, parameters, q, x)
    after = verify(model, moved, moved_q, x)
    scale = 1 + abs(after.elbo)
    for name, gap in gaps_by_block(model, moved, moved_q, x).items():
        assert abs(gap) <= 1e-11 * scale, name
    assert abs(after.gap) <= 1e-11 * scale
    assert after.elbo > before.elbo - 1e-12 * (1 + abs(before.elbo))
    assert type(moved_q) is type(q) and moved.keys() == parameters.keys()
    for key, value in tree.merge(parameters, q.parameters).items():
        assert torch.equal(value, inputs[key])
    # Only what v moves has moved.
    v = full_direction(model, parameters, q)
    for key, value in tree.merge(moved, moved_q.parameters).items():
        assert torch.equal(value[v[key] == 0], inputs[key][v[key] == 0])
    if abs(before.gap) > 1e-3:
        assert after.elbo > before.elbo


@every_model
def test_blocks_add_up_to_v_and_each_has_an_identity_of_its_own(name):
    model, parameters, q, x = point(name)
    blocks = gap_blocks(model, parameters, q, x)
    v = full_direction(model, parameters, q)
    for key, tangent in v.items():
        total = sum(block[key] for block in blocks.values())
        assert torch.allclose(total, tangent, rtol=1e-14, atol=1e-15)
    gaps = gaps_by_block(model, parameters, q, x)
    slopes = {k: sum(verify(model, parameters, q, x, b).blocks.values()) for k, b in blocks.items()}
    latents = [slope for name, slope in slopes.items() if name.startswith("latent ")]
    if latents:
        assert len(latents) == H
        slopes["prior"] = sum(latents)
    scale = 1 + sum(abs(gap) for gap in gaps.values())
    for factor, gap in gaps.items():
        assert abs(slopes[factor] - gap) <= 1e-12 * scale


ENTRYWISE = ("vae-pixel", "vae-head", "analysis-learnable", "mixture-diagonal", "sparse-coding-l")


@pytest.mark.parametrize("name", in_turn(names(*ENTRYWISE)))
def test_every_single_scale_is_at_its_best(name):
    model, parameters, q, x = point(name)
    moved, moved_q = project(model, parameters, q, x)
    variables = tree.merge(moved, moved_q.parameters)
    entrywise = [block for block in _blocks(model, moved_q, variables) if block.entrywise]
    assert entrywise

    def objective(merged):
        own, of_q = tree.split(merged)
        return elbo(model, own, moved_q.with_parameters(of_q), x)

    for block in entrywise:
        slopes, _ = _entries(objective, block, variables)
        worst = max(float(slope.abs().max()) for slope in slopes)
        assert worst <= 1e-11 * (1 + abs(float(objective(variables))))


def test_variances_have_their_closed_form():
    """PPCA with a learnable prior: σ² is the mean squared residual, λ_h the second moment."""
    model, parameters, q, x = point("factoranalysis-learnable/full-samples")
    moved, _ = project(model, parameters, q, x)
    z, weights = q.nodes()
    error = (x[:, None] - z @ parameters["weights"].T - parameters["mean"]) ** 2
    expected = torch.einsum("p,npd->d", weights, error) / len(x)
    assert torch.allclose(moved["log_variance"].exp(), expected, rtol=1e-12)
    second_moment = torch.einsum("p,nph->h", weights, z**2) / len(x)
    assert torch.allclose(moved["prior_log_variance"].exp(), second_moment, rtol=1e-12)


def test_each_latent_of_a_fixed_prior_gets_second_moment_one():
    model, parameters, q, x = point("vae-head-fixed-1-hidden/mlp-encoder")
    moved, moved_q = project(model, parameters, q, x)
    z, weights = moved_q.nodes()
    second_moment = torch.einsum("p,nph->h", weights, z**2) / len(x)
    assert torch.allclose(second_moment, torch.ones(H, dtype=x.dtype), rtol=1e-11)
    assert torch.allclose(model.decode(moved, z), model.decode(parameters, q.nodes().z), rtol=1e-11)


def test_an_inverse_temperature_may_change_its_sign():
    """Logits that point the wrong way: the best multiple of them is negative."""
    model = models.SigmoidBeliefNet(1, 1)
    x = torch.tensor([[1.0], [0.0], [0.0], [0.0]], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    parameters = {"prior_logits": one, "weights": 0 * one[:, None], "bias": one}
    q = variational.MeanFieldBernoulli(torch.zeros(4, 1, dtype=torch.float64))
    moved, _ = project(model, parameters, q, x)
    assert float(moved["bias"]) == pytest.approx(-math.log(3), rel=1e-11)
    assert float(moved["prior_logits"]) == pytest.approx(0, abs=1e-6)


def shared(direction=None, rescaling=0.0):
    """Two Bernoulli variables whose logits are the same parameter, in a model of a reader."""
    return models.GenerativeModel(
        families.Bernoulli(),
        lambda p: p["a"],
        families.Bernoulli(),
        lambda p, z: z * p["w"] + p["a"],
        direction=direction,
        rescaling=rescaling,
        states=torch.tensor([[0.0], [1.0]], dtype=torch.float64),
    )


def test_factors_that_share_a_parameter_have_one_block():
    model = shared(dict)
    one = torch.ones(1, dtype=torch.float64)
    parameters, x = {"a": 0.7 * one, "w": -2 * one}, draw(6, 1, g=generator("shared")).sign().relu()
    q = model.posterior(parameters, x)
    assert list(gap_blocks(model, parameters, q, x)) == ["prior and observable"]
    after = verify(model, *project(model, parameters, q, x), x)
    assert abs(after.gap) <= 1e-12
    assert after.elbo > verify(model, parameters, q, x).elbo


def test_projection_of_a_readers_model_whose_direction_is_found():
    model = models.GenerativeModel(
        families.Bernoulli(),
        lambda p: p["a"],
        families.Poisson(),
        lambda p, z: z @ p["W"].T + p["b"],
        states=torch.tensor([[0.0], [1.0]], dtype=torch.float64),
    )
    g = generator("reader")
    parameters = {"a": draw(1, g=g), "W": draw(2, 1, g=g), "b": draw(2, g=g)}
    x = torch.tensor([[1.0, 4.0], [0.0, 2.0], [3.0, 3.0]], dtype=torch.float64)
    moved, q = project(model, parameters, model.posterior(parameters, x), x)
    assert max(abs(f.gap) for f in factor_identities(model, moved, q, x)) <= 1e-11


def test_a_readers_rescaled_prior_is_one_block():
    """It is not known how the reader's decoder takes up a rescaling of z: v as a whole."""
    model = models.GenerativeModel(
        families.DiagonalGaussian(),
        lambda p: torch.tensor([0.0, -0.5], dtype=torch.float64),
        families.SphericalGaussian(),
        lambda p, z: families.SphericalGaussian().natural_parameters(
            z * p["w"], p["log_variance"].exp().expand(z.shape[:-1])
        ),
        direction=lambda p: {
            "w": -0.5 * p["w"],
            "log_variance": -torch.ones_like(p["log_variance"]),
        },
        rescaling=0.5,
    )
    g = generator("rescaled")
    parameters = {"w": draw(2, g=g), "log_variance": draw(g=g)}
    q = variational.Gaussian(draw(6, 1, g=g), draw(6, 1, g=g).exp())
    x = draw(6, 2, g=g)
    assert list(gap_blocks(model, parameters, q, x)) == ["all"]
    assert verify(model, parameters, q, x).relative_residual < 1e-13
    moved, moved_q = project(model, parameters, q, x)
    assert abs(verify(model, moved, moved_q, x).gap) <= 1e-12


def test_projection_of_an_untrained_vae_on_other_data():
    """A hundred-fold wrong scale: many damped steps, the same end."""
    model = models.GaussianVAE(D, H, (5,), noise_type="scalar")
    for seed in range(3):
        g = generator(f"untrained {seed}")
        parameters = model.initial_parameters(g)
        encoder = models.Encoder(D, H, (5,))
        x = 100 * draw(30, D, g=g)
        q = encoder.posterior(encoder.initial_parameters(g), x / 100)
        before = verify(model, parameters, q, x)
        moved, moved_q = project(model, parameters, q, x)
        after = verify(model, moved, moved_q, x)
        assert abs(before.gap) > 1e4 and after.elbo > before.elbo
        assert abs(after.gap) <= 1e-11 * (1 + abs(after.elbo))
        assert after.certificate >= abs(after.gap)


def test_projection_of_vae_2_balances_noise_and_prior():
    """Where the slope vanishes, E‖x − μ(z)‖²/σ² + E z²/λ = D + H."""
    model, parameters, q, x = point("vae-scalar-learnable-1-hidden/diagonal-hermite")
    moved, _ = project(model, parameters, q, x)
    z, w = q.nodes()
    mean, variance = model.moments(moved, z)
    error = (((x[:, None] - mean) ** 2).sum(-1) * w).sum(-1).mean() / variance
    spread = ((z**2 / moved["prior_log_variance"].exp()).sum(-1) * w).sum(-1).mean()
    assert float(error + spread) == pytest.approx(D + H, rel=1e-11)


def test_projection_shortens_a_step_that_would_lose(monkeypatch):
    """One wrong pixel in a hundred at logit 10: a full Newton step would lower the ELBO."""
    model = models.SigmoidBeliefNet(1, 1)
    x = torch.ones(100, 1, dtype=torch.float64)
    x[0] = 0
    zero = torch.zeros(1, dtype=torch.float64)
    parameters = {"prior_logits": zero, "weights": zero[:, None], "bias": zero + 10}
    q = variational.MeanFieldBernoulli(torch.zeros(100, 1, dtype=torch.float64))
    starts = []
    add = tree.add

    def spy(point, v, step):
        starts.append(float(point["bias"]))
        return add(point, v, step)

    monkeypatch.setattr(tree, "add", spy)
    moved, _ = project(model, parameters, q, x)
    assert float(moved["bias"]) == pytest.approx(math.log(99), rel=1e-10)
    bounds = [
        verify(model, parameters | {"bias": zero + b}, q, x).elbo
        for b in (*starts, float(moved["bias"]))
    ]
    assert all(later >= earlier - 1e-13 for earlier, later in itertools.pairwise(bounds))
    assert len(starts) > len(set(starts)), "here at least one step was tried twice"


def test_projection_says_when_it_runs_out_of_steps():
    with pytest.raises(
        RuntimeError,
        match=r"did not reach the equality in 1 steps: along latent 0 the slope .* is left",
    ):
        project(*point("vae-scalar-fixed-1-hidden/full-samples"), steps=1)


def test_projection_needs_a_direction():
    g = generator("softplus")
    model = models.GaussianVAE(D, H, (3,), noise_type="softplus")
    parameters, x = model.initial_parameters(g), draw(5, D, g=g)
    q = variational.Gaussian(draw(5, H, g=g), draw(5, H, g=g).exp())
    with pytest.raises(ValueError, match='noise_type="softplus" has no gap direction'):
        project(model, parameters, q, x)
