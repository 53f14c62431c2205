"""Steps report by lines on their standard output; the driver turns them into one readable view."""

import json
import os
import sys
import threading
import time

MARK = "@book "
DRIVER = "COMPANION_DRIVER"


def report(event, **details):
    """Tell the driver; a step run by hand or on a cluster prints the same in plain words."""
    if DRIVER in os.environ:
        # One write for a line: chapters that run side by side share this pipe.
        os.write(1, f"{MARK}{json.dumps({'event': event, **details})}\n".encode())
    else:
        words = ", ".join(f"{name} {value}" for name, value in details.items())
        print(f"{event}: {words}", flush=True)


def parse(line):
    """The event in a line of output; None if the line is something else."""
    return json.loads(line[len(MARK) :]) if line.startswith(MARK) else None


def end_with_driver():
    """End this process soon after the driver that started it is gone, even by `kill -9`."""
    driver = int(os.environ.get(DRIVER, 0))
    if not driver:
        return

    def watch():
        while True:
            time.sleep(0.5)
            try:
                os.kill(driver, 0)
            except ProcessLookupError:
                os._exit(1)
            except PermissionError:
                return

    threading.Thread(target=watch, daemon=True).start()


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
