"""The faults: each harms a book or a run of it, in one phase, in one way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.workflow.conftest import Toy

#: What runs in a phase, by words of its command line.
PHASES = {
    "execution": "workflow.execute",
    "collection": "workflow.claims",
    "building": "workflow.site",
    "Sphinx": "jupyter_book.cli",
}


@dataclass(frozen=True)
class Fault:
    """``harm`` takes a book that was built (or, for ``fresh``, that was not) and harms it.

    It may run the book itself and returns whether it met what it waited for. After it the command
    that the reader gave must end with status 0 and the result of an unbroken run, at the first
    try, or at the second if the first one tells a reason.
    """

    name: str
    phase: str
    harm: Callable[[Toy], bool]
    fresh: bool = False
    short: bool = False


# --- files ---------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")
    os.utime(path, (1e9, 1e9))


def foreign(path: Path) -> None:
    path.write_text('{"cells": [], "claims": [], "values": {}, "key": {}}')


def removed(path: Path) -> None:
    path.unlink()


HARMS = (cut, emptied, foreign, removed)
FILES = {
    "execution": ("executed/one.ipynb", "runs/one.json", "stamps/one.json"),
    "collection": ("claims.json", "claims.checked", "stamps/claims", "stamps/check"),
    "building": ("site/build.json", "site/index.html", "site/notebooks/one.html", "stamps/site"),
    "Sphinx": (
        "stage/notebooks/one.ipynb",
        "stage/_config.yml",
        "jupyter-book/_build/.doctrees/environment.pickle",
        "jupyter-book/_build/.doctrees/notebooks/one.doctree",
        "jupyter-book/_build/html/searchindex.js",
        "site/searchindex.js",
    ),
}


def damage(file: str, how: Callable[[Path], None]) -> Callable[[Toy], bool]:
    def harm(toy: Toy) -> bool:
        how(toy.build / file)
        return True

    return harm


# --- processes -----------------------------------------------------------------------------------


def processes(toy: Toy, words: str) -> list[int]:
    """Processes of this book whose command line has these words."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode(errors="replace")
            here = str(toy.root) in line or os.readlink(folder / "cwd").startswith(str(toy.root))
        except OSError:
            continue
        if here and words in line and "/bin/sh" not in line and "bash" not in line[:12]:
            found.append(int(folder.name))
    return found


def killed(phase: str, who: str, delay: float) -> Callable[[Toy], bool]:
    """Kill the driver, the whole group or the job itself, some time after a phase has begun."""

    def harm(toy: Toy) -> bool:
        process = toy.start("--cores", "2")
        while process.poll() is None:
            found = processes(toy, PHASES[phase])
            if found:
                time.sleep(delay)
                if who == "driver":
                    process.kill()
                elif who == "all":
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    for job in found:
                        try:
                            os.kill(job, signal.SIGKILL)
                        except ProcessLookupError:
                            continue
                process.communicate(timeout=120)
                return True
            time.sleep(0.003)
        process.communicate()
        return False

    return harm


def stopped(delay: float) -> Callable[[Toy], bool]:
    """Ctrl-C."""

    def harm(toy: Toy) -> bool:
        process = toy.start("--cores", "2")
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=120)
        return process.returncode in (0, 130) and "Traceback" not in output

    return harm


def two_at_once(toy: Toy) -> bool:
    first, second = toy.start(), toy.start()
    outputs = [process.communicate(timeout=300)[0] for process in (first, second)]
    statuses = sorted((first.returncode, second.returncode))
    return statuses == [0, 2] and sum("Another run is using" in text for text in outputs) == 1


def cleaned_beside(toy: Toy) -> bool:
    """The build folder is removed while a run is writing to it; another run is then refused."""
    process = toy.start()
    while process.poll() is None and not (toy.build / "running").exists():
        time.sleep(0.01)
    shutil.rmtree(toy.build, ignore_errors=True)
    status, output = toy.run()
    refused = status == 2 and "Another run is using" in output
    process.communicate(timeout=300)
    return refused


# --- a full disk ---------------------------------------------------------------------------------


def full_disk(kilobytes: int) -> Callable[[Toy], bool]:
    """The build folder is a file system of so many kB, which fills up; then it gets room."""

    def harm(toy: Toy) -> bool:
        toy.build.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(toy.build)]
        if subprocess.run(mount, capture_output=True).returncode:
            raise Unavailable("only root may mount a small file system")
        status, output = toy.run()
        if status == 0 or "Traceback" in output or "o space left" not in output:
            print(f"    full disk: status {status}:\n{output[-1500:]}")
            return False
        subprocess.run(["mount", "-o", "remount,size=400m", str(toy.build)], check=True)
        return True

    return harm


class Unavailable(Exception):
    """The fault can't be planted here, and why."""


# --- all -----------------------------------------------------------------------------------------


def faults() -> Iterator[Fault]:
    for phase, files in FILES.items():
        for file in files:
            for how in HARMS:
                name = f"{file} {how.__name__}"
                short = how is cut and not file.startswith(("stamps", "stage"))
                yield Fault(name, phase, damage(file, how), short=short)
    for phase in PHASES:
        for who in ("driver", "all", "job"):
            for delay in (0.0, 0.3, 1.0):
                name = f"{who} killed after {delay:.1f} s"
                yield Fault(name, phase, killed(phase, who, delay), True, delay == 0.3)
    for delay in (0.5, 1.5, 3.0, 6.0):
        yield Fault(f"Ctrl-C after {delay:.1f} s", "any", stopped(delay), True, delay == 1.5)
    for kilobytes in (8, 60, 200, 3000, 9000, 12000):
        name = f"disk full at {kilobytes} kB"
        yield Fault(name, "any", full_disk(kilobytes), True, kilobytes == 200)
    yield Fault("two runs at once", "any", two_at_once, True, True)
    yield Fault("build folder removed beside a run", "any", cleaned_beside, True, True)
