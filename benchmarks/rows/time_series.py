"""EM of hidden Markov models and linear dynamical systems on long series."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.em import em_steps
from benchmarks.harness import Check, Measured, Row, Setting, Target, alternate
from companion.models import GaussianMixture, HiddenMarkov, LinearDynamical


def hidden_markov(setting: Setting) -> Measured:
    import logging

    from hmmlearn.hmm import GaussianHMM

    logging.getLogger("hmmlearn").setLevel(logging.ERROR)
    length, states, observed = setting.pick(100_000, 200), 3, 2
    steps = setting.pick(5, 2)
    draws = np.random.default_rng(0)
    stay = np.full((states, states), 0.05) + np.eye(states) * (1 - 0.05 * states)
    z = np.zeros(length, dtype=int)
    chance = draws.random(length)
    for t in range(1, length):
        z[t] = np.searchsorted(stay[z[t - 1]].cumsum(), chance[t])
    centres = np.array([[0.0, 0.0], [2.0, 1.0], [-1.0, 2.5]])
    data = centres[z] + draws.standard_normal((length, observed))
    model = HiddenMarkov(GaussianMixture(observed, states, "diagonal"))
    mixture = model.emission.from_covariances(  # type: ignore[union-attr]
        torch.full((states,), 1 / states, dtype=torch.float64),
        torch.from_numpy(centres + 0.3),
        torch.ones(states, observed, dtype=torch.float64),
    )
    logits = torch.from_numpy(np.log(stay)).T
    start = mixture | {"transition_logits": logits}
    x = torch.from_numpy(data)[None]

    def theirs() -> Any:
        chain = GaussianHMM(
            *(states, "diag"), n_iter=steps, tol=-np.inf, init_params="", covars_prior=0.0,
            covars_weight=0.0, min_covar=0.0,
        )  # fmt: skip
        chain.startprob_, chain.transmat_ = np.full(states, 1 / states), stay.copy()
        chain.means_, chain.covars_ = centres + 0.3, np.ones((states, observed))
        return chain.fit(data)

    pair = alternate(lambda: em_steps(model, start, x, steps=steps), theirs, setting.repeats)
    run, chain = pair.results
    ours = [float(value) for value in run.log_likelihoods]
    history = [value for value in chain.monitor_.history][-1]
    return Measured(
        {"ratio": pair.ratio},
        [Check("log-likelihood in the last step, per step of time", ours[-1] / length,
               history / length, 1e-6)],
        {"T": length, "states": states, "D": observed, "iterations": steps},
        pair.times,
        "float64",
        setting.repeats,
    )  # fmt: skip


def linear_dynamical(setting: Setting) -> Measured:
    from statsmodels.tsa.statespace.mlemodel import MLEModel

    length, latent, observed, count = setting.pick(50_000, 60), 2, 3, 2
    draws = torch.Generator().manual_seed(0)
    model = LinearDynamical(observed, latent)
    parameters = model.initial_parameters(draws)
    system = model.system(parameters)
    noise = torch.linalg.cholesky(system.noise_covariance).numpy()
    rng = np.random.default_rng(0)
    A, C = parameters["transition"].numpy(), parameters["weights"].numpy()
    z, rows = np.zeros(latent), []
    for _ in range(count * length):
        z = A @ z + 0.5 * rng.standard_normal(latent)
        rows.append(C @ z + noise @ rng.standard_normal(observed))
    data = np.array(rows).reshape(count, length, observed)
    x = torch.from_numpy(data)

    class Theirs(MLEModel):  # type: ignore[misc]
        def __init__(self, series: Any) -> None:
            super().__init__(series, k_states=latent, k_posdef=latent)
            spread = system.initial_covariance.numpy()
            self["design"], self["transition"], self["selection"] = C, A, np.eye(latent)
            self["obs_cov"] = noise @ noise.T
            L = np.tril(parameters["transition_cholesky"].numpy(), -1)
            L = L + np.diag(np.exp(parameters["transition_log_diagonal"].numpy()))
            self["state_cov"] = L @ L.T
            self["obs_intercept"] = parameters["mean"].numpy()
            self.ssm.initialize_known(parameters["initial_mean"].numpy(), spread)

    theirs = [Theirs(series).ssm for series in data]

    def peer() -> Any:
        return [each.smooth() for each in theirs]

    pair = alternate(lambda: model.em_map(x)(parameters), peer, setting.repeats)
    (value, _), smoothed = pair.results
    states = model.posterior(parameters, x).mean.numpy()
    other = np.array([each.smoothed_state.T for each in smoothed])
    return Measured(
        {"ratio": pair.ratio},
        [
            Check("log-likelihood, per step of time", float(value) / length,
                  float(np.sum([each.llf for each in smoothed])) / length / count, 1e-9),
            Check("largest difference of a smoothed mean", float(np.abs(states - other).max()),
                  0.0, 1e-8),
        ],
        {"N": count, "T": length, "H": latent, "D": observed},
        pair.times,
        "float64",
        setting.repeats,
    )  # fmt: skip


ROWS = (
    Row(
        name="hidden-markov",
        title="Hidden Markov model, EM on one series",
        peer="hmmlearn, GaussianHMM",
        work="The same EM iterations from the same start, to the same log-likelihood.",
        targets=(Target("ratio", "times as fast", at_least=1.0),),
        limits="Blocks of time in PyTorch, beside loops of C++.",
        measure=hidden_markov,
        needs=("hmmlearn",),
        packages=("torch", "numpy", "hmmlearn"),
    ),
    Row(
        name="linear-dynamical",
        title="Linear dynamical system, a step of EM on two series",
        peer="statsmodels, filter and smoother of its state-space models",
        work=(
            "Ours is a whole EM step. Theirs is the Kalman filter and smoother with the same "
            "parameters, whose log-likelihood must agree; it takes no M-step."
        ),
        targets=(Target("ratio", "times as fast", at_least=1.0),),
        limits="A scan over time in PyTorch, beside loops of Cython.",
        measure=linear_dynamical,
        needs=("statsmodels",),
        packages=("torch", "numpy", "statsmodels"),
    ),
)
