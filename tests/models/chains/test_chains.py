"""Time series: against sums over all paths, dense Gaussians, a loop over time, other libraries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import special, stats

from companion import datasets, entropy_sum, families, fit, models, verify
from companion.models.chains import kalman
from companion.models.chains.counts import expected_counts
from companion.models.chains.scan import log_product, scan
from tests.cases import draw, generator, names, point

HMM = names("hidden-markov")
LDS = names("linear-dynamical")


# --- scans ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_is_a_loop(length, reverse):
    """Products of matrices do not commute, so that the order shows too."""
    matrices = draw(2, length, 3, 3, g=generator("scan"))
    (found,) = scan(lambda a, b: (a[0] @ b[0],), (matrices,), reverse)
    for n, t in itertools.product(range(2), range(length)):
        part = matrices[n, t:] if reverse else matrices[n, : t + 1]
        expected = part[0]
        for matrix in part[1:]:
            expected = expected @ matrix
        torch.testing.assert_close(found[n, t], expected, rtol=1e-12, atol=1e-12)


def test_a_product_of_logarithms_survives_what_underflows():
    a, b = draw(1, 3, 3, g=generator("a")), draw(1, 3, 3, g=generator("b"))
    small = log_product(a - 2000, b - 3000) + 5000
    torch.testing.assert_close(small, (a.exp() @ b.exp()).log(), rtol=1e-12, atol=1e-11)
    # Each path goes through an entry that is small beside others of its row or its column.
    row, column = torch.tensor([0.0, -2000.0]).double(), torch.tensor([-2000.0, 0.0]).double()
    found = log_product(row[None], column[:, None])
    torch.testing.assert_close(found, torch.full((1, 1), -2000 + math.log(2)).double())


# --- hidden Markov models -------------------------------------------------------------------------


def log_emissions(model, parameters, x):
    """log p(x_t | c) of every step, by SciPy, zero where nothing is observed, ``(T, K)``."""
    p = {k: v.numpy() for k, v in parameters.items()}
    found = np.zeros((len(x), model.components))
    for t, c in itertools.product(range(len(x)), range(model.components)):
        if np.isnan(x[t]).any():
            continue
        if "log_rates" in p:
            found[t, c] = stats.poisson.logpmf(x[t], np.exp(p["log_rates"][c])).sum()
        else:
            factor = np.tril(p["cholesky"][c], -1) + np.diag(np.exp(p["log_diagonal"][c]))
            law = stats.multivariate_normal(p["means"][c], factor @ factor.T)
            found[t, c] = law.logpdf(x[t])
    return found


@pytest.mark.parametrize("name", HMM)
def test_elbo_and_entropies_of_a_hidden_markov_model_by_all_paths(name):
    model, parameters, q, x = point(name)
    start = special.log_softmax(parameters["prior_logits"].numpy())
    moves = special.log_softmax(parameters["transition_logits"].numpy(), axis=1)
    move_entropies = -(np.exp(moves) * moves).sum(1)
    totals, evidence = np.zeros(4), 0.0
    for n, each in enumerate(x.numpy()):
        length = 1 + int(np.nonzero(~np.isnan(each).any(1))[0].max())
        emitted = log_emissions(model, parameters, each[:length])
        paths = list(itertools.product(range(model.components), repeat=length))
        first, pairs = q.first[n].numpy(), q.pairs[n].numpy()
        log_q, log_p, moved = np.zeros(len(paths)), np.zeros(len(paths)), np.zeros(len(paths))
        for k, z in enumerate(paths):
            steps = list(itertools.pairwise(z))
            log_q[k] = first[z[0]] + sum(pairs[t][step] for t, step in enumerate(steps))
            log_p[k] = start[z[0]] + sum(moves[step] for step in steps)
            log_p[k] += sum(emitted[t, c] for t, c in enumerate(z))
            moved[k] = sum(move_entropies[a] for a, _ in steps)
        log_q -= special.logsumexp(log_q)
        weights = np.exp(log_q)
        totals += [weights @ (log_p - log_q), -weights @ log_q, weights @ moved, 0]
        evidence += special.logsumexp(log_p)
    totals, evidence = totals / len(x), evidence / len(x)
    report = verify(model, parameters, q, x)
    assert report.elbo == pytest.approx(totals[0], rel=1e-12)
    assert report.posterior_entropy == pytest.approx(totals[1], rel=1e-11)
    assert report.hidden_entropies["transition"] == pytest.approx(totals[2], rel=1e-12)
    assert float(model.log_likelihood(parameters, x)) == pytest.approx(evidence, rel=1e-12)
    if name.endswith("exact"):
        assert report.elbo == pytest.approx(evidence, rel=1e-13)


@pytest.mark.parametrize("lengths", [(1,), (2, 5), (40, 25, 1, 17), (300,)])
def test_counts_of_em_are_sums_of_the_posterior_s_marginals(lengths):
    """The posterior's come from logarithms, step by step; missing steps and ends are in both."""
    g, model = generator("counts"), models.HiddenMarkov(models.GaussianMixture(2, 3, "diagonal"))
    seen = [torch.rand(T, generator=g) + (torch.arange(T) == 0) > 0.2 for T in lengths]
    x = models.padded([3 * draw(T, 2, g=g) for T in lengths], seen)
    parameters = model.initial_parameters(g)
    prior, moves, emitted = model._logs(parameters, x)
    q = model.posterior(parameters, x)
    found = expected_counts(prior, moves.exp(), emitted, q.within)
    expected = q.marginals
    torch.testing.assert_close(found.steps, expected.steps, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(found.moves, expected.pairs.sum((0, 1)), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(found.log_likelihood, expected.log_partition, rtol=1e-12, atol=0)


@pytest.mark.parametrize("excluded", [-300.0, -745.0, -2000.0])
def test_counts_where_the_prior_excludes_what_explains_the_first_observation(excluded):
    """One of the two states has no probability before, the other none after x_1 is seen."""
    model, parameters, _ = two_states()
    given = {"prior_logits": torch.tensor([excluded, 0.0]).double()}
    given |= {"log_rates": torch.tensor([[7.0], [0.0]]).double()}
    parameters, x = parameters | given, models.padded([[1000.0, 1.0, 2.0, 1000.0, 0.0]])
    value, after = model.em_step(parameters, x)
    q = model.posterior(parameters, x)
    torch.testing.assert_close(value, q.marginals.log_partition.mean(), rtol=1e-12, atol=0)
    for name, expected in model.m_step(parameters, q, x).items():
        torch.testing.assert_close(after[name], expected, rtol=1e-11, atol=1e-11)


def test_em_goes_by_logarithms_where_a_state_is_never_entered():
    """A state that seems impossible for a while, and then was true from the beginning."""
    model, parameters, _ = two_states()
    counts = np.repeat([5.0, 40.0], [120, 200]), np.repeat(5.0, 10)
    x = models.padded(counts)
    logits = torch.tensor([[0.0, -2000.0], [-2000.0, 0.0]]).double()
    value, after = model.em_step(parameters | {"transition_logits": logits}, x)
    q = model.posterior(parameters | {"transition_logits": logits}, x)
    torch.testing.assert_close(value, q.marginals.log_partition.mean())
    updated = model.m_step(parameters, q, x)
    for name in after:
        torch.testing.assert_close(after[name], updated[name])
    # In one state from beginning to end: the better of two Poisson distributions.
    start = special.log_softmax(parameters["prior_logits"].numpy())
    rates = parameters["log_rates"].exp()[:, 0].numpy()
    each = [stats.poisson.logpmf(c[:, None], rates).sum(0) + start for c in counts]
    assert float(value) == pytest.approx(special.logsumexp(each, axis=1).mean(), rel=1e-12)


def two_states():
    """The model and the parameters that hmmlearn was given, and the counts of earthquakes."""
    model = models.HiddenMarkov(models.FamilyMixture(families.Poisson(), 1, 2))
    given = {
        "prior_logits": [0.6, 0.4],
        "transition_logits": [[0.9, 0.1], [0.2, 0.8]],
        "log_rates": [[15.0], [25.0]],
    }
    parameters = {name: torch.tensor(value).double().log() for name, value in given.items()}
    return model, parameters, datasets.earthquakes()[None]


def test_likelihoods_are_those_of_hmmlearn():
    """Both numbers are hmmlearn 0.3.3's ``score`` for the same parameters and data."""
    model, parameters, x = two_states()
    assert float(model.log_likelihood(parameters, x)) == pytest.approx(-343.7085637438, rel=1e-7)
    gaussian = models.HiddenMarkov(models.GaussianMixture(1, 2, "diagonal"))
    own = {k: v for k, v in parameters.items() if k != "log_rates"} | {
        "means": torch.tensor([[1.3], [-0.4]]).double(),
        "log_variance": torch.tensor([[0.5], [0.3]]).double().log(),
    }
    flow = (datasets.nile()[None] - 900) / 150
    assert float(gaussian.log_likelihood(own, flow)) == pytest.approx(-145.6790186236, rel=1e-7)


def test_baum_welch_finds_what_hmmlearn_finds_and_every_step_gives_equality():
    model, start, x = two_states()
    at, before = start, -math.inf
    for _ in range(5):
        q = model.posterior(at, x)
        at = model.m_step(at, q, x)
        report = verify(model, at, q, x)
        assert abs(report.gap) <= 1e-11 * (1 + abs(report.elbo))
        assert report.elbo > before
        before = report.elbo
    learned = fit.em(model, start, x, steps=2000, log_every=500, tolerance=1e-9)
    assert learned.final.elbo == pytest.approx(-341.8787010117, rel=1e-10)
    rates = learned.parameters["log_rates"].exp().flatten().sort().values
    np.testing.assert_allclose(rates.numpy(), [15.42076248, 26.0182369], rtol=1e-6)
    assert abs(learned.final.gap) <= 1e-8


@pytest.mark.parametrize("family", [families.Gamma(), families.Bernoulli(), families.LogNormal()])
def test_any_family_of_components_emits(family):
    g, mixture = generator("emission"), models.FamilyMixture(family, 2, 2)
    model = models.HiddenMarkov(mixture)
    own = model.initial_parameters(g)
    emitted = mixture.component_natural({name: own[name] for name in mixture.shapes})
    rows = mixture.family.sample(emitted[torch.arange(30) % 2], g)
    x = models.padded([rows[:12], rows[12:]])
    start = model.random_start(x, g)
    before, after = model.em_step(start, x)
    assert model.em_step(after, x)[0] > before
    assert verify(model, own, None, x).relative_residual <= 1e-12


# --- linear dynamical systems ---------------------------------------------------------------------


def dense(model, parameters, steps):
    """Mean and covariance of z_1, …, z_T, stacked, with loops over time."""
    m, P, A, Q, *_ = (t.numpy() for t in model.system(parameters))
    means, powers = [m], [P]
    for _ in range(steps - 1):
        means.append(A @ means[-1])
        powers.append(A @ powers[-1] @ A.T + Q)
    size = len(m)
    covariance = np.zeros((steps * size, steps * size))
    for s, t in itertools.product(range(steps), repeat=2):
        block = np.linalg.matrix_power(A, abs(t - s)) @ powers[min(s, t)]
        place = slice(t * size, (t + 1) * size), slice(s * size, (s + 1) * size)
        covariance[place] = block if t >= s else block.T
    return np.concatenate(means), covariance


def chain(q, n, steps):
    """Mean and covariance of q's z_1, …, z_T, stacked, from its end to its beginning."""
    size = q.mean.shape[-1]
    mean, gains = q.mean[n, :steps].numpy(), q.gains[n].numpy()
    scale = np.tril(q.scale[n].numpy())
    covariance = np.zeros((steps * size, steps * size))
    for t in reversed(range(steps)):
        here, later = slice(t * size, (t + 1) * size), slice((t + 1) * size, None)
        covariance[here, here] = scale[t] @ scale[t].T
        if t + 1 < steps:
            row = gains[t] @ covariance[(t + 1) * size : (t + 2) * size, later]
            covariance[here, later], covariance[later, here] = row, row.T
            covariance[here, here] += gains[t] @ row[:, :size].T
    return mean.reshape(-1), covariance


@pytest.mark.parametrize("name", LDS)
def test_elbo_and_likelihood_of_a_linear_system_by_dense_gaussians(name):
    model, parameters, q, x = point(name)
    system = model.system(parameters)
    C, d, R = (t.numpy() for t in system[4:])
    elbo, evidence, entropy = 0.0, 0.0, 0.0
    for n, each in enumerate(x.numpy()):
        seen = np.nonzero(~np.isnan(each).any(1))[0]
        steps = int(seen.max()) + 1
        mean, covariance = dense(model, parameters, steps)
        pick = np.kron(np.eye(steps)[seen], C)
        noise = np.kron(np.eye(len(seen)), R)
        rows = each[seen].reshape(-1) - np.tile(d, len(seen))
        marginal = pick @ covariance @ pick.T + noise
        evidence += stats.multivariate_normal(pick @ mean, marginal).logpdf(rows)
        m, S = chain(q, n, steps)
        r = rows - pick @ m
        size = len(m)
        fit_ = stats.multivariate_normal(np.zeros(len(r)), noise).logpdf(r)
        fit_ -= 0.5 * np.trace(np.linalg.solve(noise, pick @ S @ pick.T))
        prior = stats.multivariate_normal(mean, covariance).logpdf(m)
        prior -= 0.5 * np.trace(np.linalg.solve(covariance, S))
        own = 0.5 * (np.linalg.slogdet(2 * np.pi * np.e * S)[1])
        assert size == steps * model.latent
        elbo, entropy = elbo + fit_ + prior + own, entropy + own
    report = verify(model, parameters, q, x)
    assert report.elbo == pytest.approx(elbo / len(x), rel=1e-11)
    assert report.posterior_entropy == pytest.approx(entropy / len(x), rel=1e-11, abs=1e-11)
    likelihood = float(model.log_likelihood(parameters, x))
    assert likelihood == pytest.approx(evidence / len(x), rel=1e-12)
    if name.endswith("exact"):
        assert report.elbo == pytest.approx(likelihood, rel=1e-12)
        log_determinants = float(model.innovations(parameters, x).log_determinants.mean())
        assert report.entropy_sum == pytest.approx(-0.5 * log_determinants, rel=1e-12)


@pytest.mark.parametrize("latent", [1, 2])
@pytest.mark.parametrize("every", [True, False], ids=["all", "but one"])
@pytest.mark.parametrize("sd", [1e-3, 1e-5, 1e-6, 1e-8])
def test_the_elbo_keeps_its_digits_where_states_hardly_move(latent, every, sd):
    """The filter's log-likelihood has them at any sd; one latent, or none, may still move."""
    model, g = models.LinearDynamical(2, latent), generator("hardly moves")
    parameters, x = model.initial_parameters(g), draw(2, 12, 2, g=g)
    rotation = torch.linalg.qr(draw(latent, latent, g=g))[0]
    logs = torch.full((latent,), math.log(sd), dtype=torch.float64)
    logs[0] = logs[0] if every else 0.0
    slow = {"transition": 0.9 * rotation, "transition_log_diagonal": logs}
    if every:
        slow["transition_cholesky"] = sd * parameters["transition_cholesky"]
    report = verify(model, parameters | slow, None, x)
    likelihood = float(model.log_likelihood(parameters | slow, x))
    assert report.elbo == pytest.approx(likelihood, rel=1e-12)
    assert report.relative_residual <= 1e-12


def test_a_posterior_that_is_all_round_off_is_refused():
    model = models.LinearDynamical(2, 1)
    parameters, x = model.initial_parameters(generator("frozen")), draw(2, 9, 2, g=generator("x"))
    still = parameters | {"transition_log_diagonal": torch.tensor([-35.0]).double()}
    with pytest.raises(ValueError, match=r"each state a spread, given the next one.*: found 1e-15"):
        model.posterior(still, x)


@pytest.mark.parametrize(("steps", "gaps"), [(40, 40), (400, 30)])
def test_the_filter_is_a_loop_over_time(steps, gaps):
    """Kalman's recursion as it is written in textbooks, in NumPy, with steps missing early."""
    model = models.LinearDynamical(2, 3)
    g = generator("filter")
    parameters = model.initial_parameters(g)
    seen = (torch.rand(steps, generator=g) > 0.3) | (torch.arange(steps) >= gaps)
    x = models.padded([draw(steps, 2, g=g)], [seen])
    m, P, A, Q, C, d, R = (t.numpy() for t in model.system(parameters))
    found = model.innovations(parameters, x)
    for t, row in enumerate(x[0].numpy()):
        V = C @ P @ C.T + R
        np.testing.assert_allclose(found.covariances[0, t].numpy(), V, rtol=1e-11)
        if not np.isnan(row).any():
            error = row - C @ m - d
            np.testing.assert_allclose(found.errors[0, t].numpy(), error, rtol=1e-9, atol=1e-11)
            gain = P @ C.T @ np.linalg.inv(V)
            m, P = m + gain @ error, P - gain @ V @ gain.T
        m, P = A @ m, A @ P @ A.T + Q


def test_covariances_that_have_settled_change_neither_value_nor_slope(monkeypatch):
    """Of sequences of unequal lengths, one with a gap, against all steps one after the other."""
    model, g = models.LinearDynamical(2, 2), generator("settled")
    parameters, seen = model.initial_parameters(g), torch.ones(3, 300, dtype=torch.bool)
    # The filter forgets its start slowly.
    parameters["transition"] = torch.tensor([[0.7, 0.5], [-0.5, 0.7]]).double()
    parameters["noise_log_diagonal"] += 2
    seen[1, 20:50], seen[2, 200:] = False, False
    x = torch.where(seen[..., None], draw(3, 300, 2, g=g), torch.nan)

    def likelihood(at):
        return model.log_likelihood(at, x)

    slopes, value = torch.func.grad_and_value(likelihood)(parameters)
    report = verify(model, parameters, None, x)
    assert report.elbo == pytest.approx(float(value), rel=1e-13)
    monkeypatch.setattr(kalman, "_SETTLED", -1.0)
    expected, slow = torch.func.grad_and_value(likelihood)(parameters)
    torch.testing.assert_close(value, slow, rtol=1e-13, atol=0)
    for name in parameters:
        torch.testing.assert_close(slopes[name], expected[name], rtol=1e-11, atol=1e-11)
    assert report.gap == pytest.approx(verify(model, parameters, None, x).gap, rel=1e-12)


def test_latents_in_units_far_apart_have_the_likelihood_of_two_systems():
    """The latent with the large unit forgets at once, the other one slowly."""
    units, g = torch.tensor([1e6, 1.0]).double(), generator("units")
    parameters = {
        "transition": torch.tensor([0.0, 0.99]).double(),
        "transition_log_diagonal": units.log() + torch.tensor([1.0, 0.01]).double().log(),
        "initial_log_diagonal": units.log(),
        "noise_log_diagonal": units.log() + torch.tensor([1.0, 0.1]).double().log(),
    }
    x = units * draw(3, 200, 2, g=g)

    def likelihood(of):
        size = len(of)
        own = {k: v[of] for k, v in parameters.items()}
        zeros, none = torch.zeros(size, dtype=x.dtype), torch.zeros(size, size, dtype=x.dtype)
        own |= {f"{k}_cholesky": none for k in ("transition", "initial", "noise")}
        own |= {"transition": own["transition"].diag(), "weights": none + torch.eye(size)}
        own |= {"mean": zeros, "initial_mean": zeros}
        return float(models.LinearDynamical(size, size).log_likelihood(own, x[..., of]))

    assert likelihood([0, 1]) == pytest.approx(likelihood([0]) + likelihood([1]), rel=1e-12)


def test_likelihoods_are_those_of_statsmodels():
    """statsmodels 0.15's ``loglike``, all steps known and with 1891–1910 and 1931–1950 missing."""
    model = models.LinearDynamical(1, 2)
    Q, P = torch.tensor([[0.3, 0.05], [0.05, 0.2]]), torch.tensor([[1.0, 0.2], [0.2, 0.8]])
    given = {"transition": [[0.8, 0.3], [-0.2, 0.5]], "weights": [[1.0, 0.4]], "mean": [0.1]}
    given |= {"initial_mean": [0.2, -0.3]}
    for name, matrix in (("transition", Q), ("initial", P), ("noise", torch.tensor([[0.4]]))):
        factor = torch.linalg.cholesky(matrix.double())
        given[f"{name}_cholesky"] = torch.tril(factor, -1)
        given[f"{name}_log_diagonal"] = factor.diagonal().log()
    parameters = {name: torch.as_tensor(value).double() for name, value in given.items()}
    flow = (datasets.nile() - 900) / 150
    whole = float(model.log_likelihood(parameters, flow[None]))
    assert whole == pytest.approx(-137.459085002701, rel=1e-7)
    years = torch.arange(100)
    seen = ~(((years >= 20) & (years < 40)) | ((years >= 60) & (years < 80)))
    x = models.padded([flow], [seen])
    assert float(model.log_likelihood(parameters, x)) == pytest.approx(-87.7386502774, rel=1e-7)


def test_systems_that_can_not_be_learned_or_computed_say_why():
    model, g = models.LinearDynamical(2, 2), generator("refused")
    parameters, x = model.initial_parameters(g), draw(9, 3, 2, g=g)
    with pytest.raises(ValueError, match="x must have a sequence of two steps or more"):
        model.em_step(parameters, x[:, :1])
    large = {"noise_log_diagonal": torch.full((2,), -400.0, dtype=torch.float64)}
    with pytest.raises(ValueError, match=r"'noise_log_diagonal'. must lie between -300 and 300"):
        model.log_likelihood(parameters | large, x)


def test_an_m_step_needs_a_q_that_knows_what_is_missing():
    g = generator("missing in an M-step")
    x, system = draw(9, 5, 2, g=g), models.LinearDynamical(2, 2)
    states = models.HiddenMarkov(models.GaussianMixture(2, 3, "diagonal"))
    for model in (system, states):
        parameters = model.initial_parameters(g)
        q = model.posterior(parameters, x)
        for other in (x.index_fill(1, torch.tensor([2]), torch.nan), x[:, :4]):
            with pytest.raises(ValueError, match="q must know which steps of x are observed"):
                model.m_step(parameters, q, other)


def test_em_climbs_and_every_m_step_gives_equality():
    model, g = models.LinearDynamical(2, 2), generator("em of a system")
    x = models.padded([draw(T, 2, g=g).cumsum(0) / 3 for T in (30, 25, 20, 28)])
    at, before = model.initial_parameters(g), -math.inf
    for _ in range(6):
        q = model.posterior(at, x)
        updated = model.m_step(at, q, x)
        report = verify(model, updated, q, x)
        assert abs(report.gap) <= 1e-11 * (1 + abs(report.elbo))
        # Nothing is left to gain in the parameters: their part of the gradient is gone.
        for name in updated:
            moved = {k: v.clone() for k, v in updated.items()}
            moved[name] = moved[name] + 1e-4
            if not name.endswith("cholesky"):
                assert verify(model, moved, q, x).elbo < report.elbo
        value, at = model.em_step(at, x)
        assert float(value) > before
        before = float(value)


@pytest.mark.parametrize("name", ["hidden-markov-poisson/exact", "linear-dynamical-free/exact"])
def test_sequences_are_independent_and_the_padding_is_not_seen(name):
    model, parameters, _, x = point(name)
    alone = []
    for each in x:
        length = 1 + int(torch.nonzero(~each.isnan().any(-1)).max())
        alone.append(verify(model, parameters, None, each[None, :length]))
    together = verify(model, parameters, None, x)
    for value in ("elbo", "entropy_sum", "posterior_entropy", "slope"):
        average = sum(getattr(report, value) for report in alone) / len(alone)
        assert getattr(together, value) == pytest.approx(average, rel=1e-11, abs=1e-11)
    later = torch.cat([x, torch.full_like(x[:, :3], torch.nan)], 1)
    assert verify(model, parameters, None, later).elbo == pytest.approx(together.elbo, rel=1e-12)


def test_a_stationary_start_has_the_variance_that_the_process_keeps():
    model = models.LinearDynamical(2, 2, "stationary")
    system = model.system(model.initial_parameters(generator("stationary")))
    A, P, Q = system.transition, system.initial_covariance, system.transition_covariance
    torch.testing.assert_close(A @ P @ A.mT + Q, P, rtol=1e-12, atol=1e-12)
    assert torch.linalg.matrix_norm(A, 2) < 1


# --- bad input ------------------------------------------------------------------------------------

POISSON = models.HiddenMarkov(models.FamilyMixture(families.Poisson(), 1, 2))
SYSTEM = models.LinearDynamical(1, 1)


@pytest.mark.parametrize(
    ("model", "x", "sentence"),
    [
        (POISSON, [[[1.0], [2.0]], [[3.0]]], "sequences of one length: got lengths from 1 to 2"),
        (POISSON, torch.ones(4, 1), r"must have shape \(N, T, 1\)"),
        (POISSON, torch.ones(2, 3, 2), r"must have shape \(N, T, 1\)"),
        (POISSON, 0.5 * torch.ones(1, 3, 1), "x must be counts"),
        (SYSTEM, torch.full((1, 3, 1), torch.inf), "x must be finite, or NaN in all columns"),
        (SYSTEM, torch.full((2, 3, 1), torch.nan), r"observation in every sequence: \[0, 1\]"),
        (SYSTEM, "series", "must be a tensor, an array or nested lists of numbers: got str"),
    ],
)
def test_bad_sequences_are_named(model, x, sentence):
    own = model.initial_parameters()
    learned = (model.posterior, model.em_step, lambda p, x: model.m_step(p, None, x))
    for reads in (lambda p, x: verify(model, p, None, x), model.log_likelihood, *learned):
        with pytest.raises(ValueError, match=sentence):
            reads(own, x)


@pytest.mark.parametrize(
    ("sequences", "mask", "sentence"),
    [
        ([], None, "sequences must have shapes"),
        ([torch.ones(3, 1), torch.ones(2, 2)], None, "with one D: got"),
        ([torch.tensor([1.0, torch.nan])], None, "sequence 0 is not; mark missing steps in mask"),
        ([torch.ones(3)], [torch.ones(2, dtype=torch.bool)], "mask must have one truth value"),
        ([torch.ones(3)], [2 * torch.ones(3)], "mask must have one truth value"),
    ],
)
def test_bad_paddings_are_named(sequences, mask, sentence):
    with pytest.raises(ValueError, match=sentence):
        models.padded(sequences, mask)


def test_bad_models_and_distributions_are_named():
    with pytest.raises(ValueError, match="emission must be a Mixture: got PPCA"):
        models.HiddenMarkov(models.PPCA(3, 1))
    with pytest.raises(ValueError, match="components must be a positive integer: got 0"):
        models.HiddenMarkov(models.GaussianMixture(1, 0))
    with pytest.raises(ValueError, match="latent must be a positive integer: got 0"):
        models.LinearDynamical(1, 0)
    with pytest.raises(ValueError, match="initial_type must be one of"):
        models.LinearDynamical(1, 1, "diffuse")
    with pytest.raises(ValueError, match=r"first and pairs must have shapes \(N, K\)"):
        models.MarkovChain(torch.zeros(2, 3), torch.zeros(2, 4, 3, 2))
    with pytest.raises(ValueError, match="mean, gains and scale must have shapes"):
        models.GaussianChain(torch.zeros(2, 3, 1), torch.zeros(2, 3, 1, 1), torch.ones(2, 3, 1, 1))
    for make in (
        lambda seen: models.MarkovChain(torch.zeros(1, 2), torch.zeros(1, 2, 2, 2), seen),
        lambda seen: models.GaussianChain(
            torch.zeros(1, 3, 1), torch.zeros(1, 2, 1, 1), torch.ones(1, 3, 1, 1), seen
        ),
    ):
        with pytest.raises(ValueError, match="observed must have truth values of shape"):
            make(torch.ones(1, 2, dtype=torch.bool))
    x = torch.ones(1, 3, 1).double()
    x[0, 1] = torch.nan
    for model in (POISSON, SYSTEM):
        parameters = model.initial_parameters()
        q = model.posterior(parameters, torch.ones(1, 3, 1).double())
        with pytest.raises(ValueError, match="q must know which steps of x are observed"):
            verify(model, parameters, q, x)
        other = SYSTEM if model is POISSON else POISSON
        wrong = other.posterior(other.initial_parameters(), x)
        with pytest.raises(ValueError, match="q must be"):
            verify(model, parameters, wrong, x)


def test_what_em_can_not_learn_is_named():
    flow = (datasets.nile()[None] - 900) / 150
    for model, count in ((SYSTEM, 1), (models.LinearDynamical(1, 1, "stationary"), 2)):
        with pytest.raises(ValueError, match='m_step needs initial_type="free" and two sequences'):
            fit.em(model, model.initial_parameters(), flow.expand(count, -1, -1))
    steady = torch.ones(3, 5, 1).double()
    with pytest.raises(ValueError, match="covariance must be positive definite"):
        fit.em(SYSTEM, SYSTEM.initial_parameters(), steady, steps=500)
    beta = models.HiddenMarkov(models.FamilyMixture(families.Beta(), 1, 2))
    with pytest.raises(ValueError, match="Beta has no closed-form M-step"):
        fit.em(beta, beta.initial_parameters(), torch.rand(1, 5, 1).double())


def test_entropies_are_refused_in_their_true_form_where_base_measures_vary():
    model, parameters, x = two_states()
    assert entropy_sum(model, parameters, None, x).form == "pseudo"
