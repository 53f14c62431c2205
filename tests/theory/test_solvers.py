"""The criterion for decoders too large for a dense Jacobian."""

import pytest
import torch

from companion import check_criterion, models
from companion.theory import criterion, solvers
from tests.cases import generator


def large(noise: str = "scalar") -> tuple[models.GaussianVAE, dict, torch.Tensor]:
    g = generator(f"large decoder, {noise}")
    model = models.GaussianVAE(observed=16, latent=4, hidden=(32, 32), noise_type=noise)
    parameters = model.initial_parameters(g)
    parameters = {
        k: v + 0.1 * torch.randn(v.shape, generator=g, dtype=v.dtype) for k, v in parameters.items()
    }
    return model, parameters, torch.randn(64, 4, dtype=torch.float64, generator=g)


@pytest.mark.parametrize("noise", ["scalar", "pixel"])
def test_the_dictionary_finds_the_log_variance_of_a_large_decoder(noise, monkeypatch):
    monkeypatch.setattr(criterion, "_LARGEST_JACOBIAN", 1000)
    model, parameters, z = large(noise)
    natural = model.factors[-1].natural
    found = check_criterion(natural, parameters, z)
    assert (found.verdict, found.method) == ("pass", "dictionary")
    assert found.residual < 1e-10
    tangent = torch.func.jvp(lambda p: natural(p, z), (parameters,), (found.direction,))[1]
    torch.testing.assert_close(tangent, natural(parameters, z), rtol=1e-9, atol=1e-9)


def test_the_dictionary_finds_a_last_linear_layer():
    model, parameters, z = large()

    def mean(p, nodes):
        return model.decode(parameters | p, nodes)

    chosen = {k: v for k, v in parameters.items() if k != "log_variance"}
    half = solvers.from_dictionary(
        lambda p: mean(p, z[:32]).reshape(-1), lambda p: mean(p, z[32:]).reshape(-1), chosen
    )
    assert half.held_out < 1e-10
    torch.testing.assert_close(half.direction["mean.weights"], parameters["mean.weights"])
    assert float(half.direction["hidden0.weights"].norm()) < 1e-8


def test_a_small_tensor_outside_the_dictionary_is_found_with_its_own_jacobian(monkeypatch):
    monkeypatch.setattr(criterion, "_LARGEST_JACOBIAN", 5000)
    model, fixed, z = large()
    a = torch.tensor([0.7, 0.3, 0.2], dtype=torch.float64)
    unused = torch.randn(50, 20, dtype=torch.float64, generator=generator("unused"))

    # Three groups of observables, each scaled by its own combination of a: E β = 1 has one
    # solution, which is no combination of a and a vector of ones.
    exponents = torch.tensor([[1.0, -2.0, 0.0], [0.0, 1.0, 3.0], [0.5, 0.0, 1.0]]).double()

    def natural(p, nodes):
        scale = torch.exp(exponents @ p["a"]).repeat(6)[:16]
        return model.decode(fixed, nodes) * scale * (1 + 0 * p["unused"].sum())

    found = check_criterion(natural, {"a": a, "unused": unused}, z)
    assert (found.verdict, found.method) == ("pass", "dense")
    expected = torch.linalg.solve(exponents, torch.ones(3).double())
    torch.testing.assert_close(found.direction["a"], expected)


def test_a_large_failing_decoder_is_undecided_and_never_passes(monkeypatch):
    monkeypatch.setattr(criterion, "_LARGEST_JACOBIAN", 1000)
    model, parameters, z = large("softplus")
    found = check_criterion(model.factors[-1].natural, parameters, z)
    assert (found.verdict, found.method) == ("undecided", "iterative")
    assert found.residual > 1e-4


def test_lsmr_agrees_with_dense_least_squares_where_both_can_be_done():
    model, parameters, z = large()
    natural = model.factors[-1].natural
    chosen = {"log_variance": parameters["log_variance"], "mean.bias": parameters["mean.bias"]}

    def stacked(nodes):
        return lambda p: natural(parameters | p, nodes).reshape(-1)

    found = solvers.iterative(stacked(z[:32]), stacked(z[32:]), chosen)
    assert found.held_out < 1e-6
    assert abs(float(found.direction["log_variance"]) + 1) < 1e-6
