"""Streams with switches against SciPy's densities, enumeration of all switches, and quadrature."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from companion import (
    check_score_criterion,
    elbo,
    entropy_sum,
    fit,
    models,
    project,
    variational,
    verify,
)
from companion.theory.elbo import expected_log_probs
from tests.cases import draw, generator, perturbed

N, D, H, S, P = 5, 4, 2, 3, 6
MODEL = models.MultiStream(D, H, S, (4,))
STATES = list(itertools.product((0, 1), repeat=S))


def parameters(model=MODEL):
    g = generator("streams")
    return perturbed(model.initial_parameters(g), g)


def gaussian(points=N, size=S * H, **options):
    g = generator("latents")
    return variational.Gaussian(draw(points, size, g=g), (0.3 * draw(points, size, g=g)).exp())


def data():
    return 2 * draw(N, D, g=generator("data"))


def streams(own, z):
    """μ_i(z_i) of one row of latents, in NumPy, written without the package."""
    found = []
    for i in range(S):
        w, b = own["hidden0.weights"][i].numpy(), own["hidden0.bias"][i].numpy()
        u, c = own["mean.weights"][i].numpy(), own["mean.bias"][i].numpy()
        found.append(u @ np.tanh(w @ z[i * H : (i + 1) * H] + b) + c)
    return np.array(found)


def joint(own, x, z):
    """log p(s) p(x | z, s) for every s, by SciPy."""
    p, b, found = special.expit(own["prior_logits"].numpy()), math.exp(own["log_scale"]), []
    for s in STATES:
        mean = np.array(s) @ streams(own, z)
        density = stats.laplace(mean, b).logpdf(x).sum()
        found.append(density + stats.bernoulli(p).logpmf(s).sum())
    return np.array(found)


def test_switches_are_those_of_bayes_rule_over_all_their_states():
    own, q, x = parameters(), gaussian(), data()
    found = MODEL.with_switches(own, q, x)
    assert [tuple(state) for state in found.states.tolist()] == STATES
    z = q.nodes().z.numpy()
    for n, p in itertools.product(range(N), range(z.shape[1])):
        log_p = joint(own, x[n].numpy(), z[n, p])
        np.testing.assert_allclose(found.table[n, p], special.softmax(log_p), rtol=1e-11)


@pytest.mark.parametrize("exact", (True, False))
def test_elbo_and_entropies_of_any_table_by_scipy(exact):
    own, q, x = parameters(), gaussian(), data()
    both = MODEL.with_switches(own, q, x)
    if not exact:
        both = models.Switched(q, draw(*both.logits.shape, g=generator("table")))
    z, weights = q.nodes()
    table = special.softmax(both.logits.numpy(), -1)
    bound, of_q, normal = 0.0, 0.0, stats.norm(0, 1)
    for n in range(N):
        own_q = stats.norm(q.mean[n].numpy(), q.scale[n].numpy())
        of_q += own_q.entropy().sum() / N
        for p in range(z.shape[1]):
            at = z[n, p].numpy()
            log_p = joint(own, x[n].numpy(), at) + normal.logpdf(at).sum()
            entropy = stats.entropy(table[n, p])
            bound += float(weights[p]) * (table[n, p] @ log_p + entropy) / N
            of_q += float(weights[p]) * entropy / N
        bound += own_q.entropy().sum() / N
    assert float(elbo(MODEL, own, both, x)) == pytest.approx(bound, rel=1e-12)
    sums = entropy_sum(MODEL, own, both, x)
    b, p = math.exp(own["log_scale"]), special.expit(own["prior_logits"].numpy())
    assert float(sums.posterior) == pytest.approx(of_q, rel=1e-12)
    assert float(sums.prior) == pytest.approx(S * H * normal.entropy(), rel=1e-13)
    assert float(sums.hidden["switches"]) == pytest.approx(stats.bernoulli(p).entropy().sum())
    assert float(sums.observable) == pytest.approx(D * stats.laplace(0, b).entropy(), rel=1e-13)
    assert sums.form == "true" and float(sums.base_measure) == 0


def test_bound_and_likelihood_differ_by_the_divergence_from_the_posterior_of_z():
    """One stream, one latent: q on a dense grid, and p(x) and the divergence by adaptive rules."""
    model, x = models.MultiStream(1, 1, 1, (3,)), torch.tensor([[0.8]], dtype=torch.float64)
    own, q = parameters(model), gaussian(1, 1)
    grid = torch.linspace(-9, 9, 200_001, dtype=torch.float64)
    rule = variational.Nodes(grid[:, None], torch.softmax(-0.5 * grid**2, 0))
    q = variational.Gaussian(q.mean, q.scale, rule)
    network = {name: value[0].numpy() for name, value in own.items() if "." in name}

    def log_joint(z):
        hidden = np.tanh(network["hidden0.weights"][:, 0] * z + network["hidden0.bias"])
        mean = network["mean.weights"][0] @ hidden + network["mean.bias"][0]
        on = special.expit(float(own["prior_logits"][0]))
        b = math.exp(own["log_scale"])
        off, both = stats.laplace.pdf(0.8, 0, b), stats.laplace.pdf(0.8, mean, b)
        return math.log((1 - on) * off + on * both) + stats.norm.logpdf(z)

    of_q = stats.norm(float(q.mean), float(q.scale))
    span = {"limit": 400, "points": np.linspace(-8, 8, 33), "epsabs": 1e-12}
    evidence = math.log(integrate.quad(lambda z: math.exp(log_joint(z)), -10, 10, **span)[0])
    divergence = integrate.quad(
        lambda z: of_q.pdf(z) * (of_q.logpdf(z) - log_joint(z) + evidence), -10, 10, **span
    )[0]
    assert float(elbo(model, own, q, x)) == pytest.approx(evidence - divergence, abs=1e-8)
    assert divergence > 0.1


def test_the_entropy_of_averaged_switches_is_too_large_by_a_mutual_information():
    both = MODEL.with_switches(parameters(), gaussian(), data())
    table, weights = both.table.numpy(), both.latents.nodes().weights.numpy()
    product = np.einsum("p,npc->nc", weights, table)
    np.testing.assert_allclose(both.averaged, product, rtol=1e-13)
    together, apart = weights[:, None] * table, weights[:, None] * product[:, None]
    information = special.rel_entr(together, apart).sum((1, 2))
    given = both.entropy().numpy() - both.latents.entropy().numpy()
    np.testing.assert_allclose(stats.entropy(product, axis=1) - given, information, atol=1e-13)
    assert information.min() > 1e-3


def test_a_gaussian_stands_for_itself_with_the_exact_switches():
    """Its gradient is that at fixed switches, since they are at their best."""
    own, x = parameters(), data()
    encoder = models.Encoder(D, S * H, (3,))
    q = encoder.posterior(encoder.initial_parameters(generator("phi")), x)
    held = verify(MODEL, own, MODEL.with_switches(own, q, x), x)
    start = fit.adam(MODEL, own, q, x, steps=1, learning_rate=1e-12)
    followed = start.trace.records[0]
    assert followed.elbo == held.elbo and followed.entropy_sum == held.entropy_sum
    assert followed.slope == pytest.approx(held.slope, rel=1e-12)
    assert followed.gradient_norm == pytest.approx(held.gradient_norm, rel=1e-12)
    assert abs(held.gap) > 0.1 and held.relative_residual < 1e-14
    end = fit.adam(
        *(MODEL, own, q, x), steps=60, fresh_samples=2, batch_size=3, generator=generator("adam")
    )
    assert end.final.elbo > held.elbo + 1
    assert max(record.relative_residual for record in end.trace.records) <= 1e-13


def test_expectations_need_no_node_for_each_state():
    own, x = parameters(), data()
    q = models.Switched(gaussian(), draw(N, 12, 2**S, g=generator("table")))
    z, weights = q.nodes()
    assert z.shape == (N, 12 * 2**S, MODEL.latent_size)
    for factor in MODEL.factors:
        by_nodes = (weights * factor.log_prob(own, x, z)).sum(-1).mean()
        found = expected_log_probs(MODEL, own, q, x)[factor.name]
        assert float(found) == pytest.approx(float(by_nodes), rel=1e-12)


def test_without_training_noise_and_switches_are_moved_to_their_best():
    own, q, x = parameters(), gaussian(), data()
    moved, there = project(MODEL, own, q, x)
    means = MODEL.decode(own, MODEL.with_switches(own, q, x).nodes().z)
    weights = MODEL.with_switches(own, q, x).nodes().weights
    error = (weights[..., None] * (x[:, None] - means).abs()).sum(1).mean()
    assert float(moved["log_scale"].exp()) == pytest.approx(float(error), rel=1e-11)
    torch.testing.assert_close(MODEL.decode(moved, there.nodes().z), means, rtol=1e-10, atol=1e-10)
    z, weights = there.latents.nodes()
    second = (weights[:, None] * z.square()).sum(1).mean(0)
    torch.testing.assert_close(second, torch.ones_like(second), rtol=1e-11, atol=0)
    assert abs(verify(MODEL, moved, there, x).gap) < 1e-11


def test_streams_are_decoded_one_by_one_and_added_where_they_are_on():
    own = parameters()
    z = MODEL.with_switches(own, gaussian(), data()).nodes().z
    parts = MODEL.decode_streams(own, z)
    for n, p in ((0, 0), (2, 17), (4, 95)):
        row = z[n, p].numpy()
        np.testing.assert_allclose(parts[n, p], streams(own, row), rtol=1e-11)
        expected = row[S * H :] @ streams(own, row)
        np.testing.assert_allclose(MODEL.decode(own, z)[n, p], expected, rtol=1e-10, atol=1e-13)


def test_the_criterion_in_the_form_of_scores_finds_minus_one_on_the_scale():
    model = models.MultiStream(1, 1, 1)
    own, g = parameters(model), generator("points")
    factor, points = model.factors[-1], draw(60, 3, g=g)
    points[:, 2] = (points[:, 2] > 0).double()

    def density(moved, rows):
        return factor.family.log_prob(rows[:, :1], factor.natural(moved, rows[:, 1:]))

    def entropy(moved, rows):
        return factor.family.entropy(factor.natural(moved, rows[:, 1:]))

    found = check_score_criterion(density, entropy, own, points, subset=("log_scale",))
    assert found.verdict == "pass"
    assert float(found.direction["log_scale"]) == pytest.approx(-1, rel=1e-9)


def test_impossible_states_have_no_part_in_entropies_and_gradients():
    logits = torch.tensor([0.0, -2000.0]).double().expand(N, 2 * H, 2).clone()
    q = models.Switched(gaussian(N, H), logits)
    assert torch.equal(q.entropy(), q.latents.entropy())
    gradient = torch.func.grad(lambda a: models.Switched(gaussian(N, H), a).entropy().sum())(logits)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize(
    ("call", "said"),
    (
        (lambda: models.MultiStream(D, H, 17), "streams must be at most 16, as all states"),
        (lambda: models.MultiStream(D, H, 0), "streams must be a positive integer: got 0"),
        (lambda: models.MultiStream(D, H, 2, [3]), "hidden must be a tuple of layer sizes"),
        (lambda: models.Switched(gaussian(), torch.zeros(N, 12, 3)), "a column for each state of"),
        (lambda: models.Switched(gaussian(), torch.zeros(N, 4)), r"must have shape \(N, P, 2\*\*S"),
        (lambda: models.Switched(gaussian(), torch.zeros(N, 7, 4)).entropy(), "a row for each of"),
        (lambda: run(None), "MultiStream has no posterior in closed form"),
        (lambda: run(gaussian(N, 4)), "q must be over the 6 latents z of all"),
        (lambda: run(models.Switched(gaussian(), torch.zeros(N, 12, 4).double())), "the model's 9"),
        (lambda: run(variational.MeanFieldBernoulli(draw(N, 9, g=generator("m")))), "a Switched"),
        (lambda: run(gaussian(), log_scale=400.0), "must lie between -300 and 300"),
        (lambda: run(gaussian(), prior_logits=torch.zeros(2)), "must have shape"),
    ),
)
def test_what_does_not_fit_is_refused_in_one_sentence(call, said):
    with pytest.raises(ValueError, match=said) as error:
        call()
    assert "\n" not in str(error.value)


def run(q, **changed):
    changed = {name: torch.as_tensor(value).double() for name, value in changed.items()}
    return verify(MODEL, parameters() | changed, q, data())
