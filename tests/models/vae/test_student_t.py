"""VAEs with Student t noise against SciPy, quadrature, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from companion import elbo, entropy_sum, models, project, variational, verify
from tests.cases import draw, generator, perturbed

N, D = 5, 3


def state(noise="pixel", latent=1, learnable=False):
    model = models.StudentTVAE(D, latent, (3,), noise, learnable)
    g = generator("student")
    own = perturbed(model.initial_parameters(g), g)
    x = 2 * draw(N, D, g=g)
    mean, std = draw(N, latent, g=g), (0.3 * draw(N, latent, g=g)).exp()
    return model, own, mean, std, x


@pytest.mark.parametrize("noise", ["scalar", "pixel"])
def test_elbo_and_entropies_by_quadrature_and_scipy(noise):
    model, own, mean, std, x = state(noise)
    grid = torch.linspace(-9, 9, 721).double()[:, None]  # heavy tails are no polynomials
    weights = torch.softmax(-0.5 * grid[:, 0] ** 2, 0)
    q = variational.Gaussian(mean, std, variational.Nodes(grid, weights))
    scale = np.exp(own["log_scale"].numpy()) * np.ones(D)
    dof = np.exp(own["log_dof"].numpy()) * np.ones(D)
    total = 0.0
    for n in range(N):
        of_q = stats.norm(float(mean[n]), float(std[n]))

        def integrand(z, n=n, of_q=of_q):
            centre = model.decode(own, torch.tensor([[z]]).double())[0].numpy()
            likelihood = stats.t(dof, centre, scale).logpdf(x[n].numpy()).sum()
            return of_q.pdf(z) * (likelihood + stats.norm.logpdf(z))

        low, high = of_q.mean() - 9 * of_q.std(), of_q.mean() + 9 * of_q.std()
        total += integrate.quad(integrand, low, high)[0] + of_q.entropy()
    assert float(elbo(model, own, q, x)) == pytest.approx(total / N, abs=1e-7)
    sums = entropy_sum(model, own, q, x)
    assert float(sums.observable) == pytest.approx(
        stats.t(dof, 0, scale).entropy().sum(), rel=1e-12
    )


@pytest.mark.parametrize("learnable", [False, True])
def test_v_needs_scale_and_degrees_of_freedom_together(learnable):
    model, own, mean, std, x = state(learnable=learnable)
    q = variational.Gaussian(mean, std)
    report = verify(model, own, q, x)
    assert report.relative_residual <= 1e-12 and abs(report.gap) > 0.1
    v = model.gap_direction(own)
    alone = {"log_scale": -torch.ones(D).double(), "log_dof": torch.zeros(D).double()}
    rescaled = {f"q.{name}": step for name, step in q.rescaling(model.latent_rescaling).items()}
    wrong = verify(model, own, q, x, direction=v | alone | rescaled)
    assert wrong.relative_residual > 1e-3


def test_with_the_degrees_of_freedom_held_their_slope_is_the_gap():
    model, own, mean, std, x = state("scalar", learnable=True)
    there, q = project(model, own, variational.Gaussian(mean, std), x)
    held = there | {"log_dof": there["log_dof"] + 0.7}

    def value(name, step):
        return float(elbo(model, held | {name: held[name] + step}, q, x))

    for _ in range(60):  # log s alone to its best, by Newton's method on differences
        first = (value("log_scale", 1e-3) - value("log_scale", -1e-3)) / 2e-3
        second = value("log_scale", 1e-3) + value("log_scale", -1e-3) - 2 * value("log_scale", 0.0)
        held["log_scale"] = held["log_scale"] - first / (second / 1e-6)
    dof = float(held["log_dof"].exp())
    expected = (dof + 1) / dof * (value("log_dof", 1e-4) - value("log_dof", -1e-4)) / 2e-4
    assert abs(expected) > 1e-2
    assert verify(model, held, q, x).gap == pytest.approx(expected, abs=1e-4)


def test_projection_reaches_the_equality():
    model, own, mean, std, x = state(latent=2)
    there, q = project(model, own, variational.Gaussian(mean, std), x)
    assert abs(verify(model, there, q, x).gap) < 1e-11


def test_noises_that_are_none():
    with pytest.raises(ValueError, match="noise_type must be one of scalar, pixel"):
        models.StudentTVAE(D, 1, noise_type="head")
