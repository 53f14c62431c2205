"""Stationary points of the linear VAE: which latents collapse, and how many ways lead uphill."""

import pytest
import torch

from companion import curvature, datasets, models, verify
from companion.models.vae.latents import latent_entropies
from companion.models.vae.linear import linear_vae
from companion.studies.collapse.linear import linear_contributions, uphill_directions

H = 3


@pytest.fixture(scope="module")
def x():
    return datasets.wine(standardize=True)[:, :7] + torch.arange(7.0)  # not centred


@pytest.fixture(scope="module")
def eigenvalues(x):
    return torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)


def at(x, chosen, noise_variance=None):
    ppca = models.PPCA(x.shape[1], H)
    return linear_vae(ppca, ppca.stationary_point(x, chosen, noise_variance), x)


@pytest.mark.parametrize("chosen", [(0, 1, 2), (0, 1), (1, 2), (1,), ()])
def test_stationary_points_of_the_likelihood_are_stationary_for_the_elbo(x, eigenvalues, chosen):
    model, parameters, q = at(x, chosen)
    report = verify(model, parameters, q, x)
    assert report.gradient_norm < 1e-12
    assert abs(report.gap) < 1e-12
    left = [k for k in range(7) if k not in chosen]
    expected = linear_contributions(eigenvalues[list(chosen)], eigenvalues[left].mean())
    found = latent_entropies(model, parameters, q)
    torch.testing.assert_close(found.difference[: len(chosen)], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.kl, found.difference, rtol=0, atol=1e-12)
    assert int(found.active.sum()) == len(chosen)


@pytest.mark.parametrize("chosen", [(0, 1, 2), (0, 1), (0, 2), (1,), ()])
def test_the_number_of_ways_uphill_is_that_of_positive_eigenvalues(x, eigenvalues, chosen):
    model, parameters, q = at(x, chosen)
    signs = curvature(model, parameters, q, x)
    assert signs.positive == uphill_directions(eigenvalues, chosen, H)
    assert (signs.kind == "maximum") == (chosen == (0, 1, 2))


def test_with_the_noise_held_collapse_can_be_the_maximum(x, eigenvalues):
    noise = float(eigenvalues[1:3].mean())
    for chosen, count in (((0, 1), 0), ((0,), 2)):
        model, parameters, q = at(x, chosen, noise)
        signs = curvature(model, parameters, q, x, fixed=["log_variance"])
        assert signs.positive == count
        assert uphill_directions(eigenvalues, chosen, H, noise) == count


def test_bad_calls(eigenvalues):
    for chosen in ((1, 1), (7,)):
        with pytest.raises(ValueError, match="different indices from 0 to 6"):
            uphill_directions(eigenvalues, chosen, H)
    with pytest.raises(ValueError, match="at most 1 indices"):
        uphill_directions(eigenvalues, (0, 1), 1)
