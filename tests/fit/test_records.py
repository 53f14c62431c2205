"""What a fit returns: immutable, and a table in text and HTML."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from companion import datasets, fit, models
from tests.cases import generator


@pytest.fixture(scope="module")
def result():
    model, x = models.GaussianMixture(4, 2), datasets.iris()
    start = model.random_start(x, generator("records"))
    return fit.em(model, start, x, steps=20, tolerance=1e3, log_every=7)


@pytest.fixture(scope="module")
def trace(result):
    model, x = models.GaussianMixture(4, 2), datasets.iris()
    return fit.em(model, result.parameters, x, steps=20, tolerance=None, log_every=7).trace


def test_traces_can_not_be_changed(trace):
    assert trace.steps == (0, 7, 14, 20) and isinstance(trace.records, tuple)
    for name in ("steps", "records"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(trace, name, ())
    both = trace.then(trace)
    assert both.steps == (0, 7, 14, 20, 20, 27, 34, 40) and len(both.records) == 8
    assert trace.then(fit.Trace()) == fit.Trace().then(trace) == trace
    assert len(trace.steps) == 4


def test_a_trace_is_a_table_of_its_steps(trace):
    lines = str(trace).splitlines()
    assert lines[0].split() == ["step", "ELBO", "entropy", "sum", "gap", "gradient", "norm"]
    assert [line.split()[0] for line in lines[1:]] == ["0", "7", "14", "20"]
    first = trace.records[0]
    assert trace.rows()[0] == (0, first.elbo, first.entropy_sum, first.gap, first.gradient_norm)
    assert f"{first.elbo:.4f}" in lines[1] and repr(trace) == str(trace)
    html = trace._repr_html_()
    assert html.count("<tr>") == 5 and f"{first.elbo:.4f}".replace("-", "−") in html


def test_a_result_is_a_table_of_how_it_ended(result):
    assert result.trace.steps == (0,) and result.converged
    rows = dict(result.rows())
    assert rows["end"] == result.message and rows["converged"] == "yes"
    assert rows["ELBO"] == result.final.elbo
    text, html = str(result), result._repr_html_()
    for label in rows:
        assert label in text and label.split(" ≥")[0] in html
    assert repr(result) == text
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.converged = False


def test_a_result_that_has_not_converged_says_no(result):
    model, x = models.GaussianMixture(4, 2), datasets.iris()
    start = model.random_start(x, generator("short"))
    short = fit.em(model, start, x, steps=1, tolerance=None)
    assert not short.converged and short.gradient_norm > fit.SMALL_GRADIENT
    assert dict(short.rows())["converged"] == "no"
    assert short.message == f"EM ended after 1 steps: gradient norm {short.gradient_norm:.2e}"
    assert torch.equal(short.parameters["means"], model.em_map(x)(start)[1]["means"])
