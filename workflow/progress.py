"""Steps report by lines on their standard output; the driver turns them into one readable view."""

import fcntl
import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


class Problem(Exception):
    """Something the reader can put right, told in one sentence."""


MARK = "@book "
DRIVER = "COMPANION_DRIVER"
REPORTS = "COMPANION_REPORTS"
LOCK = "COMPANION_LOCK"

_held: list[Any] = []


def report(event, **details):
    """Tell the driver; a step run by hand or on a cluster prints the same in plain words."""
    line = f"{MARK}{json.dumps({'event': event, **details})}\n"
    if DRIVER in os.environ:
        # One write for a line: chapters that run side by side share this pipe.
        os.write(1, line.encode())
        return
    words = ", ".join(f"{name} {value}" for name, value in details.items())
    print(f"{event}: {words}", flush=True)
    if REPORTS in os.environ:
        # A job on another machine: a file of its own, in the folder that the driver follows.
        path = Path(os.environ[REPORTS], f"{socket.gethostname()}-{os.getpid()}")
        with suppress(OSError), path.open("a") as file:
            file.write(line)


class Reports:
    """What jobs on other machines report: lines in the files of one folder, each read once."""

    def __init__(self, folder):
        self.folder = folder
        self.read: dict[Path, int] = {}

    def new(self):
        """The events reported since the last call."""
        found: list[dict[str, Any]] = []
        for path in sorted(self.folder.iterdir()):
            begin = self.read.get(path, 0)
            with path.open("rb") as file:
                file.seek(begin)
                text = file.read()
            end = text.rfind(b"\n") + 1
            self.read[path] = begin + end
            found += filter(None, map(parse, text[:end].decode().splitlines()))
        return found


def parse(line):
    """The event in a line of output; None if the line is something else."""
    return json.loads(line[len(MARK) :]) if line.startswith(MARK) else None


def end_with_driver(end=None):
    """End this process soon after the driver that started it is gone, even by `kill -9`.

    `end` asks it to end in its own way, for which it has a minute.
    """
    if DRIVER not in os.environ:
        return
    hold_lock()
    driver = int(os.environ[DRIVER])

    def watch():
        while lives(driver):
            time.sleep(0.5)
        if end:
            end()
            time.sleep(60)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def hold_lock():
    """Share the lock of all that write for this driver; the next driver waits for it."""
    if LOCK in os.environ:
        with suppress(OSError):
            _held.append(open(os.environ[LOCK], "a"))
            fcntl.flock(_held[-1], fcntl.LOCK_SH)


def job(main):
    """Run `main` with the words of the command line, and end: 0, or 1 with the reason reported."""
    end_with_driver()
    try:
        status = main(*sys.argv[1:])
    except Problem as problem:
        report("failed", text=str(problem))
        status = 1
    except OSError as error:
        report("failed", text=unwritten(error))
        status = 1
    sys.exit(status)


def unwritten(error):
    """A full disk, or a folder that may not be written, in a sentence: no traceback."""
    where = f" {error.filename}" if error.filename else ""
    return f"Could not read or write{where}: {error.strerror or error}."


def lives(process):
    """Whether a process is there and has not ended: one that nobody has waited for is a zombie."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):  # where there is no /proc, as on macOS
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


class View:
    """Chapters (or runs of a sweep) done of all, and the cell each running chapter is at."""

    def __init__(self, chapters, unchanged, stream=None, things="chapters"):
        self.total, self.done, self.things = len(chapters), unchanged, things
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.running, self.printed = {}, {}

    def show(self, event):
        kind, chapter = event["event"], event.get("chapter", "")
        if kind == "cell":
            self.running[chapter] = (event["cell"], event["cells"])
            self._cells(chapter)
        elif kind == "executed":
            self.running.pop(chapter, None)
            self.done += 1
            seconds, cells = event["seconds"], event["cells"]
            self.line(
                f"[{self.done}/{self.total} chapters] {chapter}: {cells} cells in {seconds:.1f} s"
            )
        elif kind == "ran":
            self.done += 1
            self.line(
                f"[{self.done}/{self.total} {self.things}] {chapter}: {event['seconds']:.1f} s"
            )
        else:
            self.running.pop(chapter, None)
            self.line(event["text"])

    def line(self, text):
        if self.live:
            self.stream.write("\r\033[K")
        print(text, file=self.stream, flush=True)

    def _cells(self, chapter):
        if self.live:
            parts = [f"{name} {cell}/{cells}" for name, (cell, cells) in self.running.items()]
            text = f"{self.done}/{self.total} chapters · cell " + " · ".join(parts)
            self.stream.write("\r\033[K" + text[:100])
            self.stream.flush()
        elif time.monotonic() - self.printed.get(chapter, -60) > 10:
            self.printed[chapter] = time.monotonic()
            self.line(f"  {chapter}: cell {self.running[chapter][0]}/{self.running[chapter][1]}")
