"""Data sets: shapes, values, the same on every call, without network, with clear refusals."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import torch
from sklearn import datasets as sklearn_datasets

from companion import datasets

LOADERS = {
    "digits": (datasets.digits, (1797, 64)),
    "digits binary": (lambda: datasets.digits(binary=True), (1797, 64)),
    "iris": (datasets.iris, (150, 4)),
    "wine": (datasets.wine, (178, 13)),
    "breast cancer": (datasets.breast_cancer, (569, 30)),
    "patches": (lambda: datasets.image_patches(200, 8), (200, 64)),
    "pca": (datasets.pca, (1000, 10)),
    "pca ring": (datasets.pca_ring, (1000, 10)),
    "bars": (datasets.bars, (500, 16)),
}

every_loader = pytest.mark.parametrize("name", LOADERS)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a data set asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@every_loader
def test_data_are_finite_float64_of_the_stated_shape_and_the_same_each_time(name):
    load, shape = LOADERS[name]
    x = load()
    assert x.shape == shape and x.dtype == torch.float64
    assert bool(torch.isfinite(x).all())
    again = load()
    assert torch.equal(x, again)
    x.zero_()  # what one reader does to the data, another does not see
    assert torch.equal(load(), again)


@every_loader
def test_loading_leaves_the_global_generators_alone(name):
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    expected = np.random.random(), torch.rand(1)  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    LOADERS[name][0]()
    assert (np.random.random(), torch.rand(1)) == expected  # noqa: NPY002


def test_real_data_are_scikit_learns():
    np.testing.assert_array_equal(datasets.digits(), sklearn_datasets.load_digits().data)
    np.testing.assert_array_equal(datasets.iris(), sklearn_datasets.load_iris().data)
    np.testing.assert_array_equal(datasets.wine(), sklearn_datasets.load_wine().data)
    np.testing.assert_array_equal(
        datasets.breast_cancer(), sklearn_datasets.load_breast_cancer().data
    )


def test_binary_digits_are_thresholded_at_eight():
    np.testing.assert_array_equal(datasets.digits(binary=True), datasets.digits().numpy() > 8)


@pytest.mark.parametrize("load", (datasets.iris, datasets.wine, datasets.breast_cancer))
def test_standardized_data_have_mean_zero_and_variance_one(load):
    x = load(standardize=True)
    zero, one = torch.zeros(x.shape[1]).double(), torch.ones(x.shape[1]).double()
    torch.testing.assert_close(x.mean(0), zero, rtol=0, atol=1e-13)
    torch.testing.assert_close(x.var(0, correction=0), one, rtol=1e-12, atol=0)
    raw = load()
    torch.testing.assert_close(torch.corrcoef(x.T), torch.corrcoef(raw.T), rtol=1e-9, atol=1e-10)


def test_patches_have_no_mean_and_unit_scale():
    x = datasets.image_patches(300, 6)
    assert x.shape == (300, 36)
    assert float(x.mean(1).abs().max()) < 1e-12
    assert float(x.std(correction=0)) == pytest.approx(1, rel=1e-12)
    # Real pictures: neighbouring pixels are alike.
    images = x.reshape(-1, 6, 6)
    assert float((images[:, :, 1:] * images[:, :, :-1]).mean()) > 0.2


def test_seeds_matter():
    for load in (datasets.pca, datasets.pca_ring, datasets.bars, datasets.image_patches):
        assert torch.equal(load(20, seed=3), load(20, seed=3))
        assert not torch.equal(load(20, seed=3), load(20, seed=4))


def test_pca_data_have_the_rank_and_noise_they_should():
    values = torch.linalg.eigvalsh(torch.cov(datasets.pca(5000, 8, 2, noise_std=0.1).T)).flip(0)
    assert float(values[1]) > 0.05
    np.testing.assert_allclose(values[2:], 0.01, rtol=0.15)
    flat = torch.linalg.eigvalsh(torch.cov(datasets.pca(500, 8, 2, noise_std=0).T)).flip(0)
    assert float(flat[2]) < 1e-12


def test_ring_data_lie_near_a_ring_and_pca_data_do_not():
    """Without noise x − μ = W z; a ring has norms of z near one, |z| within 1 ± 0.5."""
    for load, most in ((datasets.pca_ring, 0.15), (datasets.pca, 1.0)):
        x = load(4000, 5, 2, noise_std=0.0, seed=1)
        rng = np.random.default_rng(1)
        W, mean = rng.random((5, 2)), rng.random(5)
        z = np.linalg.lstsq(W, (x.numpy() - mean).T, rcond=None)[0]
        spread = np.linalg.norm(z, axis=0).std()
        assert spread < most and (most < 1 or spread > 0.5)


def test_bars_are_unions_of_rows_and_columns():
    images = datasets.bars(400, size=3, probability=0.3).reshape(-1, 3, 3).numpy()
    assert set(np.unique(images)) == {0.0, 1.0}
    rows, columns = images.all(2), images.all(1)
    np.testing.assert_array_equal(images, rows[:, :, None] | columns[:, None, :])
    empty = datasets.bars(4000, size=3, probability=0.3).sum(1) == 0
    assert float(empty.double().mean()) == pytest.approx(0.7**6, abs=0.03)
    two = datasets.bars(4000, size=4).reshape(-1, 4, 4)
    off = 1 - two.mean()
    assert float(off) == pytest.approx((1 - 1 / 4) ** 2, abs=0.02)


#: What the common check of everything public does not see: no count of a wrong kind.
@pytest.mark.parametrize(
    ("call", "sentence"),
    (
        (lambda: datasets.image_patches(5, size=2.5), "size must be a positive integer: got 2.5"),
        (
            lambda: datasets.image_patches(5, size=1000),
            "size must lie between 2 and 427, .*: got 1000",
        ),
        (lambda: datasets.image_patches(5, size=1), "size must lie between 2 and 427, .*: got 1"),
        (
            lambda: datasets.bars(5, probability=0.0),
            "probability must lie between 0 and 1: got 0.0",
        ),
        (
            lambda: datasets.bars(5, probability=1.5),
            "probability must lie between 0 and 1: got 1.5",
        ),
        (lambda: datasets.pca(5, observed=0), "observed must be a positive integer: got 0"),
        (lambda: datasets.pca_ring(5, latent=0), "latent must be a positive integer: got 0"),
        (lambda: datasets.pca(5, noise_std=-1), "noise_std must be a finite .*: got -1"),
        (lambda: datasets.pca(5, noise_std=float("nan")), "noise_std must be .* 0: got nan"),
        (lambda: datasets.pca(5, noise_std=float("inf")), "noise_std must be .* 0: got inf"),
    ),
)
def test_bad_arguments_are_named(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_frequencies_of_words_agree_with_the_most_frequent_words():
    frequencies = datasets.word_frequencies()
    assert frequencies.dtype == torch.float64
    assert bool((frequencies[:-1] >= frequencies[1:]).all())
    counted = datasets.word_counts(words=1, length=1)
    assert float(counted[:, 0].sum()) == float(frequencies[0])
    assert float(counted.sum()) == float(frequencies.sum())
