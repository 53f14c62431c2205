"""Three bounds on the gap: their order, and each of them against the gradient itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from companion import elbo, models, verify
from companion.fit import Trace
from companion.studies.equality.certificates import certificates
from companion.support import tree
from companion.theory.identity import full_direction
from tests.cases import point, some_cases


def bounds(report):
    """Each of the three for one report, from tight to loose."""
    return [float(values[0]) for values in certificates(Trace([0], [report])).values()]


@some_cases(
    "sbn/exact", "vae-scalar-fixed-1-hidden/mlp", "vae-head-learnable-1-hidden/mlp", "poisson"
)
def test_certificates_are_ordered_from_tight_to_loose(name):
    model, parameters, q, x = point(name)
    report = verify(model, parameters, q, x)
    slack = 1 + 1e-12
    blocks, on_v, whole = bounds(report)
    assert abs(report.gap) <= blocks * slack
    assert blocks <= on_v * slack
    assert on_v <= whole * slack
    assert blocks == report.certificate


@some_cases("sbn/exact", "vae-scalar-fixed-1-hidden/mlp", "vae-head-learnable-1-hidden/mlp")
def test_each_is_what_the_gradient_says(name):
    model, parameters, q, x = point(name)

    def objective(merged):
        own, of_q = q.split(merged)
        return elbo(model, own, of_q, x)

    gradient = torch.func.grad(objective)(q.join(parameters))
    v = full_direction(model, parameters, q)
    on_v = {name: part * (v[name] != 0) for name, part in gradient.items()}
    expected = (
        sum(float(on_v[name].norm() * v[name].norm()) for name in v),
        float(tree.norm(on_v) * tree.norm(v)),
        float(tree.norm(gradient) * tree.norm(v)),
    )
    assert bounds(verify(model, parameters, q, x)) == pytest.approx(expected, rel=1e-12)


def test_certificates_by_hand():
    """PPCA with learnable prior: v = −1 on three log-variances; W and mean count in ‖g‖ only."""
    model, parameters, q, x = point("ppca-learnable/full-cubature")
    report = verify(model, parameters, q, x)
    g = [float(verify(model, parameters, q, x, only).slope) for only in unit_steps(parameters, q)]
    _, on_v, whole = bounds(report)
    assert on_v == pytest.approx(math.hypot(*g) * math.sqrt(len(g)), rel=1e-12)
    assert whole > 1.01 * on_v


def unit_steps(parameters, q):
    """One direction for each log-variance, zero elsewhere."""
    zeros = {k: torch.zeros_like(v) for k, v in tree.merge(parameters, q.parameters).items()}
    for name in ("log_variance", "prior_log_variance"):
        for one in torch.eye(parameters[name].numel(), dtype=torch.float64):
            yield zeros | {name: one.reshape(parameters[name].shape)}


def test_there_is_one_value_for_each_logged_step():
    model = models.PPCA(3, 1)
    x = torch.randn(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    steps = [model.initial_parameters(torch.Generator().manual_seed(s)) for s in range(3)]
    reports = [verify(model, parameters, None, x) for parameters in steps]
    found = certificates(Trace(list(range(3)), reports))
    assert [len(values) for values in found.values()] == [3, 3, 3]
    assert np.array_equal(found["block by block"], [report.certificate for report in reports])
