"""Bad input: one clear sentence that names the argument, and nothing is changed on the way."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

from companion import datasets, fit, models, project, variational, verify
from companion.support.checks import positive_integer
from tests.cases import draw, generator

NAN, INF = math.nan, math.inf
#: What takes a model, its parameters, q and data.
ENTRANCES = (verify, project, fit.lbfgs, fit.newton, fit.adam)


def ppca():
    g = generator("bad input")
    model = models.PPCA(4, 2)
    x = draw(10, 4, g=g)
    parameters = model.initial_parameters(g)
    return model, parameters, model.posterior(parameters, x), x


#: What is no array of real numbers at all: tests/support/test_checks.py.
BAD_DATA = {
    "NaN": (
        lambda x: torch.where(torch.arange(40).reshape(10, 4) == 7, NAN, x),
        "x must be finite: found 1 NaN or infinite value among 40; remove or impute them first",
    ),
    "infinity": (
        lambda x: x / torch.zeros(4),
        "x must be finite: found 40 NaN or infinite values among 40",
    ),
    "empty": (lambda x: x[:0], r"x must not be empty: got shape \(0, 4\)"),
    "no columns": (lambda x: x[:, :0], r"x must not be empty: got shape \(10, 0\)"),
    "one-dimensional": (
        lambda x: x[0],
        r"x must have shape \(N, D\), one row per data point: got shape \(4,\)",
    ),
    "three-dimensional": (lambda x: x[None], r"one row per data point: got shape \(1, 10, 4\)"),
    "columns": (
        lambda x: x[:, :3],
        r"x must have 4 columns, as the model has observables: .*10, 3",
    ),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_are_named(case):
    spoil, sentence = BAD_DATA[case]
    model, parameters, q, x = ppca()
    with pytest.raises(ValueError, match=sentence) as caught:
        verify(model, parameters, q, spoil(x))
    assert "\n" not in str(caught.value)


def test_bad_data_are_named_by_every_entrance():
    """Two kinds of them: that no entrance lets any kind pass is seen by tests/common."""
    model, parameters, q, x = ppca()
    mixture = models.GaussianMixture(4, 2)
    own = mixture.initial_parameters(generator("mixture"))
    for spoil, sentence in (BAD_DATA["NaN"], BAD_DATA["columns"]):
        bad = spoil(x)
        for call in ENTRANCES:
            with pytest.raises(ValueError, match=sentence):
                call(model, parameters, q, bad)
        for reads in (
            model.maximum_likelihood,
            lambda x: fit.em(mixture, own, x),
            lambda x: mixture.m_step(own, None, x),
        ):
            with pytest.raises(ValueError, match=sentence):
                reads(bad)
    assert not any(value.requires_grad for value in parameters.values())


@pytest.mark.parametrize("bad", (0.5, 16.0, -1.0))
def test_data_that_are_not_binary_are_named(bad):
    model = models.SigmoidBeliefNet(3, 2)
    g = generator("sbn")
    parameters = model.initial_parameters(g)
    x = torch.tensor([[0.0, 1, 1], [1, 0, bad]], dtype=torch.float64)
    q = variational.MeanFieldBernoulli(draw(2, 2, g=g))
    low, high = min(0.0, bad), max(1.0, bad)
    sentence = rf"x must be binary \(0 or 1\) .* values in \[{low}, {high}\]; threshold the data"
    for call in ENTRANCES:
        with pytest.raises(ValueError, match=sentence):
            call(model, parameters, q, x)
    with pytest.raises(ValueError, match=r"pass|for example with datasets.digits\(binary=True\)"):
        digits = models.SigmoidBeliefNet(64, 2)
        verify(digits, digits.initial_parameters(g), q, datasets.digits()[:2])


def test_parameters_in_training_can_be_verified():
    model, parameters, q, x = ppca()
    expected = verify(model, parameters, q, x)
    learning = {k: v.clone().requires_grad_() for k, v in parameters.items()}
    moving = q.with_parameters({k: v.clone().requires_grad_() for k, v in q.parameters.items()})
    assert verify(model, learning, moving, x) == expected
    assert all(value.grad is None for value in learning.values())


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    (
        (
            lambda p: {k: v for k, v in p.items() if k != "weights"},
            r"exactly \['log_variance', 'mean', 'weights'\] for PPCA.*missing \['weights'\], "
            r"unknown \[\]",
        ),
        (lambda p: p | {"sigma": p["weights"]}, r"missing \[\], unknown \['sigma'\]"),
        (
            lambda p: p | {"weights": p["weights"].T},
            r"parameters\['weights'\] must have shape \(4, 2\): got \(2, 4\)",
        ),
        (
            lambda p: p | {"mean": p["mean"] * NAN},
            r"parameters\['mean'\] must be finite: found NaN or infinity",
        ),
        (
            lambda p: p | {"log_variance": p["log_variance"] + INF},
            "must be finite: found NaN or inf",
        ),
        (
            lambda p: p | {"weights": p["weights"].float()},
            r"parameters\['weights'\] must be a float64 tensor: got torch.float32",
        ),
        (
            lambda p: p | {"weights": p["weights"].numpy()},
            r"\['weights'\] must be a float64 tensor: got ndarray",
        ),
    ),
)
def test_bad_parameters_are_named(change, sentence):
    model, parameters, q, x = ppca()
    bad = change(parameters)
    for call in ENTRANCES:
        with pytest.raises(ValueError, match=sentence):
            call(model, bad, q, x)


# --- q --------------------------------------------------------------------------------------------


def gaussian(points=10, latent=2, mean=0.0, scale=1.0):
    shape = (points, latent)
    return variational.Gaussian(torch.full(shape, mean), torch.full(shape, scale))


@pytest.mark.parametrize(
    ("q", "sentence"),
    (
        (gaussian(points=9), "q must have one distribution for each of the 10 data points: got 9"),
        (gaussian(latent=3), "q must be over the model's 2 latents: got 3"),
        (gaussian(scale=0.0), r"are its parameters finite and its scales not zero\?"),
    ),
)
def test_a_q_that_does_not_fit_is_named(q, sentence):
    model, parameters, _, x = ppca()
    for call in ENTRANCES:
        with pytest.raises(ValueError, match=sentence):
            call(model, parameters, q, x)


def test_a_q_of_what_is_no_number_is_named_where_it_is_made():
    with pytest.raises(ValueError, match="mean must be finite: found 20 NaN"):
        gaussian(mean=NAN)
    with pytest.raises(ValueError, match="logits must be a tensor, an array or nested lists"):
        variational.MeanFieldBernoulli("half")


def test_samples_for_other_data_are_named():
    with pytest.raises(
        ValueError, match="rule must have samples for each of the 10 data points: got 9"
    ):
        variational.Gaussian(torch.zeros(10, 2), torch.ones(10, 2), variational.samples(9, 3, 2))


def test_a_discrete_q_for_a_fixed_gaussian_prior_is_named():
    model, parameters, _, x = ppca()
    q = variational.Tabulated(torch.eye(2, dtype=torch.float64), torch.zeros(10, 2).double())
    with pytest.raises(
        ValueError, match="Tabulated has no rescaling of the latent space, which a fix"
    ):
        verify(model, parameters, q, x)


@pytest.mark.parametrize(
    ("change", "sentence"),
    (
        (
            lambda v: v | {"bias": v["weights"]},
            r"direction must have exactly the entries .*got .*'bias'",
        ),
        (
            lambda v: {k: v[k] for k in v if k != "q.mean"},
            "direction must have exactly the entries",
        ),
        (
            lambda v: v | {"weights": v["weights"][:1]},
            r"direction\['weights'\] must have shape \(4, 2\): got \(1, 2\)",
        ),
    ),
)
def test_a_direction_that_does_not_fit_is_named(change, sentence):
    from companion.theory.identity import full_direction

    model, parameters, q, x = ppca()
    with pytest.raises(ValueError, match=sentence):
        verify(model, parameters, q, x, change(full_direction(model, parameters, q)))


# --- models, encoders and fits --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "sentence"),
    (
        (
            lambda: models.PPCA(4, 4),
            "latent must be smaller than observed for PPCA: got latent=4, obs",
        ),
        (lambda: models.PPCA(4, 5), "got latent=5, observed=4"),
        (
            lambda: models.FactorAnalysis(2, 2),
            "latent must be smaller than observed for FactorAnaly",
        ),
        (lambda: models.PPCA(0, 1), "observed must be a positive integer: got 0"),
        (lambda: models.PPCA(4, 0), "latent must be a positive integer: got 0"),
        (lambda: models.PPCA(4, 1.0), "latent must be a positive integer: got 1.0"),
        (lambda: models.SigmoidBeliefNet(-1, 2), "observed must be a positive integer: got -1"),
        (lambda: models.SigmoidBeliefNet(3, True), "latent must be a positive integer: got True"),
        (lambda: models.GaussianMixture(2, 0), "components must be a positive integer: got 0"),
        (
            lambda: models.GaussianMixture(2, 2, "diag"),
            "covariance_type must be one of spherical, diagonal, full, tied: got 'diag'",
        ),
        (lambda: models.GaussianVAE(4, 0), "latent must be a positive integer: got 0"),
        (
            lambda: models.GaussianVAE(4, 2, noise_type="tanh"),
            r"noise_type must be one of .*: got 'tanh'",
        ),
        (lambda: models.GaussianVAE(4, 2, 8), "hidden must be a tuple of layer sizes.*: got 8"),
        (
            lambda: models.GaussianVAE(4, 2, (8, 0)),
            "every entry of hidden must be a positive integer",
        ),
        (lambda: models.Encoder(4, 2, [8]), r"hidden must be a tuple of layer sizes.*: got \[8\]"),
        (lambda: models.Encoder("4", 2), "observed must be a positive integer: got '4'"),
    ),
)
def test_impossible_models_are_named(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


def test_models_are_immutable():
    with pytest.raises(AttributeError):
        models.PPCA(4, 2).latent = 3


def test_there_is_no_posterior_for_a_vae_nor_for_too_many_binary_latents():
    vae = models.GaussianVAE(4, 2)
    x = draw(3, 4, g=generator("x"))
    with pytest.raises(
        ValueError, match="GaussianVAE has no posterior in closed form: pass a varia"
    ):
        vae.posterior(vae.initial_parameters(), x)
    with pytest.raises(ValueError, match="GaussianVAE has no posterior in closed form"):
        fit.lbfgs(vae, vae.initial_parameters(), None, x)
    sbn = models.SigmoidBeliefNet(4, 20)
    with pytest.raises(ValueError, match=r"size must be between 1 and 16 to enumerate.*1.05e"):
        sbn.posterior(sbn.initial_parameters(), (x > 0).double())


@pytest.mark.parametrize(
    ("call", "sentence"),
    (
        (
            lambda m, p, q, x: m.stationary_point(x, (0, 0)),
            "at most 2 different indices between 0 and 3: got",
        ),
        (
            lambda m, p, q, x: m.stationary_point(x, (0, 1, 2)),
            "at most 2 different indices between 0 and 3: got",
        ),
        (lambda m, p, q, x: m.stationary_point(x, (4,)), r"indices between 0 and 3: got \[4\]"),
        (lambda m, p, q, x: m.stationary_point(x, (-1,)), r"indices between 0 and 3: got \[-1\]"),
        (
            lambda m, p, q, x: m.stationary_point(x, (3,)),
            "give no stationary point: each eigenvalue must exceed the noise variance",
        ),
        (
            lambda m, p, q, x: m.maximum_likelihood(x[:, :1] * torch.ones(4).double()),
            "x must have variance outside the 2 chosen directions: the noise",
        ),
        (
            lambda m, p, q, x: fit.em(m, p, x),
            "model must have em_map, .*: got PPCA; learn with fit.lbfgs",
        ),
        (
            lambda m, p, q, x: fit.adam(m, p, q, x, batch_size=2),
            "need an amortized q, variational.Amortized: got Gaussian",
        ),
    ),
)
def test_bad_arguments_of_fits_are_named(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(*ppca())


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    (
        ("steps", (0, -1, 1.5), "a positive integer"),
        ("log_every", (0,), "a positive integer"),
        ("batch_size", (0,), "a positive integer"),
        ("fresh_samples", (0,), "a positive integer"),
        ("tolerance", (0, NAN), "positive"),
        ("learning_rate", (-1,), "positive"),
    ),
)
def test_bad_settings_of_fits_are_named(name, values, kind):
    takers = [call for call in ENTRANCES if name in inspect.signature(call).parameters]
    assert takers
    for learn in takers:
        for bad in values:
            with pytest.raises(ValueError, match=f"{name} must be {kind}: got {bad}"):
                learn(*ppca(), **{name: bad})


def test_bad_responsibilities_covariances_and_floors_are_named():
    model = models.GaussianMixture(2, 3)
    x = draw(8, 2, g=generator("x"))
    parameters, even = model.initial_parameters(), torch.ones(8, 3).double() / 3
    exchanged = variational.Tabulated.from_probabilities(model.states.flip(0), even)
    other = models.GaussianMixture(2, 2).states
    for bad, sentence in (
        (even, r"must be a distribution of companion.variational \(Tabulated for respons.*Tensor$"),
        (variational.Tabulated(model.states, even[:7]), "each of the 8 data points: got 7$"),
        (variational.Tabulated(other, even[:, :2]), "over the model's 3 latents: got 2$"),
        (exchanged, "must be a Tabulated over the 3 states of a GaussianMixture, as .*: got Tabul"),
        (variational.Gaussian(even, even), "over the 3 states of a GaussianMixture.*got Gaussian$"),
    ):
        with pytest.raises(ValueError, match=f"q .*{sentence}"):
            model.m_step(parameters, bad, x)
    with pytest.raises(ValueError, match="FactorAnalysis has no M-step in closed form: learn with"):
        models.FactorAnalysis(2, 1).m_step(
            models.FactorAnalysis(2, 1).initial_parameters(), None, x
        )
    means, weights = torch.zeros(3, 2).double(), torch.ones(3).double() / 3
    with pytest.raises(ValueError, match="covariances must be positive definite"):
        model.from_covariances(weights, means, torch.zeros(3, 2, 2).double())
    with pytest.raises(ValueError, match="weights must be positive: got"):
        model.from_covariances(weights * torch.tensor([1.0, 0, 2]), means, torch.eye(2).double())
    diagonal = models.GaussianMixture(2, 3, "diagonal")
    with pytest.raises(ValueError, match="covariances must be positive: smallest is 0"):
        diagonal.from_covariances(weights, means, torch.zeros(3, 2).double())
    parameters = model.initial_parameters(generator("start"))
    with pytest.raises(ValueError, match="floor must be at least 0: got -1"):
        fit.em(model, parameters, x, floor=-1)
    with pytest.raises(ValueError, match="log_every must be a positive integer: got 0"):
        fit.em(model, parameters, x, log_every=0)


@pytest.mark.parametrize("bad", (0, -3, 2.0, "2", None, True))
def test_counts_must_be_positive_integers(bad):
    with pytest.raises(ValueError, match="size must be a positive integer: got"):
        positive_integer(bad, "size")
    assert positive_integer(3, "size") == 3


def test_a_column_of_another_scale_is_what_is_wrong_and_not_the_sign_of_the_noise():
    x = draw(40, 5, g=generator("seconds"))
    x[:, 0] = 1.7e9 + 1e7 * x[:, 0]
    with pytest.raises(ValueError, match=r"round-off next to the largest, .* columns to one scale"):
        models.PPCA(5, 2).maximum_likelihood(x)
