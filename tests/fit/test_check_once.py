"""Data and parameters are checked once in a call of a fit, however many steps it takes."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
import torch

from companion import families, fit, models
from companion.studies.sparse.alternation import alternate
from companion.support import checks
from companion.theory.model import Model
from tests.cases import draw, generator


@pytest.fixture
def calls(monkeypatch):
    """How often data are validated, a model checks its input, and start parameters are drawn."""
    counted: Counter[str] = Counter()

    def counting(name, function):
        def call(*args, **kwargs):
            counted[name] += 1
            return function(*args, **kwargs)

        return call

    plain, counts = checks.as_data, counting("data", checks.as_data)
    for module in list(sys.modules.values()):
        if getattr(module, "as_data", None) is plain:
            monkeypatch.setattr(module, "as_data", counts)
    monkeypatch.setattr(Model, "check", counting("check", Model.check))
    kinds = [Model]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if "initial_parameters" in vars(kind):
            draws = counting("draws", vars(kind)["initial_parameters"])
            monkeypatch.setattr(kind, "initial_parameters", draws)
    return counted


def linear_vae():
    g = generator("checked once")
    model, encoder = models.GaussianVAE(4, 1, noise_type="scalar"), models.Encoder(4, 1)
    x = draw(30, 4, g=g)
    q = encoder.posterior(encoder.initial_parameters(g), x)
    return model, model.initial_parameters(g), q, x


def mixture(model, x):
    return model, model.random_start(x, generator("start")), x


def counts_of(component):
    g = generator("counts")
    x = torch.poisson(4 * torch.rand(60, 3, generator=g), generator=g).double()
    return mixture(models.FamilyMixture(component, 3, 2), x)


EM = {
    "Gaussians": lambda: mixture(models.GaussianMixture(3, 2), draw(60, 3, g=generator("x"))),
    "Poisson": lambda: counts_of(families.Poisson()),
    "factors": lambda: (
        models.FactorAnalysis(4, 1),
        models.FactorAnalysis(4, 1).initial_parameters(generator("start")),
        draw(60, 4, g=generator("x")),
    ),
}


def once(calls: Counter[str]) -> bool:
    return calls["data"] == calls["check"] == 1 and calls["draws"] <= 1


@pytest.mark.parametrize("make", EM.values(), ids=EM)
def test_em_checks_once_in_twenty_steps(make, calls):
    arguments = make()
    calls.clear()
    result = fit.em(*arguments, steps=20, tolerance=None)
    assert len(result.trace.steps) > 5
    assert once(calls), calls


@pytest.mark.parametrize("exact", (False, True), ids=("q", "posterior"))
@pytest.mark.parametrize("method", (fit.lbfgs, fit.newton, fit.adam))
def test_ascent_checks_once(method, exact, calls):
    model, parameters, q, x = linear_vae()
    if exact:
        model, q = models.PPCA(4, 1), None
        parameters = model.initial_parameters(generator("start"))
    calls.clear()
    result = method(model, parameters, q, x, steps=5, tolerance=None, log_every=1)
    assert len(result.trace.steps) > 3
    assert once(calls), calls


def test_alternation_checks_once(calls):
    model, x = models.SparseCoding(4, 2), draw(20, 4, g=generator("x"))
    start = model.random_start(x, generator("start"))
    calls.clear()
    alternate(model, start, model.prior_q(20), x, steps=5, log_every=1)
    assert once(calls), calls
