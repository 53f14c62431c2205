"""What a measurement was made on: processor, cores, versions. No names of hosts or people."""

from __future__ import annotations

import importlib.util
import os
import platform
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

#: Every library that brings threads of its own is held to one.
ONE_THREAD = {
    name: "1"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
}


def processor() -> str:
    """The processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] else platform.processor() or platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Others:
    """How many cores everything else on this machine kept busy since this was made.

    What the processors worked in all, less the work of this process and of its children that have
    ended: unlike a load average it tells neither of what came before nor of the measurement itself.
    """

    def __init__(self) -> None:
        self._began = self._look()

    def cores(self) -> float:
        """Processor time of others per second of the clock."""
        (at, busy, own), (began, before, mine) = self._look(), self._began
        return max(0.0, (busy - before - (own - mine)) / (at - began))

    @staticmethod
    def _look() -> tuple[float, float, float]:
        all_cores, own = psutil.cpu_times(), os.times()
        idle = all_cores.idle + getattr(all_cores, "iowait", 0.0)
        # What guests did stands in user and nice too.
        guests = getattr(all_cores, "guest", 0.0) + getattr(all_cores, "guest_nice", 0.0)
        return time.monotonic(), sum(all_cores) - guests - idle, sum(own[:4])


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of Python and of the ``packages`` that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def missing(modules: Iterable[str]) -> list[str]:
    """Those of ``modules`` that can't be imported."""
    return [name for name in modules if importlib.util.find_spec(name) is None]
