"""Run a grid of trainings, many seeds each: `python -m workflow.sweep GRID.yaml [--profile slurm]`.

A grid file names settings of `workflow.settings.Settings`, lists of values to combine,
and seeds. Every run writes one JSON file; what was written is not run again, so a stopped sweep
goes on where it was. A run that fails is reported and does not stop the others. At the end the runs
are summarized over seeds in `summary.json` and `summary.csv`.

A machine that has PyTorch but not what else this needs, such as a lent GPU, can do the training:
`--prepare` writes what is missing as groups of runs, `python -m workflow.trainings GROUP DONE`
there trains one of them, and with the records that this leaves in `runs/` the sweep goes on here.
"""

import argparse
import csv
import hashlib
import io
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from workflow import drive, pictures, progress
from workflow.execute import QUIET
from workflow.grid import plan
from workflow.nursery import nursery
from workflow.project import HOME, Project, dump, installed, unsealed, write

FINAL = ("elbo", "entropy_sum", "gap", "gradient_norm")


@drive.driver
def main(arguments=None):
    options = _options(arguments)
    folder = (options.output or Project().build / "sweeps" / name_of(options.grid)).resolve()
    here = options.profile == "local" and not options.prepare
    with nursery(here, [HOME], QUIET, folder / "logs" / "nursery.log", "runs"):
        runs = plan(options.grid)[options.slice]  # which loads PyTorch too, side by side
        with drive.exclusive(folder):
            return _make(runs, folder, options)


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m workflow.sweep", description=__doc__)
    add = parser.add_argument
    add("grid", type=Path, help="a YAML file with settings, grid and seeds")
    drive.add_options(parser, "jobs")
    add("--group", type=int, default=10, help="at most this many runs in one job (default: 10)")
    add(
        "--slice",
        type=part,
        default=slice(None),
        metavar="I/N",
        help="only every N-th run, beginning with number I (0/4, 1/4, 2/4, 3/4 are all)",
    )
    add("--prepare", action="store_true", help="only write the groups of runs that are missing")
    add("--output", type=Path, help="folder for everything generated (default: _build/sweeps/NAME)")
    options = drive.parse(parser, arguments)
    if options.group < 1:
        parser.error(f"--group must be at least 1: found {options.group}")
    return options


def part(text):
    """The runs that one of several machines takes: `2/8` is every eighth, from number 2 on."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise argparse.ArgumentTypeError(f"must be I/N with 0 ≤ I < N: found {text!r}")
    return slice(int(number), None, int(count))


def name_of(grid):
    """The folder's name: that of the grid, and its place, for there may be two of one name."""
    place = grid.resolve()
    if place.is_relative_to(HOME):
        place = place.relative_to(HOME)
    return f"{grid.stem}-{hashlib.sha256(place.as_posix().encode()).hexdigest()[:6]}"


def key(run):
    """What a run's result depends on: the package, the lock, its settings and seed."""
    project = Project()
    return {"package": project.core, "lock": project.lock, "installed": installed(), **run}


def result(folder, run, present):
    """The record of a run that ended well with the present package; None otherwise.

    A record counts if its seal is whole, and if it is what this run would have written: settings,
    seed, and a row of finite numbers for every logged step up to the last.
    """
    found = unsealed(folder / "runs" / f"{run['id']}.json")
    if not found or found.get("key") != present | run:
        return None
    made, settings = found.get("run"), run["settings"]
    if not isinstance(made, dict) or (made["settings"], made["seed"]) != (settings, run["seed"]):
        return None
    columns, rows = made["columns"], made["rows"]
    may_lack = columns.index("certificate") if "certificate" in columns else None
    numbers = [n for row in rows for i, n in enumerate(row) if (i, n) != (may_lack, None)]
    numbers += filter(None, [made["maximum"]])
    whole = all(len(row) == len(columns) for row in rows) and all(map(_finite, numbers))
    steps = [0, *range(settings["log_every"], settings["steps"], settings["log_every"])]
    return found if whole and [row[0] for row in rows] == [*steps, settings["steps"]] else None


def _finite(value):
    return isinstance(value, float | int) and math.isfinite(value)


def _make(runs, folder, options):
    present = key({})
    waiting = [run for run in runs if result(folder, run, present) is None]
    view = progress.View(runs, unchanged=len(runs) - len(waiting), things="runs")
    view.line(f"{len(runs)} runs: {len(runs) - len(waiting)} done before")
    if options.prepare:
        groups = _groups(waiting, folder, options)
        view.line("\n".join(str(folder / "groups" / f"{name}.json") for name in groups))
        return 0
    for run in runs:
        (folder / "failed" / f"{run['id']}.json").unlink(missing_ok=True)
    ended = _execute(waiting, folder, options, view) if waiting else None
    records = [record for run in runs if (record := result(folder, run, present))]
    failed = [run for run in runs if result(folder, run, present) is None]
    rows = summarize(records)
    write(folder / "summary.json", dump({"rows": rows, "failed": failed}))
    write(folder / "summary.csv", to_csv(rows))
    if records:
        pictures.draw(folder / "figures", records)
    view.line(table(rows))
    view.line(f"{len(records)} of {len(runs)} runs are in {folder / 'summary.csv'}")
    silent = [run for run in failed if not (folder / "failed" / f"{run['id']}.json").exists()]
    if ended and silent:
        view.line(f"{len(silent)} runs ended without a word: Snakemake's full log is {ended.log}")
    return 1 if failed else 0


def _execute(waiting, folder, options, view):
    """Put the runs into jobs, and have Snakemake execute these."""
    groups = _groups(waiting, folder, options)
    attempt = groups[0].partition("-")[0]
    arguments = ["--config", f"attempt={attempt}", f"groups={len(groups)}"]
    return drive.snakemake("Sweep", folder, arguments, options, view)


def _groups(waiting, folder, options):
    """Write one file for each job; their names, which end in numbers from 0."""
    # Enough jobs for all cores, each with several runs, since a job takes seconds to start.
    width = drive.Profile.find(options.profile).width(options.cores)
    size = min(options.group, math.ceil(len(waiting) / width))
    groups = [waiting[start : start + size] for start in range(0, len(waiting), size)]
    for name in ("groups", "done"):
        for old in (folder / name).glob("*.json"):
            old.unlink()
    attempt = attempt_at(time.time_ns())
    for number, group in enumerate(groups):
        write(folder / "groups" / f"{attempt}-{number}.json", dump(group))
    return [f"{attempt}-{number}" for number in range(len(groups))]


def attempt_at(nanoseconds):
    """A name of its own for each attempt: no job of a sweep that was killed takes part in the next.

    It begins with a letter, or Snakemake would take 383331e6 for a number.
    """
    return "t" + hashlib.sha256(str(nanoseconds).encode()).hexdigest()[:8]


def summarize(records):
    """One row for each choice of settings: mean, standard deviation and range over seeds."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(dump(record["run"]["settings"]), []).append(record["run"])
    rows = []
    for runs in groups.values():
        row = {"settings": runs[0]["settings"], "seeds": [run["seed"] for run in runs]}
        for name in FINAL:
            values = [run["rows"][-1][run["columns"].index(name)] for run in runs]
            row[name] = spread(values)
        short = [run["maximum"] - run["rows"][-1][1] for run in runs if run["maximum"] is not None]
        if short:
            row["below_maximum"] = spread(short)
        rows.append(row)
    return rows


def spread(values):
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {
        "mean": statistics.fmean(values),
        "sd": deviation,
        "min": min(values),
        "max": max(values),
    }


def varying(rows):
    """The settings that differ between rows."""
    names = rows[0]["settings"] if rows else []
    return [n for n in names if len({dump(row["settings"][n]) for row in rows}) > 1]


def table(rows):
    """Rows as text: the settings that vary, then mean ± standard deviation."""
    lines = []
    for row in rows:
        chosen = " ".join(f"{name}={row['settings'][name]}" for name in varying(rows))
        numbers = " ".join(
            f"{name} {row[name]['mean']:.4g} ± {row[name]['sd']:.2g}"
            for name in (*FINAL, "below_maximum")
            if name in row
        )
        lines.append(f"  {chosen + ': ' if chosen else ''}{len(row['seeds'])} seeds, {numbers}")
    return "\n".join(lines)


def to_csv(rows):
    """Rows as CSV: every setting, the number of seeds, and the spread of every number."""
    text = io.StringIO()
    numbers = [name for name in (*FINAL, "below_maximum") if any(name in row for row in rows)]
    parts = ("mean", "sd", "min", "max")
    names = list(rows[0]["settings"]) if rows else []
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, "seeds", *(f"{n}_{part}" for n in numbers for part in parts)])
    for row in rows:
        values = [row.get(n, {}).get(part, "") for n in numbers for part in parts]
        writer.writerow([*(row["settings"][n] for n in names), len(row["seeds"]), *values])
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(main())
