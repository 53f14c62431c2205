"""Learning some parameters while others keep their values: `fixed` in fit, verify and curvature."""

import pytest
import torch

from companion import curvature, fit, models, variational, verify

MODEL = models.SigmoidBeliefNet(observed=5, latent=2)


@pytest.fixture
def setting():
    generator = torch.Generator().manual_seed(3)
    x = torch.bernoulli(torch.full((40, 5), 0.4, dtype=torch.float64), generator=generator)
    parameters = MODEL.initial_parameters(generator)
    logits = torch.randn(40, 4, dtype=torch.float64, generator=generator)
    return x, parameters, variational.Tabulated(variational.binary_states(2), logits)


def test_a_fixed_parameter_keeps_its_value_and_explains_the_gap(setting):
    x, parameters, _ = setting
    result = fit.newton(MODEL, parameters, None, x, fixed=["weights", "prior_logits"])
    assert torch.equal(result.parameters["weights"], parameters["weights"])
    assert torch.equal(result.parameters["prior_logits"], parameters["prior_logits"])
    assert not torch.equal(result.parameters["bias"], parameters["bias"])
    assert result.converged and result.gradient_norm <= 1e-12
    left = result.final.blocks["weights"] + result.final.blocks["prior_logits"]
    assert abs(result.final.gap) > 1e-3
    assert abs(result.final.gap - left) < 1e-13


def test_q_can_be_fixed_and_the_equality_still_holds(setting):
    x, parameters, q = setting
    start = fit.lbfgs(MODEL, parameters, q, x, fixed=["q.logits"])
    result = fit.newton(MODEL, start.parameters, q, x, fixed=["q.logits"])
    assert torch.equal(result.q.logits, q.logits)
    assert result.converged and abs(result.final.gap) < 1e-12
    everything = verify(MODEL, result.parameters, result.q, x)
    assert everything.gradient_norm > 1e-4, "q itself is far from stationary"
    assert curvature(MODEL, result.parameters, q, x, fixed=["q.logits"]).kind == "maximum"


def test_one_name_may_be_given_as_a_plain_string(setting):
    x, parameters, q = setting
    one = verify(MODEL, parameters, q, x, fixed="weights")
    assert one == verify(MODEL, parameters, q, x, fixed=["weights"])


def test_unknown_names_and_nothing_to_learn_are_refused(setting):
    x, parameters, _ = setting
    with pytest.raises(ValueError, match=r"fixed must name some of .*'bias'.*: got \['offset'\]"):
        fit.newton(MODEL, parameters, None, x, fixed=["offset"])
    with pytest.raises(ValueError, match=r"fixed must name some of .*: got \['q.logits'\]"):
        fit.lbfgs(MODEL, parameters, None, x, fixed=["q.logits"])
    with pytest.raises(ValueError, match="at least one parameter to learn"):
        fit.lbfgs(MODEL, parameters, None, x, fixed=list(parameters))
