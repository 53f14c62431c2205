"""Hierarchical VAEs against conditioning in NumPy, sums over grids, and torch.distributions."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Normal

from companion import elbo, entropy_sum, models, project, variational, verify
from companion.theory.factors import factor_identities
from tests.cases import draw, generator, perturbed

N, D = 6, 4
SIZES = (3, 2, 1)


def stack(learnable=False, hidden=(3,), noises=("scalar", "pixel", "head"), sizes=SIZES):
    layers = [
        models.GaussianVAE(below, above, hidden, noise, learnable and k == len(sizes) - 1)
        for k, ((below, above), noise) in enumerate(
            zip(pairwise((D, *sizes)), noises, strict=False)
        )
    ]
    return models.HierarchicalVAE(tuple(layers))


def state(model, order="bottom-up", name="stack", rule=None):
    g = generator(name)
    own = perturbed(model.initial_parameters(g), g)
    encoder = models.LayeredEncoder(D, model.latents, (3,), order)
    phi = perturbed(encoder.initial_parameters(g), g)
    return own, encoder.posterior(phi, draw(N, D, g=g), rule)


def tanh_net(parameters, prefix, inputs, head):
    """One hidden layer and a head, in NumPy."""
    p = {k.removeprefix(prefix): v.numpy() for k, v in parameters.items() if k.startswith(prefix)}
    seen = np.tanh(inputs @ p["hidden0.weights"].T + p["hidden0.bias"])
    return seen @ p[f"{head}.weights"].T + p[f"{head}.bias"]


@pytest.mark.parametrize("order", ["bottom-up", "top-down"])
def test_the_elbo_is_what_densities_of_torch_and_networks_of_numpy_give(order):
    model = stack(learnable=True)
    g = generator("frozen")
    rule = variational.samples(N, 3, sum(SIZES), g)
    own, q = state(model, order, rule=rule)
    phi, x = q.encoder_parameters, q.x.numpy()
    noise = dict(zip((1, 2, 3), np.split(rule.z.numpy(), [3, 5], -1), strict=True))
    rows = np.repeat(x[:, None], 3, 1)
    z, spread, seen = {}, 0.0, rows
    for k in (1, 2, 3) if order == "bottom-up" else (3, 2, 1):
        std = np.exp(tanh_net(phi, f"z{k}.", seen, "log_std"))
        z[k] = tanh_net(phi, f"z{k}.", seen, "mean") + std * noise[k]
        spread += np.log(std).sum(-1)
        seen = z[k] if order == "bottom-up" else np.concatenate([z[k], rows], -1)
    nodes = q.nodes()
    np.testing.assert_allclose(nodes.z, np.concatenate([z[1], z[2], z[3]], -1), rtol=1e-12)
    entropy = spread.mean() + sum(SIZES) / 2 * math.log(2 * math.pi * math.e)
    assert float(q.entropy().mean()) == pytest.approx(entropy, rel=1e-12)
    assert float(q.entropies().sum(0).mean()) == pytest.approx(entropy, rel=1e-12)
    widths = {
        0: np.exp(float(own["log_variance"]) / 2) * np.ones(D),
        1: np.exp(own["z1.log_variance"].numpy() / 2),
        2: np.exp(tanh_net(own, "z2.", z[3], "log_variance") / 2),
        3: np.exp(own["prior_log_variance"].numpy() / 2),
    }
    centres = {k: tanh_net(own, f"z{k}." if k else "", z[k + 1], "mean") for k in (0, 1, 2)}
    centres[3], z[0] = np.zeros(1), rows
    total = sum(
        Normal(*map(torch.as_tensor, (centres[k], widths[k])))
        .log_prob(torch.as_tensor(z[k]))
        .sum(-1)
        for k in range(4)
    )
    found = float(elbo(model, own, q, x))
    assert found == pytest.approx(float(total.mean()) + entropy, rel=1e-12)
    sums = entropy_sum(model, own, q, x)
    expected = [
        float(Normal(0.0, torch.as_tensor(widths[k])).entropy().sum(-1).mean()) for k in range(4)
    ]
    ours = [sums.observable, sums.hidden["z1"], sums.hidden["z2"], sums.prior]
    assert [float(each) for each in ours] == pytest.approx(expected, rel=1e-12)
    assert float(sums.total) == pytest.approx(entropy - sum(expected), rel=1e-12)


def test_a_linear_stack_with_its_exact_posterior_has_the_likelihood_of_scipy():
    model = stack(learnable=True, hidden=(), noises=("scalar", "pixel"), sizes=(3, 2))
    g = generator("linear")
    own = perturbed(model.initial_parameters(g), g)
    x = draw(N, D, g=g)
    p = {name: value.numpy() for name, value in own.items()}
    W, V = p["mean.weights"], p["z1.mean.weights"]
    top = np.diag(np.exp(p["prior_log_variance"]))
    middle = V @ top @ V.T + np.diag(np.exp(p["z1.log_variance"]))
    latent = np.block([[middle, V @ top], [top @ V.T, top]])
    mean = np.concatenate([p["z1.mean.bias"], np.zeros(2)])
    reads = np.concatenate([W, np.zeros((D, 2))], 1)
    of_x = reads @ latent @ reads.T + np.exp(p["log_variance"]) * np.eye(D)
    centre = reads @ mean + p["mean.bias"]
    gain = latent @ reads.T @ np.linalg.inv(of_x)
    factor = np.linalg.cholesky(latent - gain @ reads @ latent)
    means = torch.as_tensor(mean + (x.numpy() - centre) @ gain.T)
    q = variational.Gaussian(means, torch.as_tensor(np.repeat(factor[None], N, 0)))
    likelihood = stats.multivariate_normal(centre, of_x).logpdf(x.numpy()).mean()
    assert float(elbo(model, own, q, x)) == pytest.approx(likelihood, rel=1e-11)
    assert verify(model, own, q, x).relative_residual <= 1e-12
    z, drawn = model.sample(own, 200_000, generator("draws"))
    for found, expected in ((z, latent), (drawn, of_x)):
        error = 8 * np.abs(expected).max() / math.sqrt(len(z))
        np.testing.assert_allclose(np.cov(found.numpy().T), expected, atol=error)
    decoded = model.decode(own, z[:5]).numpy()
    np.testing.assert_allclose(decoded, z[:5, :3].numpy() @ W.T + p["mean.bias"], rtol=1e-12)


@pytest.mark.parametrize("order", ["bottom-up", "top-down"])
def test_the_entropy_of_a_layered_q_by_a_sum_over_a_grid(order):
    encoder = models.LayeredEncoder(D, (1, 1), (3,), order)
    g = generator("grid")
    phi, x = perturbed(encoder.initial_parameters(g), g), draw(1, D, g=g)
    q = encoder.posterior(phi, x, variational.gauss_hermite(2, 24))
    grid = np.linspace(-25, 25, 1501)[:, None]
    first, second = ("z1.", "z2.") if order == "bottom-up" else ("z2.", "z1.")

    def log_q(prefix, inputs, z):
        std = np.exp(tanh_net(phi, prefix, inputs, "log_std"))
        return stats.norm(tanh_net(phi, prefix, inputs, "mean"), std).logpdf(z)

    seen = np.concatenate([grid, np.repeat(x.numpy(), len(grid), 0)], 1)
    outer = log_q(first, x.numpy(), grid)
    inner = log_q(second, grid if order == "bottom-up" else seen, grid.T)
    total, cell = outer + inner, (grid[1, 0] - grid[0, 0]) ** 2
    assert np.exp(total).sum() * cell == pytest.approx(1, abs=1e-9)
    expected = -(np.exp(total) * total).sum() * cell
    assert float(q.entropy()[0]) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("learnable", [False, True])
@pytest.mark.parametrize("order", ["bottom-up", "top-down"])
def test_each_layer_has_a_gap_of_its_own_and_finite_differences_give_it(order, learnable):
    model = stack(learnable)
    own, q = state(model, order)
    lines = factor_identities(model, own, q, q.x)
    assert [line.name for line in lines] == ["prior", "z2", "z1", "observable"]
    assert max(line.residual for line in lines) < 1e-13
    assert min(abs(line.gap) for line in lines) > 1e-3
    moved = {"z1": "z1.log_variance", "z2": "z2.log_variance.bias", "observable": "log_variance"}
    if learnable:
        moved["prior"] = "prior_log_variance"
    for line in lines:
        if line.name in moved:
            step = {name: 0 * value for name, value in own.items()}
            step[moved[line.name]] = step[moved[line.name]] - 1e-4
            there, back = (
                float(elbo(model, {k: own[k] + sign * step[k] for k in own}, q, q.x))
                for sign in (1, -1)
            )
            assert (there - back) / 2e-4 == pytest.approx(line.gap, rel=1e-5)


def test_a_fixed_prior_needs_every_reader_of_z_to_absorb_its_rescaling():
    model = stack()
    for order in ("bottom-up", "top-down"):
        own, q = state(model, order)
        assert verify(model, own, q, q.x).relative_residual <= 1e-12
        v = models.HierarchicalVAE.gap_direction(model, own)
        moved = q.rescaling(model.latent_rescaling)
        touched = {name for name, step in moved.items() if bool((step != 0).any())}
        top = {"z3.mean.weights", "z3.mean.bias", "z3.log_std.bias"}
        assert touched == top | ({"z2.hidden0.weights"} if order == "top-down" else set())
        blind = v | {
            f"q.{name}": 0 * step if name == "z2.hidden0.weights" else step
            for name, step in moved.items()
        }
        found = verify(model, own, q, q.x, direction=blind).relative_residual
        assert (found > 1e-4) == (order == "top-down")


def test_linear_encoders_are_rescaled_layer_by_layer():
    """The law of z after a finite rescaling is that of the rescaled z."""
    encoder = models.LayeredEncoder(D, (2, 1), (), "top-down")
    g = generator("rates")
    phi, x = encoder.initial_parameters(g), draw(N, D, g=g)
    rates = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
    step, size = encoder.rescaling(phi, rates), 1e-6
    moved = {name: phi[name] + size * step[name] for name in phi}
    there = encoder.posterior(moved, x).nodes().z
    expected = encoder.posterior(phi, x).nodes().z
    np.testing.assert_allclose((there - expected) / size, rates * expected, atol=1e-5)


def test_projection_closes_the_gap_of_every_factor():
    for learnable in (False, True):
        model = stack(learnable)
        own, q = state(model)
        there, moved = project(model, own, q, q.x)
        lines = factor_identities(model, there, moved, q.x)
        assert max(abs(line.gap) for line in lines) < 1e-11
        assert float(elbo(model, there, moved, q.x)) > float(elbo(model, own, q, q.x))


def test_other_families_in_the_lowest_layer():
    pairs = models.BernoulliVAE(D, 3, (3,)), models.GaussianVAE(3, 2, (3,), "pixel")
    model = models.HierarchicalVAE(pairs)
    own, q = state(model)
    x = (q.x > 0).double()
    assert verify(model, own, q, x).relative_residual <= 1e-12
    heavy = models.HierarchicalVAE((models.StudentTVAE(D, 3), models.StudentTVAE(3, 2)))
    own, q = state(heavy)
    assert verify(heavy, own, q, q.x).relative_residual <= 1e-12
    with pytest.raises(ValueError, match=r"'z1.log_dof'. must lie between"):
        elbo(heavy, own | {"z1.log_dof": own["z1.log_dof"] + 1000}, q, q.x)
    softplus = models.GaussianVAE(D, 3, noise_type="softplus"), models.GaussianVAE(3, 2)
    assert not models.HierarchicalVAE(softplus).has_gap_direction


def test_one_decoder_may_stand_in_two_layers():
    one = models.GaussianVAE(D, D, (3,))
    model = models.HierarchicalVAE((one, one))
    own, q = state(model)
    assert verify(model, own, q, q.x).relative_residual <= 1e-12


A, B = models.GaussianVAE(D, 3), models.GaussianVAE(3, 2, learnable_prior=True)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ((A,), "layers must be two decoders or more: got 1"),
        (A, "layers must be a tuple: got GaussianVAE"),
        ((3, A), "layers.0. must be a VAE: got int"),
        ((A, A), "layers.1. must have as many observables as layers.0. has latents, 3: got 4"),
        ((A, B, models.GaussianVAE(2, 1)), "layers.1. must not have a learnable prior"),
        ((A, models.BernoulliVAE(3, 2)), "layers.1. must have real values, those of z_1"),
    ],
)
def test_stacks_that_do_not_fit(layers, said):
    with pytest.raises(ValueError, match=said):
        models.HierarchicalVAE(layers)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"latents": (3,)}, "latents must be two sizes or more"),
        ({"latents": 3}, "latents must be two sizes or more: got 3"),
        ({"latents": (3, 0)}, "every entry of latents must be"),
        ({"order": "sideways"}, "order must be one of bottom-up, top-down"),
        ({"hidden": (0,)}, "every entry of hidden must be"),
    ],
)
def test_encoders_that_can_not_be(arguments, said):
    with pytest.raises(ValueError, match=said):
        models.LayeredEncoder(**{"observed": D, "latents": (3, 2), **arguments})


def test_rates_that_fit_no_latents_are_named():
    encoder = models.LayeredEncoder(D, (3, 2))
    phi, x = encoder.initial_parameters(generator("rates")), draw(4, D, g=generator("rates"))
    plain = models.Encoder(D, 5)
    q = variational.Gaussian(x, x.exp())
    for rescaling, latents in (
        (lambda rate: encoder.rescaling(phi, rate), 5),
        (lambda rate: encoder.posterior(phi, x).rescaling(rate), 5),
        (lambda rate: plain.rescaling(plain.initial_parameters(), rate), 5),
        (q.rescaling, D),
    ):
        said = (
            rf"rate must be one number, or one for each of the {latents} latents: got shape \(7,\)"
        )
        with pytest.raises(ValueError, match=said):
            rescaling(torch.ones(7).double())


def test_what_needs_a_gaussian_says_so():
    model = stack()
    own, q = state(model)
    with pytest.raises(ValueError, match="q must be Gaussian here: got one in layers"):
        verify(model, own, q, q.x, samples=3)
    with pytest.raises(ValueError, match=r"'z1.log_variance'. must lie between"):
        elbo(model, own | {"z1.log_variance": own["z1.log_variance"] + 400}, q, q.x)
    with pytest.raises(ValueError, match="q must be over the model's 6 latents: got 2"):
        elbo(
            model, own, variational.Gaussian(draw(N, 2, g=generator("few")), torch.ones(N, 2)), q.x
        )
