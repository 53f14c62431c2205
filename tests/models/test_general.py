"""A reader's own model from two families and two functions."""

from __future__ import annotations

import pytest
import torch

from companion import elbo, families, fit, models, variational, verify
from tests.cases import generator

STATES = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)


def draw(*shape, name="general"):
    return torch.randn(shape, dtype=torch.float64, generator=generator(f"{name} {shape}"))


def counts_model(**options):
    return models.GenerativeModel(
        families.Bernoulli(),
        lambda p: p["prior_logits"],
        families.Poisson(),
        lambda p, z: z @ p["weights"].T + p["bias"],
        states=STATES,
        **options,
    )


def counts_case():
    p = {"prior_logits": draw(2), "weights": draw(3, 2), "bias": draw(3)}
    x = torch.poisson(torch.full((20, 3), 2.0, dtype=torch.float64), generator=generator("counts"))
    return p, x


def test_the_direction_is_found_and_the_identity_holds():
    model, (p, x) = counts_model(), counts_case()
    found = model.gap_direction(p)
    for name, value in p.items():
        torch.testing.assert_close(found[name], value, rtol=1e-8, atol=1e-8)
    report = verify(model, p, model.posterior(p, x), x)
    assert report.relative_residual < 1e-12
    assert abs(report.gap) > 0.1
    assert report.form == "pseudo"


def test_it_equals_the_model_that_the_package_ships():
    ours = models.SigmoidBeliefNet(observed=3, latent=2)
    p = ours.initial_parameters(generator("general"))
    x = (draw(9, 3, name="data") > 0).double()
    own = models.GenerativeModel(
        families.Bernoulli(),
        lambda p: p["prior_logits"],
        families.Bernoulli(),
        lambda p, z: z @ p["weights"].T + p["bias"],
        states=STATES,
    )
    q = own.posterior(p, x)
    assert float(elbo(own, p, q, x)) == pytest.approx(float(ours.log_likelihood(p, x)), abs=1e-12)
    assert verify(own, p, q, x).gap == pytest.approx(verify(ours, p, q, x).gap, abs=1e-10)


def test_it_is_learned_to_the_equality():
    model, (p, x) = counts_model(), counts_case()
    near = fit.lbfgs(model, p, None, x, tolerance=1e-3)
    end = fit.newton(model, near.parameters, None, x, tolerance=1e-9)
    assert end.gradient_norm < 1e-9
    assert abs(end.final.gap) < 1e-7


def test_a_continuous_latent_takes_its_nodes_from_the_prior():
    def natural(p, z):
        mean = z @ p["weights"].T
        return families.SphericalGaussian().natural_parameters(
            mean, p["log_variance"].exp().expand(mean.shape[:-1])
        )

    def prior(p):
        return families.DiagonalGaussian().natural_parameters(
            torch.zeros(2, dtype=torch.float64), p["prior_log_variance"].exp()
        )

    gaussian, spherical = families.DiagonalGaussian(), families.SphericalGaussian()
    model = models.GenerativeModel(gaussian, prior, spherical, natural)
    p = {"weights": draw(4, 2), "log_variance": draw()[()], "prior_log_variance": draw(2)}
    x = draw(11, 4)
    q = variational.Gaussian(draw(11, 2), draw(11, 2).abs() + 0.1)
    assert verify(model, p, q, x).relative_residual < 1e-12
    fixed = models.GenerativeModel(
        gaussian,
        lambda p: prior({"prior_log_variance": torch.zeros(2, dtype=torch.float64)}),
        spherical,
        natural,
        direction=lambda p: {
            "weights": -p["weights"] / 2,
            "log_variance": -torch.ones(()).double(),
        },
        rescaling=0.5,
    )
    p = {name: p[name] for name in ("weights", "log_variance")}
    assert verify(fixed, p, q, x).relative_residual < 1e-12


def test_bad_models_are_named():
    p, x = counts_case()
    frozen = models.GenerativeModel(
        families.Bernoulli(),
        lambda p: torch.ones(2, dtype=torch.float64),
        families.Poisson(),
        lambda p, z: z @ p["weights"].T + p["bias"],
        states=STATES,
    )
    with pytest.raises(ValueError, match="no gap direction was found"):
        verify(frozen, p, frozen.posterior(p, x), x)
    with pytest.raises(ValueError, match="direction must be given with rescaling"):
        counts_model(rescaling=0.5)
    with pytest.raises(ValueError, match="observable_natural must return shape"):
        verify(counts_model(), p, counts_model().posterior(p, x), x[:, :2])
    with pytest.raises(ValueError, match="choose your own dictionary"):
        counts_model().initial_parameters()
    with pytest.raises(ValueError, match="x must be"):
        verify(counts_model(), p, counts_model().posterior(p, x), x - 10)
