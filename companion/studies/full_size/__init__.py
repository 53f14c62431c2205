"""The papers' experiments at their own size, as they were run once; recorded, and read here.

The files beside this module hold what ``python -m workflow.experiments collect`` made of the sealed
records: ELBO and gap of every seed at every logged step, in nats per data point, quantiles over
seeds of the rest, settings, seeds, machines, versions, dates and the records' SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from companion.support.tables import Table

__all__ = [
    "Case",
    "compared",
    "differences",
    "machines",
    "measured",
    "overview",
    "paired",
    "replayed",
]

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Words for a setting that differs from the published one.
WORDS = {
    "samples": "{} samples of z",
    "activation": "{} units",
    "learning_rate": "rate {}",
    "encoder_scale": "τ from {}",
    "noise": "σ from {}",
}
NAMES = {"head": "exp", 1: "1 sample of z"}


@dataclass(frozen=True)
class Case:
    """One choice of settings, with what every seed came to.

    ``elbo`` and ``gap`` are ``(S, T)`` for S seeds and T logged ``steps``, in nats per data point;
    ``planned`` is the number of seeds of the published experiment, or of ours beside it.
    """

    settings: Mapping[str, Any]
    planned: int
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    elbo: Array
    gap: Array
    machines: tuple[Mapping[str, Any], ...]
    replays: tuple[Mapping[str, Any], ...]

    @property
    def relative(self) -> Array:
        """|F − S| / |F| at the end of every run, ``(S,)``."""
        difference: Array = np.abs(self.gap[:, -1] / self.elbo[:, -1])
        return difference


def measured(experiment: str) -> dict[str, Case]:
    """The cases of ``"plane"``, ``"digits"`` or ``"ring"`` that were run, by what sets them apart.

    The first, ``"as published"``, is there if that was run.

    >>> sorted(measured("digits"))[0]
    '1 sample of z'
    """
    text = (files(__package__) / f"{experiment}.json").read_text("utf-8")
    found = json.loads(text)["cases"]
    published, cases = found[0]["settings"], {}
    for one in found:
        changed = {k: v for k, v in one["settings"].items() if v != published[k] and k in WORDS}
        words = [NAMES[1] if (k, v) == ("samples", 1) else WORDS[k].format(NAMES.get(v, v))
                 for k, v in changed.items()]  # fmt: skip
        if one["seeds"]:
            cases[", ".join(sorted(words)) or "as published"] = Case(
                one["settings"],
                one["planned"],
                tuple(one["seeds"]),
                tuple(one["steps"]),
                np.array(one["elbo"]),
                np.array(one["gap"]),
                tuple(one["machines"]),
                tuple(one["replays"]),
            )
    return cases


def overview(experiments: Mapping[str, str], base: str = NAMES[1]) -> Table:
    """Every case of the experiments, ``{name in the table: file}``, at the end of its runs.

    Gains in ELBO are over the case ``base``, seed by seed.
    """
    rows = []
    for name, experiment in experiments.items():
        cases = measured(experiment)
        for case, one in cases.items():
            gain = ""
            if case != base and len({*one.seeds} & {*cases[base].seeds}) > 1:
                mean, error = paired(experiment, case, base)
                gain = f"{mean:+.{_places(error)}f} ± {error:.{_places(error)}f}"
            deviation = one.elbo[:, -1].std(ddof=1) if len(one.seeds) > 1 else 0.0
            places = _places(deviation, 2)
            rows.append((
                name, case, f"{len(one.seeds)} of {one.planned}",
                _minus(f"{np.median(one.elbo[:, -1]):.{places}f}"),
                f"{deviation:.{places}f}" if deviation else "", _minus(gain),
                _minus(f"{np.median(one.gap[:, -1]):.3f}"),
                f"{float(f'{100 * np.median(one.relative):.2g}'):g} %",
            ))  # fmt: skip
    heads = ("experiment", "case", "seeds", "ELBO", "its deviation", "gain", "gap")
    return Table((*heads, "|F − S|/|F|"), rows)


def _places(error: float, digits: int = 1) -> int:
    """Decimals that show so many digits of an error; two where there is none."""
    if not error:
        return 2
    return max(0, digits - 1 - int(f"{error:.{digits - 1}e}".split("e")[1]))


def _minus(number: str) -> str:
    return number.replace("-", "−")


def differences(experiment: str) -> list[tuple[str, dict[str, Array]]]:
    """|F − S| / |F| in per cent at the end of every run, a row for each case."""
    return [(name, {"one seed": 100 * one.relative}) for name, one in measured(experiment).items()]


def paired(experiment: str, case: str, other: str) -> tuple[float, float]:
    """ELBO of a case minus that of another at the end of runs of the same seed: mean, its error."""
    one, two = (measured(experiment)[name] for name in (case, other))
    both = [seed for seed in one.seeds if seed in two.seeds]
    at = [[each.seeds.index(seed) for seed in both] for each in (one, two)]
    moved = one.elbo[at[0], -1] - two.elbo[at[1], -1]
    return float(moved.mean()), float(moved.std(ddof=1) / np.sqrt(len(both)))


def compared(pairs: Mapping[str, tuple[float, Case]], axis: float) -> Table:
    """Median |F − S| / |F| in per cent, of other runs and of a case: ``{name: (theirs, case)}``.

    ``axis`` is where that of the published figure ends.
    """
    rows = []
    for name, (small, one) in pairs.items():
        large = 100 * float(np.median(one.relative))
        rows.append((name, axis, small, large, len(one.seeds), large - small))
    heads = ("median |F − S|/|F| in per cent", "published axis", "this page's size")
    return Table((*heads, "the paper's size", "seeds there", "differs by"), rows)


def replayed(experiments: Mapping[str, str]) -> Table:
    """What a second run of the same seed, on a CPU, ended at, beside the spread over seeds."""
    rows = []
    for name, experiment in experiments.items():
        for case, one in measured(experiment).items():
            moved = [again["elbo"] - one.elbo[one.seeds.index(again["seed"]), -1]
                     for again in one.replays]  # fmt: skip
            if moved:
                spread = float(np.ptp(one.elbo[:, -1]))
                rows.append((name, case, len(moved), max(map(abs, moved)), spread))
    heads = ("experiment", "case", "replays", "ELBO moves at most", "seeds differ at most")
    return Table(heads, rows)


def machines(experiments: Mapping[str, str]) -> Table:
    """On what the runs were made: processor, version of PyTorch, date, and how many."""
    counted: dict[tuple[str, str, str, str], int] = {}
    for name, experiment in experiments.items():
        for one in measured(experiment).values():
            for made in one.machines:
                where = f"{made['device']}, {made['processor']}"
                key = (name, where, made["versions"]["torch"], made["date"])
                counted[key] = counted.get(key, 0) + made["runs"]
    rows = [(*key, runs) for key, runs in counted.items()]
    return Table(("experiment", "trained on", "PyTorch", "date", "runs"), rows)
