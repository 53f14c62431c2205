"""Deep nets, discrete VAEs, VAE-0 and sparse coding against oracles that share no code with them.

The registry's property tests run over these models too; here are brute-force sums, quadrature,
closed forms, and directions found by the criterion checker.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from companion import (
    alternate,
    check_criterion,
    elbo,
    entropy_sum,
    families,
    models,
    project,
    variational,
    verify,
)
from companion.fit import ConvergenceWarning, lbfgs
from companion.models import EntropyWeights
from companion.models.sparse.expectations import expected_square_error, marginal_std
from companion.theory.factors import factor_identities
from tests.cases import draw, generator, perturbed

LIMIT = 1e-12
N, H = 5, 2


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def bernoulli_entropy(p):
    return -(p * np.log(p) + (1 - p) * np.log(1 - p))


def numpy_of(parameters):
    return {name: value.numpy() for name, value in parameters.items()}


def gaussian_q(g, size=H, full=False, rule=None, points=N):
    mean = draw(points, size, g=g)
    scale = draw(points, size, g=g).mul(0.5).exp()
    if full:
        scale = torch.diag_embed(scale) + torch.tril(draw(points, size, size, g=g), -1)
    return variational.Gaussian(mean, scale, rule)


def holds(report):
    assert report.relative_residual <= LIMIT
    assert abs(report.gap) > 1e-3, "a gap this small could hide a wrong direction"


# --- deep sigmoid belief nets --------------------------------------------------------------------


@pytest.fixture
def deep():
    g = generator("deep")
    model = models.DeepSigmoidBeliefNet(observed=4, hidden=3, latent=2)
    x = (draw(N, 4, g=g) > 0).to(torch.float64)
    return model, model.initial_parameters(g), x, g


def all_joint_probabilities(parameters, x):
    """{(z₁, z₂): p(x_n, z₁, z₂)} by loops over bits."""
    p = numpy_of(parameters)
    prior, hidden, observed = (len(p[name]) for name in ("prior_logits", "c", "b"))
    table = {}
    for z1 in itertools.product((0, 1), repeat=hidden):
        for z2 in itertools.product((0, 1), repeat=prior):
            chance = 1.0
            for k in range(prior):
                on = sigmoid(p["prior_logits"][k])
                chance *= on if z2[k] else 1 - on
            for k in range(hidden):
                on = sigmoid(p["V"][k] @ z2 + p["c"][k])
                chance *= on if z1[k] else 1 - on
            on = np.array([sigmoid(p["W"][d] @ z1 + p["b"][d]) for d in range(observed)])
            table[z1 + z2] = chance * np.prod(np.where(x.numpy() == 1, on, 1 - on), axis=1)
    return table


def test_deep_net_sums_all_states_by_hand(deep):
    model, parameters, x, _ = deep
    table = all_joint_probabilities(parameters, x)
    marginal = sum(table.values())
    q = model.posterior(parameters, x)
    assert float(model.log_likelihood(parameters, x)) == pytest.approx(np.log(marginal).mean())
    assert float(elbo(model, parameters, q, x)) == pytest.approx(np.log(marginal).mean(), rel=1e-13)
    for state, probabilities in zip(q.states.tolist(), q.probabilities.T, strict=True):
        np.testing.assert_allclose(
            probabilities.numpy(), table[tuple(int(v) for v in state)] / marginal, rtol=1e-11
        )


@pytest.mark.parametrize("kind", ["exact", "tabulated", "mean-field"])
def test_deep_net_entropies_layer_by_layer(deep, kind):
    model, parameters, x, g = deep
    states = model.states()
    q = {
        "exact": lambda: model.posterior(parameters, x),
        "tabulated": lambda: variational.Tabulated(states, draw(N, len(states), g=g)),
        "mean-field": lambda: variational.MeanFieldBernoulli(draw(N, model.latent_size, g=g)),
    }[kind]()
    report = verify(model, parameters, q, x)
    holds(report)
    p = numpy_of(parameters)
    z, weights = (t.numpy() for t in q.nodes())
    average = weights.mean(0)
    hidden = bernoulli_entropy(sigmoid(z[:, 3:] @ p["V"].T + p["c"])).sum(1) @ average
    observable = bernoulli_entropy(sigmoid(z[:, :3] @ p["W"].T + p["b"])).sum(1) @ average
    posterior = -(weights * np.log(weights)).sum(1).mean()
    prior = bernoulli_entropy(sigmoid(p["prior_logits"])).sum()
    assert report.hidden_entropies == {"hidden": pytest.approx(hidden, rel=1e-13)}
    expected = posterior - prior - hidden - observable
    assert report.entropy_sum == pytest.approx(expected, rel=1e-12)


def test_deep_net_criterion_layer_by_layer(deep):
    model, parameters, _, g = deep
    prior, hidden, observable = model.factors
    nodes = draw(24, model.latent_size, g=g)
    alone = check_criterion(lambda p: prior.natural(p, nodes), parameters, None, ["prior_logits"])
    assert alone.verdict == "pass"
    for factor, names in ((hidden, ("V", "c")), (observable, ("W", "b"))):
        found = check_criterion(factor.natural, parameters, nodes, names)
        assert found.verdict == "pass" and found.residual <= 1e-12
        for name in names:
            torch.testing.assert_close(found.direction[name], parameters[name], rtol=0, atol=1e-9)
            lacking = [other for other in names if other != name]
            assert check_criterion(factor.natural, parameters, nodes, lacking).verdict == "fail"


def test_deep_net_says_what_is_wrong(deep):
    with pytest.raises(ValueError, match="hidden must be a positive integer"):
        models.DeepSigmoidBeliefNet(4, 0, 2)
    with pytest.raises(ValueError, match="got 17"):
        models.DeepSigmoidBeliefNet(4, 9, 8).states()
    model, parameters, x, g = deep
    with pytest.raises(ValueError, match="the model's 5 latents: got 2"):
        verify(model, parameters, variational.MeanFieldBernoulli(draw(N, 2, g=g)), x)


# --- VAEs: Bernoulli, categorical, fixed variance ------------------------------------------------

VAES = {
    f"{kind}-{'learnable' if learnable else 'fixed'}-{len(hidden)}": (kind, hidden, learnable)
    for kind in ("bernoulli", "categorical", "vae-0")
    for hidden in ((), (3,), (4, 3))
    for learnable in (False, True)
}
VARIANCE = 0.7
every_vae = pytest.mark.parametrize("name", VAES)


def vae_point(name, rule=None, full=False):
    """(model, parameters, q, x) with four columns of data."""
    kind, hidden, learnable = VAES[name]
    g = generator(name)
    if kind == "bernoulli":
        model = models.BernoulliVAE(4, H, hidden, learnable)
        x = (draw(N, 4, g=g) > 0).to(torch.float64)
    elif kind == "categorical":
        model = models.CategoricalVAE(2, 3, H, hidden, learnable)
        index = draw(N, 2, 3, g=g).argmax(-1)
        x = torch.nn.functional.one_hot(index, 3).to(torch.float64).flatten(1)
    else:
        model = models.GaussianVAE(4, H, hidden, "fixed", learnable, variance=VARIANCE)
        x = draw(N, 4, g=g)
    parameters = perturbed(model.initial_parameters(g), g)
    return model, parameters, gaussian_q(g, full=full, rule=rule), x


def decoder_output(parameters, z):
    """The network in NumPy: logits or means."""
    p = numpy_of(parameters)
    layer = 0
    while f"hidden{layer}.weight" in p:
        z = np.tanh(z @ p[f"hidden{layer}.weight"].T + p[f"hidden{layer}.bias"])
        layer += 1
    last = "logits" if "logits.weight" in p else "mean"
    return z @ p[f"{last}.weight"].T + p[f"{last}.bias"]


def observable_terms(kind, output, x):
    """log p(x|z) and the (pseudo-)entropy of p(x|z), for the network's output at z."""
    if kind == "bernoulli":
        p = sigmoid(output)
        return np.log(np.where(x == 1, p, 1 - p)).sum(-1), bernoulli_entropy(p).sum(-1)
    if kind == "categorical":
        e = np.exp(output.reshape(*output.shape[:-1], 2, 3))
        p = e / e.sum(-1, keepdims=True)
        log_p = np.log(p)
        chosen = (log_p * x.reshape(*x.shape[:-1], 2, 3)).sum((-2, -1))
        return chosen, -(p * log_p).sum((-2, -1))
    log_prob = stats.norm.logpdf(x, output, math.sqrt(VARIANCE)).sum(-1)
    return log_prob, -(output**2).sum(-1) / (2 * VARIANCE)


@every_vae
def test_vae_elbo_and_entropies_by_monte_carlo_sums_in_numpy(name):
    """With frozen samples both sides are finite sums, written out here without the package."""
    g = generator(name + "noise")
    rule = variational.samples(N, 4, H, g)
    model, parameters, q, x = vae_point(name, rule)
    kind, _, learnable = VAES[name]
    mean, std = q.mean.numpy(), q.scale.numpy()
    z = mean[:, None] + std[:, None] * rule.z.numpy()
    variance = np.exp(parameters["prior_log_variance"].numpy()) if learnable else np.ones(H)
    log_p, entropy = observable_terms(kind, decoder_output(parameters, z), x.numpy()[:, None])
    log_prior = stats.norm.logpdf(z, 0, np.sqrt(variance)).sum(-1)
    posterior = stats.norm.entropy(0, std).sum(-1).mean()
    value = (log_p + log_prior).mean() + posterior
    base = stats.norm.logpdf(x.numpy(), 0, math.sqrt(VARIANCE)).sum(1).mean()
    total = posterior - stats.norm.entropy(0, np.sqrt(variance)).sum() - entropy.mean()
    total += base if kind == "vae-0" else 0.0
    report = verify(model, parameters, q, x)
    assert report.elbo == pytest.approx(value, rel=1e-12)
    assert report.entropy_sum == pytest.approx(total, rel=1e-12)
    assert report.form == ("pseudo" if kind == "vae-0" else "true")
    holds(report)


@every_vae
@pytest.mark.parametrize("full", [False, True], ids=["diagonal", "full"])
@pytest.mark.parametrize("rule", ["cubature", "hermite", "samples"])
def test_vae_identity_for_every_q(name, full, rule):
    g = generator(name + "rule")
    nodes = {
        "cubature": variational.cubature(H),
        "hermite": variational.gauss_hermite(H, 4),
        "samples": variational.samples(N, 3, H, g),
    }[rule]
    holds(verify(*vae_point(name, nodes, full)))


@every_vae
def test_vae_identity_with_an_encoder(name):
    model, parameters, _, x = vae_point(name)
    g = generator(name + "encoder")
    encoder = models.Encoder(x.shape[1], H, (3,))
    phi = perturbed(encoder.initial_parameters(g), g)
    holds(verify(model, parameters, encoder.posterior(phi, x, variational.samples(N, 3, H, g)), x))


@every_vae
def test_vae_direction_is_the_one_that_the_criterion_finds(name):
    """The last layer alone satisfies the criterion; the rest of v rescales the latent space."""
    model, parameters, _, _ = vae_point(name)
    _, hidden, learnable = VAES[name]
    last = "mean" if isinstance(model, models.GaussianVAE) else "logits"
    names = (f"{last}.weight", f"{last}.bias")
    nodes = draw(40, H, g=generator(name + "nodes"))
    found = check_criterion(model.factors[-1].natural, parameters, nodes, names)
    assert found.verdict == "pass" and found.residual <= 1e-11
    for lacking in names:
        alone = check_criterion(model.factors[-1].natural, parameters, nodes, [lacking])
        assert alone.verdict == "fail"
    v = model.gap_direction(parameters)
    expected = {key: value.clone() for key, value in found.direction.items()}
    if learnable:
        expected["prior_log_variance"] = -torch.ones(H, dtype=torch.float64)
    else:
        reads_z = "hidden0.weight" if hidden else f"{last}.weight"
        expected[reads_z] = expected[reads_z] - parameters[reads_z] / 2
    assert set(v) == set(expected) == set(parameters)
    for key, value in expected.items():
        torch.testing.assert_close(v[key], value, rtol=0, atol=1e-8)
    assert model.latent_rescaling == (0.0 if learnable else 0.5)


@every_vae
def test_vae_factors_sum_to_the_identity_where_their_blocks_are_apart(name):
    model, parameters, q, x = vae_point(name)
    report = verify(model, parameters, q, x)
    lines = factor_identities(model, parameters, q, x)
    assert sum(line.gap for line in lines) == pytest.approx(report.gap, rel=1e-11)
    assert sum(line.slope for line in lines) == pytest.approx(report.slope, rel=1e-11)
    if VAES[name][2]:  # v of a learnable prior leaves q alone: each line holds by itself
        assert all(line.residual <= LIMIT * (1 + abs(report.elbo)) for line in lines)


@every_vae
def test_vae_wrong_directions_are_noticed(name):
    model, parameters, q, x = vae_point(name)
    v = {f"q.{k}": t for k, t in q.rescaling(model.latent_rescaling).items()}
    v |= model.gap_direction(parameters)
    for block in [key for key, value in v.items() if bool((value != 0).any())]:
        bad = verify(model, parameters, q, x, v | {block: -v[block]})
        assert bad.relative_residual > 1e-5, block


def test_vae_0_true_entropies_only_by_name_and_wrong_there():
    model, parameters, q, x = vae_point("vae-0-fixed-1")
    report = verify(model, parameters, q, x)
    auto = entropy_sum(model, parameters, q, x)
    true = entropy_sum(model, parameters, q, x, form="true")
    assert (auto.form, true.form) == ("pseudo", "true")
    known = 2 * (1 + math.log(2 * math.pi * VARIANCE))  # (D/2) log 2πeσ² with D = 4
    assert float(true.observable) == pytest.approx(known, rel=1e-13)
    assert float(true.base_measure) == 0
    assert abs(float(true.total) - float(auto.total)) > 0.1
    assert abs(report.elbo - float(true.total) - report.slope) > 0.1


def test_vae_0_agrees_with_the_scalar_noise_vae_at_the_same_variance():
    model, parameters, q, x = vae_point("vae-0-fixed-1")
    twin = models.GaussianVAE(4, H, (3,))
    same = parameters | {"log_variance": torch.tensor(math.log(VARIANCE), dtype=torch.float64)}
    expected = float(elbo(twin, same, q, x))
    assert float(elbo(model, parameters, q, x)) == pytest.approx(expected, rel=1e-13)
    mean, variance = model.decode(parameters, q.mean)
    torch.testing.assert_close(mean, twin.decode(same, q.mean)[0])
    assert bool((variance == VARIANCE).all())


@pytest.mark.parametrize("name", ["bernoulli-fixed-1", "categorical-learnable-1", "vae-0-fixed-1"])
def test_vae_projection_reaches_the_equality_without_lowering_the_elbo(name):
    model, parameters, q, x = vae_point(name, variational.gauss_hermite(H, 4))
    before = verify(model, parameters, q, x)
    after = verify(model, *project(model, parameters, q, x), x)
    assert abs(after.gap) <= 1e-11 * (1 + abs(after.elbo)) < abs(before.gap)
    assert after.elbo > before.elbo


def test_vae_probabilities():
    model, parameters, q, _ = vae_point("categorical-fixed-1")
    p = model.decode(parameters, q.mean)
    assert p.shape == (N, 6) and bool((p > 0).all())
    torch.testing.assert_close(p.reshape(N, 2, 3).sum(-1), torch.ones(N, 2, dtype=torch.float64))
    bits, weights, q, _ = vae_point("bernoulli-fixed-1")
    expected = sigmoid(decoder_output(weights, q.mean.numpy()))
    np.testing.assert_allclose(bits.decode(weights, q.mean).numpy(), expected, rtol=1e-13)


def test_vae_says_what_is_wrong():
    for variance, noise in ((None, "fixed"), (0.5, "scalar")):
        with pytest.raises(ValueError, match='variance must be given for noise="fixed"'):
            models.GaussianVAE(4, 2, noise=noise, variance=variance)
    for variance in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="variance must be a positive number"):
            models.GaussianVAE(4, 2, noise="fixed", variance=variance)
    for wrong in (dict(variables=0), dict(categories=0), dict(latent=0)):
        arguments = dict(variables=2, categories=3, latent=1) | wrong
        with pytest.raises(ValueError, match="must be a positive integer: got 0"):
            models.CategoricalVAE(**arguments)
    with pytest.raises(ValueError, match="hidden must be a tuple"):
        models.BernoulliVAE(4, 2, [3])
    model, parameters, q, x = vae_point("categorical-fixed-1")
    shifted = x.roll(1, 1)  # still two ones a row, but not one per block
    with pytest.raises(ValueError, match=r"x must be one-hot vectors in a row .*groups=2"):
        verify(model, parameters, q, shifted)


# --- new families --------------------------------------------------------------------------------


def test_categorical_product_is_a_product():
    g = generator("product")
    family, single = families.CategoricalProduct(2), families.Categorical()
    eta, x = draw(N, 6, g=g), torch.eye(3, dtype=torch.float64)[torch.tensor([[0, 2], [1, 1]])]
    log_p = family.log_prob(x.flatten(1), eta[:2])
    parts = single.log_prob(x, eta[:2].reshape(2, 2, 3)).sum(-1)
    torch.testing.assert_close(log_p, parts)
    drawn = family.sample(eta.repeat(4000, 1), g)
    assert family.invalid(drawn) is None
    frequency = drawn.reshape(4000, N, 6).mean(0)
    torch.testing.assert_close(frequency, family.mean_parameters(eta), atol=0.04, rtol=0)
    with pytest.raises(ValueError, match="groups must be a positive integer"):
        families.CategoricalProduct(0)


def test_zero_laplace_against_scipy():
    scale = torch.tensor([0.5, 3.0], dtype=torch.float64)
    family, x = families.ZeroLaplace(), torch.tensor([[-1.2, 0.3]], dtype=torch.float64)
    eta = family.natural_parameters(scale)
    oracle = stats.laplace(scale=scale.numpy())
    assert float(family.log_prob(x, eta)[0]) == pytest.approx(oracle.logpdf(x.numpy()).sum())
    assert float(family.entropy(eta)) == pytest.approx(oracle.entropy().sum())
    drawn = family.sample(eta.repeat(40_000, 1), generator("laplace"))
    for column, size in zip(drawn.T, scale, strict=True):
        assert stats.kstest(column.numpy(), "laplace", args=(0, float(size))).pvalue > 1e-3


# --- sparse coding -------------------------------------------------------------------------------

SPARSE = [(learnable, full) for learnable in (True, False) for full in (False, True)]
every_sparse = pytest.mark.parametrize(
    ("learnable", "full"),
    SPARSE,
    ids=[f"{'learnable' if s else 'unit'}-{'full' if f else 'diagonal'}" for s, f in SPARSE],
)


def sparse_point(learnable, full, rule=None, points=N):
    g = generator(f"sparse {learnable} {full}")
    model = models.SparseCoding(3, H, learnable)
    parameters = model.initial_parameters(g)
    return (
        model,
        parameters,
        gaussian_q(g, full=full, rule=rule, points=points),
        draw(points, 3, g=g),
    )


def covariance_of(q):
    L = torch.diag_embed(q.scale) if q.diagonal else torch.tril(q.scale)
    return (L @ L.mT).numpy()


@every_sparse
def test_sparse_coding_elbo_by_adaptive_quadrature(learnable, full):
    """E|z_h| by one-dimensional quadrature, the square error by NumPy; two points are enough."""
    model, parameters, q, x = sparse_point(learnable, full, points=2)
    p = numpy_of(parameters)
    scale = np.exp(p["log_scale"]) if learnable else np.ones(H)
    covariance, variance = covariance_of(q), np.exp(p["log_variance"])
    values = []
    for n in range(2):
        m, S = q.mean[n].numpy(), covariance[n]
        total = stats.multivariate_normal(m, S).entropy()
        for h in range(H):
            law = stats.norm(m[h], math.sqrt(S[h, h]))
            prior = stats.laplace(scale=scale[h])
            low, high = m[h] - 12 * law.std(), m[h] + 12 * law.std()
            for a, b in ((min(low, 0), 0), (0, max(high, 0))):
                total += integrate.quad(lambda z: law.pdf(z) * prior.logpdf(z), a, b)[0]  # noqa: B023
        residual = x[n].numpy() - p["W"] @ m - p["mean"]
        square = residual @ residual + np.trace(p["W"] @ S @ p["W"].T)
        total += -0.5 * square / variance - 1.5 * np.log(2 * np.pi * variance)
        values.append(total)
    assert float(elbo(model, parameters, q, x)) == pytest.approx(np.mean(values), rel=1e-8)


@every_sparse
def test_sparse_coding_closed_form_agrees_with_many_samples(learnable, full):
    model, parameters, q, x = sparse_point(learnable, full, points=2)
    sampled = replace(q, rule=variational.samples(2, 400_000, H, generator("many")))
    exact, noisy = (float(elbo(model, parameters, each, x)) for each in (q, sampled))
    assert noisy != exact
    assert noisy == pytest.approx(exact, rel=1e-2)


@dataclass(frozen=True)
class BySamples(models.SparseCoding):
    """The same model without its closed forms: every expectation by nodes, the kink included."""

    @property
    def factors(self):
        return tuple(replace(factor, closed_form=None) for factor in super().factors)


@every_sparse
def test_sparse_coding_identity_in_closed_form_with_samples_and_with_any_rule(learnable, full):
    g = generator("sparse rules")
    model, parameters, q, x = sparse_point(learnable, full)
    closed = verify(model, parameters, q, x)
    holds(closed)
    for rule in (
        variational.cubature(H),
        variational.gauss_hermite(H, 3),
        variational.samples(N, 3, H, g),
    ):
        by_nodes = verify(BySamples(3, H, learnable), parameters, replace(q, rule=rule), x)
        holds(by_nodes)
        assert abs(by_nodes.elbo - closed.elbo) > 1e-6, "the kink must make a difference"
        same = verify(model, parameters, replace(q, rule=rule), x)
        expected = by_nodes if rule.z.dim() == 3 else closed
        assert same.elbo == pytest.approx(expected.elbo, rel=1e-13)
        assert same.relative_residual <= LIMIT


@every_sparse
def test_sparse_coding_entropy_sum_needs_neither_nodes_nor_data(learnable, full):
    model, parameters, q, x = sparse_point(learnable, full)
    p = numpy_of(parameters)
    scale = np.exp(p["log_scale"]) if learnable else np.ones(H)
    expected = 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * covariance_of(q))).mean()
    expected -= np.log(2 * np.e * scale).sum()
    expected -= 1.5 * (np.log(2 * np.pi * np.e) + p["log_variance"])
    report = verify(model, parameters, q, x)
    assert report.entropy_sum == pytest.approx(expected, rel=1e-12)
    closed = float(model.closed_form_entropy_sum(parameters, q))
    assert closed == pytest.approx(expected, rel=1e-12)


@every_sparse
def test_sparse_coding_directions(learnable, full):
    model, parameters, q, x = sparse_point(learnable, full)
    prior, observable = model.factors
    nodes = draw(24, H, g=generator("sparse nodes"))
    found = check_criterion(observable.natural, parameters, nodes)
    assert found.verdict == "pass"
    noise = check_criterion(observable.natural, parameters, nodes, ["log_variance"])
    assert noise.verdict == "pass"
    assert float(noise.direction["log_variance"]) == pytest.approx(-1, abs=1e-10)
    v = model.gap_direction(parameters)
    assert float(v["log_variance"]) == -1 and not bool(v["mean"].any())
    if learnable:
        scale = check_criterion(lambda p: prior.natural(p, nodes), parameters, None, ["log_scale"])
        assert scale.verdict == "pass"
        torch.testing.assert_close(scale.direction["log_scale"], v["log_scale"])
        assert not bool(v["W"].any()) and model.latent_rescaling == 0
    else:
        torch.testing.assert_close(v["W"], -parameters["W"])
        assert model.latent_rescaling == 1
    full_v = v | {f"q.{k}": t for k, t in q.rescaling(model.latent_rescaling).items()}
    for block in [key for key, value in full_v.items() if bool((value != 0).any())]:
        bad = verify(model, parameters, q, x, full_v | {block: -full_v[block]})
        assert bad.relative_residual > 1e-5, block


@every_sparse
def test_sparse_coding_factors_have_identities_of_their_own(learnable, full):
    model, parameters, q, x = sparse_point(learnable, full)
    report = verify(model, parameters, q, x)
    lines = factor_identities(model, parameters, q, x)
    assert all(line.residual <= LIMIT * (1 + abs(report.elbo)) for line in lines)
    assert sum(line.gap for line in lines) == pytest.approx(report.gap, rel=1e-12)


@pytest.mark.parametrize("full", [False, True], ids=["diagonal", "full"])
def test_m_step_is_stationary_and_gives_the_equality_for_the_old_q(full):
    model, parameters, q, x = sparse_point(True, full)
    best = model.m_step(parameters, q, x)
    report = verify(model, best, q, x)
    assert abs(report.gap) <= 1e-12 * (1 + abs(report.elbo))
    gradient = torch.func.grad(lambda p: elbo(model, p, q, x))(best)
    for name, value in gradient.items():
        assert float(value.norm()) <= 1e-11, name
    assert report.elbo > verify(model, parameters, q, x).elbo + 0.1
    halfway = model.m_step(parameters, q, x, stretch=0.5)
    torch.testing.assert_close(halfway["W"], (best["W"] + parameters["W"]) / 2)
    assert abs(verify(model, halfway, q, x).gap) <= 1e-11


def test_m_step_without_a_learnable_scale_leaves_the_gap_of_the_prior():
    model, parameters, q, x = sparse_point(False, False)
    report = verify(model, model.m_step(parameters, q, x), q, x)
    assert abs(report.gap) > 1e-2 and report.relative_residual <= LIMIT
    assert report.blocks["log_variance"] == pytest.approx(0, abs=1e-12)


@every_sparse
def test_e_step_ends_at_the_maximum_over_q_and_never_falls_on_the_way(learnable, full):
    model, parameters, q, x = sparse_point(learnable, full)
    values = [float(elbo(model, parameters, q, x))]
    for _ in range(60):
        q = model.e_step(parameters, q, x)
        values.append(float(elbo(model, parameters, q, x)))
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(values))
    assert values[-1] > values[0] + 1e-2

    def of_q(variables):
        return elbo(model, parameters, q.with_parameters(variables), x)

    gradient = torch.func.grad(of_q)(q.parameters)
    assert max(float(value.norm()) for value in gradient.values()) <= 1e-6


def test_weights_change_what_the_e_step_maximises():
    model, parameters, q, x = sparse_point(True, False)
    weights = EntropyWeights(posterior=0.7, prior=1.5, observable=0.4)
    q = model.e_step(parameters, q, x, weights, steps=40)
    scale, log_variance = model.scale(parameters), parameters["log_variance"]

    def weighted(variables):
        moved = q.with_parameters(variables)
        ratio = moved.mean / marginal_std(moved)
        normal = torch.distributions.Normal(0.0, 1.0)
        size = moved.mean * (2 * normal.cdf(ratio) - 1)
        size = size + 2 * marginal_std(moved) * normal.log_prob(ratio).exp()
        error = expected_square_error(parameters, x, moved) * (-log_variance).exp()
        entropy = moved.scale.log().sum(-1)
        return (0.7 * entropy - 1.5 * (size / scale).sum(-1) - 0.2 * error).mean()

    gradient = torch.func.grad(weighted)(q.parameters)
    assert max(float(value.norm()) for value in gradient.values()) <= 1e-6
    plain = torch.func.grad(lambda v: elbo(model, parameters, q.with_parameters(v), x))
    assert max(float(value.norm()) for value in plain(q.parameters).values()) > 1e-2


@every_sparse
def test_alternation_climbs_and_lbfgs_takes_it_to_the_equality(learnable, full):
    g = generator("alternation")
    z = torch.distributions.Laplace(0.0, 1.0).icdf(torch.rand(40, 2, generator=g).double())
    x = z @ draw(2, 4, g=g) + 0.3 * draw(40, 4, g=g)
    model = models.SparseCoding(4, 2, learnable)
    start = model.random_start(x, g)
    untouched = {name: value.clone() for name, value in start.items()}
    result = alternate(model, start, x, model.prior_q(40, full), steps=60)
    assert result.converged and result.trace.steps == [0, 10, 20, 30, 40, 50, 60]
    elbos = result.trace.column("elbo")
    assert (np.diff(elbos) >= -1e-12).all() and elbos[-1] > elbos[0] + 0.5
    assert all(record.relative_residual <= LIMIT for record in result.trace.records)
    if learnable:  # F = S at every logged step, and the columns of W have length one
        assert all(abs(record.gap) <= 1e-11 for record in result.trace.records[1:])
        lengths = result.parameters["W"].norm(dim=0)
        torch.testing.assert_close(lengths, torch.ones(2, dtype=torch.float64))
    else:
        assert all(abs(record.gap) > 1e-7 for record in result.trace.records[1:])
    assert all(torch.equal(start[name], untouched[name]) for name in start)
    end = lbfgs(model, result.parameters, x, result.q, tolerance=2e-5, log_every=1000)
    assert end.final.elbo >= result.final.elbo - 1e-12
    assert abs(end.final.gap) <= end.final.certificate <= 1e-3


def test_annealed_alternation_ends_where_the_weights_are_one():
    g = generator("annealed")
    x = draw(30, 2, g=g) ** 3 @ draw(2, 4, g=g) + 0.3 * draw(30, 4, g=g)
    model = models.SparseCoding(4, 2)
    start, weights = model.random_start(x, g), EntropyWeights(observable=0.5).ramp(20)
    assert [weights[0].observable, weights[-1].observable] == [0.5, pytest.approx(0.975)]
    plain = alternate(model, start, x, steps=25, log_every=1)
    annealed = alternate(model, start, x, steps=25, weights=weights, log_every=1)
    noise = [at.parameters["log_variance"] for at in (plain, annealed)]
    assert abs(float(noise[0] - noise[1])) > 1e-4
    assert all(abs(record.gap) <= 1e-11 for record in annealed.trace.records[1:])
    assert annealed.trace.column("elbo")[3] < plain.trace.column("elbo")[3]
    assert annealed.final.elbo == pytest.approx(plain.final.elbo, abs=0.2)


def test_normalising_changes_nothing_that_can_be_seen():
    model, parameters, q, x = sparse_point(True, True)
    moved, moved_q = model.normalized(parameters, q)
    torch.testing.assert_close(moved["W"].norm(dim=0), torch.ones(H, dtype=torch.float64))
    before, after = verify(model, parameters, q, x), verify(model, moved, moved_q, x)
    assert after.elbo == pytest.approx(before.elbo, rel=1e-13)
    assert after.entropy_sum == pytest.approx(before.entropy_sum, rel=1e-13)
    unit, same, same_q, _ = sparse_point(False, True)
    assert unit.normalized(same, same_q)[1] is same_q


def test_random_start_explains_part_of_the_variance():
    g = generator("start")
    x = 3 * draw(50, 6, g=g) + 2
    model = models.SparseCoding(6, 9)
    parameters = model.random_start(x, g)
    spread = 2 * (parameters["W"] ** 2).sum()  # Var z = 2λ² with λ = 1
    variance = ((x - x.mean(0)) ** 2).mean()
    assert float(spread) == pytest.approx(float(6 * variance / 2))
    assert float(parameters["log_variance"].exp()) == pytest.approx(float(variance / 2))
    torch.testing.assert_close(parameters["mean"], x.mean(0))


def test_sparse_coding_says_what_is_wrong():
    model, parameters, q, x = sparse_point(True, False)
    sampled = replace(q, rule=variational.samples(N, 2, H, generator("wrong")))
    for step in (model.e_step, model.m_step):
        with pytest.raises(ValueError, match="not integrated by samples"):
            step(parameters, sampled, x)
    for weight in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="prior must be a positive weight"):
            EntropyWeights(prior=weight)
    with pytest.raises(ValueError, match="for some of the 2 steps: got 3"):
        alternate(model, parameters, x, q, steps=2, weights=EntropyWeights().ramp(3))
    with pytest.raises(ValueError, match="needs a SparseCoding model: got PPCA"):
        alternate(models.PPCA(3, 2), parameters, x, q)
    with pytest.raises(ValueError, match="tolerance must be positive"):
        alternate(model, parameters, x, q, tolerance=0.0)
    with pytest.warns(ConvergenceWarning, match=r"asked for 1\.0e-12"):
        alternate(model, parameters, x, q, steps=2, tolerance=1e-12)
    dead = parameters | {"log_scale": torch.tensor([0.0, -60.0], dtype=torch.float64)}
    with pytest.raises(ValueError, match="latent 1 died"):
        model.normalized(dead, q)
