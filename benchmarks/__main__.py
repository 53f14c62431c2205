"""Measure the rows of the table: `python -m benchmarks [--rows WORD] [--unmeasured] [--minutes M]`.

Each row runs in a process of its own with one thread, and is written as it ends. A row whose
results differ from its peer's, or that fails, is said to have done so, and the command ends with
status 1; a row whose peer is not there is left out with the reason.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, official, results
from benchmarks.harness import HOME, Row, Setting
from workflow.progress import Problem

QUICK = HOME / "_build" / "benchmarks-quick.json"


def main(arguments: Sequence[str] | None = None) -> int:
    from benchmarks.rows import ROWS

    options = _options(arguments)
    setting = Setting(options.quick, options.official)
    path = options.output or (QUICK if options.quick else results.RESULTS)
    try:
        chosen = [] if options.refresh else select(ROWS, options.rows)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 2
    if options.unmeasured:
        chosen = results.unmeasured(chosen, results.read(path))
    new: dict[str, dict[str, Any]] = {}
    end = time.monotonic() + 60 * options.minutes
    try:
        for number, row in enumerate(chosen, 1):
            if time.monotonic() >= end:
                print(f"The time is over: {len(chosen) - number + 1} rows are left.")
                break
            print(f"[{number}/{len(chosen)}] {row.name}: {row.title}", flush=True)
            new[row.name] = run(row, setting)
            made = (
                new[row.name]
                if options.output or options.quick
                else results.published(new[row.name])
            )
            results.save(path, results.merge(ROWS, results.read(path), {row.name: made}))
            print("\n".join(f"    {line}" for line in said(row, new[row.name])), flush=True)
    except KeyboardInterrupt:
        print("\nStopped. What was measured is kept.", file=sys.stderr)
        return 130
    if options.refresh:
        results.save(path, results.merge(ROWS, results.read(path), {}))
    print(f"The results are in {path}")
    wrong = [n for n, made in new.items() if made["status"] in ("failed", "differs")]
    if wrong:
        print(f"Failed or with differing results: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--rows", default="", metavar="WORD", help="only rows whose name contains WORD")
    add("--official", type=_folder, metavar="PATH", help=f"a checkout of {official.REPOSITORY}")
    add("--quick", action="store_true", help="small sizes, for tests; the book's results stay")
    quiet = f"only rows never measured while others kept fewer than {results.QUIET} cores busy"
    add("--unmeasured", action="store_true", help=quiet)
    add("--minutes", type=float, default=math.inf, metavar="M", help="begin no row after M minutes")
    add("--output", type=Path, help="file of results (default: benchmarks/results.json)")
    add("--refresh", action="store_true", help="measure nothing, renew the words of every row")
    return parser.parse_args(arguments)


def _folder(path: str) -> Path | None:
    return Path(path).expanduser().resolve() if path else None


def select(rows: Sequence[Row], word: str) -> list[Row]:
    """The rows whose name contains ``word``."""
    chosen = [row for row in rows if word in row.name]
    if not chosen:
        known = ", ".join(row.name for row in rows)
        raise Problem(f"No row has {word!r} in its name; the rows are {known}.")
    return chosen


def left_out(row: Row, setting: Setting) -> str | None:
    """Why a row can't be measured here; ``None`` if it can."""
    absent = machine.missing(row.needs)
    if absent:
        added = ": make setup-jax adds it" if {"jax", "optax"} & set(absent) else ""
        return f"{absent[0]} is not installed here{added}"
    return official.reason(setting.official) if row.official else None


def run(row: Row, setting: Setting) -> dict[str, Any]:
    """The measurement of one row, in a process of its own, with date, versions and processor."""
    why = left_out(row, setting)
    about: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": machine.versions(row.packages),
        "processor": machine.processor(),
        "cores": machine.cores(),
    }
    if why is not None:
        return {"status": "left out", "reason": why}
    if row.official and setting.official is not None:
        about["versions"]["official code, SHA-256"] = official.fingerprint(setting.official)
    started = time.perf_counter()
    measured = _child(row, setting)
    about["seconds"] = round(time.perf_counter() - started, 1)
    return {**about, **measured}


def _child(row: Row, setting: Setting) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "benchmarks.child", row.name, str(answer)]
        command += ["quick" if setting.quick else "full", str(setting.official or "")]
        environment = os.environ | machine.ONE_THREAD | {"PYTHONPATH": str(HOME)}
        ended = subprocess.run(
            command, cwd=HOME, env=environment, text=True, capture_output=True, check=False
        )
        if ended.returncode == 0 and answer.is_file():
            content: dict[str, Any] = json.loads(answer.read_text("utf-8"))
            return content
    lines = [line for line in ended.stderr.splitlines() if line.strip()] or ["no message"]
    print(ended.stderr[-3000:], file=sys.stderr)
    return {"status": "failed", "reason": lines[-1][:300]}


def said(row: Row, made: Mapping[str, Any]) -> list[str]:
    """What came of a row, in lines for the terminal."""
    if made["status"] in ("left out", "failed"):
        return [f"{made['status']}: {made['reason']}"]
    lines = [
        f"{'=' if check['holds'] else '≠'} {check['what']}: {check['ours']:.12g} ours, "
        f"{check['peer']:.12g} peer"
        for check in made["checks"]
    ]
    if made["status"] == "differs":
        return ["RESULTS DIFFER, so that no ratio is given", *lines]
    for target in row.targets:
        found = made["quantities"].get(target.quantity)
        if found is None:
            lines.append(f"? {target.words}: not measured")
            continue
        bound = target.at_least if target.at_most is None else target.at_most
        sign, met = ("≥", "≤")[target.at_most is not None], reached(found["median"], target)
        lines.append(
            f"{'✓' if met else '✗'} {target.words}: {found['median']:.4g}{found['unit']} "
            f"[{found['low']:.4g}, {found['high']:.4g}], target {sign} {bound:g}"
        )
    return lines


def reached(value: float, target: Any) -> bool:
    """Whether a value meets a target."""
    return value >= target.at_least if target.at_most is None else value <= target.at_most


if __name__ == "__main__":
    sys.exit(main())
