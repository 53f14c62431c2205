"""Peak memory of one call: `python -m benchmarks.memory MODULE FUNCTION SIDE quick|full`."""

from __future__ import annotations

import importlib
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def added(call: Callable[[], Any]) -> float:
    """MB that ``call`` adds, at its peak, to what the process holds before."""
    before = _resident()
    if before is None:  # no /proc: the growth of the process's own maximum
        start = _maximum()
        call()
        return _maximum() - start
    call()
    return _peak() - before


def _maximum() -> float:
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _resident() -> float | None:
    """Resident memory in MB, after setting the recorded peak back to it; None if not possible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return None


def _peak() -> float:
    return _status("VmHWM")


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) * 1024 / 1e6
    raise OSError(f"/proc/self/status has no {name}")


def main(arguments: list[str]) -> int:
    module, function, side, size = arguments
    sides = getattr(importlib.import_module(module), function)(size == "quick")
    print(json.dumps({"megabytes": added(sides[int(side)])}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
