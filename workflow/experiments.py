"""The published experiments at full size: collect what was run, and run a random part of it again.

`python -m workflow.experiments collect FOLDER...` takes the records of sweeps over the grids in
`workflow/sweeps/full`, wherever and with whatever versions they were made, and writes one file for
each experiment into `companion/studies/full_size`, which the chapter on these experiments reads.

`python -m workflow.experiments replay` draws a share of these runs, trains them here on the CPU,
and fails if one ends farther from its recorded end than the ends of any two seeds lie apart. Runs
that take hours on one core, VAE-3 with 100 samples, are not among them.
"""

import argparse
import json
import math
import random
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from workflow import drive
from workflow.grid import plan
from workflow.progress import Problem
from workflow.project import HOME, Project, dump, load, unsealed, write

GRIDS = HOME / "workflow" / "sweeps" / "full"
SUMMARIES = HOME / "companion" / "studies" / "full_size"
#: Each experiment's grids; the first case of the first is the published one.
EXPERIMENTS = {"plane": ["plane"], "digits": ["digits"], "ring": ["ring-samples", "ring"]}
#: What a result does not depend on, but for round-off.
MINOR = ("device", "folder", "log_every")
COMPARED = ("elbo", "gap")
SPREAD = ("posterior_entropy", "prior_entropy", "observable_entropy", "gradient_norm")
#: More samples of z than this are left to a GPU, if each has a noise of its own.
MANY = 20
LEVELS = (0, 0.25, 0.5, 0.75, 1)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m workflow.experiments", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("collect", help="summarize records").add_argument
    add("folders", type=Path, nargs="+", help="folders with records below them")
    add = verbs.add_parser("replay", help="run a random part again").add_argument
    add("--share", type=float, default=0.1, help="of all runs (default: 0.1)")
    add("--minutes", type=float, default=60, help="begin no run after so many (default: 60)")
    add("--draw", type=int, default=0, help="number of the random draw (default: 0)")
    add("--cores", type=int, default=drive.available_cores(), help="runs side by side")
    options = parser.parse_args(arguments)
    try:
        return collect(options.folders) if options.verb == "collect" else replay(options)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 2


def major(settings):
    """The settings that a result depends on, as text."""
    return dump({name: value for name, value in settings.items() if name not in MINOR})


def collect(folders):
    """Write the summary of every experiment from all records below the folders."""
    found: dict[str, list[Any]] = {}
    for path in sorted(p for folder in folders for p in folder.rglob("runs/*.json")):
        record = unsealed(path)
        if record is None:
            raise Problem(f"{path} is no record, or was changed since it was written.")
        seal = load(path)["sha256"]
        found.setdefault(major(record["run"]["settings"]), []).append((record, seal))
    if not found:
        raise Problem(f"There are no records in {', '.join(map(str, folders))}.")
    for name, grids in EXPERIMENTS.items():
        runs = [run for grid in grids for run in plan(GRIDS / f"{grid}.yaml")]
        wanted = Counter(major(run["settings"]) for run in runs)
        settings = {major(run["settings"]): run["settings"] for run in runs}
        cases = [case(settings[k], wanted[k], found.get(k, [])) for k in wanted]
        path = SUMMARIES / f"{name}.json"
        write(path, json.dumps({"cases": cases}, separators=(",", ":"), sort_keys=True) + "\n")
        print(
            f"{path.relative_to(HOME)}: {sum(len(c['seeds']) for c in cases)} of {len(runs)} runs"
        )
    return 0


def case(settings, planned, records):
    """One choice of settings: every seed's ELBO and gap, the spread of the rest, and replays.

    Of the logged steps the summary holds the ends and at most three between.

    A seed that was run on several machines counts once, with the run on a GPU if there is one; the
    others are replays.
    """
    records = sorted(
        records, key=lambda found: (found[0]["run"]["seed"], found[0]["device"] == "cpu")
    )
    first: dict[int, Any] = {}
    replays = []
    for record, seal in records:
        seed = record["run"]["seed"]
        if seed in first:
            end = last(record["run"])
            replays.append({"seed": seed, "sha256": seal, **{k: end[k] for k in COMPARED}})
        else:
            first[seed] = record, seal
    runs = [record["run"] for record, _ in first.values()]
    logged = [{row[0] for row in run["rows"]} for run in runs]
    steps = sorted(set.intersection(*logged)) if logged else []
    steps = sorted({steps[round(part * (len(steps) - 1))] for part in LEVELS if steps})
    column = {
        name: np.array(
            [
                [row[run["columns"].index(name)] for row in run["rows"] if row[0] in steps]
                for run in runs
            ]
        )
        for name in (*COMPARED, *SPREAD)
    }
    return {
        "settings": settings,
        "planned": planned,
        "seeds": list(first),
        "sha256": [seal for _, seal in first.values()],
        "machines": machines([record for record, _ in records]),
        "steps": [int(step) for step in steps],
        **{name: rounded(column[name]) for name in COMPARED},
        "levels": LEVELS,
        "spread": {n: rounded(np.quantile(column[n], LEVELS, 0)) for n in SPREAD if runs},
        "replays": replays,
    }


def rounded(values):
    return [[float(f"{value:.7g}") for value in row] for row in values.tolist()]


def last(run):
    return dict(zip(run["columns"], run["rows"][-1], strict=True))


def machines(records):
    """What the runs were made on and with, how many there, and the seconds that a run took."""
    named = ("device", "processor", "versions", "python", "date", "together")
    taken = defaultdict(list)
    for record in records:
        taken[dump({name: record[name] for name in named})].append(record["seconds"])
    return [
        {**json.loads(text), "runs": len(seconds), "seconds": statistics.median(seconds)}
        for text, seconds in taken.items()
    ]


def replay(options):
    """Run a random share again; 1 if one ends elsewhere, or none could be run."""
    recorded = [
        (name, case, index)
        for name in EXPERIMENTS
        for case in (load(SUMMARIES / f"{name}.json") or {"cases": []})["cases"]
        for index in range(len(case["seeds"]))
        if not hours(case["settings"])
    ]
    drawn = random.Random(options.draw).sample(recorded, math.ceil(options.share * len(recorded)))
    folder = Project().build / "replays"
    end = time.monotonic() + 60 * options.minutes
    with ThreadPoolExecutor(options.cores) as pool:
        said = list(pool.map(lambda run: again(folder, end, *run), drawn))
    print(
        f"{said.count('agrees')} of {len(drawn)} drawn runs agree, {said.count('differs')} differ, "
        f"{said.count('failed')} failed, {said.count('no time')} were not begun"
    )
    return 0 if "agrees" in said and not {"differs", "failed"} & set(said) else 1


def hours(settings):
    """Whether a run takes hours on one core: many samples, each with a noise of its own."""
    return settings["samples"] > MANY and settings["noise"] in ("head", "softplus")


def again(folder, end, name, case, index):
    """Train one run on the CPU and compare its end with the recorded one."""
    if time.monotonic() > end:
        return "no time"
    seed, settings = case["seeds"][index], case["settings"]
    settings = settings | {"device": "cpu", "log_every": settings["steps"]}
    words = f"{name}, {', '.join(f'{k} {settings[k]}' for k in varied(name))}, seed {seed}"
    group = folder / "groups" / f"{case['sha256'][index][:16]}.json"
    write(group, dump([{"id": group.stem, "settings": settings, "seed": seed}]))
    command = [sys.executable, "-P", "-m", "workflow.trainings", str(group), f"{group}.done"]
    subprocess.run(command, cwd=HOME, stdout=subprocess.DEVNULL)
    record = unsealed(folder / "runs" / group.name)
    if record is None:
        print(f"{words}: failed")
        return "failed"
    end_now, verdict = last(record["run"]), "agrees"
    for column in COMPARED:
        ends = [row[-1] for row in case[column]]
        allowed = max(ends) - min(ends)
        difference = end_now[column] - ends[index]
        verdict = verdict if abs(difference) <= allowed else "differs"
        words += f", {column} {ends[index]:.4f} {difference:+.2g} (allowed {allowed:.2g})"
    print(f"{words}: {verdict}", flush=True)
    return verdict


def varied(name):
    """The settings in which the cases of an experiment differ."""
    cases = [case["settings"] for case in load(SUMMARIES / f"{name}.json")["cases"]]
    return [n for n in cases[0] if len({dump(one[n]) for one in cases}) > 1]


if __name__ == "__main__":
    sys.exit(main())
