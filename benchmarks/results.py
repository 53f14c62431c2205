"""The file of results: one entry for each row, with the words of the row and its measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import HOME, Row
from workflow.project import dump, load, write

__all__ = ["QUIET", "RESULTS", "merge", "published", "read", "save", "unmeasured"]

RESULTS = HOME / "benchmarks" / "results.json"


#: Where others keep this many cores busy, what they do is in the numbers too.
QUIET = 0.5


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a file of results; none if there is no such file."""
    return (load(path) or {"rows": []})["rows"]


def merge(
    rows: Sequence[Row], before: Sequence[Mapping[str, Any]], new: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Entries of all ``rows``: their present words, and the newest measurement of each.

    ``new`` holds what came of the rows that were run. A row that was left out keeps what was
    measured before; one that failed, or whose results differed, does not.
    """
    kept = {entry["name"]: entry.get("measurement") for entry in before}
    entries = []
    for row in rows:
        measurement = kept.get(row.name)
        latest = new.get(row.name)
        if latest is not None and (latest["status"] != "left out" or not _measured(measurement)):
            measurement = latest
        if measurement is None:
            measurement = {"status": "left out", "reason": "not measured yet"}
        entries.append({"name": row.name, **row.words(), "measurement": measurement})
    return entries


def published(measurement: dict[str, Any]) -> dict[str, Any]:
    """What the book shows of a measurement: that it was disturbed, where it was."""
    others = measurement.get("others", 0.0)
    if others < QUIET:
        return measurement
    return {"status": "left out", "reason": f"others kept {others} cores busy meanwhile"}


def _measured(measurement: Mapping[str, Any] | None) -> bool:
    return measurement is not None and measurement["status"] != "left out"


def unmeasured(rows: Sequence[Row], entries: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The ``rows`` that no run on a quiet machine has measured.

    Races between equals come first, in the order of the page, and among them what was never
    measured; rows against code that does more come last.
    """
    made = {entry["name"]: entry.get("measurement") or {} for entry in entries}

    def others(row: Row) -> float:
        found = made.get(row.name, {})
        return found.get("others", math.inf) if found.get("status") == "measured" else math.inf

    left = [row for row in rows if others(row) >= QUIET]
    return sorted(left, key=lambda row: (bool(row.differs), others(row) < math.inf))


def save(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write the whole file or nothing."""
    write(path, dump({"rows": list(entries)}))
