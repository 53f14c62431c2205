"""verify, its printed forms and its certificate; project."""

from __future__ import annotations

import math
import re

import pytest
import torch

from companion import entropy_sum, verify
from companion.support import tree
from companion.theory.identity import full_direction
from tests.cases import draw, generator, names, perturbed, point, some_cases

# --- the report -----------------------------------------------------------------------------------

LABELS = (
    "ELBO",
    "average entropy of q",
    "entropy of the prior",
    "expected entropy of the observables",
    "entropy sum",
    "gap = ELBO − entropy sum",
    "slope = ⟨∇ELBO, v⟩",
    "residual |gap − slope|",
    "gradient norm",
    "certificate ≥ |gap|",
)


@some_cases(
    "sbn/exact", "deep", "ppca-fixed/exact", "vae-head-fixed-1-hidden/mlp", "mixture-poisson/exact"
)
def test_a_report_prints_as_a_table_of_all_its_numbers(name):
    report = verify(*point(name))
    lines = str(report).splitlines()
    assert len({line.index(re.search(r" {2,}-?\d", line).group()) for line in lines}) >= 1
    labels = [label for label, _ in report.rows()]
    for label in LABELS:
        plain = label.replace("entropy of", "{}entropy of") if "of q" not in label else label
        pseudo = "pseudo-" if report.form == "pseudo" else ""
        assert plain.format(pseudo) in labels
    for line, (label, value) in zip(lines, report.rows(), strict=True):
        assert line.startswith(label)
        assert float(line[len(label) :]) == pytest.approx(value, rel=0.01, abs=1e-6)
    assert len({len(line.rstrip()) - len(line.rstrip().lstrip()) for line in lines}) == 1
    assert ("base measures" in labels) == (report.form == "pseudo")
    assert any("layer hidden" in label for label in labels) == name.startswith("deep")


@some_cases("sbn/exact", "mixture-poisson/exact")
def test_a_report_renders_as_well_formed_html(name):
    from xml.etree import ElementTree

    report = verify(*point(name))
    (table,) = ElementTree.fromstring(report._repr_html_())
    assert table.tag == "table" and table.get("class") == "companion-table"
    (body,) = table
    shown = ["".join(row[1].itertext()).replace("−", "-") for row in body]
    values = [float(text.replace(" × 10", "e")) for text in shown]
    cells = [(row[0].text, value) for row, value in zip(body, values, strict=True)]
    assert body.tag == "tbody" and {row[0].tag for row in body} == {"th"}
    assert [label for label, _ in cells] == [label for label, _ in report.rows()]
    for (_, shown), (_, value) in zip(cells, report.rows(), strict=True):
        assert shown == pytest.approx(value, rel=0.01, abs=1e-6)


def test_gradient_norm_is_that_of_all_parameters_and_of_q():
    model, parameters, q, x = point("vae-head-fixed-1-hidden/mlp-encoder")
    from companion import elbo

    both = torch.func.grad(
        lambda p, phi: elbo(model, p, q.with_parameters(phi), x), argnums=(0, 1)
    )(parameters, q.parameters)
    squares = sum(float((g**2).sum()) for part in both for g in part.values())
    report = verify(model, parameters, q, x)
    assert report.gradient_norm == pytest.approx(math.sqrt(squares), rel=1e-12)
    v = full_direction(model, parameters, q)
    bound = 0.0
    for key, gradient in (tree.merge(*both)).items():
        support = v[key] != 0
        bound += float(gradient[support].norm() * v[key].norm())
    assert report.certificate == pytest.approx(bound, rel=1e-12)


@pytest.mark.parametrize("name", names("ppca-fixed/exact", "mixture-full/exact", "sbn/exact"))
def test_entropy_sum_is_no_bound_and_verify_does_not_say_so(name):
    """S may lie above the log-likelihood: shrink the noise or sharpen everything."""
    model, parameters, _, x = point(name)
    if name.startswith("ppca"):
        parameters = parameters | {"log_variance": parameters["log_variance"] - 8}
    elif name.startswith("mixture"):
        parameters = parameters | {"log_diagonal": parameters["log_diagonal"] - 4}
    else:
        parameters = {k: 5 * v for k, v in parameters.items()}
    q = model.posterior(parameters, x)
    total = float(entropy_sum(model, parameters, q, x).total)
    assert total > float(model.log_likelihood(parameters, x))


# --- flattening -----------------------------------------------------------------------------------


def test_dictionaries_of_tensors_behave_like_vectors():
    g = generator("tree")
    a = {"m": draw(2, 3, g=g), "s": draw(g=g)}
    b = {"m": draw(2, 3, g=g), "s": draw(g=g)}
    flat_a, flat_b = tree.flatten(a), tree.flatten(b)
    assert flat_a.shape == (7,)
    assert float(tree.inner(a, b)) == pytest.approx(float(flat_a @ flat_b), rel=1e-14)
    assert float(tree.norm(a)) == pytest.approx(float(flat_a.norm()), rel=1e-14)
    assert torch.equal(tree.flatten(tree.add(a, b, -0.5)), flat_a - 0.5 * flat_b)
    again = tree.unflatten(flat_a, b)
    assert all(torch.equal(again[k], a[k]) for k in a)
    assert tree.split(tree.merge(a, b)) == (a, b)
    assert perturbed(a, g).keys() == a.keys()
