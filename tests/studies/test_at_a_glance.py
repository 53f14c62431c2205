"""A plane through parameter space: its surfaces, ascent inside it, and the pictures of both."""

import math

import numpy as np
import pytest
import torch

from companion import curvature, models, verify
from companion.studies.at_a_glance import figures
from companion.studies.at_a_glance.figures import maps, meeting_surfaces
from companion.studies.at_a_glance.plane import Plane
from companion.studies.at_a_glance.sections import ascent, cross_section

LABELS = ("weight", "noise variance")
ZERO = torch.zeros((), dtype=torch.float64)


@pytest.fixture(scope="module")
def data():
    """Correlated pairs, standardised, so that the leading direction is (1, 1)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 2, dtype=torch.float64, generator=generator)
    x[:, 1] += 1.5 * x[:, 0]
    return (x - x.mean(0)) / x.std(0, correction=0)


@pytest.fixture(scope="module")
def plane(data):
    u = torch.full((2, 1), 0.5, dtype=torch.float64).sqrt()
    origin = {"weights": 0 * u, "mean": data.mean(0), "log_variance": ZERO}
    return Plane(models.PPCA(2, 1), data, origin, {"weights": u}, {"log_variance": ZERO + 1})


@pytest.fixture(scope="module")
def eigenvalues(data):
    return np.linalg.eigvalsh(np.cov(data.numpy().T, bias=True))[::-1]


@pytest.fixture(scope="module")
def grid(plane):
    return plane.evaluate(np.linspace(-2.5, 2.5, 41)[None], np.linspace(-3, 1, 31)[:, None])


def closed_form(w, log_variance, eigenvalues):
    """ELBO and entropy sum written down from the two eigenvalues of the model's covariance."""
    first, second = w**2 + np.exp(log_variance), np.exp(log_variance)
    half_log_det = 0.5 * (np.log(first) + np.log(second))
    misfit = 0.5 * (eigenvalues[0] / first + eigenvalues[1] / second)
    elbo = -math.log(2 * math.pi) - half_log_det - misfit
    return elbo, -math.log(2 * math.pi * math.e) - half_log_det


def test_both_surfaces_agree_with_their_closed_forms(grid, eigenvalues):
    elbo, entropies = closed_form(grid.a, grid.b, eigenvalues)
    assert grid.elbo.shape == (31, 41) and grid.gradient.shape == (31, 41, 2)
    np.testing.assert_allclose(grid.elbo, elbo, rtol=1e-12)
    np.testing.assert_allclose(grid.entropy_sum, entropies, rtol=0, atol=1e-12)
    assert grid.relative_residual.max() < 1e-12 and np.abs(grid.gap).max() > 1


def test_the_slope_is_the_derivative_along_v_and_not_the_gap(grid, eigenvalues):
    step = 1e-6
    for axis, (da, db) in enumerate(((step, 0.0), (0.0, step))):
        ahead, _ = closed_form(grid.a + da, grid.b + db, eigenvalues)
        behind, _ = closed_form(grid.a - da, grid.b - db, eigenvalues)
        difference = (ahead - behind) / (2 * step)
        np.testing.assert_allclose(grid.gradient[..., axis], difference, rtol=1e-6, atol=1e-7)
    along = -0.5 * grid.a * grid.gradient[..., 0] - grid.gradient[..., 1]
    np.testing.assert_allclose(grid.slope, along, rtol=1e-10, atol=1e-12)


def test_one_point_agrees_with_verify(plane):
    point = plane.evaluate(0.7, -0.4)
    own = plane.parameters(0.7, -0.4)
    report = verify(plane.model, own, plane.model.posterior(own, plane.x), plane.x)
    assert point.elbo.shape == () and point.gradient.shape == (2,)
    for name in ("elbo", "entropy_sum", "gap", "slope"):
        assert float(getattr(point, name)) == pytest.approx(getattr(report, name), abs=1e-13)
    # The plane is closed: nothing of the gradient points out of it.
    assert float(np.linalg.norm(point.gradient)) == pytest.approx(report.gradient_norm, abs=1e-13)


def test_a_plane_through_a_mixture_s_parameters(data):
    model = models.GaussianMixture(components=2, observed=2)
    generator = torch.Generator().manual_seed(1)
    origin, one, other = (model.initial_parameters(generator) for _ in range(3))
    plane = Plane(model, data, origin, one, other)
    surfaces = plane.evaluate([[0.0, 0.2, -0.1]], [[0.1], [-0.2]])
    assert surfaces.relative_residual.max() < 1e-12 and np.abs(surfaces.gap).min() > 1e-3
    own = plane.parameters(0.2, -0.2)
    report = verify(model, own, model.posterior(own, data), data)
    assert surfaces.elbo[1, 1] == pytest.approx(report.elbo, abs=1e-12)


def test_ascent_reaches_the_maximum_and_from_the_symmetry_axis_the_saddle(plane, eigenvalues):
    path = plane.ascend(0.2, 0.5, steps=300, rate=0.4, log_every=10)
    assert path.trace.steps == tuple(range(0, 301, 10)) and path.points.shape == (31, 2)
    assert np.all(np.diff(path.trace.column("elbo")) > -1e-14)
    expected = (math.sqrt(eigenvalues[0] - eigenvalues[1]), math.log(eigenvalues[1]))
    np.testing.assert_allclose(path.points[-1], expected, atol=1e-10)
    assert path.trace.records[-1].gradient_norm < 1e-12
    saddle = plane.ascend(0.0, -1.0, steps=300, rate=0.4, log_every=100)
    np.testing.assert_allclose(saddle.points[-1], 0.0, atol=1e-12)
    assert curvature(plane.model, plane.parameters(0.0, 0.0), None, plane.x).kind == "saddle"
    for end in (path.trace.records[-1], saddle.trace.records[-1]):
        assert abs(end.gap) < 1e-12 and end.gradient_norm < 1e-12


def test_ascent_in_one_coordinate_leaves_the_predicted_gap(plane, eigenvalues):
    log_variance = math.log(0.6)
    free = (True, False)
    path = plane.ascend(0.3, log_variance, steps=400, rate=0.4, log_every=20, free=free)
    assert np.all(path.points[:, 1] == log_variance)
    assert abs(path.gradients[-1, 0]) < 1e-13 and abs(path.gradients[-1, 1]) > 0.1
    predicted = 0.5 * (1 - eigenvalues[1] / 0.6)
    assert path.trace.records[-1].gap == pytest.approx(predicted, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda p: Plane(p.model, p.x, p.origin, {"V": ZERO}, p.second), "first must have"),
        (lambda p: Plane(p.model, p.x, p.origin, p.first, {"weights": ZERO}), "second must have"),
        (lambda p: Plane(p.model, p.x, p.origin, p.first, p.first), "must span a plane"),
        (lambda p: Plane(p.model, p.x[:, :1], p.origin, p.first, p.second), "must have 2 columns"),
        (lambda p: p.evaluate(math.nan, 0.0), "a and b must be finite"),
        (lambda p: p.ascend(0.1, 0.1, steps=0), "steps must be a positive integer: got 0"),
        (lambda p: p.ascend(0.1, 0.1, rate=-1.0), "rate must be positive: got -1"),
        (
            lambda p: p.ascend(0.0, -3.0, rate=1e300),
            r"rate must be smaller than 1e\+300: the ascent diverged",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(plane, call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(plane)


@pytest.fixture
def marks(eigenvalues):
    w, log_variance = math.sqrt(eigenvalues[0] - eigenvalues[1]), math.log(eigenvalues[1])
    heights = [closed_form(a, b, eigenvalues)[0] for a, b in ((w, log_variance), (0.0, 0.0))]
    return [(w, log_variance, heights[0], "maximum"), (0.0, 0.0, heights[1], "saddle")]


def test_the_drawn_curve_passes_through_every_stationary_point(grid, marks):
    (curve,) = figures._meeting_curves(grid)
    for a, b, height, _ in marks:
        distances = np.hypot(curve[:, 0] - a, curve[:, 1] - b)
        assert distances.min() < 0.1
        assert figures._heights(grid, curve)[distances.argmin()] == pytest.approx(height, abs=0.02)


def test_polygons_are_cut_at_the_floor():
    square = np.array([[0.0, 0, 0], [1, 0, 2], [1, 1, 2], [0, 1, 0]])
    np.testing.assert_allclose(
        figures._clip(square, 0.5), [[0.25, 0, 0.5], [1, 0, 2], [1, 1, 2], [0.25, 1, 0.5]]
    )
    assert len(figures._clip(square, -1.0)) == 4 and len(figures._clip(square, 3.0)) == 0


def test_every_figure_names_what_it_shows(plane, grid, marks):
    figure = meeting_surfaces(grid, marks, [(0, 0.5, -3, "ELBO")], labels=LABELS, floor=-5)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["maximum", "saddle", "ELBO"]
    figure = maps(grid, marks, labels=LABELS, floor=-5)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["ELBO", "entropy sum"]
    line = plane.evaluate(np.linspace(0, 2, 9), 0.0)
    figure = cross_section(
        grid, line, line.a, labels=LABELS, position_label="w", marks=marks, stationary=[1.0]
    )
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {"ELBO", "entropy sum", "ELBO higher", "entropy sum higher"} <= set(words)


def test_the_animation_has_one_frame_for_each_logged_step(plane, grid, marks):
    paths = [plane.ascend(a, 0.5, steps=6, log_every=2) for a in (0.3, -1.0)]
    frames = ascent(grid, paths, marks, labels=LABELS, floor=-6)
    for end, figure in enumerate(frames, 1):
        drawn = [line.get_xydata() for line in figure.axes[0].lines]
        assert any(np.array_equal(points, paths[0].points[:end]) for points in drawn)
    assert end == 4


def test_figures_need_a_grid_and_paths_in_step(plane, grid, marks):
    line = plane.evaluate(np.linspace(0, 2, 9), 0.0)
    for draw in (meeting_surfaces, maps):
        with pytest.raises(ValueError, match="must hold a grid"):
            draw(line, marks, labels=LABELS, floor=-5)
    with pytest.raises(ValueError, match="must hold a grid"):
        cross_section(line, line, line.a, labels=LABELS, position_label="w")
    paths = [plane.ascend(0.3, 0.5, steps=6, log_every=every) for every in (2, 3)]
    with pytest.raises(ValueError, match="logged the same steps"):
        ascent(grid, paths, marks, labels=LABELS, floor=-6)
