"""Time two sides in turn, compare their results, and keep medians with their spread."""

from __future__ import annotations

import gc
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from workflow.execute import QUIET

__all__ = [
    "Check",
    "LeftOut",
    "Measured",
    "Pair",
    "Row",
    "Setting",
    "Spread",
    "Target",
    "alternate",
    "command",
    "constant",
    "peak_memory",
    "spread",
]


class LeftOut(Exception):
    """A row can't be measured here; the message says why."""


HOME = Path(__file__).resolve().parents[1]
#: One timing lasts at least this long: short work is repeated within it.
SHORTEST = 0.05


@dataclass(frozen=True)
class Spread:
    """A measured quantity: its median and its range over the repetitions."""

    median: float
    low: float
    high: float
    unit: str = ""


def spread(values: list[float], unit: str = "") -> Spread:
    """Median, smallest and largest of ``values``.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not values:
        raise ValueError("values must hold at least one measurement: got none")
    return Spread(statistics.median(values), min(values), max(values), unit)


def constant(value: float, unit: str = "") -> Spread:
    """A quantity that is computed, not timed: it has no spread."""
    return Spread(float(value), float(value), float(value), unit)


@dataclass(frozen=True)
class Target:
    """What a measured quantity should reach: ``at_least`` or ``at_most`` a value."""

    quantity: str
    words: str
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(
                f"a target needs exactly one of at_least and at_most: {self.quantity} has "
                f"{self.at_least} and {self.at_most}"
            )


@dataclass(frozen=True)
class Check:
    """That both sides came to the same result, or that ours is at least (at most) the peer's.

    ``tolerance`` is relative to max(1, |peer|). A value that is not a number agrees with nothing.
    """

    what: str
    ours: float
    peer: float
    tolerance: float
    relation: Literal["equal", "at least", "at most"] = "equal"

    @property
    def holds(self) -> bool:
        if not (math.isfinite(self.ours) and math.isfinite(self.peer)):
            return False
        slack = self.tolerance * max(1.0, abs(self.peer))
        above, below = self.ours >= self.peer - slack, self.ours <= self.peer + slack
        return bool({"equal": above and below, "at least": above, "at most": below}[self.relation])

    def to_json(self) -> dict[str, Any]:
        values = {"ours": float(self.ours), "peer": float(self.peer)}
        return {**asdict(self), **values, "holds": self.holds}


@dataclass(frozen=True)
class Pair:
    """Seconds of one call of each side, timed in turn, and what the warm-up calls returned."""

    ours: list[float]
    peer: list[float]
    results: tuple[Any, Any] = (None, None)

    @property
    def ratio(self) -> Spread:
        """Median of the peer over median of ours; the range is that of neighbouring timings."""
        pairs = [theirs / own for own, theirs in zip(self.ours, self.peer, strict=True)]
        middle = statistics.median(self.peer) / statistics.median(self.ours)
        return Spread(middle, min(pairs), max(pairs), "×")

    @property
    def times(self) -> dict[str, Spread]:
        return {"ours": spread(self.ours, "s"), "peer": spread(self.peer, "s")}


def alternate(
    ours: Callable[[], Any],
    peer: Callable[[], Any],
    repeats: int = 5,
    shortest: float = SHORTEST,
    clock: Callable[[], float] = time.process_time,
) -> Pair:
    """One warm-up call of each side, then ``repeats`` timings of each in turn: A B A B …

    A side whose call is short is called as often as makes one timing at least ``shortest`` seconds.
    What the warm-up calls returned is kept for the checks. The clock is that of the process: what
    else the machine does meanwhile is not counted, and for one thread on an idle machine it is
    elapsed time. It counts every thread, so that a side gains nothing by taking more than one.

    Raises
    ------
    ValueError
        If ``repeats`` is not positive.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1: got {repeats}")
    results, sides = [], []
    for side in (ours, peer):
        start = clock()
        results.append(side())
        sides.append((side, _calls(side, clock() - start, shortest, clock)))
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for (side, calls), kept in zip(sides, seconds, strict=True):
            kept.append(_time(side, calls, clock))
    return Pair(*seconds, results=(results[0], results[1]))


def _calls(
    side: Callable[[], Any], warm_up: float, shortest: float, clock: Callable[[], float]
) -> int:
    if warm_up >= 10 * shortest:
        return 1  # long, whatever of it was warming up
    once = _time(side, 1, clock)
    return max(1, math.ceil(shortest / max(once, 1e-9)))


def _time(side: Callable[[], Any], calls: int, clock: Callable[[], float]) -> float:
    gc.collect()
    gc.disable()
    try:
        start = clock()
        for _ in range(calls):
            side()
        return (clock() - start) / calls
    finally:
        gc.enable()


@dataclass(frozen=True)
class Setting:
    """How a row is to be measured: small sizes or the full ones, and where the official code is."""

    quick: bool = False
    official: Path | None = None

    def pick(self, full: Any, quick: Any) -> Any:
        return quick if self.quick else full

    @property
    def repeats(self) -> int:
        return self.pick(5, 2)


@dataclass(frozen=True)
class Measured:
    """What came of one row: quantities for its targets, checks, times of one call, sizes."""

    quantities: dict[str, Spread]
    checks: list[Check]
    sizes: dict[str, Any]
    times: dict[str, Spread] = field(default_factory=dict)
    precision: str = "float64"
    repeats: int = 1
    threads: int = 1

    @property
    def agrees(self) -> bool:
        """Whether there are checks and all of them hold: without one, nothing was compared."""
        return bool(self.checks) and all(check.holds for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings; quantities only where the results agree."""
        content = {
            "status": "measured" if self.agrees else "differs",
            "times": {name: asdict(value) for name, value in self.times.items()},
            "checks": [check.to_json() for check in self.checks],
            "sizes": self.sizes,
            "precision": self.precision,
            "repeats": self.repeats,
            "threads": self.threads,
        }
        if self.agrees:
            content["quantities"] = {k: asdict(value) for k, value in self.quantities.items()}
        return content


@dataclass(frozen=True)
class Row:
    """One row of the table: what is measured against whom, its targets, and what limits it.

    ``work`` says what both sides do and how their results are compared; ``limits`` is what the page
    gives as the reason where a target is not met. ``needs`` are modules, ``official`` asks for the
    official code: without them the row is left out with that reason. ``differs`` says what the peer
    does that ours leaves out: such a row is no race between equals, and the page says so.
    """

    name: str
    title: str
    peer: str
    work: str
    targets: tuple[Target, ...]
    limits: str
    measure: Callable[[Setting], Measured]
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ("torch", "numpy")
    official: bool = False
    differs: str = ""

    def words(self) -> dict[str, Any]:
        """Everything but the measurement, for the page."""
        return {
            "title": self.title,
            "peer": self.peer,
            "work": self.work,
            "limits": self.limits,
            "differs": self.differs,
            "targets": [asdict(target) for target in self.targets],
        }


def command(words: Sequence[str], home: Path = HOME, limit: float = 1800) -> tuple[float, str]:
    """Seconds and output of a command that must end well; it is ended when ``limit`` is over."""
    environment = os.environ | QUIET | {"PYTHONPATH": str(home)}
    start = time.perf_counter()
    process = subprocess.Popen(
        list(words),
        cwd=home,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        raise RuntimeError(f"{words[0]} took longer than {limit:.0f} s") from None
    if process.returncode:
        raise RuntimeError(f"{' '.join(words[:4])} failed: {output[-1500:]}")
    return time.perf_counter() - start, output


def peak_memory(module: str, function: str, side: int, quick: bool) -> float:
    """Memory in MB that one call of a side adds at its peak, in a process of its own.

    ``module.function(quick)`` returns the two sides; ``side`` is 0 for ours, 1 for the peer's.
    """
    command = [sys.executable, "-m", "benchmarks.memory", module, function, str(side)]
    ended = subprocess.run(
        [*command, "quick" if quick else "full"],
        cwd=HOME,
        text=True,
        capture_output=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"the process that measures memory failed: {ended.stderr[-2000:]}")
    return float(json.loads(ended.stdout.splitlines()[-1])["megabytes"])
