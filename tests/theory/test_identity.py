"""ELBO − entropy sum = ⟨∇ELBO, v⟩ at random parameters, for every model and every q."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from companion import elbo, entropy_sum, models, variational, verify
from companion.models.noised_chain import NoisedChain
from companion.support import tree
from companion.theory.elbo import expectation, expected_log_probs
from companion.theory.identity import full_direction
from companion.theory.variational import Amortized, Gaussian, MeanFieldBernoulli, Tabulated
from tests import cases
from tests.cases import every_case, every_model, in_turn, names, point, some_cases

LIMIT = 1e-12


@cache
def report_of(name):
    return verify(*point(name))


@every_case
def test_the_identity_holds_far_from_any_optimum(name):
    report = verify(*point(name))
    assert report.residual <= LIMIT * (1 + abs(report.elbo))
    assert abs(report.gap) > 1e-3, "a gap this small could hide a wrong direction"
    assert report.residual == abs(report.gap - report.slope)
    assert report.relative_residual == report.residual / (1 + abs(report.elbo))


@every_model
def test_the_pseudo_form_holds_for_every_model(name):
    model, parameters, q, x = point(name)
    report = report_of(name)
    pseudo = entropy_sum(model, parameters, q, x, form="pseudo")
    assert pseudo.form == "pseudo"
    assert float(pseudo.total) == pytest.approx(report.entropy_sum, rel=1e-13, abs=1e-13)


@every_model
def test_the_certificate_bounds_the_gap_and_the_blocks_add_up_to_the_slope(name):
    report = report_of(name)
    assert report.certificate >= abs(report.gap) * (1 - 1e-12)
    assert report.certificate >= math.fsum(abs(value) for value in report.blocks.values()) * (
        1 - 1e-12
    )
    assert math.fsum(report.blocks.values()) == pytest.approx(report.slope, rel=1e-14)


@every_model
def test_one_jacobian_vector_product_says_the_same(name):
    model, parameters, q, x = point(name)
    v = full_direction(model, parameters, q)

    def objective(merged):
        own, of_q = tree.split(merged)
        return elbo(model, own, q.with_parameters(of_q), x)

    merged = tree.merge(parameters, q.parameters)
    value, slope = torch.func.jvp(objective, (merged,), (v,))
    gap = value - entropy_sum(model, parameters, q, x).total
    assert abs(float(gap - slope)) <= LIMIT * (1 + abs(float(value)))


@every_case
def test_the_slope_is_the_derivative_of_the_elbo_along_v(name):
    """Independent of automatic differentiation: a central difference of fourth order."""
    model, parameters, q, x = point(name)
    v = full_direction(model, parameters, q)
    merged = tree.merge(parameters, q.parameters)

    def along(t):
        own, of_q = tree.split(tree.add(merged, v, t))
        return float(elbo(model, own, q.with_parameters(of_q), x))

    h = 1e-3
    difference = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
    report = report_of(name)
    # Higher derivatives grow with the ELBO: its terms go like exp(−t) or exp(2t).
    assert difference == pytest.approx(report.gap, abs=1e-8 * (1 + abs(report.elbo)))


@every_model
def test_the_true_form_is_the_sum_of_the_named_terms(name):
    terms = entropy_sum(*point(name))
    hidden = sum(terms.hidden.values(), torch.zeros(()))
    total = terms.posterior - terms.prior - hidden - terms.observable + terms.base_measure
    assert float(terms.total) == pytest.approx(float(total), rel=1e-14)
    report = report_of(name)
    assert report.entropy_sum == float(terms.total)
    assert report.gap == report.elbo - report.entropy_sum
    assert report.posterior_entropy == float(terms.posterior)
    assert report.prior_entropy == float(terms.prior)
    assert report.observable_entropy == float(terms.observable)
    assert report.base_measure == float(terms.base_measure)
    assert report.hidden_entropies == {key: float(value) for key, value in terms.hidden.items()}


def _on_prior(name: str, model) -> bool:
    """Whether the block of v for this parameter belongs to the prior's factor."""
    if name.startswith("initial_") or name == "log_concentration":
        return True
    if name in ("prior_logits", "log_rate", "prior_log_scale", "prior_log_variance"):
        return True
    scales = ["log_scale", "log_variance", "log_variance.bias", "logits.weights", "logits.bias"]
    scales += ["log_dof"]
    if getattr(model, "noise_type", "") == "fixed":
        scales += ["mean.weights", "mean.bias"]
    rescaled = bool(torch.as_tensor(model.latent_rescaling).any())
    return name.startswith("q.") or (rescaled and name not in scales)


# Not where one matrix reads z and gives the logits or means: its block of v serves both factors;
# nor where the first state of a chain has its law from all others, nor where a price moves with
# both scales.
MIXED = [f"{kind}-fixed-0-hidden" for kind in ("vae-known", "bernoulli-vae", "categorical-vae")]
MIXED += ["linear-dynamical-stationary", "process-inducing"]


@pytest.mark.parametrize("name", in_turn(n for n in names() if not n.startswith(tuple(MIXED))))
def test_every_factor_has_an_identity_of_its_own(name):
    """E log p_k − E log base + E pseudo-entropy_k = ⟨∇ELBO, v_k⟩ for each factor k of the model."""
    model, parameters, q, x = point(name)
    report = report_of(name)
    left = {}
    log_probs = expected_log_probs(model, parameters, q, x)
    for factor in model.factors:
        z, weights = factor.nodes(q)
        entropy = factor.family.pseudo_entropy(factor.natural(parameters, z))
        rest = torch.atleast_1d(entropy) - factor.log_base_measure(x, z)
        left[factor.name] = float(log_probs[factor.name] + expectation(weights, rest))
    right = {factor: 0.0 for factor in left}
    for block, value in report.blocks.items():
        hidden = block.replace("_", ".").partition(".")[0]
        if hidden in ("hidden", "transition") or "joint" in right:
            right[hidden if hidden in right else "joint"] += value
        elif block == "prior_logits" and "switches" in right:
            right["switches"] += value
        elif hidden in right and block.partition(".")[2].startswith("log_variance"):
            right[hidden] += value
        else:
            right["prior" if _on_prior(block, model) else "observable"] += value
    for factor in left:
        assert left[factor] == pytest.approx(right[factor], abs=LIMIT * (1 + abs(report.elbo))), (
            factor
        )


def _rows(q, x, rows):
    """q and data restricted to some of the data points, with the same frozen samples."""
    if isinstance(q, Amortized):
        noise = q.rule
        if noise.z.dim() == 3:
            noise = variational.Nodes(noise.z[rows], noise.weights)
        return q.on(x[rows], noise), x[rows]
    if isinstance(q, Gaussian):
        noise = q.rule
        if noise.z.dim() == 3:
            noise = variational.Nodes(noise.z[rows], noise.weights)
        return Gaussian(q.mean[rows], q.scale[rows], noise), x[rows]
    if isinstance(q, models.Switched):
        latents, x = _rows(q.latents, x, rows)
        return models.Switched(latents, q.logits[rows]), x
    if isinstance(q, models.MarkovChain | models.GaussianChain):
        own = {name: value[rows] for name, value in q.parameters.items()}
        return replace(q, **own, observed=q.observed[rows]), x[rows]
    if isinstance(q, models.MeanFieldTopics):
        chosen = torch.isin(q.x.rows, torch.arange(len(x))[rows])
        own = q.log_concentration[rows], q.logits[chosen]
        return models.MeanFieldTopics(x[rows], *own), x[rows]
    if isinstance(q, NoisedChain):
        return replace(q, x=q.x[rows], noise=q.noise[rows]), x[rows]
    if isinstance(q, MeanFieldBernoulli):
        return MeanFieldBernoulli(q.logits[rows]), x[rows]
    assert isinstance(q, Tabulated)
    return Tabulated(q.states, q.logits[rows]), x[rows]


@every_model
def test_mini_batches_average_to_the_whole(name):
    model, parameters, q, x = point(name)
    whole = report_of(name)
    batches = [
        verify(model, parameters, *_rows(q, x, rows))
        for rows in (slice(0, 2), slice(2, 3), slice(3, None))
    ]
    shares = np.array([2, 1, len(x) - 3]) / len(x)
    for quantity in ("elbo", "entropy_sum", "gap", "slope", "posterior_entropy"):
        average = shares @ [getattr(batch, quantity) for batch in batches]
        assert average == pytest.approx(getattr(whole, quantity), rel=1e-11, abs=1e-11)
    for batch in batches:
        assert batch.relative_residual <= LIMIT


@some_cases(
    *("sbn/", "mixture", "poisson", "ppca", "factor", "sparse", "bernoulli-vae", "categorical-vae"),
    *("1-hidden/diagonal-hermite", "streams"),
)
def test_reversing_any_block_of_v_is_noticed(name):
    """The check can fail: with one block of v turned round, the residual is that block twice."""
    model, parameters, q, x = point(name)
    v = full_direction(model, parameters, q)
    good = report_of(name)
    for block, value in good.blocks.items():
        bad = verify(model, parameters, q, x, v | {block: -v[block]})
        assert bad.slope == pytest.approx(good.slope - 2 * value, abs=1e-11 * (1 + abs(good.elbo)))
        assert bad.residual == pytest.approx(2 * abs(value), abs=1e-11 * (1 + abs(good.elbo)))
        flat = name.endswith("/exact") and block.startswith("q.")  # an exact q has no gradient
        assert flat or abs(value) > 1e-6, f"block {block} is too small here to notice its sign"


@every_model
def test_given_direction_replaces_v_and_the_inputs_stay_as_they_are(name):
    model, parameters, q, x = point(name)
    before = {k: t.clone() for k, t in (parameters | {"x": x} | q.parameters).items()}
    v = full_direction(model, parameters, q)
    doubled = verify(model, parameters, q, x, {k: 2 * t for k, t in v.items()})
    assert doubled.slope == pytest.approx(2 * doubled.gap, rel=1e-9)
    for key, value in (parameters | {"x": x} | q.parameters).items():
        assert torch.equal(value.nan_to_num(), before[key].nan_to_num())
        assert not value.requires_grad


def test_other_data_than_the_model_assumes_make_no_difference():
    """Model-data mismatch, one data point, far-away values: the identity asks for none of this."""
    g = cases.generator("mismatch")
    model = models.PPCA(4, 2)
    parameters = model.initial_parameters(g)
    for x in (torch.full((1, 4), 50.0), torch.tensor([[1e3, 0, -1e3, 5.0], [0, 0, 0, 0]])):
        x = x.to(torch.float64)
        report = verify(model, parameters, model.posterior(parameters, x), x)
        assert report.relative_residual <= LIMIT
        assert abs(report.gap) > 1


def test_without_a_direction_nothing_is_claimed():
    """The softplus head misses the criterion: gap yes, slope no, and any v we offer is wrong."""
    g = cases.generator("softplus")
    model = models.GaussianVAE(4, 2, (3,), noise_type="softplus")
    parameters = cases.perturbed(model.initial_parameters(g), g)
    x = cases.draw(6, 4, g=g)
    q = Gaussian(cases.draw(6, 2, g=g), cases.draw(6, 2, g=g).exp())
    report = verify(model, parameters, q, x)
    assert math.isfinite(report.gap) and math.isfinite(report.gradient_norm)
    assert math.isnan(report.slope) and math.isnan(report.residual)
    assert math.isnan(report.certificate) and report.blocks == {}
    with pytest.raises(ValueError, match='noise_type="softplus" has no gap direction'):
        model.gap_direction(parameters)
    renamed = {name.replace("std", "log_variance"): value for name, value in parameters.items()}
    like_a_head = models.GaussianVAE(4, 2, (3,), noise_type="head").gap_direction(renamed)
    own = {name.replace("log_variance", "std"): value for name, value in like_a_head.items()}
    v = tree.merge(own, q.rescaling(model.latent_rescaling))
    assert verify(model, parameters, q, x, v).relative_residual > 1e-3


# --- closed forms of the entropy sum --------------------------------------------------------------


@some_cases("ppca", "factoranalysis")
def test_linear_gaussian_with_the_exact_posterior_sums_to_minus_the_entropy_of_x(name):
    """S = −½ log det(2πe C) for the exact posterior, at any parameters."""
    model, parameters, _, x = point(name)
    W = parameters["weights"].numpy()
    prior = np.exp(parameters.get("prior_log_variance", torch.zeros(W.shape[1])).numpy())
    noise = np.broadcast_to(np.exp(parameters["log_variance"].numpy()), W.shape[0])
    covariance = W * prior @ W.T + np.diag(noise)
    expected = -0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1]
    q = model.posterior(parameters, x)
    assert float(entropy_sum(model, parameters, q, x).total) == pytest.approx(expected, rel=1e-13)
    assert float(model.closed_form_entropy_sum(parameters)) == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(model.covariance(parameters).numpy(), covariance, rtol=1e-14)
    # F − S = (D − tr C⁻¹ Cov)/2, the data's covariance taken around the model's mean.
    centered = x.numpy() - parameters["mean"].numpy()
    trace = np.trace(np.linalg.solve(covariance, centered.T @ centered / len(x)))
    gap = verify(model, parameters, q, x).gap
    assert gap == pytest.approx((len(W) - trace) / 2, rel=1e-11)


@some_cases("vae-scalar-fixed")
def test_vae_1_needs_no_decoder(name):
    """S = mean Σ_h log τ_nh − (D/2) log(2πe σ²) for VAE-1 with a diagonal q."""
    _, parameters, q, _ = point(name)
    scale = (q.gaussian() if isinstance(q, Amortized) else q).scale
    std = scale if scale.dim() == 2 else scale.diagonal(dim1=1, dim2=2)
    log_variance = float(parameters["log_variance"])
    expected = float(std.abs().log().sum(1).mean()) - 0.5 * cases.D * (
        math.log(2 * math.pi * math.e) + log_variance
    )
    assert report_of(name).entropy_sum == pytest.approx(expected, rel=1e-13)


@some_cases("vae-scalar-learnable", "vae-pixel-learnable")
def test_vae_2_subtracts_the_prior_variances(name):
    """S = mean Σ log τ − ½ Σ λ_h − Σ_d ½ log(2πe σ_d²)."""
    _, parameters, q, _ = point(name)
    scale = (q.gaussian() if isinstance(q, Amortized) else q).scale
    std = scale if scale.dim() == 2 else scale.diagonal(dim1=1, dim2=2)
    noise = parameters["log_variance"].expand(cases.D)
    expected = (
        float(std.abs().log().sum(1).mean())
        - 0.5 * float(parameters["prior_log_variance"].sum())
        - 0.5 * float((math.log(2 * math.pi * math.e) + noise).sum())
    )
    assert report_of(name).entropy_sum == pytest.approx(expected, rel=1e-13)


@some_cases("vae-head")
def test_vae_3_averages_the_log_variances_of_its_head(name):
    """The third entropy is E_q̄ ½ Σ_d log(2πe σ_d²(z)), here in NumPy."""
    _, parameters, q, _ = point(name)
    z, weights = (t.numpy() for t in q.nodes())
    hidden, layer = z, 0
    while f"hidden{layer}.weights" in parameters:
        W, bias = (parameters[f"hidden{layer}.{part}"].numpy() for part in ("weights", "bias"))
        hidden, layer = np.tanh(hidden @ W.T + bias), layer + 1
    head = (
        hidden @ parameters["log_variance.weights"].numpy().T
        + parameters["log_variance.bias"].numpy()
    )
    each = 0.5 * (np.log(2 * np.pi * np.e) + head).sum(-1)
    expected = (each * weights).sum(-1).mean()
    report = report_of(name)
    assert report.observable_entropy == pytest.approx(expected, rel=1e-13)


@some_cases("mixture-spherical", "mixture-diagonal", "mixture-full", "mixture-tied")
def test_mixture_entropies_in_numpy(name):
    """S = Hq − H(π) − Σ_c q̄_c ½ log det(2πe Σ_c)."""
    model, parameters, q, _ = point(name)
    r = torch.softmax(q.logits, -1).numpy()
    weights = torch.softmax(parameters["prior_logits"], -1).numpy()
    covariance = model.component_covariance(parameters).numpy()
    if model.covariance_type == "spherical":
        log_det = cases.D * np.log(2 * np.pi * np.e * covariance)
    elif model.covariance_type == "diagonal":
        log_det = np.log(2 * np.pi * np.e * covariance).sum(1)
    else:
        log_det = np.linalg.slogdet(2 * np.pi * np.e * covariance)[1]
    expected = (
        -(r * np.log(r)).sum(1).mean()
        + (weights * np.log(weights)).sum()
        - 0.5 * r.mean(0) @ log_det
    )
    assert report_of(name).entropy_sum == pytest.approx(expected, rel=1e-12)


@some_cases("mixture-poisson", "poisson-latent")
def test_true_and_pseudo_entropies_differ_by_the_base_measures(name):
    """S̃ − S = (E_q̄ − E_p) log h + mean log g(x_n) − E_q̄ E_{p(x|z)} log g, summed over counts."""
    model, parameters, q, x = point(name)
    terms = entropy_sum(model, parameters, q, x)
    assert terms.form == "pseudo"
    with pytest.raises(ValueError, match="not constant and no closed-form entropy"):
        entropy_sum(model, parameters, q, x, form="true")
    k = np.arange(80.0)
    log_factorial = np.array([math.lgamma(value + 1) for value in k])

    def true_and_pseudo(log_rate):
        log_p = k * log_rate - np.exp(log_rate) - log_factorial
        p = np.exp(log_p)
        return -(p * log_p).sum(), -(p * (log_p + log_factorial)).sum()

    weights = q.probabilities.numpy().mean(0)
    if name.startswith("poisson-latent"):
        true, pseudo = true_and_pseudo(parameters["log_rate"].item())
        assert float(terms.prior) == pytest.approx(pseudo, rel=1e-12)
        assert abs(pseudo - true) > 0.1, "the two must differ for this test to say anything"
        expected_log_h = -weights @ log_factorial[: len(weights)]
    else:
        both = np.array(
            [[true_and_pseudo(t) for t in row] for row in parameters["log_rates"].tolist()]
        ).sum(1)
        assert float(terms.observable) == pytest.approx(weights @ both[:, 1], rel=1e-12)
        assert abs(weights @ (both[:, 1] - both[:, 0])) > 0.1
        expected_log_h = -log_factorial[x.numpy().astype(int)].sum(1).mean()
    assert float(terms.base_measure) == pytest.approx(expected_log_h, rel=1e-12)
