"""The ELBO against brute-force enumeration, SciPy and quadrature, all written independently."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from companion import elbo, entropy_sum, models, variational, verify
from tests.cases import draw, generator, names, perturbed, point, some_cases
from tests.oracles import log_density


def log_bernoulli(x, logits):
    """Σ_d log Bern(x_d; σ(logits_d)) by SciPy."""
    return float(stats.bernoulli.logpmf(x, special.expit(logits)).sum())


# --- sigmoid belief nets --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ("sbn/tabulated", "sbn/mean-field", "sbn/exact"))
def test_sbn_elbo_by_brute_force(name):
    _, parameters, q, x = point(name)
    psi, W, b = (parameters[k].numpy() for k in ("prior_logits", "weights", "bias"))
    logits = q.logits.numpy()
    total = 0.0
    for n, row in enumerate(x.numpy()):
        states = list(itertools.product((0.0, 1.0), repeat=len(psi)))
        if isinstance(q, variational.MeanFieldBernoulli):
            log_q = np.array([log_bernoulli(z, logits[n]) for z in states])
        else:
            log_q = special.log_softmax(logits[n])
        for z, lq in zip(states, log_q, strict=True):
            log_joint = log_bernoulli(z, psi) + log_bernoulli(row, W @ np.array(z) + b)
            total += math.exp(lq) * (log_joint - lq)
    assert float(elbo(*point(name))) == pytest.approx(total / len(x), rel=1e-12)


def test_deep_sbn_elbo_by_brute_force():
    model, parameters, q, x = point("deep-sbn/tabulated")
    p = {k: v.numpy() for k, v in parameters.items()}
    total = 0.0
    for n, row in enumerate(x.numpy()):
        log_q = special.log_softmax(q.logits[n].numpy())
        for z, lq in zip(itertools.product((0.0, 1.0), repeat=3), log_q, strict=True):
            middle, top = np.array(z[:2]), np.array(z[2:])
            total += math.exp(lq) * (
                log_bernoulli(top, p["prior_logits"])
                + log_bernoulli(middle, p["hidden.weights"] @ top + p["hidden.bias"])
                + log_bernoulli(row, p["weights"] @ middle + p["bias"])
                - lq
            )
    assert float(elbo(model, parameters, q, x)) == pytest.approx(total / len(x), rel=1e-12)
    assert list(entropy_sum(model, parameters, q, x).hidden) == ["hidden"]


# --- mixtures -------------------------------------------------------------------------------------


def component_densities(model, parameters):
    """One function of x for each component, by SciPy, from the parameters alone."""
    p = {k: v.numpy() for k, v in parameters.items()}
    if isinstance(model, models.FamilyMixture):
        each = [{k: v[c] for k, v in p.items()} for c in range(model.components)]
        return [log_density(model.family, own) for own in each]
    densities = []
    for c, mean in enumerate(p["means"]):
        if model.covariance_type == "spherical":
            covariance = np.exp(p["log_variance"][c]) * np.eye(len(mean))
        elif model.covariance_type == "diagonal":
            covariance = np.diag(np.exp(p["log_variance"][c]))
        else:
            lower, diagonal = p["cholesky"], p["log_diagonal"]
            if model.covariance_type == "full":
                lower, diagonal = lower[c], diagonal[c]
            factor = np.tril(lower, -1) + np.diag(np.exp(diagonal))
            covariance = factor @ factor.T
        densities.append(stats.multivariate_normal(mean, covariance).logpdf)
    return densities


@some_cases("mixture")
def test_mixture_elbo_and_likelihood_by_brute_force(name):
    model, parameters, q, x = point(name)
    log_pi = special.log_softmax(parameters["prior_logits"].numpy())
    densities = component_densities(model, parameters)
    log_joint = np.array(
        [[lp + f(row) for lp, f in zip(log_pi, densities, strict=True)] for row in x.numpy()]
    )
    log_q = special.log_softmax(q.logits.numpy(), axis=1)
    expected = (np.exp(log_q) * (log_joint - log_q)).sum(1).mean()
    assert float(elbo(model, parameters, q, x)) == pytest.approx(expected, rel=1e-11)
    evidence = special.logsumexp(log_joint, axis=1)
    found = float(model.log_likelihood(parameters, x))
    assert found == pytest.approx(evidence.mean(), rel=1e-11)
    responsibilities = np.exp(log_joint - evidence[:, None])
    np.testing.assert_allclose(
        model.posterior(parameters, x).probabilities, responsibilities, rtol=1e-9, atol=1e-14
    )


# --- linear Gaussian models -----------------------------------------------------------------------


@some_cases("ppca", "factoranalysis")
def test_linear_gaussian_likelihood_agrees_with_scipy(name):
    model, parameters, _, x = point(name)
    p = {k: v.numpy() for k, v in parameters.items()}
    prior = np.exp(p.get("prior_log_variance", np.zeros(p["weights"].shape[1])))
    noise = np.broadcast_to(np.exp(p["log_variance"]), len(p["mean"]))
    covariance = p["weights"] @ np.diag(prior) @ p["weights"].T + np.diag(noise)
    expected = stats.multivariate_normal(p["mean"], covariance).logpdf(x.numpy()).mean()
    assert float(model.log_likelihood(parameters, x)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "name",
    [n for n in names("ppca", "factoranalysis") if not n.endswith(("samples", "linear-encoder"))],
)
def test_linear_gaussian_elbo_is_the_likelihood_less_the_divergence(name):
    """F = log p(x) − KL(q ‖ posterior) for rules that integrate squares exactly."""
    model, parameters, q, x = point(name)
    p = {k: v.numpy() for k, v in parameters.items()}
    prior = np.exp(p.get("prior_log_variance", np.zeros(p["weights"].shape[1])))
    precision_noise = np.diag(1 / np.broadcast_to(np.exp(p["log_variance"]), len(p["mean"])))
    precision = np.diag(1 / prior) + p["weights"].T @ precision_noise @ p["weights"]
    q = q.gaussian() if hasattr(q, "gaussian") else q
    divergence = 0.0
    for n, row in enumerate(x.numpy()):
        center = np.linalg.solve(precision, p["weights"].T @ precision_noise @ (row - p["mean"]))
        factor = q.scale[n].diag().numpy() if q.diagonal else q.scale[n].numpy()
        covariance, offset = factor @ factor.T, q.mean[n].numpy() - center
        divergence += 0.5 * (
            np.trace(precision @ covariance)
            + offset @ precision @ offset
            - len(offset)
            - np.linalg.slogdet(precision @ covariance)[1]
        )
    expected = float(model.log_likelihood(parameters, x)) - divergence / len(x)
    assert float(elbo(model, parameters, q, x)) == pytest.approx(expected, rel=1e-11)


@some_cases("sbn/exact", "mixture-full", "mixture-poisson", "ppca", "factoranalysis")
def test_the_exact_posterior_closes_the_bound_and_any_other_q_lies_below(name):
    model, parameters, q, x = point(name)
    likelihood = float(model.log_likelihood(parameters, x))
    exact = float(elbo(model, parameters, model.posterior(parameters, x), x))
    assert exact == pytest.approx(likelihood, rel=1e-12)
    if not name.endswith(("exact", "samples", "linear-encoder")):
        assert float(elbo(model, parameters, q, x)) < likelihood - 1e-3


# --- VAEs, by quadrature of our own ---------------------------------------------------------------


def decode(p, model, z):
    """Mean and variance of x for one number z, in NumPy."""
    layer = np.array([z])
    for i in range(len(model.hidden)):
        layer = np.tanh(p[f"hidden{i}.weights"] @ layer + p[f"hidden{i}.bias"])
    mean = p["mean.weights"] @ layer + p["mean.bias"]
    if model.noise_type in ("head", "softplus"):
        head = "log_variance" if model.noise_type == "head" else "std"
        output = p[f"{head}.weights"] @ layer + p[f"{head}.bias"]
        return mean, np.exp(output) if model.noise_type == "head" else np.logaddexp(0, output) ** 2
    return mean, np.broadcast_to(np.exp(p["log_variance"]), mean.shape)


@pytest.mark.parametrize("noise", ("scalar", "pixel", "head", "softplus"))
@pytest.mark.parametrize("learnable_prior", (False, True), ids=("fixed", "learnable"))
@pytest.mark.parametrize("hidden", ((), (3,), (3, 2)), ids=str)
def test_vae_elbo_and_entropy_sum_by_adaptive_quadrature(noise, learnable_prior, hidden):
    g = generator(f"{noise} {learnable_prior} {hidden}")
    model = models.GaussianVAE(2, 1, hidden, noise, learnable_prior)
    parameters = perturbed(model.initial_parameters(g), g)
    x, mean, std = draw(2, 2, g=g), draw(2, 1, g=g), 0.2 * draw(2, 1, g=g).exp()
    q = variational.Gaussian(mean, std, variational.gauss_hermite(1, 120))
    p = {k: v.numpy() for k, v in parameters.items()}
    prior = math.exp(p["prior_log_variance"][0]) if learnable_prior else 1.0

    def bound(z, n):
        m, variance = decode(p, model, z)
        log_q = stats.norm.logpdf(z, mean[n, 0], std[n, 0])
        log_p = stats.norm.logpdf(x[n].numpy(), m, np.sqrt(variance)).sum()
        return math.exp(log_q) * (log_p + stats.norm.logpdf(z, 0, math.sqrt(prior)) - log_q)

    def entropies(z, n):
        _, variance = decode(p, model, z)
        log_q = stats.norm.logpdf(z, mean[n, 0], std[n, 0])
        return math.exp(log_q) * stats.norm.entropy(0, np.sqrt(variance)).sum()

    def average(f):
        total = 0.0
        for n in (0, 1):
            low, high = (float(mean[n, 0] + k * std[n, 0]) for k in (-9, 9))
            total += integrate.quad(f, low, high, (n,), epsabs=1e-11, epsrel=1e-11, limit=200)[0]
        return total / 2

    assert float(elbo(model, parameters, q, x)) == pytest.approx(average(bound), rel=1e-8)
    expected = (
        stats.norm.entropy(0, std.numpy()).mean()
        - stats.norm.entropy(0, math.sqrt(prior))
        - average(entropies)
    )
    assert verify(model, parameters, q, x).entropy_sum == pytest.approx(expected, rel=1e-8)


def test_a_linear_vae_is_ppca():
    """The same parameters under other names, the same numbers."""
    g = generator("linear vae")
    ppca, vae = models.PPCA(4, 2), models.GaussianVAE(4, 2)
    parameters, x = ppca.initial_parameters(g), draw(6, 4, g=g)
    new_names = {"weights": "mean.weights", "mean": "mean.bias", "log_variance": "log_variance"}
    renamed = {new_names[k]: v for k, v in parameters.items()}
    q = ppca.posterior(parameters, x)
    for quantity in ("elbo", "entropy_sum", "gap", "slope", "gradient_norm"):
        one, two = (verify(m, p, q, x) for m, p in ((ppca, parameters), (vae, renamed)))
        assert getattr(one, quantity) == pytest.approx(getattr(two, quantity), rel=1e-12)


def test_more_samples_approach_the_integral():
    model, parameters, q, x = point("vae-head-fixed-1-hidden/diagonal-hermite")
    fine = variational.Gaussian(q.mean, q.scale, variational.gauss_hermite(2, 40))
    rule = variational.samples(len(x), 4000, 2, generator("many samples"))
    sampled = variational.Gaussian(q.mean, q.scale, rule)
    spread = model.log_joint(parameters, x, sampled.nodes().z).std(1).mean()
    error = abs(float(elbo(model, parameters, fine, x) - elbo(model, parameters, sampled, x)))
    assert 0 < error < 5 * float(spread) / math.sqrt(4000)


def test_gradients_flow_to_model_and_q():
    model, parameters, q, x = point("vae-head-fixed-1-hidden/mlp-encoder")
    both = torch.func.grad(
        lambda p, phi: elbo(model, p, q.with_parameters(phi), x), argnums=(0, 1)
    )(parameters, q.parameters)
    for gradients in both:
        assert all(float(value.abs().max()) > 0 for value in gradients.values())


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="form must be 'auto', 'true' or 'pseudo': got 'exact'"):
        entropy_sum(*point("sbn/exact"), form="exact")


def test_true_and_pseudo_forms_are_named():
    assert entropy_sum(*point("sbn/exact")).form == "true"
    assert entropy_sum(*point("sbn/exact"), form="pseudo").form == "pseudo"
    assert entropy_sum(*point("mixture-poisson/exact")).form == "pseudo"
    assert entropy_sum(*point("sbn/exact"), form="true").form == "true"


@pytest.mark.parametrize("form", ("auto", "pseudo"))
@some_cases("vae-known", "poisson", "chain", "vae-scalar", "deep")
def test_the_total_is_the_sum_of_the_terms_that_are_shown(name, form):
    found = entropy_sum(*point(name), form)
    parts = [found.posterior, -found.prior, -found.observable, found.base_measure]
    parts += [-each for each in found.hidden.values()]
    assert math.fsum(map(float, parts)) == pytest.approx(float(found.total), rel=1e-12)
