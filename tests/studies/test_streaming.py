"""Streaming linear VAEs: by-hand gradients against autograd, scores against the model classes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion import models, project, verify
from companion.studies.streaming import (
    ResampledStream,
    SwitchingStream,
    bic,
    certified,
    choose,
    closed_form,
    delays,
    follow,
    free_parameters,
    settled_share,
    window_bic,
)
from companion.studies.streaming.following import log_likelihood_of
from companion.studies.streaming.selection import moving_sum
from companion.studies.streaming.sources import moments
from companion.theory.elbo import elbo

SHORT = SwitchingStream(truth=(2, 3), batches=30, observed=6)


def draw(observed, latent, points, seed):
    """Model, encoder, both parameters and data, everything at random."""
    g = torch.Generator().manual_seed(seed)
    vae, encoder = models.GaussianVAE(observed, latent), models.Encoder(observed, latent)
    own, phi = vae.initial_parameters(g), encoder.initial_parameters(g)
    own["mean.bias"] = torch.randn(observed, dtype=torch.float64, generator=g)
    own["log_variance"] = torch.randn((), dtype=torch.float64, generator=g)
    phi["mean.bias"] = torch.randn(latent, dtype=torch.float64, generator=g)
    phi["log_std.bias"] = 0.3 * torch.randn(latent, dtype=torch.float64, generator=g)
    phi["log_std.weights"] = torch.zeros(latent, observed, dtype=torch.float64)
    x = 2 * torch.randn(points, observed, dtype=torch.float64, generator=g) + 0.5
    return vae, encoder, own, phi, x


def first_batch(stream, seed=0):
    return torch.from_numpy(next(stream.blocks(seed))[0])


def start(stream, latent, seed=0):
    """The first model's starting weights, as ``follow`` draws them."""
    g = torch.Generator().manual_seed(seed)
    vae, encoder = (
        models.GaussianVAE(stream.observed, latent),
        models.Encoder(stream.observed, latent),
    )
    own, phi = vae.initial_parameters(g), encoder.initial_parameters(g)
    return vae, encoder, own, phi | {"log_std.weights": torch.zeros_like(phi["log_std.weights"])}


@pytest.mark.parametrize(("observed", "latent", "points"), [(4, 1, 9), (10, 6, 10), (7, 2, 1)])
def test_by_hand_and_by_autograd(observed, latent, points):
    vae, encoder, own, phi, x = draw(observed, latent, points, seed=latent)
    ours = closed_form(own, phi, x)
    reference = verify(vae, own, encoder.posterior(phi, x), x)
    tolerance = 1e-12 * (1 + abs(reference.elbo))
    assert abs(ours.elbo - reference.elbo) <= tolerance
    assert abs(ours.entropy_sum - reference.entropy_sum) <= tolerance
    assert abs(ours.slope - reference.slope) <= tolerance
    assert ours.gap == ours.elbo - ours.entropy_sum
    assert ours.relative_residual <= 1e-12

    def objective(own, phi):
        return elbo(vae, own, encoder.posterior(phi, x), x)

    of_own, of_phi = torch.func.grad(objective, argnums=(0, 1))(own, phi)
    expected = of_own | {f"q.{k}": g for k, g in of_phi.items() if k != "log_std.weights"}
    assert set(ours.gradient) == set(expected)
    for name, gradient in expected.items():
        scale = 1 + float(gradient.abs().max())
        torch.testing.assert_close(ours.gradient[name], gradient, rtol=0, atol=1e-12 * scale)


def test_a_std_that_depends_on_the_data_is_refused():
    *_, own, phi, x = draw(4, 2, 5, 0)
    phi["log_std.weights"][0, 0] = 0.1
    with pytest.raises(ValueError, match=r"must have log_std\.weights = 0"):
        closed_form(own, phi, x)


def test_the_scores_are_those_of_the_model_classes():
    runs = follow(SHORT, latent=(3,), seeds=(4,))
    vae, encoder, own, phi = start(SHORT, 3, seed=4)
    x = first_batch(SHORT, 4)
    q = encoder.posterior(phi, x)
    report = verify(vae, own, q, x)
    assert runs.elbo[0, 0, 0] == pytest.approx(report.elbo, rel=1e-12)
    assert runs.posterior[0, 0, 0] == pytest.approx(report.posterior_entropy, rel=1e-12)
    assert runs.prior[0, 0] == pytest.approx(report.prior_entropy, rel=1e-12)
    assert runs.observable[0, 0, 0] == pytest.approx(report.observable_entropy, rel=1e-12)
    assert runs.entropy_sum[0, 0, 0] == pytest.approx(report.entropy_sum, rel=1e-12)
    assert runs.gap[0, 0, 0] == pytest.approx(report.gap, rel=1e-11)
    closed = verify(vae, *project(vae, own, q, x), x)
    assert abs(closed.gap) < 1e-11
    assert runs.projected[0, 0, 0] == pytest.approx(closed.elbo, rel=1e-11)
    ppca = {
        "weights": own["mean.weights"],
        "mean": own["mean.bias"],
        "log_variance": own["log_variance"],
    }
    likelihood = models.PPCA(6, 3).log_likelihood(ppca, x)
    assert runs.log_likelihood[0, 0, 0] == pytest.approx(float(likelihood), rel=1e-12)


def test_the_log_likelihood_from_moments_is_that_of_the_points():
    rng = np.random.default_rng(0)
    decoder, noise = rng.normal(size=(5, 6, 4)), rng.normal(size=5)
    x = rng.normal(size=(5, 7, 6)) + 1
    ours = log_likelihood_of(decoder, noise, moments(x))
    for row in range(5):
        W, mean = torch.from_numpy(decoder[row, :, :3]), torch.from_numpy(decoder[row, :, 3])
        parameters = {"weights": W, "mean": mean, "log_variance": torch.tensor(noise[row])}
        expected = models.PPCA(6, 3).log_likelihood(parameters, torch.from_numpy(x[row]))
        assert ours[row] == pytest.approx(float(expected), rel=1e-11)


def test_the_bounds_are_in_order_all_along():
    runs = follow(SHORT, latent=(2, 4), seeds=(0, 1))
    assert (runs.elbo <= runs.projected + 1e-12).all()
    assert (runs.elbo <= runs.log_likelihood + 1e-12).all()


def test_the_steps_are_adams_along_autograds_gradient():
    stream = SwitchingStream(truth=(2,), batches=25, observed=5)
    vae, encoder, own, phi = start(stream, 2)
    variables = {**own, **{f"q.{k}": v for k, v in phi.items() if k != "log_std.weights"}}
    leaves = {k: v.clone().requires_grad_() for k, v in variables.items()}
    optimizer = torch.optim.Adam(list(leaves.values()), lr=3e-2)
    for x in torch.from_numpy(next(stream.blocks(0))):
        optimizer.zero_grad()
        inner = {k.removeprefix("q."): v for k, v in leaves.items() if k.startswith("q.")}
        q = encoder.posterior(inner | {"log_std.weights": phi["log_std.weights"]}, x)
        outer = {k: v for k, v in leaves.items() if not k.startswith("q.")}
        (-elbo(vae, outer, q, x)).backward()
        optimizer.step()
    ours = follow(stream, latent=(2,), seeds=(0,), learning_rate=3e-2, likelihood=False)
    own, phi = ours.final(seed=0, latent=2)
    ours_merged = own | {f"q.{name}": value for name, value in phi.items()}
    for name, value in leaves.items():
        torch.testing.assert_close(ours_merged[name], value.detach(), rtol=1e-9, atol=1e-11)
    assert np.isnan(ours.log_likelihood).all()


def test_in_company_as_alone():
    together = follow(SHORT, latent=(2, 4), seeds=(3, 8), likelihood=False)
    for index, seed in enumerate((3, 8)):
        alone = follow(SHORT, latent=(2,), seeds=(seed,), likelihood=False)
        np.testing.assert_allclose(together.elbo[index, 0], alone.elbo[0, 0], rtol=1e-9)
    padded = together._layout.views(together._theta[0, 0])
    assert not padded.decoder[:, 2:4].any() and not padded.encoder[2:4].any()
    assert not padded.log_std[2:].any()


def test_the_right_model_wins_in_the_end():
    stream = SwitchingStream(truth=(2,), batches=2500)
    runs = follow(stream, seeds=(1,), learning_rate=5e-3, likelihood=False)
    for score in (runs.elbo, runs.entropy_sum, runs.projected):
        chosen = choose(bic(score, runs.latent, stream), runs.latent)
        assert settled_share(chosen, stream)[0, 0] >= 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latent": ()}, "latent must be different numbers, at least one"),
        ({"latent": (2, 2)}, r"latent must be different .* got \[2, 2\]"),
        ({"seeds": ()}, "seeds must be different"),
        ({"latent": (0,)}, "every entry of latent must be a positive integer"),
        ({"latent": (6,)}, "latent must stay below the stream's 6 observables"),
        ({"learning_rate": 0.0}, "learning_rate must be positive: got 0"),
    ],
)
def test_bad_calls_of_follow(arguments, message):
    with pytest.raises(ValueError, match=message):
        follow(SHORT, **({"latent": (2,)} | arguments))


def test_divergence_and_unknown_runs_are_named():
    with pytest.raises(RuntimeError, match="smaller learning_rate"):
        follow(SHORT, latent=(2,), learning_rate=1e6)
    runs = follow(SHORT, latent=(2,), likelihood=False)
    with pytest.raises(ValueError, match="seed must be one of 0: got 5"):
        runs.final(seed=5, latent=2)
    with pytest.raises(ValueError, match="latent must be one of 2: got 3"):
        runs.final(seed=0, latent=3)


def test_a_switching_stream_has_the_covariance_that_it_says():
    stream = SwitchingStream(truth=(2, 1), batches=2000, observed=4, noise_std=0.5, stds=(1, 4))
    loadings = stream.setting(np.random.default_rng(7))
    blocks = np.concatenate(list(stream.blocks(seed=7)))
    assert blocks.shape == (4000, 10, 4) and stream.switches == (0, 2000)
    np.testing.assert_allclose((loadings**2).sum(0), [1, 4, 9, 16], rtol=1e-12)
    for segment, used in ((blocks[:2000], 2), (blocks[2000:], 1)):
        x = segment.reshape(-1, 4)
        expected = loadings[:, :used] @ loadings[:, :used].T + 0.25 * np.eye(4)
        np.testing.assert_allclose(x.T @ x / len(x), expected, atol=0.15)


def test_blocks_cross_no_switch_and_come_again():
    stream = SwitchingStream(batches=5)
    sizes = [len(block) for block in stream.blocks(seed=0, size=4)]
    assert sizes == [4, 1] * 3
    for one, two in zip(stream.blocks(3), stream.blocks(3), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(next(stream.blocks(3)), next(stream.blocks(4)))


def test_single_batches_are_those_of_the_blocks():
    stream = SwitchingStream(batches=210, truth=(2, 3))
    everything = torch.from_numpy(np.concatenate(list(stream.blocks(seed=5))))
    for index in (0, 199, 200, 209, 210, 419):
        assert torch.equal(stream.batch(5, index), everything[index])
    for index in (-1, 420):
        with pytest.raises(ValueError, match="index must lie between 0 and 419"):
            stream.batch(5, index)


def test_a_resampled_stream_draws_rows_of_the_group():
    groups = [np.arange(6.0).reshape(3, 2), 10 + np.arange(4.0).reshape(2, 2)]
    stream = ResampledStream(groups, truth=(1, 1), batches=7, batch_size=5)
    first, second = stream.blocks(seed=0)
    assert stream.observed == 2 and first.shape == (7, 5, 2)
    for block, group in ((first, groups[0]), (second, groups[1])):
        assert {tuple(row) for row in block.reshape(-1, 2)} == {tuple(row) for row in group}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SwitchingStream(truth=()), "truth must name at least one segment"),
        (lambda: SwitchingStream(truth=(10,)), "truth must stay below observed=10"),
        (lambda: SwitchingStream(batches=0), "batches must be a positive integer"),
        (lambda: SwitchingStream(noise_std=0.0), "noise_std and stds must be positive"),
        (lambda: ResampledStream([np.eye(2)], (1, 1)), "equally many: got 1 and 2"),
        (lambda: ResampledStream([np.eye(2), np.eye(3)], (1, 1)), "equally many columns"),
    ],
)
def test_bad_streams(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_bic_counts_what_it_says():
    stream = SwitchingStream(truth=(1,), batches=4, observed=3, batch_size=5)
    score = np.array([[-1.0, -2.0, -4.0, -8.0]])
    last = bic(score, (2,), stream, window=3)[0]
    free = 3 + 6 - 1 + 1
    expected = [free * np.log(5 * n) + 2 * 5 * s for n, s in ((1, 1), (2, 3), (3, 7), (3, 14))]
    np.testing.assert_allclose(last, expected, rtol=1e-14)
    published = bic(score, (2,), stream, convention="published")[0]
    np.testing.assert_allclose(published, 7 * np.log(5) - 10 * score[0], rtol=1e-14)
    np.testing.assert_allclose(bic(score, (2,), stream, convention="none"), -10 * score)


def test_free_parameters_are_the_dimension_of_the_family():
    """The rank of the Jacobian of (μ, C) with respect to (μ, W, log σ²)."""
    for observed, latent in ((4, 1), (5, 2), (6, 4)):
        model = models.PPCA(observed, latent)
        parameters = model.initial_parameters(torch.Generator().manual_seed(1))
        jacobian = torch.func.jacrev(model.covariance)(parameters)
        columns = [block.reshape(observed**2, -1) for k, block in jacobian.items() if k != "mean"]
        rank = int(torch.linalg.matrix_rank(torch.cat(columns, 1), rtol=1e-10))
        assert free_parameters(observed, latent) == observed + rank
    with pytest.raises(ValueError, match="convention must be one of"):
        free_parameters(4, 1, "other")


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=30), st.integers(1, 40))
def test_a_moving_sum_is_a_sum_over_a_window(values, window):
    ours = moving_sum(np.array([values], dtype=float), window)[0]
    assert ours.tolist() == [
        sum(values[max(0, t - window + 1) : t + 1]) for t in range(len(values))
    ]


def test_the_window_is_scored_as_the_best_model_scores_it():
    stream = SwitchingStream(truth=(2, 3), batches=6, observed=5)
    scores = window_bic(stream, (1, 3), (2,), window=4)
    x = np.concatenate([block.reshape(-1, 5) for block in stream.blocks(seed=2)])
    assert np.isfinite(scores).all()
    for batch in (1, 7, 11):
        seen = torch.from_numpy(x[max(0, batch - 3) * 10 : (batch + 1) * 10])
        for row, latent in enumerate((1, 3)):
            model = models.PPCA(5, latent)
            best = model.maximum_likelihood(seen)
            likelihood = float(model.log_likelihood(best, seen))
            expected = free_parameters(5, latent) * np.log(len(seen)) - 2 * len(seen) * likelihood
            assert scores[0, row, batch] == pytest.approx(expected, rel=1e-9)
            assert float(model.closed_form_entropy_sum(best)) == pytest.approx(likelihood, rel=1e-9)


def test_a_window_with_too_few_points_chooses_nothing():
    stream = SwitchingStream(batches=3)
    assert choose(window_bic(stream, (2, 4), (0,), window=2), (2, 4))[0, 0] == 0
    with pytest.raises(ValueError, match="window must hold more than 10 points: got 1 batches"):
        window_bic(stream, (2,), (0,), window=1)
    with pytest.raises(ValueError, match="latent must stay below observed=10"):
        window_bic(stream, (10,), (0,), window=2)


def test_shares_and_delays_by_hand():
    stream = SwitchingStream(truth=(2, 4), batches=5)
    chosen = np.array([[4, 2, 4, 2, 2, 4, 4, 4, 4, 4], [4, 4, 4, 4, 4, 2, 2, 2, 2, 4]])
    np.testing.assert_array_equal(settled_share(chosen, stream, 0.4), [[2 / 3, 1], [0, 1 / 3]])
    np.testing.assert_array_equal(delays(chosen, stream, hold=2), [[3, 0], [np.inf, np.inf]])
    np.testing.assert_array_equal(delays(chosen, stream, hold=1), [[1, 0], [np.inf, 4]])
    with pytest.raises(ValueError, match="burn_in must lie in"):
        settled_share(chosen, stream, 1.0)
    with pytest.raises(ValueError, match="hold must be at most 5"):
        delays(chosen, stream, hold=6)
    with pytest.raises(ValueError, match="one entry for each of the 10 batches"):
        settled_share(chosen[:, 1:], stream)


@given(st.lists(st.tuples(*[st.floats(-5, 5)] * 6), min_size=1, max_size=5))
def test_certified_choices_are_the_same(rows):
    values = np.array(rows).T.reshape(2, 3, -1)
    sure = certified(*values)
    one, two = (choose(score, (2, 4, 6)) for score in values)
    assert (one[sure] == two[sure]).all()


def test_scores_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(\.\.\., K, T\), K, T = \(2, 60\): got \(3, 60\)"):
        bic(np.zeros((3, 60)), (2, 4), SHORT)
    with pytest.raises(ValueError, match=r"K, T = \(2, 60\): got \(2, 59\)"):
        bic(np.zeros((2, 59)), (2, 4), SHORT)
