"""verify, its printed forms and its certificate; project."""

from __future__ import annotations

import itertools
import math
import re

import pytest
import torch

from companion import entropy_sum, models, project, tree, variational, verify
from companion.gap import full_direction
from tests.unit.cases import D, H, draw, generator, names, perturbed, point, some_cases


@some_cases(
    "sbn",
    "mixture",
    "poisson",
    "fixed/exact",
    "pca-learnable/full-samples",
    "1-hidden/full-samples",
    "0-hidden/mlp-encoder",
)
def test_projection_reaches_the_equality_and_the_elbo_never_falls(name):
    model, parameters, q, x = point(name)
    before = verify(model, parameters, q, x)
    inputs = {k: v.clone() for k, v in tree.merge(parameters, q.parameters).items()}
    moved, moved_q = project(model, parameters, q, x)
    after = verify(model, moved, moved_q, x)
    assert abs(after.gap) <= 1e-11 * (1 + abs(after.elbo))
    assert after.elbo > before.elbo - 1e-12 * (1 + abs(before.elbo))
    assert type(moved_q) is type(q) and moved.keys() == parameters.keys()
    for key, value in tree.merge(parameters, q.parameters).items():
        assert torch.equal(value, inputs[key])
    # Only what v moves has moved.
    v = full_direction(model, parameters, q)
    for key, value in tree.merge(moved, moved_q.parameters).items():
        assert torch.equal(value[v[key] == 0], inputs[key][v[key] == 0])
    if abs(before.gap) > 1e-3:
        assert after.elbo > before.elbo


def test_projection_of_an_untrained_vae_on_other_data():
    """A hundred-fold wrong scale: many damped steps, the same end."""
    model = models.GaussianVAE(D, H, (5,), noise="scalar")
    for seed in range(3):
        g = generator(f"untrained {seed}")
        parameters = model.initial_parameters(g)
        encoder = models.Encoder(D, H, (5,))
        x = 100 * draw(30, D, g=g)
        q = encoder.posterior(encoder.initial_parameters(g), x / 100)
        before = verify(model, parameters, q, x)
        moved, moved_q = project(model, parameters, q, x)
        after = verify(model, moved, moved_q, x)
        assert abs(before.gap) > 1e4 and after.elbo > before.elbo
        assert abs(after.gap) <= 1e-11 * (1 + abs(after.elbo))
        assert after.certificate >= abs(after.gap)


def test_projection_of_vae_2_balances_noise_and_prior():
    """Where the slope vanishes, E‖x − μ(z)‖²/σ² + E z²/λ = D + H."""
    model, parameters, q, x = point("vae-scalar-learnable-1-hidden/diagonal-hermite")
    moved, _ = project(model, parameters, q, x)
    z, w = q.nodes()
    mean, variance = model.decode(moved, z)
    error = (((x[:, None] - mean) ** 2).sum(-1) * w).sum(-1).mean() / variance
    spread = ((z**2 / moved["prior_log_variance"].exp()).sum(-1) * w).sum(-1).mean()
    assert float(error + spread) == pytest.approx(D + H, rel=1e-11)


def test_projection_shortens_a_step_that_would_lose(monkeypatch):
    """One wrong pixel in a hundred at logit 10: a full Newton step would lower the ELBO."""
    model = models.SigmoidBeliefNet(1, 1)
    x = torch.ones(100, 1, dtype=torch.float64)
    x[0] = 0
    zero = torch.zeros(1, dtype=torch.float64)
    parameters = {"prior_logits": zero, "W": zero[:, None], "b": zero + 10}
    q = variational.MeanFieldBernoulli(torch.zeros(100, 1, dtype=torch.float64))
    starts = []
    add = tree.add

    def spy(point, v, step):
        starts.append(float(point["b"]))
        return add(point, v, step)

    monkeypatch.setattr(tree, "add", spy)
    moved, _ = project(model, parameters, q, x)
    assert float(moved["b"]) == pytest.approx(math.log(99), rel=1e-10)
    bounds = [
        verify(model, parameters | {"b": zero + b}, q, x).elbo for b in (*starts, float(moved["b"]))
    ]
    assert all(later >= earlier - 1e-13 for earlier, later in itertools.pairwise(bounds))
    assert len(starts) > len(set(starts)), "here at least one step was tried twice"


def test_projection_says_when_it_runs_out_of_steps():
    with pytest.raises(
        RuntimeError, match=r"did not reach the equality in 1 steps: slope .* is left"
    ):
        project(*point("vae-scalar-fixed-1-hidden/full-samples"), steps=1)


def test_projection_needs_a_direction():
    g = generator("softplus")
    model = models.GaussianVAE(D, H, (3,), noise="softplus")
    parameters, x = model.initial_parameters(g), draw(5, D, g=g)
    q = variational.Gaussian(draw(5, H, g=g), draw(5, H, g=g).exp())
    with pytest.raises(ValueError, match='noise="softplus" has no gap direction'):
        project(model, parameters, q, x)


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
    table = ElementTree.fromstring(report._repr_html_())
    assert table.tag == "table" and table.get("class") == "companion-verification"
    cells = [(row[0].text, float(row[1].text)) for row in table]
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
