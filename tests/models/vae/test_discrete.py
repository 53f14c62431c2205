"""Bernoulli and categorical VAEs, and VAE-0, against oracles that share no code with them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from companion import (
    check_criterion,
    elbo,
    entropy_sum,
    models,
    variational,
    verify,
)
from tests.cases import draw, generator, perturbed
from tests.models.helpers import (
    H,
    N,
    bernoulli_entropy,
    gaussian_q,
    holds,
    numpy_of,
    sigmoid,
)

VAES = {
    f"{kind}-{'learnable' if learnable else 'fixed'}-{len(hidden)}": (kind, hidden, learnable)
    for kind in ("bernoulli", "categorical", "vae-0")
    for hidden in ((), (3,), (4, 3))
    for learnable in (False, True)
}
VARIANCE = 0.7
every_vae = pytest.mark.parametrize("name", VAES)


def vae_point(name, rule=None):
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
    return model, parameters, gaussian_q(g, rule=rule), x


def decoder_output(parameters, z):
    """The network in NumPy: logits or means."""
    p = numpy_of(parameters)
    layer = 0
    while f"hidden{layer}.weights" in p:
        z = np.tanh(z @ p[f"hidden{layer}.weights"].T + p[f"hidden{layer}.bias"])
        layer += 1
    last = "logits" if "logits.weights" in p else "mean"
    return z @ p[f"{last}.weights"].T + p[f"{last}.bias"]


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
def test_vae_direction_is_the_one_that_the_criterion_finds(name):
    """The last layer alone satisfies the criterion; the rest of v rescales the latent space."""
    model, parameters, _, _ = vae_point(name)
    _, hidden, learnable = VAES[name]
    last = "mean" if isinstance(model, models.GaussianVAE) else "logits"
    names = (f"{last}.weights", f"{last}.bias")
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
        reads_z = "hidden0.weights" if hidden else f"{last}.weights"
        expected[reads_z] = expected[reads_z] - parameters[reads_z] / 2
    assert set(v) == set(expected) == set(parameters)
    for key, value in expected.items():
        torch.testing.assert_close(v[key], value, rtol=0, atol=1e-8)
    assert model.latent_rescaling == (0.0 if learnable else 0.5)


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
    mean, variance = model.moments(parameters, q.mean)
    torch.testing.assert_close(mean, twin.decode(same, q.mean))
    assert bool((variance == VARIANCE).all())


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
        with pytest.raises(ValueError, match='variance must be given for noise_type="fixed"'):
            models.GaussianVAE(4, 2, noise_type=noise, variance=variance)
    for variance in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="variance must be a positive number"):
            models.GaussianVAE(4, 2, noise_type="fixed", variance=variance)
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
