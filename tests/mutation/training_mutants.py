"""Mistakes in how VAEs are trained from many seeds at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

M = TypeVar("M")

TESTS = "tests/training/test_training.py"
OBJECTIVE = "training/elbo.py"
RUN = "training/run.py"
FEED = "training/feed.py"

#: Name, file, old text, new text, tests (of TESTS) that must fail.
MISTAKES = (
    (
        "training: sign of the KL divergence",
        OBJECTIVE,
        "likelihood - kl_weight * kl",
        "likelihood + kl_weight * kl",
        "objective_is_the_elbo",
    ),
    (
        "training: log-variances left out of the likelihood",
        OBJECTIVE,
        "(math.log(2 * math.pi) + logs + error)",
        "(math.log(2 * math.pi) + error)",
        "objective_is_the_elbo and head",
    ),
    (
        "training: variance of q left out of the KL divergence",
        OBJECTIVE,
        "moment = ((mean**2 + std**2) * (-prior).exp())",
        "moment = (mean**2 * (-prior).exp())",
        "objective_is_the_elbo and scalar",
    ),
    (
        "training: a scalar variance profiled for every observable",
        OBJECTIVE,
        'return error.mean().expand(error.shape) if model.noise == "scalar" else error',
        "return error",
        "profiled_variance_is_the_best",
    ),
    (
        "training: prior profiled without its logarithm",
        OBJECTIVE,
        "moment = 1 + moment.log() if",
        "moment = 1 + moment if",
        "profiled_variance_is_the_best",
    ),
    (
        "training: prior variances from the means of q alone",
        OBJECTIVE,
        "moment = (weights[:, None] * z**2).sum(-2).mean(0)",
        "moment = q.nodes().z.mean(-2).pow(2).mean(0)",
        "leave_no_gap",
    ),
    (
        "training: learning rate of another plan",
        RUN,
        "learning_rate=plan.learning_rate",
        "learning_rate=Plan().learning_rate",
        "same_steps_as_adam",
    ),
    (
        "training: learning rate without decay",
        RUN,
        "decay=plan.decay",
        "decay=False",
        "same_steps_as_adam",
    ),
    (
        "training: seeds share their noise",
        FEED,
        "generator=g, dtype=torch.float64) for g in self.generators]",
        "generator=self.generators[0], dtype=torch.float64) for g in self.generators]",
        "alone_and_among_others",
    ),
    (
        "training: batches drawn anew in every step",
        FEED,
        "if self.orders.shape[1] < self.size:",
        "if True:",
        "every_point_once",
    ),
    (
        "training: frozen nodes lose their points",
        FEED,
        "z[runs, index] if index is not None",
        "z[runs, index.sort().values] if index is not None",
        "frozen_nodes",
    ),
    (
        "training: the KL divergence has its weight from the start",
        RUN,
        "weight = min(1.0, next(number) / plan.warmup) if plan.warmup else 1.0",
        "weight = 1.0",
        "warm_up",
    ),
    (
        "training: divergence goes unnoticed",
        RUN,
        "if not all(bool(v[run].isfinite().all())",
        "if not any(True",
        "diverges",
    ),
)


def training_mutants(mutant: Callable[..., M]) -> tuple[M, ...]:
    """One mutant of the given class for every mistake above."""
    return tuple(
        mutant(name, file, old, new, TESTS, only) for name, file, old, new, only in MISTAKES
    )
