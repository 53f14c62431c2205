"""Learning reaches stationary points, of every kind; there the ELBO is the entropy sum."""

from __future__ import annotations

import itertools
import logging
import warnings

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture as SkGaussianMixture

from companion import (
    curvature,
    datasets,
    elbo,
    entropy_sum,
    families,
    fit,
    models,
    variational,
    verify,
)
from companion.support import tree
from tests.cases import FAMILIES, D, H, draw, generator, names, perturbed, point

COVARIANCES = ("spherical", "diagonal", "full", "tied")


def clusters(count: int = 90) -> torch.Tensor:
    """Three overlapping clusters in the plane."""
    g = generator("clusters")
    centers = torch.tensor([[0.0, 0], [3, 1], [1, 4]], dtype=torch.float64)
    return centers.repeat(count // 3, 1) + draw(count, 2, g=g) * torch.tensor([1.0, 0.6]).double()


def start_of(model: models.GaussianMixture) -> dict[str, torch.Tensor]:
    """The same start for us and for scikit-learn: wrong means, unit covariances."""
    g = generator("start")
    parameters = model.initial_parameters(g)
    parameters = {k: torch.zeros_like(v) for k, v in parameters.items()}
    parameters["means"] = torch.tensor([[0.5, 0], [2.5, 1], [1, 3]], dtype=torch.float64)
    return parameters


# --- derivatives that the fits rest on ------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    names("sbn/", "mixture", "ppca-fixed/", "factoranalysis-learnable/exact", "vae-head-fixed"),
)
def test_hessians_agree_with_differences_of_gradients(name):
    """Some forward-mode derivatives of PyTorch are wrong (pytorch/pytorch#198017), ours not."""
    model, parameters, q, x = point(name)
    free = not name.endswith("/exact")
    start = tree.merge(parameters, q.parameters if free else {})

    def value(vector):
        own, of_q = tree.split(tree.unflatten(vector, start))
        return elbo(model, own, q.with_parameters(of_q) if free else model.posterior(own, x), x)

    vector = tree.flatten(start)
    hessian = torch.func.hessian(value)(vector)
    step = 1e-5 * draw(len(vector), g=generator("direction"))
    gradient = torch.func.grad(value)
    difference = (gradient(vector + step) - gradient(vector - step)) / 2
    scale = float(difference.abs().max())
    torch.testing.assert_close(hessian @ step, difference, rtol=1e-5, atol=1e-6 * scale)


# --- EM -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_one_m_step_gives_the_equality_for_the_old_responsibilities(covariance):
    """F(q_old, Θ_new) = S(q_old, Θ_new) for any q_old: no convergence needed."""
    model, x = models.GaussianMixture(2, 3, covariance), clusters()
    q = variational.Tabulated(model.states, draw(90, 3, g=generator("responsibilities")))
    parameters = model.m_step(start_of(model), q, x)
    report = verify(model, parameters, q, x)
    assert abs(report.gap) <= 1e-13 * (1 + abs(report.elbo))
    # It is the maximum over the parameters: no gradient left but the flat shift of the logits.
    gradient = torch.func.grad(lambda p: elbo(model, p, q, x))(parameters)
    assert all(float(g.abs().max()) < 1e-13 for g in gradient.values())
    worse = {k: v + 0.01 * draw(*v.shape, g=generator(k)) for k, v in parameters.items()}
    assert float(elbo(model, worse, q, x)) < report.elbo


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_em_rises_to_a_stationary_point_and_agrees_with_scikit_learn(covariance):
    model, x = models.GaussianMixture(2, 3, covariance), clusters()
    start = start_of(model)
    kept = {k: v.clone() for k, v in start.items()}
    result = fit.em(model, start, x, steps=3000)
    assert all(torch.equal(start[k], kept[k]) for k in kept)
    bound = result.trace.column("elbo")
    assert np.all(np.diff(bound) >= -1e-13 * (1 + np.abs(bound[1:]))) and bound[-1] > bound[0] + 0.1
    assert result.converged and result.gradient_norm <= 1e-10
    assert result.message.startswith(
        f"EM ended after {result.trace.steps[-1]} steps: gradient norm"
    )
    assert abs(result.final.gap) <= 1e-9
    assert result.final.entropy_sum == pytest.approx(
        float(model.log_likelihood(result.parameters, x)), abs=1e-9
    )
    assert np.all(result.trace.column("relative_residual") <= 1e-12)
    kind = {"diagonal": "diag"}.get(covariance, covariance)
    identity = {"spherical": np.ones(3), "diag": np.ones((3, 2)), "tied": np.eye(2)}
    theirs = SkGaussianMixture(
        3,
        covariance_type=kind,
        tol=1e-14,
        reg_covar=0.0,
        max_iter=5000,
        weights_init=np.full(3, 1 / 3),
        means_init=start["means"].numpy(),
        precisions_init=identity.get(kind, np.stack([np.eye(2)] * 3)),
    ).fit(x.numpy())
    assert theirs.score(x.numpy()) == pytest.approx(result.final.elbo, abs=1e-9)
    np.testing.assert_allclose(result.parameters["means"], theirs.means_, atol=1e-4)
    found = model.component_covariance(result.parameters).numpy()
    np.testing.assert_allclose(
        found[0] if kind == "tied" else found, theirs.covariances_, atol=1e-4
    )


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_a_floor_leaves_the_predicted_gap(covariance):
    """F − S = (floor/2) Σ_c q̄_c tr Σ_c⁻¹ at the fixed point."""
    model, x, floor = models.GaussianMixture(2, 3, covariance), clusters(), 0.05
    result = fit.em(model, start_of(model), x, steps=5000, floor=floor, log_every=1000)
    assert result.converged and "EM with floor 0.05 ended after" in result.message
    shares = result.q.probabilities.mean(0)
    covariances = model.component_covariance(result.parameters)
    if covariance == "spherical":
        traces = 2 / covariances
    elif covariance == "diagonal":
        traces = (1 / covariances).sum(1)
    else:
        traces = torch.linalg.inv(covariances).diagonal(dim1=1, dim2=2).sum(1)
    assert result.final.gap == pytest.approx(floor / 2 * float(shares @ traces), rel=1e-8)
    assert result.gradient_norm > 1e-3 and result.final.gap > 1e-2


def test_em_that_is_stopped_early_says_so():
    model, x = models.GaussianMixture(2, 3), clusters()
    with pytest.warns(
        fit.ConvergenceWarning, match="EM ended after 2 steps: gradient norm .* asked"
    ):
        result = fit.em(model, start_of(model), x, steps=2)
    assert not result.converged and result.trace.steps == (0, 1, 2)
    with pytest.warns(fit.ConvergenceWarning, match="EM with floor 0.1 ended after 3 steps: last"):
        result = fit.em(model, start_of(model), x, steps=3, floor=0.1, log_every=2)
    assert not result.converged and result.trace.steps == (0, 2, 3)


def test_a_component_that_dies_or_collapses_in_em_is_named():
    x = clusters()
    model = models.GaussianMixture(2, 3)
    nobody = torch.zeros(90, 3, dtype=torch.float64)
    nobody[:, :2] = 0.5
    q = variational.Tabulated.from_probabilities(model.states, nobody)
    with pytest.raises(ValueError, match=r"components \[2\] died: no data point is assigned to"):
        model.m_step(start_of(model), q, x)
    far = start_of(model)
    far["means"] = far["means"].clone()
    far["means"][1] = 1e6
    with pytest.raises(ValueError, match=r"components \[1\] died"):
        fit.em(model, far, x)
    single = torch.full((90, 3), 1e-300, dtype=torch.float64)
    single[0, 0], single[1:, 1:] = 1.0, 0.5
    q = variational.Tabulated.from_probabilities(model.states, single)
    for covariance in ("spherical", "diagonal", "full"):
        model = models.GaussianMixture(2, 3, covariance)
        with pytest.raises(
            ValueError, match="a component collapsed in EM: its smallest variance is"
        ):
            model.m_step(start_of(model), q, x)
        kept = model.m_step(start_of(model), q, x, floor=1e-3)
        assert all(bool(torch.isfinite(value).all()) for value in kept.values())


# Components apart enough for EM to be quick; families with an M-step, and those without.
WITH_M_STEP = [f for f in FAMILIES if f.has_m_step]
WITHOUT_M_STEP = [f for f in FAMILIES if f not in WITH_M_STEP]


def apart(family) -> tuple[models.FamilyMixture, torch.Tensor]:
    """A mixture, and draws from two components of it that differ clearly."""
    model, g = models.FamilyMixture(family, D, 2), generator(f"EM of {family!r}")
    truth = {k: 2 * v for k, v in model.initial_parameters(g).items()}
    component = torch.arange(200) % 2
    return model, family.sample(model.component_natural(truth)[component], g)


@pytest.mark.parametrize("family", WITH_M_STEP, ids=repr)
def test_em_of_any_family_rises_to_a_stationary_point(family):
    model, x = apart(family)
    start = model.initial_parameters(generator("start of EM"))
    with warnings.catch_warnings():  # some maxima are flat: then EM is slow, and says so
        warnings.simplefilter("ignore", fit.ConvergenceWarning)
        result = fit.em(model, start, x, steps=150)
    bound = result.trace.column("elbo")
    assert np.all(np.diff(bound) >= -1e-12 * (1 + np.abs(bound[1:]))) and bound[-1] > bound[0]
    assert np.all(result.trace.column("relative_residual") <= 1e-12)
    assert result.gradient_norm < 0.02 * result.trace.records[0].gradient_norm
    assert result.converged == (result.gradient_norm <= 1e-10)
    last = result.final
    assert abs(last.gap) <= last.certificate + 1e-12 * (1 + abs(last.elbo))


@pytest.mark.parametrize("family", (families.Poisson(), families.Gamma()), ids=repr)
def test_em_of_a_family_ends_where_gradient_ascent_does(family):
    model, x = apart(family)
    result = fit.em(model, model.random_start(x, generator("start of EM")), x, steps=3000)
    assert result.converged and abs(result.final.gap) <= 1e-9
    nudged = {k: v + 0.02 * draw(*v.shape, g=generator(k)) for k, v in result.parameters.items()}
    climb = fit.newton(model, nudged, None, x)
    assert climb.final.elbo == pytest.approx(result.final.elbo, abs=1e-11)


@pytest.mark.parametrize("family", WITHOUT_M_STEP, ids=repr)
def test_em_of_a_family_without_an_m_step_names_the_alternative(family):
    model, x = apart(family)
    name = type(family).__name__
    with pytest.raises(ValueError, match=f"{name} has no closed-form M-step: learn with fit.lbfgs"):
        fit.em(model, model.initial_parameters(generator("lost")), x)


def test_a_floor_is_for_gaussian_components():
    model, x = apart(families.Poisson())
    for other in (model, models.FactorAnalysis(2, 1)):
        with pytest.raises(ValueError, match=f"floor must be 0 for a {type(other).__name__}"):
            fit.em(other, other.initial_parameters(generator("floor")), x, floor=0.1)


# --- PPCA in closed form --------------------------------------------------------------------------


@pytest.mark.parametrize("learnable", (False, True))
@pytest.mark.parametrize("latent", (1, 2, 5))
def test_ppca_in_closed_form_is_the_best(latent, learnable):
    x = datasets.wine(standardize=True)
    model = models.PPCA(13, latent, learnable_prior=learnable)
    parameters = model.maximum_likelihood(x)
    report = verify(model, parameters, model.posterior(parameters, x), x)
    assert report.gradient_norm <= 1e-12 and abs(report.gap) <= 1e-12
    theirs = PCA(latent).fit(x.numpy())
    scale = (len(x) - 1) / len(x)  # scikit-learn divides by N − 1
    np.testing.assert_allclose(
        model.covariance(parameters), scale * theirs.get_covariance(), rtol=1e-9, atol=1e-12
    )
    # S = −½ Σ_{k≤K} log λ_k − (D−K)/2 log σ² − (D/2) log 2πe
    values = np.sort(np.linalg.eigvalsh(np.cov(x.T.numpy(), bias=True)))[::-1]
    left = values[latent:].mean()
    expected = -0.5 * (
        np.log(values[:latent]).sum() + (13 - latent) * np.log(left) + 13 * np.log(2 * np.pi * np.e)
    )
    assert report.entropy_sum == pytest.approx(expected, rel=1e-12)
    for seed in range(3):
        g = generator(f"nudge {seed}")
        nudged = {k: v + 0.05 * draw(*v.shape, g=g) for k, v in parameters.items()}
        assert float(model.log_likelihood(nudged, x)) < report.elbo


def test_lbfgs_finds_the_closed_form_from_anywhere():
    x = datasets.iris(standardize=True)
    model = models.PPCA(4, 2)
    best = model.maximum_likelihood(x)
    for seed in range(2):
        start = model.initial_parameters(generator(f"anywhere {seed}"))
        result = fit.lbfgs(model, start, None, x)
        assert result.final.elbo == pytest.approx(float(model.log_likelihood(best, x)), rel=1e-8)


def with_eigenvalues(values) -> torch.Tensor:
    """Forty points whose covariance has exactly these eigenvalues."""
    g = generator("eigenvalues")
    raw = draw(40, len(values), g=g)
    raw = raw - raw.mean(0)
    U = torch.linalg.svd(raw, full_matrices=False)[0]
    rotation = torch.linalg.qr(draw(len(values), len(values), g=g)).Q
    return (40**0.5 * U * torch.tensor(values, dtype=torch.float64).sqrt()) @ rotation.T + 1.0


def expected_signs(values, chosen, latent=2):
    """Positive and zero curvatures of a PPCA stationary point, by counting (Tipping & Bishop)."""
    others = [value for index, value in enumerate(values) if index not in chosen]
    noise = np.mean(others)
    positive = sum(other > values[index] for index in chosen for other in others)
    positive += (latent - len(chosen)) * sum(other > noise for other in others)
    used = len(chosen)
    zero = used * (used - 1) // 2 + used * (latent - used)
    return positive, zero


SPECTRUM = (4.0, 3.0, 1.5, 0.5, 0.4, 0.3)
# As in the table of the notes: eigenvectors, positive, zero, negative.
POINTS = (
    ((0, 1), 0, 1, 18),
    ((0, 2), 1, 1, 17),
    ((1, 2), 2, 1, 16),
    ((0,), 2, 1, 16),
    ((1,), 3, 1, 15),
    ((), 4, 0, 15),
)


@pytest.mark.parametrize(
    ("chosen", "positive", "zero", "negative"), POINTS, ids=[str(case[0]) for case in POINTS]
)
def test_every_stationary_point_of_ppca_has_the_equality_saddles_included(
    chosen, positive, zero, negative
):
    x = with_eigenvalues(SPECTRUM)
    model = models.PPCA(6, 2)
    parameters = model.stationary_point(x, chosen)
    report = verify(model, parameters, model.posterior(parameters, x), x)
    assert report.gradient_norm <= 1e-12 and abs(report.gap) <= 1e-12
    hessian = torch.func.hessian(lambda v: model.log_likelihood(tree.unflatten(v, parameters), x))(
        tree.flatten(parameters)
    )
    eigenvalues = torch.linalg.eigvalsh(hessian)
    limit = 1e-9 * float(eigenvalues.abs().max())
    signs = (
        int((eigenvalues > limit).sum()),
        int((eigenvalues.abs() <= limit).sum()),
        int((eigenvalues < -limit).sum()),
    )
    assert signs == (positive, zero, negative)
    assert signs[:2] == expected_signs(SPECTRUM, chosen)
    found = curvature(model, parameters, None, x)
    assert (found.positive, found.zero, found.negative) == signs
    assert found.kind == ("saddle" if positive else "maximum")


def test_all_choices_of_eigenvectors_order_as_they_should():
    """The leading ones are best; any other choice that is stationary has a lower likelihood."""
    x, model = with_eigenvalues(SPECTRUM), models.PPCA(6, 2)
    best = float(model.log_likelihood(model.maximum_likelihood(x), x))
    for chosen in itertools.combinations(range(3), 2):
        value = float(model.log_likelihood(model.stationary_point(x, chosen), x))
        assert value <= best + 1e-13
        assert (abs(value - best) < 1e-12) == (chosen == (0, 1))


# --- L-BFGS and Newton ----------------------------------------------------------------------------


def problem_sbn():
    g = generator("sbn to learn")
    model = models.SigmoidBeliefNet(6, 1)
    # Well apart and well balanced: otherwise the maximum lies at infinity.
    W = torch.tensor([[2.0], [2], [2], [-2], [-2], [-2]], dtype=torch.float64)
    truth = {"prior_logits": torch.zeros(1).double(), "weights": W, "bias": -W[:, 0] / 2}
    z = torch.bernoulli(torch.sigmoid(truth["prior_logits"]).expand(300, -1), generator=g)
    x = torch.bernoulli(torch.sigmoid(z @ truth["weights"].T + truth["bias"]), generator=g)
    return model, perturbed(truth, g), x, None


def problem_factor_analysis():
    g = generator("factor analysis to learn")
    model = models.FactorAnalysis(5, 1)
    x = draw(60, 1, g=g) @ draw(1, 5, g=g) + 0.5 * draw(60, 5, g=g)
    return model, model.initial_parameters(g), x, None


def problem_free_q():
    g = generator("ppca with free q")
    model = models.PPCA(4, 1)
    x = draw(12, 1, g=g) @ draw(1, 4, g=g) + 0.3 * draw(12, 4, g=g)
    parameters = model.maximum_likelihood(x)
    q = model.posterior(parameters, x)
    q = variational.Gaussian(q.mean, q.scale.diagonal(dim1=1, dim2=2).clone())
    start = perturbed(parameters, g)
    return model, start, x, q


def problem_linear_vae():
    g = generator("linear vae to learn")
    model = models.GaussianVAE(4, 1, noise_type="scalar")
    x = draw(40, 1, g=g) @ draw(1, 4, g=g) + 0.4 * draw(40, 4, g=g)
    encoder = models.Encoder(4, 1)
    q = encoder.posterior(encoder.initial_parameters(g), x)
    return model, model.initial_parameters(g), x, q


@pytest.mark.parametrize(
    "problem",
    (problem_sbn, problem_factor_analysis, problem_free_q, problem_linear_vae),
    ids=lambda f: f.__name__.removeprefix("problem_"),
)
def test_lbfgs_then_newton_reaches_round_off_and_the_equality(problem):
    model, start, x, q = problem()
    rough = fit.lbfgs(model, start, q, x, steps=3000, tolerance=1e-4)
    assert rough.converged and rough.final.elbo > rough.trace.records[0].elbo + 0.01
    assert rough.message.startswith("L-BFGS ended after ")
    fine = fit.newton(model, rough.parameters, rough.q if q is not None else None, x)
    assert fine.converged and fine.gradient_norm <= 1e-12
    assert abs(fine.final.gap) <= 1e-10 * (1 + abs(fine.final.elbo))
    assert abs(fine.final.gap) <= fine.final.certificate + 1e-12 * (1 + abs(fine.final.elbo))
    assert fine.final.elbo >= rough.final.elbo - 1e-12
    assert fine.message.startswith("Newton ended after ")
    assert not curvature(model, fine.parameters, fine.q if q is not None else None, x).positive
    trace = rough.trace.then(fine.trace)
    assert trace.steps[-1] == rough.trace.steps[-1] + fine.trace.steps[-1]
    assert np.all(trace.column("relative_residual") <= 1e-12)


def test_fits_that_end_too_soon_warn():
    model, start, x, q = problem_linear_vae()
    with pytest.warns(fit.ConvergenceWarning, match="L-BFGS ended after 3 steps: gradient norm"):
        result = fit.lbfgs(model, start, q, x, steps=3, tolerance=1e-9)
    assert not result.converged
    with pytest.warns(fit.ConvergenceWarning, match="Newton ended after 1 steps: gradient norm"):
        assert not fit.newton(model, start, q, x, steps=1).converged
    with pytest.warns(fit.ConvergenceWarning, match="Adam ended after 2 steps: gradient norm"):
        assert not fit.adam(model, start, q, x, steps=2, tolerance=1e-9).converged


LEARNERS = (fit.lbfgs, fit.newton, fit.adam)


@pytest.mark.parametrize("method", LEARNERS)
def test_steps_tolerance_log_every_and_fixed_mean_the_same_in_every_fit(method):
    model, start, x, q = problem_linear_vae()
    fixed = ["q.mean.bias"]
    run = method(model, start, q, x, steps=5, tolerance=None, log_every=2, fixed=fixed)
    assert run.trace.steps == (0, 2, 4, 5)
    assert torch.equal(run.q.parameters["mean.bias"], q.parameters["mean.bias"])
    assert not torch.equal(run.parameters["mean.bias"], start["mean.bias"])
    assert run.converged == (run.gradient_norm <= fit.SMALL_GRADIENT)
    easy = 11 * run.trace.records[0].gradient_norm
    at_once = method(model, start, q, x, tolerance=easy, fixed=fixed)
    assert at_once.trace.steps == (0,) and at_once.converged
    for wrong in ({"steps": 0}, {"tolerance": -1.0}, {"log_every": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be "):
            method(model, start, q, x, **wrong)


@pytest.mark.parametrize("method", LEARNERS)
def test_fits_leave_their_inputs_alone(method):
    model, start, x, q = problem_linear_vae()
    before = {k: v.clone() for k, v in tree.merge(start, q.parameters).items()}
    data = x.clone()
    method(model, start, q, x, steps=2, tolerance=1e3)
    for key, value in tree.merge(start, q.parameters).items():
        assert torch.equal(value, before[key]) and not value.requires_grad
    assert torch.equal(x, data)


def test_newton_stays_at_a_stationary_point():
    """A saddle is stationary: nothing there tells a direction, and the trace says it is the end."""
    x, model = with_eigenvalues(SPECTRUM), models.PPCA(6, 2)
    saddle = model.stationary_point(x, (0, 2))
    result = fit.newton(model, saddle, None, x)
    assert result.converged and result.trace.steps == (0,)
    torch.testing.assert_close(result.parameters["weights"], saddle["weights"], rtol=0, atol=0)


# --- Adam -----------------------------------------------------------------------------------------


def test_adam_improves_and_keeps_the_identity():
    model, start, x, q = problem_linear_vae()
    result = fit.adam(model, start, q, x, steps=400, learning_rate=0.03, log_every=150)
    assert result.trace.steps == (0, 150, 300, 400)
    bound = result.trace.column("elbo")
    assert bound[-1] > bound[0] + 0.5
    assert np.all(result.trace.column("relative_residual") <= 1e-12)
    assert np.all(np.abs(result.trace.column("gap")) <= result.trace.column("certificate") + 1e-12)
    assert result.message.startswith("Adam ended after 400 steps: gradient norm 2")
    assert not result.converged and result.gradient_norm > fit.SMALL_GRADIENT
    assert all(not value.requires_grad for value in result.parameters.values())


def test_adam_with_fresh_samples_and_mini_batches_learns_and_repeats():
    model, start, x, q = problem_linear_vae()

    def run(seed):
        g = torch.Generator().manual_seed(seed)
        options = {"steps": 200, "learning_rate": 0.02, "fresh_samples": 2, "batch_size": 10}
        return fit.adam(model, start, q, x, generator=g, **options)

    first, second, other = run(0), run(0), run(1)
    assert first.final.elbo > first.trace.records[0].elbo + 0.3
    assert all(torch.equal(first.parameters[k], second.parameters[k]) for k in first.parameters)
    assert not torch.equal(first.parameters["mean.weights"], other.parameters["mean.weights"])
    # The trace is taken on all data with q's own rule, so that it is comparable over steps.
    again = verify(model, first.parameters, first.q, x)
    assert again.elbo == pytest.approx(first.final.elbo, rel=1e-13)
    assert len(first.q.entropy()) == len(x)


def test_adam_without_a_tolerance_has_converged_only_where_the_gradient_is_small():
    model, start, x, q = problem_linear_vae()
    one = fit.adam(model, start, q, x, steps=1)
    assert not one.converged and one.gradient_norm > 10 * fit.SMALL_GRADIENT
    near = fit.lbfgs(model, start, q, x, tolerance=1e-4)
    stays = fit.adam(model, near.parameters, near.q, x, steps=1, learning_rate=1e-9)
    assert stays.converged and stays.gradient_norm <= fit.SMALL_GRADIENT


def test_a_batch_larger_than_the_data_is_all_of_them():
    model, start, x, q = problem_linear_vae()
    small = fit.adam(model, start, q, x, steps=5, batch_size=1000)
    plain = fit.adam(model, start, q, x, steps=5)
    assert small.final.elbo == pytest.approx(plain.final.elbo, rel=1e-12)


# --- traces ---------------------------------------------------------------------------------------


def test_traces_give_columns_and_refuse_others(caplog):
    model, x = models.GaussianMixture(2, 3), clusters()
    with caplog.at_level(logging.INFO, logger="companion.fit"):
        result = fit.em(model, start_of(model), x, steps=1000, log_every=10)
    assert len(caplog.records) == len(result.trace.steps) == len(result.trace.records)
    assert caplog.records[0].getMessage().startswith("step 0: ELBO -")
    for name in ("elbo", "entropy_sum", "gap", "slope", "gradient_norm", "certificate", "residual"):
        column = result.trace.column(name)
        assert column.dtype == np.float64 and len(column) == len(result.trace.steps)
    for name in ("blocks", "form", "rows", "nothing"):
        with pytest.raises(
            ValueError, match=r"name must be a number of companion\.Verification: got"
        ):
            result.trace.column(name)
    assert result.final is result.trace.records[-1]
    assert result.gradient_norm == result.final.gradient_norm


def test_stationary_points_of_the_elbo_with_a_restricted_q_have_the_equality_too():
    """A mean-field q is not the posterior: the ELBO lies below the likelihood, S with it."""
    model, start, x, _ = problem_sbn()
    x = x[:25]
    q = variational.MeanFieldBernoulli(draw(25, 1, g=generator("mean field start")))
    rough = fit.lbfgs(model, start, q, x, steps=3000, tolerance=1e-3)
    fine_report = rough.final
    assert abs(fine_report.gap) <= fine_report.certificate
    assert fine_report.elbo < float(model.log_likelihood(rough.parameters, x))
    assert float(entropy_sum(model, rough.parameters, rough.q, x).total) == fine_report.entropy_sum
    assert D > H
