"""EM in blocks against EM by the formulas, one step and many; and against scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.decomposition import FactorAnalysis as SkFactorAnalysis

from companion import families, fit, models, verify
from companion.models import factor_em
from companion.models.enumerated import normalized
from companion.models.factor_em import FactorEM, mean_and_covariance
from companion.models.mixtures import em as mixture_em
from companion.models.mixtures import steps as mixture_steps
from companion.support.checks import as_data
from companion.theory.variational import Tabulated
from tests.cases import draw, generator
from tests.oracles import Largest

COVARIANCES = ("spherical", "diagonal", "full", "tied")


def groups(size: int, points: int = 150, offset: float = 0.0) -> torch.Tensor:
    """Three correlated groups of points in any dimension."""
    g = generator(f"groups in {size} dimensions")
    centres, mixing = (
        3 * draw(3, size, g=g),
        torch.eye(size).double() + 0.3 * draw(3, size, size, g=g),
    )
    member = torch.arange(points) % 3
    return centres[member] + (mixing[member] @ draw(points, size, 1, g=g))[..., 0] + offset


def one_step_both_ways(covariance, size, *, offset=0.0, floor=0.0):
    model, x = models.GaussianMixture(size, 3, covariance), groups(size, offset=offset)
    start = model.random_start(x, generator("start of a step"))
    value, updated = model.em_map(x, floor)(start)
    return (value, updated), (
        model.log_likelihood(start, x),
        model.m_step(start, model.posterior(start, x), x, floor=floor),
    )


def assert_same(ours, theirs, atol):
    assert set(ours) == set(theirs)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=atol)


# --- Gaussian mixtures: one step ------------------------------------------------------------------


@pytest.mark.parametrize("size", (1, 2, 3, 4, 7))
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_a_step_in_blocks_is_the_step_by_the_formulas(covariance, size, monkeypatch):
    monkeypatch.setattr(mixture_em, "_BLOCK", 1)  # the smallest blocks, the last one not full
    (value, updated), (wanted, parameters) = one_step_both_ways(covariance, size)
    assert float(value) == pytest.approx(float(wanted), abs=1e-12)
    assert_same(updated, parameters, 1e-11)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_a_floor_and_data_far_from_zero_are_no_different(covariance):
    (value, updated), (wanted, parameters) = one_step_both_ways(
        covariance, 3, offset=50.0, floor=0.1
    )
    assert float(value) == pytest.approx(float(wanted), abs=1e-9)  # the formulas do not centre
    assert_same(updated, parameters, 1e-9)


@pytest.mark.parametrize("size", (1, 2, 5))
@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("about", ("the given means", "the found means"))
def test_whitening_gives_the_step_by_the_formulas(covariance, size, about, monkeypatch):
    monkeypatch.setattr(mixture_steps.GaussianEM, "_products_serve", lambda *_: False)
    monkeypatch.setattr(mixture_steps, "NARROW", 1e-4 if about == "the given means" else 1e9)
    monkeypatch.setattr(factor_em, "_BLOCK", 1)  # the smallest blocks
    (value, updated), (wanted, parameters) = one_step_both_ways(covariance, size, floor=0.1)
    assert float(value) == pytest.approx(float(wanted), abs=1e-12)
    assert_same(updated, parameters, 1e-11)


@pytest.mark.parametrize(("size", "components", "points"), ((24, 2, 500), (6, 3, 140), (6, 3, 150)))
def test_few_components_or_points_are_whitened(size, components, points, monkeypatch):
    model, x = models.GaussianMixture(size, components), groups(size, points)
    start = model.random_start(x, generator("few"))
    step = model.em_map(x)
    (value, updated), wanted = step(start), model.log_likelihood(start, x)
    assert float(value) == pytest.approx(float(wanted), abs=1e-11)
    assert_same(updated, model.m_step(start, None, x), 1e-9)
    assert bool(step.quadratic.held) == (points == 150)  # else nothing is stored


def test_far_from_zero_blocks_and_formulas_are_accurate():
    model, x = models.GaussianMixture(3, 3), groups(3, offset=1e4)
    start = model.random_start(x, generator("far from zero"))
    weights, covariances = torch.softmax(start["prior_logits"], 0), model.covariance_matrices(start)
    densities = [
        multivariate_normal(mean, covariance).logpdf(x)
        for mean, covariance in zip(start["means"], covariances.numpy(), strict=True)
    ]
    wanted = np.logaddexp.reduce(np.stack(densities) + weights.log().numpy()[:, None]).mean()
    ours, by_formulas = model.em_map(x)(start)[0], model.log_likelihood(start, x)
    assert abs(float(ours) - wanted) < 1e-10
    assert abs(float(by_formulas) - wanted) < 1e-12


def narrow(covariance):
    """Two components far apart for their width, at the best parameters for their points."""
    x = 1e-4 * draw(120, 2, g=generator("narrow"))
    x[::2] += 10.0
    model = models.GaussianMixture(2, 2, covariance)
    hard = torch.eye(2, dtype=torch.float64)[torch.arange(120) % 2]
    any_start = model.random_start(x, generator("narrow"))
    start = model.m_step(any_start, Tabulated.from_probabilities(model.states, hard), x)
    return model, start, x


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_narrow_components_get_the_covariances_of_the_plain_m_step(covariance, monkeypatch):
    """Second moments less squares of means lose all digits; the step must not."""
    model, start, x = narrow(covariance)
    updated = model.em_map(x)(start)[1]
    wanted = model.m_step(start, None, x)
    torch.testing.assert_close(
        model.covariance_matrices(updated), model.covariance_matrices(wanted), rtol=1e-9, atol=0
    )
    # Without whitening they are wrong.
    monkeypatch.setattr(mixture_steps, "NARROW", -1e9)
    blind = model.covariance_matrices(model.em_map(x)(start)[1])
    wrong = blind - model.covariance_matrices(wanted)
    assert float(wrong.abs().max() / blind.abs().max()) > 1e-8


def test_a_pass_over_many_points_stores_no_products_of_pairs():
    model, x = models.GaussianMixture(16, 4), draw(20_000, 16, g=generator("many"))
    step, start = model.em_map(x), model.random_start(x, generator("many"))
    with Largest() as seen:
        step(start)
    stored = 20_000 * (1 + 2 * 16)
    assert seen.entries <= max(stored, mixture_em._BLOCK) < 20_000 * 16 * 16 / 4


def test_weights_of_states_far_apart_are_not_subnormal():
    log_joint = torch.tensor([[0.0, -1e5], [-715.0, 1.0], [-3.0, 1.0]], dtype=torch.float64)
    posterior, marginal = normalized(log_joint.clone(), 0)
    torch.testing.assert_close(marginal, torch.logsumexp(log_joint, 0), rtol=1e-15, atol=0)
    torch.testing.assert_close(posterior, torch.softmax(log_joint, 0), rtol=1e-14, atol=1e-200)
    assert float(posterior.min()) > 1e-220
    rows, by_row = normalized(log_joint.T.clone(), 1)
    assert torch.equal(rows.T, posterior) and torch.equal(by_row, marginal)


# --- the identity, from the moments of a step -----------------------------------------------------


def assert_verified(model, start, x, tolerance=1e-11, **settings):
    """What EM logs is what `verify` finds, whose expectations are sums over all points."""
    settings = {"steps": 3, "tolerance": None} | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fit.ConvergenceWarning)
        run = fit.em(model, start, x, **settings)
        blocks = fit.em(model, start, [x[:7], x[7:]], **settings)
    step, at = model.em_map(x, **floor_of(settings)), dict(start)
    for found, in_blocks in zip(run.trace.records, blocks.trace.records, strict=True):
        wanted = verify(model, at, None, x)
        for (label, value), (_, expected) in zip(found.rows(), wanted.rows(), strict=True):
            assert value == pytest.approx(expected, abs=tolerance), label
        for (label, value), (_, expected) in zip(in_blocks.rows(), wanted.rows(), strict=True):
            assert value == pytest.approx(expected, abs=tolerance), label
        for name, slope in found.blocks.items():
            assert slope == pytest.approx(wanted.blocks[name], abs=tolerance)
            assert found.norms[name] == pytest.approx(wanted.norms[name], abs=tolerance)
        at = step(at)[1]
    return run


def floor_of(settings):
    return {"floor": settings["floor"]} if "floor" in settings else {}


@pytest.mark.parametrize("size", (1, 2, 5))
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_a_logged_step_of_a_mixture_is_what_verify_finds(covariance, size):
    model, x = models.GaussianMixture(size, 3, covariance), groups(size)
    start = model.random_start(x, generator("logged"))
    assert_verified(model, start, x, floor=0.05)
    assert_verified(model, model.initial_parameters(generator("anywhere")), x)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_narrow_components_are_logged_to_all_digits(covariance):
    model, start, x = narrow(covariance)
    assert model.em_map(x).evaluation(start) is None
    assert_verified(model, start, x, tolerance=1e-8)


@pytest.mark.parametrize("learnable", (False, True))
def test_a_logged_step_of_factor_analysis_is_what_verify_finds(learnable):
    model, x = models.FactorAnalysis(6, 2, learnable_prior=learnable), noisy_factors()
    end = assert_verified(model, model.initial_parameters(generator("logged")), x)
    assert end.final.gap != 0 and end.final.relative_residual < 1e-12


@pytest.mark.parametrize("log_every", (1, 2))
def test_a_logged_step_reads_the_data_once(log_every, monkeypatch):
    passes, moments = [], mixture_em.QuadraticStatistics.moments

    def counted(self, *given, **named):
        passes.append(1)
        return moments(self, *given, **named)

    monkeypatch.setattr(mixture_em.QuadraticStatistics, "moments", counted)
    model, x = models.GaussianMixture(2, 3), groups(2)
    start = model.random_start(x, generator("once"))
    run = fit.em(model, start, x, steps=6, tolerance=None, log_every=log_every)
    assert len(passes) == 7  # one for each step, one for the end
    monkeypatch.undo()
    step, at = model.em_map(x), start
    for _ in range(6):
        at = step(at)[1]
    assert_same(run.parameters, at, 0)


def test_a_log_of_parameters_changed_since_is_not_taken_for_theirs():
    model, x = models.GaussianMixture(2, 3), groups(2)
    start, other = (model.random_start(x, generator(name)) for name in ("one", "two"))
    step = model.em_map(x)
    step.evaluation(start)
    assert_same(step(other)[1], model.em_map(x)(other)[1], 0)
    assert_same(step(start)[1], model.em_map(x)(start)[1], 0)


def test_loadings_that_were_kept_are_those_of_a_new_step():
    model, x = models.FactorAnalysis(6, 2), noisy_factors()
    step, at = model.em_map(x), model.initial_parameters(generator("kept"))
    for _ in range(3):
        at, other = step(at)[1], model.em_map(x)(at)[1]
        assert_same(at, other, 0)
    elsewhere = at | {"log_variance": at["log_variance"] + 0.5}
    assert_same(step(elsewhere)[1], model.em_map(x)(elsewhere)[1], 0)


def test_a_logged_bound_that_overflows_is_refused():
    model, x = models.GaussianMixture(2, 3, "diagonal"), 1e160 * groups(2)
    start = model.initial_parameters(generator("overflow"))
    with pytest.raises(ValueError, match="finite"):
        fit.em(model, start, x, steps=1)


# --- many steps -----------------------------------------------------------------------------------


def test_em_of_a_family_is_posterior_and_m_step():
    model = models.FamilyMixture(families.Poisson(), 3, 2)
    g = generator("counts")
    x = torch.poisson(2 + 6 * torch.rand(80, 3, generator=g), generator=g).double()
    parameters = start = model.random_start(x, generator("start of counts"))
    for _ in range(3):
        parameters = model.m_step(parameters, model.posterior(parameters, x), x)
    with pytest.warns(fit.ConvergenceWarning):
        run = fit.em(model, start, x, steps=3)
    assert_same(run.parameters, parameters, 1e-13)
    before = model.em_map(x)(start)[0]
    assert float(before) == pytest.approx(float(model.log_likelihood(start, x)), abs=1e-13)


# --- factor analysis ------------------------------------------------------------------------------


def noisy_factors(size: int = 6, latent: int = 2, points: int = 400) -> torch.Tensor:
    g = generator("factors")
    W, noise = draw(size, latent, g=g), torch.rand(size, generator=g, dtype=torch.float64) + 0.2
    return draw(points, latent, g=g) @ W.T + draw(points, size, g=g) * noise.sqrt() + 3.0


def unit_noise(model: models.FactorAnalysis) -> dict[str, torch.Tensor]:
    zero = model.initial_parameters(generator("zero"))
    return {name: torch.zeros_like(value) for name, value in zero.items()}


def test_factor_analysis_takes_the_steps_of_scikit_learn():
    model, x = models.FactorAnalysis(6, 2), noisy_factors()
    theirs = SkFactorAnalysis(2, svd_method="lapack", tol=1e-6, max_iter=500).fit(x.numpy())
    # After its last step scikit-learn takes the best W once more, as each of ours does.
    with pytest.warns(fit.ConvergenceWarning):
        run = fit.em(model, unit_noise(model), x, steps=theirs.n_iter_ - 1)
    before = run.trace.column("elbo")[1:-1]  # each step's, before it
    np.testing.assert_allclose(before * len(x), theirs.loglike_[1:-1], rtol=0, atol=1e-7)
    found = model.covariance(run.parameters).numpy()
    np.testing.assert_allclose(found, theirs.get_covariance(), atol=1e-8)
    np.testing.assert_allclose(run.parameters["mean"], theirs.mean_, atol=1e-12)


def test_only_the_noise_of_the_start_matters_to_factor_analysis():
    model, x = models.FactorAnalysis(6, 2), noisy_factors()
    start = model.initial_parameters(generator("start")) | {"log_variance": torch.ones(6).double()}
    other = model.initial_parameters(generator("other")) | {"log_variance": torch.ones(6).double()}
    step = model.em_map(x)
    assert_same(step(start)[1], step(other)[1], 0)
    for parameters in (start, other):
        value = float(step(parameters)[0])
        assert value == pytest.approx(float(model.log_likelihood(parameters, x)), abs=1e-12)


@pytest.mark.parametrize("learnable", (False, True))
def test_factor_analysis_rises_to_a_stationary_point(learnable):
    model, x = models.FactorAnalysis(6, 2, learnable_prior=learnable), noisy_factors()
    start = model.initial_parameters(generator("start"))
    result = fit.em(model, start, x, steps=3000, tolerance=1e-9, log_every=20)
    bound = result.trace.column("elbo")
    assert np.all(np.diff(bound) >= -1e-13) and bound[-1] > bound[0] + 1
    assert result.converged and abs(result.final.gap) < 1e-9
    assert np.all(result.trace.column("relative_residual") <= 1e-12)
    better = {k: v + 0.01 * draw(*v.shape, g=generator(k)) for k, v in result.parameters.items()}
    assert float(model.log_likelihood(better, x)) < result.final.elbo


def test_the_best_loadings_are_stationary_and_of_falling_length():
    x, noise = noisy_factors(), torch.linspace(0.3, 1.2, 6, dtype=torch.float64)
    data, model = FactorEM.of(x, 2), models.FactorAnalysis(6, 2)
    parameters = {"weights": data.best(noise)[0], "mean": data.mean, "log_variance": noise.log()}
    gradient = torch.func.grad(model.log_likelihood)(parameters, x)
    assert (
        float(gradient["weights"].abs().max()) < 1e-13
        and float(gradient["log_variance"].norm()) > 0.1
    )
    lengths = (parameters["weights"] ** 2 / noise[:, None]).sum(0)
    assert lengths[0] > lengths[1] > 0


def spectra():
    """Symmetric matrices whose largest eigenvalues are many, equal, close, or none."""
    axes = torch.linalg.qr(draw(240, 240, g=generator("axes"))).Q
    falling, ones = torch.logspace(0, -9, 240).double(), torch.ones(240).double()
    five, close = ones.clone(), ones.clone()
    five[[3, 50, 51, 120, 239]] = 4.0
    close[:40] += 1e-12 * torch.arange(40)
    yield "falling", falling.repeat(1), axes
    yield "in fives", falling[::5].repeat_interleave(5), axes
    yield "five equal", five, axes
    yield "five equal axes", five, torch.eye(240).double()
    yield "close", close, axes
    yield "all equal", ones, axes
    yield "none", 0 * ones, axes


@pytest.mark.parametrize(("name", "values", "axes"), list(spectra()), ids=[s[0] for s in spectra()])
@pytest.mark.parametrize("count", (1, 3, 5, 24, 25))
def test_leading_eigenvectors_of_large_matrices(name, values, axes, count):
    matrix = (axes * values) @ axes.T
    found, vectors = factor_em.leading((matrix + matrix.T) / 2, count)
    assert torch.allclose(found, values.sort().values[-count:], atol=1e-13)
    assert float((matrix @ vectors - vectors * found).abs().max()) < 1e-13
    assert float((vectors.T @ vectors - torch.eye(count)).abs().max()) < 1e-13


def test_many_columns_take_the_same_steps(monkeypatch):
    """Two hundred columns or more, by Lanczos' method, as fewer by all eigenvectors."""
    loadings, noise = draw(220, 3, g=generator("many")), draw(400, 220, g=generator("columns"))
    x = draw(400, 3, g=generator("latents")) @ loadings.T + noise
    model = models.FactorAnalysis(220, 3)
    start = unit_noise(model)
    few = fit.em(model, start, x, steps=5, tolerance=None)
    assert float(model.log_likelihood(few.parameters, x)) == pytest.approx(few.final.elbo, abs=1e-9)
    monkeypatch.setattr(factor_em, "LARGE", 10**6)
    every = fit.em(model, start, x, steps=5, tolerance=None)
    sides = [model.covariance(found.parameters) for found in (every, few)]
    assert torch.allclose(*sides, atol=1e-10)


@pytest.mark.parametrize("changed", ("weights", "mean", "prior_log_variance", "log_variance"))
def test_a_step_knows_only_the_parameters_that_it_gave(changed):
    """It keeps the log-likelihood where it ended, for these parameters and no others."""
    model, x = models.FactorAnalysis(6, 2, learnable_prior=True), noisy_factors()
    step = model.em_map(x)
    _, after = step(unit_noise(model))
    assert float(step(after)[0]) == pytest.approx(float(model.log_likelihood(after, x)), abs=1e-12)
    _, after = step(after)
    other = after | {changed: after[changed] + 0.1}
    wanted = float(model.log_likelihood(other, x))
    assert float(step(other)[0]) == pytest.approx(wanted, abs=1e-12)
    assert abs(wanted - float(model.log_likelihood(after, x))) > 1e-3


def test_an_observable_that_the_factors_explain_alone_is_named():
    x = noisy_factors()
    x[:, 4] = x[:, 1]
    model = models.FactorAnalysis(6, 2)
    with pytest.raises(ValueError, match=r"noise of observables \[.*\] collapsed in EM"):
        fit.em(model, unit_noise(model), x, steps=5000, log_every=1000)


def test_covariance_in_blocks_is_the_covariance():
    x = 1e3 + draw(5000, 3, g=generator("blocks"))
    mean, covariance = mean_and_covariance(x)
    torch.testing.assert_close(mean, x.mean(0))
    torch.testing.assert_close(covariance, torch.cov(x.T, correction=0), rtol=1e-12, atol=1e-14)


# --- data -----------------------------------------------------------------------------------------


def test_data_whose_sum_overflows_are_finite_all_the_same():
    assert as_data([[1e308, 1e308], [1e308, 1e308]]).shape == (2, 2)
    with pytest.raises(ValueError, match="found 2 NaN or infinite values among 4"):
        as_data([[float("inf"), 1.0], [2.0, -float("inf")]])


def test_a_model_of_your_own_is_learned_by_its_own_step():
    """Probabilistic PCA, whose EM (Tipping & Bishop 1999, their M-step) the package leaves out."""

    class LearnedPPCA(models.PPCA):
        def em_map(self, x):
            centered = x - x.mean(0)

            def step(parameters):
                W, size = parameters["weights"], self.observed
                M = W.T @ W + parameters["log_variance"].exp() * torch.eye(self.latent).to(W)
                z = centered @ W @ M.inverse()
                square = len(x) * parameters["log_variance"].exp() * M.inverse() + z.T @ z
                new = torch.linalg.solve(square, z.T @ centered).T
                left = (centered**2).sum() - 2 * ((centered @ new) * z).sum()
                noise = (left + (square * (new.T @ new)).sum()) / (len(x) * size)
                updated = {"weights": new, "mean": x.mean(0), "log_variance": noise.log()}
                return self.log_likelihood(parameters, x), updated

            return step

    model, x = LearnedPPCA(6, 2), noisy_factors()
    end = fit.em(model, model.initial_parameters(generator("own")), x, log_every=10)
    best = model.log_likelihood(model.maximum_likelihood(x), x)
    assert end.converged and abs(end.final.gap) <= 1e-8
    assert end.final.elbo == pytest.approx(float(best), abs=1e-10)
    with pytest.raises(ValueError, match="floor must be 0 for a LearnedPPCA"):
        fit.em(model, end.parameters, x, floor=0.1)
