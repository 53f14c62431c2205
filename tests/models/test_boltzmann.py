"""Boltzmann machines against sums over all states in NumPy, and against scikit-learn's."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from sklearn.neural_network import BernoulliRBM

from companion import elbo, entropy_sum, fit, models, project, verify
from tests.cases import draw, generator

D, H = 4, 3
BOTH = pytest.mark.parametrize("restricted", [True, False])


def energies(parameters, restricted):
    """θᵀT of every state (x, z), one loop for each term, by state."""
    b, c, W = (parameters[n].numpy() for n in ("bias", "latent.bias", "weights"))
    found = {}
    for s in product((0, 1), repeat=D + H):
        x, z = s[:D], s[D:]
        total = sum(b[i] * x[i] for i in range(D)) + sum(c[h] * z[h] for h in range(H))
        total += sum(W[i, h] * x[i] * z[h] for i in range(D) for h in range(H))
        if not restricted:
            for name, side in (("observed.weights", x), ("latent.weights", z)):
                pairs = [(i, j) for i in range(len(side)) for j in range(i + 1, len(side))]
                U = parameters[name].tolist()
                total += sum(u * side[i] * side[j] for u, (i, j) in zip(U, pairs, strict=True))
        found[s] = total
    return found


def machine(restricted, observed=D, latent=H):
    model = models.BoltzmannMachine(observed, latent, restricted)
    return model, model.initial_parameters(generator(f"machine {restricted}"))


@BOTH
def test_every_probability_and_both_entropies_are_those_of_a_sum_over_states(restricted):
    model, parameters = machine(restricted)
    table = energies(parameters, restricted)
    p = np.exp(np.array(list(table.values())))
    p /= p.sum()
    states = np.array(list(table), dtype=float)
    x, z = torch.tensor(states[:, :D]), torch.tensor(states[:, D:])
    rows = model.log_joint(parameters, x, model.states)
    column = (model.states[None] == z[:, None]).all(-1).double().argmax(1)
    np.testing.assert_allclose(rows[range(len(x)), column].exp(), p, rtol=1e-12)
    sums = entropy_sum(model, parameters, None, x[:5])
    assert float(sums.hidden["joint"]) == pytest.approx(-(p * np.log(p)).sum(), rel=1e-12)
    assert float(sums.prior) == float(sums.observable) == 0
    of_x = p.reshape(2**D, 2**H)
    conditional = of_x / of_x.sum(1, keepdims=True)
    posterior = -(conditional * np.log(conditional)).sum(1)
    first = [int("".join(str(int(unit)) for unit in row), 2) for row in x[:5]]
    assert float(sums.posterior) == pytest.approx(posterior[first].mean(), rel=1e-12)
    likelihood = np.log(of_x.sum(1))[first].mean()
    assert float(model.log_likelihood(parameters, x[:5])) == pytest.approx(likelihood, rel=1e-12)
    assert float(elbo(model, parameters, None, x[:5])) == pytest.approx(likelihood, rel=1e-12)


@pytest.mark.parametrize("sizes", [(5, 2), (2, 5)])
def test_free_energies_are_those_of_scikit_learn(sizes):
    model, parameters = machine(True, *sizes)
    theirs = BernoulliRBM(n_components=sizes[1])
    theirs.components_ = parameters["weights"].T.numpy()
    theirs.intercept_visible_ = parameters["bias"].numpy()
    theirs.intercept_hidden_ = parameters["latent.bias"].numpy()
    every = np.array(list(product((0.0, 1.0), repeat=sizes[0])))
    free = -theirs._free_energy(every)
    expected = free - np.log(np.exp(free).sum())
    ours = [float(model.log_likelihood(parameters, row[None])) for row in torch.tensor(every)]
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


@BOTH
def test_draws_have_the_expected_statistics(restricted):
    model, parameters = machine(restricted)
    natural = model.factors[0].natural(parameters, model.states)
    family = model.family
    draws = family.sample(natural.expand(40_000, -1), generator("draws"))
    found = family.statistics(draws)
    error = found.std(0) / 200
    assert bool(((found.mean(0) - family.mean_parameters(natural)).abs() < 5 * error).all())
    assert family.sample(natural, generator("one")).shape == (D + H,)


def test_without_latent_weights_a_fitted_machine_has_the_entropy_of_its_observables():
    """No weights to the latents: log p(x) = −H[p(x)] at the maximum, latents cancel."""
    model, _ = machine(False)
    x = (draw(200, D, g=generator("data")) > 0.3).double()
    x[:, 1] = torch.where(draw(200, g=generator("more")) > 0, x[:, 0], x[:, 1])
    start = {name: torch.zeros(shape).double() for name, shape in model.shapes.items()}
    held = ("weights", "latent.bias", "latent.weights")
    near = fit.lbfgs(model, start, None, x, fixed=held)
    end = fit.newton(model, near.parameters, None, x, fixed=held)
    table = energies(end.parameters, False)
    p = np.exp(np.array(list(table.values()))).reshape(2**D, 2**H).sum(1)
    p /= p.sum()
    assert end.final.elbo == pytest.approx((p * np.log(p)).sum(), abs=1e-10)
    assert abs(end.final.gap) < 1e-10


@BOTH
def test_projection_finds_the_temperature(restricted):
    model, parameters = machine(restricted)
    x = (draw(20, D, g=generator("projected")) > 0).double()
    q = model.posterior(parameters, x)
    moved, q_moved = project(model, parameters, q, x)
    assert abs(verify(model, moved, q_moved, x).gap) < 1e-12
    ratios = torch.cat([(moved[n] / parameters[n]).flatten() for n in parameters])
    assert float(ratios.max() - ratios.min()) < 1e-9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"observed": 0, "latent": 2}, "observed must be"),
        ({"observed": 12, "latent": 5, "restricted": False}, "must be at most 16 .* got 17"),
    ],
)
def test_sizes_that_can_not_be(arguments, said):
    with pytest.raises(ValueError, match=said):
        models.BoltzmannMachine(**arguments)


def test_too_many_states_and_data_that_are_not_binary_are_refused():
    model = models.BoltzmannMachine(20, 17)
    parameters = model.initial_parameters()
    with pytest.raises(ValueError, match="size must be between 1 and 16"):
        model.log_likelihood(parameters, torch.ones(3, 20).double())
    small, parameters = machine(True)
    with pytest.raises(ValueError, match="x must be binary"):
        elbo(small, parameters, None, torch.full((3, D), 0.5).double())
