"""What the chapter on diffusion models trains, computes in closed form, and draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from companion import elbo, models, project
from companion.studies.diffusion.chains import (
    best_spherical,
    clouds,
    cosine,
    denoising,
    eight_log_density,
    normal_data,
    sampled_elbo,
    trained,
)
from tests.cases import draw, generator


def test_a_cosine_keeps_what_it_says():
    kept = np.cumprod(1 - cosine(10, 0.8).numpy())
    assert kept[4] == pytest.approx(np.cos(0.2 * np.pi) ** 2)
    assert kept[-1] == pytest.approx(np.cos(0.4 * np.pi) ** 2)


def test_the_best_chain_of_normal_data_is_exact_only_for_equal_variances():
    bound, exact = best_spherical([0.7, 0.7, 0.7], cosine(5))
    assert bound == pytest.approx(exact, abs=1e-12)
    losses = [np.subtract(*best_spherical([1.6, 0.4], cosine(T))[::-1]) for T in (4, 16, 64)]
    assert losses[0] > losses[1] > losses[2] > 0


def test_training_comes_near_the_best_chain_and_paths_agree_with_the_bound():
    c = torch.tensor([1.6, 0.4]).double()
    x = normal_data(2000, c, generator("x"))
    torch.testing.assert_close(x.T @ x / 2000, c.diag())
    model = models.Diffusion(2, cosine(4), (16,))
    own = trained(model, x, 400)
    assert own["log_variance"] == model.betas[0].log()
    q = model.noised(x, generator("q"))
    best, _ = project(model, own, q, x)
    value = float(elbo(model, best, q, x))
    assert best_spherical(c, model.betas)[0] == pytest.approx(value, abs=0.15)
    sampled, error = sampled_elbo(model, best, x, generator("paths"))
    assert abs(sampled - value) < 5 * error < 0.5


def test_eight_clusters_have_the_density_of_their_mixture():
    side = np.linspace(-3, 3, 301)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    p = np.exp(eight_log_density(grid, 1.4, 0.2))
    assert p.sum() * 0.02**2 == pytest.approx(1, abs=1e-6)
    assert (p @ (grid**2).sum(1)) * 0.02**2 == pytest.approx(1.4**2 + 2 * 0.2**2, abs=1e-4)


def test_clouds_are_the_points():
    first, second = draw(9, 2, g=generator("a")), draw(4, 2, g=generator("b"))
    figure = clouds({"a": first, "b": second})
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    np.testing.assert_allclose(figure.axes[1].lines[0].get_xydata(), second)


def test_an_animation_goes_from_the_first_noise_to_the_draws():
    path, x = draw(5, 6, 2, g=generator("path")), draw(4, 2, g=generator("x"))
    for steps, told in ((path, [0, 2, 4]), (path[:4], [1, 3])):
        frames = 0
        for figure, step in zip(denoising(steps, x), told, strict=True):
            (axes,) = figure.axes
            assert axes.get_title() == f"{step} of {len(steps) - 1} steps"
            np.testing.assert_allclose(axes.lines[1].get_xydata(), steps[step])
            frames += 1
        np.testing.assert_allclose(axes.lines[0].get_xydata(), x)
        assert frames == len(told)
