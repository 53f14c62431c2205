"""Years, epoch seconds, columns of very different scale: the same values as for data near zero."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from companion import families, fit, models, verify
from companion.families import gaussian
from companion.theory.factors import factor_identities
from companion.theory.objective import curvature
from tests.cases import draw, generator

OFFSETS = (2e3, 1.7e9)
COVARIANCES = ("spherical", "diagonal", "full", "tied")


def data(offset, scale=1.0):
    g = generator("far from zero")
    x = draw(60, 4, g=g) @ draw(4, 4, g=g)
    x[:20] += 3.0
    return scale * x + offset


def allowed(offset):
    """The data themselves are rounded, at 1e-16 times the offset."""
    return 1e-13 * max(1.0, offset / 1e2)


def held(model, parameters, q, x, offset):
    report = verify(model, parameters, q, x)
    assert report.relative_residual < allowed(offset), str(report)
    for line in factor_identities(model, parameters, q, x):
        assert line.residual < allowed(offset) * (1 + abs(report.elbo))
    return report


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("kind", [models.PPCA, models.FactorAnalysis])
def test_linear_gaussian_models(kind, offset):
    model = kind(observed=4, latent=2)
    parameters = model.initial_parameters(generator("linear")) | {"mean": data(offset).mean(0)}
    held(model, parameters, None, data(offset), offset)


@pytest.mark.parametrize("offset", OFFSETS)
def test_the_maximum_of_ppca_is_stationary_wherever_the_data_are(offset):
    model, x = models.PPCA(observed=4, latent=2), data(offset)
    parameters = model.maximum_likelihood(x)
    report = held(model, parameters, None, x, offset)
    assert abs(report.gap) < allowed(offset)
    assert report.gradient_norm < 10 * allowed(offset)
    near = model.maximum_likelihood(data(0.0))
    torch.testing.assert_close(parameters["log_variance"], near["log_variance"], rtol=0, atol=1e-6)
    found = curvature(model, parameters, None, x)
    assert found.positive == 0
    if offset < 1e9:
        wanted = curvature(model, near, None, data(0.0))
        torch.testing.assert_close(found.eigenvalues, wanted.eigenvalues, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_mixtures_of_gaussians_and_their_em(covariance, offset):
    model, x = models.GaussianMixture(4, 2, covariance), data(offset)
    start = model.random_start(x, generator("start"))
    held(model, start, None, x, offset)
    reachable = max(1e-10, 1e-15 * offset)
    fitted = fit.em(model, start, x, tolerance=reachable).parameters
    report = held(model, fitted, None, x, offset)
    assert abs(report.gap) < 1e-6
    near = fit.em(model, model.random_start(data(0.0), generator("start")), data(0.0))
    wanted = float(model.log_likelihood(near.parameters, data(0.0)))
    assert report.elbo == pytest.approx(wanted, abs=1e-5 if offset > 1e8 else 1e-8)
    densities = np.stack(
        [
            multivariate_normal(m, c).logpdf(x)
            for m, c in zip(fitted["means"], model.covariance_matrices(fitted), strict=True)
        ]
    )
    prior = torch.log_softmax(fitted["prior_logits"], 0).numpy()[:, None]
    oracle = np.logaddexp.reduce(densities + prior).mean()
    assert float(model.log_likelihood(fitted, x)) == pytest.approx(oracle, abs=1e-9)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("noise", ["scalar", "pixel", "head", "fixed"])
def test_vaes(noise, offset):
    variance = 0.5 if noise == "fixed" else None
    vae = models.GaussianVAE(4, 2, (5,), noise_type=noise, variance=variance)
    encoder = models.Encoder(4, 2)
    parameters = vae.initial_parameters(generator("vae"))
    parameters["mean.bias"] = parameters["mean.bias"] + offset
    q = encoder.posterior(encoder.initial_parameters(generator("encoder")), data(0.0))
    held(vae, parameters, q, data(offset), offset)


@pytest.mark.parametrize("offset", OFFSETS)
def test_pseudo_entropies_of_a_known_variance_are_those_of_fifty_digits(offset):
    variance, x = 0.3, data(offset)
    model = models.FamilyMixture(families.GaussianMean(variance), 4, 2)
    p = {"prior_logits": draw(2, g=generator("known")), "natural": x[:2] / variance}
    q = model.posterior(p, x)
    report = held(model, p, q, x, offset)
    with mpmath.workdps(50):
        weights = [[mpmath.mpf(w) for w in row] for row in q.probabilities.tolist()]
        squares = [mpmath.fsum(mpmath.mpf(v) ** 2 for v in row) for row in x.tolist()]
        means = [[variance * mpmath.mpf(v) for v in row] for row in p["natural"].tolist()]
        of_means = [mpmath.fsum(m**2 for m in row) for row in means]
        constant = 2 * mpmath.log(2 * mpmath.pi * variance)
        terms = [
            w * ((m - square) / (2 * mpmath.mpf(variance)) - constant)
            for row, square in zip(weights, squares, strict=True)
            for w, m in zip(row, of_means, strict=True)
        ]
        wanted = float(mpmath.fsum(terms) / len(terms) * 2)
    found = report.entropy_sum - report.posterior_entropy + report.prior_entropy
    assert found == pytest.approx(wanted, abs=allowed(offset) * (1 + abs(report.gap)))


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("kind", [*COVARIANCES, "known", "linear"])
def test_sequences(kind, offset):
    x, g = data(offset).reshape(6, 10, 4), generator("sequences")
    emission = models.GaussianMixture(4, 2, "full" if kind in ("known", "linear") else kind)
    if kind == "known":
        emission = models.FamilyMixture(families.GaussianMean(0.5), 4, 2)
    model = models.LinearDynamical(4, 2) if kind == "linear" else models.HiddenMarkov(emission)
    parameters = model.initial_parameters(g)
    centre = x.mean((0, 1))
    shift = {"linear": {"mean": centre}, "known": {"natural": x[0, :2] / 0.5}}
    parameters |= shift.get(kind, {"means": centre + draw(2, 4, g=g)})
    report = held(model, parameters, None, x, offset)
    if kind in COVARIANCES:  # means and widths, and no natural parameters, are read
        assert report.relative_residual < 1e-13
    assert report.elbo == pytest.approx(
        float(model.log_likelihood(parameters, x)), abs=allowed(offset) * (1 + abs(report.elbo))
    )


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("kind", COVARIANCES[:3])
def test_a_model_of_ones_own_from_natural_parameters(kind, offset):
    family = {
        "spherical": families.SphericalGaussian(),
        "diagonal": families.DiagonalGaussian(),
        "full": families.FullGaussian(),
    }[kind]
    states = torch.eye(2, dtype=torch.float64)
    g = generator("own")
    below = 0.2 * draw(4, 4, g=g).tril(-1)

    def natural(p, z):
        mean, variance = z @ p["means"], p["log_variance"].exp()
        if kind == "spherical":
            return family.natural_parameters(mean, variance[0].expand(len(z)))
        if kind == "full":
            factor = below + torch.eye(4, dtype=torch.float64)
            variance = variance[0] * factor @ factor.T
        return family.natural_parameters(mean, variance)

    model = models.GenerativeModel(
        families.Categorical(), lambda p: p["logits"], family, natural, states=states
    )
    p = {"logits": draw(2, g=g), "means": draw(2, 4, g=g) + offset, "log_variance": draw(4, g=g)}
    report = verify(model, p, None, data(offset))
    assert report.relative_residual < 10 * allowed(offset), str(report)


@pytest.mark.parametrize("family", [families.SphericalGaussian(), families.DiagonalGaussian()])
def test_densities_are_those_of_the_natural_form(family):
    g = generator("natural form")
    shape = (5,) if isinstance(family, families.SphericalGaussian) else (5, 3)
    agree(family, family.natural_parameters(draw(5, 3, g=g), draw(*shape, g=g).exp()), g)


def test_full_densities_are_those_of_the_natural_form():
    family, g = families.FullGaussian(), generator("natural form, full")
    factor = draw(5, 3, 3, g=g)
    covariance = factor @ factor.mT + torch.eye(3, dtype=torch.float64)
    agree(family, family.natural_parameters(draw(5, 3, g=g), covariance), g)


def agree(family, natural, g):
    x = draw(7, 3, g=g)
    inner = family.statistics(x) @ natural.T - family.log_partition(natural)
    torch.testing.assert_close(family.pairwise_log_prob(x, natural), inner, rtol=0, atol=1e-12)
    pairs = family.log_prob(x[:5], natural)
    torch.testing.assert_close(pairs, inner[:5].diagonal(), rtol=0, atol=1e-12)
    width = family.width_of(family.moments(natural)[1])
    entropy = family.located_entropy(x[:5], width)
    torch.testing.assert_close(entropy, family.pseudo_entropy(natural), rtol=0, atol=1e-12)


def test_blocks_of_means_change_nothing(monkeypatch):
    for covariance in COVARIANCES:
        model, x = models.GaussianMixture(4, 3, covariance), data(2e3)
        parameters = model.random_start(x, generator("start"))
        whole = model.log_joint(parameters, x, model.states)
        monkeypatch.setattr(gaussian, "_BLOCK", 1)
        torch.testing.assert_close(model.log_joint(parameters, x, model.states), whole)
        monkeypatch.undo()


@pytest.mark.parametrize("ratio", [1e-6, 1e-7, 1e-8])
def test_an_ill_conditioned_covariance(ratio):
    """Standard deviations in a ratio that the inverse of the covariance does not survive."""
    model, g = models.GaussianMixture(3, 2, "full"), generator("ill-conditioned")
    parameters = model.initial_parameters(g)
    parameters["log_diagonal"] = torch.tensor([[1.0, 1.0, ratio]]).double().log().expand(2, 3)
    parameters["cholesky"] = torch.ones(2, 3, 3, dtype=torch.float64).tril(-1)
    factor = parameters["cholesky"] + parameters["log_diagonal"].exp().diag_embed()
    x = parameters["means"][0] + draw(40, 3, g=g) @ factor[0].T
    q = model.posterior(parameters, x)
    report = verify(model, parameters, q, x)
    assert report.relative_residual < 1e-12 * (1e-6 / ratio) ** 2
    white = torch.linalg.solve_triangular(
        factor, (x[:, None] - parameters["means"])[..., None], upper=False
    )
    density = -0.5 * white.square().sum((-2, -1)) - factor.diagonal(dim1=1, dim2=2).log().sum(1)
    joint = density - 1.5 * np.log(2 * np.pi) + torch.log_softmax(parameters["prior_logits"], 0)
    wanted = float(torch.logsumexp(joint, 1).mean())
    assert float(model.log_likelihood(parameters, x)) == pytest.approx(wanted, rel=1e-12)


SCALES = torch.tensor([1e-6, 1.0, 1e3, 1e7], dtype=torch.float64)


def steps_of_em(model, parameters, x):
    step = model.em_map(x)
    for _ in range(100):
        parameters = step(parameters)[1]
    return parameters


@pytest.mark.parametrize("covariance", COVARIANCES[1:])
def test_columns_of_very_different_scale_in_a_mixture(covariance):
    model, x = models.GaussianMixture(4, 2, covariance), data(0.0)
    plain = steps_of_em(model, model.random_start(x, generator("start")), x)
    x_scaled = SCALES * x
    scaled = steps_of_em(model, model.random_start(x_scaled, generator("start")), x_scaled)
    value = model.log_likelihood(scaled, x_scaled) + SCALES.log().sum()
    assert float(value) == pytest.approx(float(model.log_likelihood(plain, x)), abs=1e-8)
    assert verify(model, scaled, None, x_scaled).relative_residual < 1e-12


def test_columns_of_very_different_scale_in_factor_analysis():
    model, x = models.FactorAnalysis(observed=4, latent=1), data(0.0)
    start = model.initial_parameters(generator("factors"))
    plain = steps_of_em(model, start, x)
    moved = start | {"log_variance": start["log_variance"] + 2 * SCALES.log()}
    x_scaled = SCALES * (x + 1.7e9)
    scaled = steps_of_em(model, moved, x_scaled)
    value = model.log_likelihood(scaled, x_scaled) + SCALES.log().sum()
    assert float(value) == pytest.approx(float(model.log_likelihood(plain, x)), abs=1e-5)
    assert verify(model, scaled, None, x_scaled).relative_residual < 1e-8
