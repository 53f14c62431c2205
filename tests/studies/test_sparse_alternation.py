"""Sparse coding by turns: it climbs, anneals, and says what is wrong."""

import numpy as np
import pytest
import torch

from companion import models
from companion.fit import SMALL_GRADIENT, ConvergenceWarning, lbfgs
from companion.models import EntropyWeights
from companion.studies.sparse.alternation import alternate
from tests.cases import draw, generator
from tests.models.helpers import LIMIT
from tests.models.sparse.test_coding import every_sparse, sparse_point


@pytest.mark.slow
@every_sparse
def test_alternation_climbs_and_lbfgs_takes_it_to_the_equality(learnable, full):
    g = generator("alternation")
    z = torch.distributions.Laplace(0.0, 1.0).icdf(torch.rand(40, 2, generator=g).double())
    x = z @ draw(2, 4, g=g) + 0.3 * draw(40, 4, g=g)
    model = models.SparseCoding(4, 2, learnable)
    start = model.random_start(x, g)
    untouched = {name: value.clone() for name, value in start.items()}
    result = alternate(model, start, model.prior_q(40, full), x, steps=60)
    assert not result.converged and result.gradient_norm > SMALL_GRADIENT  # nothing was asked
    assert result.trace.steps == (0, 10, 20, 30, 40, 50, 60)
    elbos = result.trace.column("elbo")
    assert (np.diff(elbos) >= -1e-12).all() and elbos[-1] > elbos[0] + 0.5
    assert all(record.relative_residual <= LIMIT for record in result.trace.records)
    if learnable:  # F = S at every logged step, and the columns of W have length one
        assert all(abs(record.gap) <= 1e-11 for record in result.trace.records[1:])
        lengths = result.parameters["weights"].norm(dim=0)
        torch.testing.assert_close(lengths, torch.ones(2, dtype=torch.float64))
    else:
        assert all(abs(record.gap) > 1e-7 for record in result.trace.records[1:])
    assert all(torch.equal(start[name], untouched[name]) for name in start)
    end = lbfgs(model, result.parameters, result.q, x, tolerance=2e-5, log_every=1000)
    assert end.final.elbo >= result.final.elbo - 1e-12
    assert abs(end.final.gap) <= end.final.certificate <= 1e-3


def test_annealed_alternation_ends_where_the_weights_are_one():
    g = generator("annealed")
    x = draw(30, 2, g=g) ** 3 @ draw(2, 4, g=g) + 0.3 * draw(30, 4, g=g)
    model = models.SparseCoding(4, 2)
    start, weights = model.random_start(x, g), EntropyWeights(observable=0.5).ramp(20)
    assert [weights[0].observable, weights[-1].observable] == [0.5, pytest.approx(0.975)]
    plain = alternate(model, start, model.prior_q(30), x, steps=25, log_every=1)
    annealed = alternate(model, start, model.prior_q(30), x, steps=25, weights=weights, log_every=1)
    noise = [at.parameters["log_variance"] for at in (plain, annealed)]
    assert abs(float(noise[0] - noise[1])) > 1e-4
    assert all(abs(record.gap) <= 1e-11 for record in annealed.trace.records[1:])
    assert annealed.trace.column("elbo")[3] < plain.trace.column("elbo")[3]
    assert annealed.final.elbo == pytest.approx(plain.final.elbo, abs=0.2)


def test_alternation_says_what_is_wrong():
    model, parameters, q, x = sparse_point(True, False)
    with pytest.raises(ValueError, match="for some of the 2 steps: got 3"):
        alternate(model, parameters, q, x, steps=2, weights=EntropyWeights().ramp(3))
    with pytest.raises(ValueError, match="model must be a SparseCoding: got PPCA"):
        alternate(models.PPCA(3, 2), parameters, q, x)
    with pytest.raises(ValueError, match="tolerance must be positive"):
        alternate(model, parameters, q, x, tolerance=0.0)
    with pytest.warns(ConvergenceWarning, match=r"asked for 1\.0e-12"):
        alternate(model, parameters, q, x, steps=2, tolerance=1e-12)
