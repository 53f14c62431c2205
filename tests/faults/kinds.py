"""The faults: each harms a book or a run of it, in one phase, in one way."""

from __future__ import annotations

import contextlib
import os
import re
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
    "sweep": "workflow.trainings",
    "set-up": "-m pip install",
}
#: What the phase is of, if not of a book.
THINGS = {"sweep": "sweep", "set-up": "set-up"}
#: Steps of a set-up, by words of their command lines.
STEPS = {
    "making .venv": "-m venv",
    "installing packages": "requirements/book.lock",
    "adding a group": "requirements/test.lock",
}


#: Seconds after which a phase is broken off, where it does not last long.
DELAYS = {"collection": (0.0, 0.1)}


@dataclass(frozen=True)
class Fault:
    """``harm`` takes a book that was built (or, for ``fresh``, that was not) and harms it.

    It may run the book itself and returns whether it met what it waited for. After it the command
    that the reader gave must end with status 0 and the result of an unbroken run, at the first
    try, or at the second if the first one tells a reason. On code with the weakness ``lost_if`` it
    must not. ``how`` tells apart what is one row of the table, ``subject``.
    """

    phase: str
    subject: str
    how: str
    harm: Callable[[Toy], bool]
    lost_if: str = "believed"
    fresh: bool = False
    short: bool = False

    @property
    def name(self) -> str:
        return f"{self.subject} {self.how}"

    @property
    def thing(self) -> str:
        return THINGS.get(self.phase, "book")

    @property
    def row(self) -> tuple[str, str]:
        return self.phase, self.subject

    @property
    def kind(self) -> tuple[str, str]:
        """Faults that one weakness loses alike: delays and sizes, but not kinds of damage."""
        return self.phase, self.subject if self.fresh else self.name


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
#: What even weakened code survives is not counted.
HARMLESS = {("stage/_config.yml", removed)}
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
    "sweep": ("runs/*.json",),
}


#: The short form: each kind of file and of harm, and each way of being killed, once.
SHORT = {
    *(("executed/one.ipynb", cut), ("runs/one.json", emptied), ("stamps/one.json", removed)),
    *(("claims.json", foreign), ("claims.checked", removed), ("site/index.html", cut)),
    *(("stage/notebooks/one.ipynb", foreign), ("jupyter-book/_build/html/searchindex.js", cut)),
    *(("execution", "job", "after 0.3 s"), ("collection", "driver", "after 0.1 s")),
    *(("building", "all", "after 0.3 s"), ("Sphinx", "driver", "after 0.3 s")),
    *(("execution", "Ctrl-C", "after 0.3 s"), ("execution", "driver", "after 0.3 s")),
    *(("sweep", "all", "after one run"), ("set-up", "driver", "while installing packages")),
    ("runs/*.json", cut),
}


def damage(file: str, how: Callable[[Path], None]) -> Callable[[Toy], bool]:
    def harm(toy: Toy) -> bool:
        how(min(toy.build.glob(file)))
        if file.startswith(("stage", "jupyter-book")):  # read only where the site is built anew
            (toy.build / "site" / "build.json").unlink()
        return True

    return harm


def weakness(file: str) -> str:
    """On what code damage to a file is lost."""
    found = {"stamps": "unstamped", "stage": "unstaged", "jupyter-book": "resumed"}
    return found.get(file.partition("/")[0], "believed")


# --- processes -----------------------------------------------------------------------------------


def processes(toy: Toy, words: str) -> list[int]:
    """Processes of this book whose command line has these words."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            here = str(toy.root) in line or os.readlink(folder / "cwd").startswith(str(toy.root))
        except OSError:
            continue
        if here and words in line and "/bin/sh" not in line and "bash" not in line[:12]:
            found.append(int(folder.name))
    return found


def killed(words: str, who: str, delay: float, after: str = "") -> Callable[[Toy], bool]:
    """Kill the driver, the whole group or the job itself, some time after a phase has begun.

    The phase is known by words of a command line and, if need be, a file that it must have made.
    Ctrl-C asks the whole group to end, which it does without a traceback and says how to go on.
    """

    def harm(toy: Toy) -> bool:
        for _ in range(3):  # a phase of a moment may be missed on a busy machine
            process = toy.start(*toy.abreast)
            while process.poll() is None:
                found = processes(toy, words)
                if found and (not after or any(toy.build.glob(after))):
                    time.sleep(delay)
                    met = end(process, found)
                    output, _ = process.communicate(timeout=120)
                    if who == "Ctrl-C":
                        said = "Traceback" not in output and re.search("goes on|again", output)
                        return process.returncode == 130 and bool(said)
                    if met:
                        return True
                    break
                time.sleep(0.003)
            else:
                process.communicate()
            shutil.rmtree(toy.build, ignore_errors=True)
        return False

    def end(process: subprocess.Popen[str], jobs: list[int]) -> bool:
        met, sign = False, signal.SIGINT if who == "Ctrl-C" else signal.SIGKILL
        for target in jobs if who == "job" else [process.pid]:
            with contextlib.suppress(ProcessLookupError):  # one that has ended meanwhile
                (os.killpg if who in ("all", "Ctrl-C") else os.kill)(target, sign)
                met = True
        return met

    return harm


def kills() -> Iterator[tuple[str, str, str, Callable[[Toy], bool]]]:
    """Phase, who is killed, when, and the kill."""
    for phase, words in PHASES.items():
        for who in ("driver", "all", "job", "Ctrl-C"):
            if phase == "set-up":
                steps = list(STEPS) if who in ("driver", "all") else ["installing packages"]
                for step in steps:
                    yield phase, who, f"while {step}", killed(STEPS[step], who, 0.2)
            elif phase == "sweep":
                yield phase, who, "after one run", killed(words, who, 0.0, "runs/*.json")
            else:
                for delay in DELAYS.get(phase, (0.0, 0.3, 1.0)):
                    yield phase, who, f"after {delay:.1f} s", killed(words, who, delay)


def unheard(toy: Toy) -> bool:
    """Whoever reads what the run says goes away, as `head` does."""
    process = toy.start("--cores", "2")
    assert process.stdout
    process.stdout.readline()
    process.stdout.close()
    return process.wait(timeout=60) != 0


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
                if (file, how) in HARMLESS:
                    continue
                harm, short = damage(file, how), (file, how) in SHORT
                yield Fault(phase, file, how.__name__, harm, weakness(file), short=short)
    for phase, who, how, harm in kills():
        subject = who if who == "Ctrl-C" else f"{who} killed"
        short = (phase, who, how) in SHORT
        yield Fault(phase, subject, how, harm, fresh=True, short=short)
    yield Fault("any", "output", "closed", unheard, fresh=True, short=True)
    for kilobytes in (8, 60, 200, 3000, 9000, 12000):
        harm, how = full_disk(kilobytes), f"at {kilobytes} kB"
        yield Fault("any", "disk full", how, harm, fresh=True, short=kilobytes == 200)
    for subject, how, harm in (
        ("two runs", "at once", two_at_once),
        ("build folder removed", "beside a run", cleaned_beside),
    ):
        yield Fault("any", subject, how, harm, "unlocked", fresh=True, short=True)
