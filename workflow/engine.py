"""Snakemake, ending with the driver that started it."""

import os
import signal
import sys
import threading

from snakemake.cli import main

from workflow.progress import DRIVER, REPORTS, end_with_driver


def cancel():
    """As Ctrl-C does: Snakemake cancels the jobs that it has submitted, and ends."""
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    if REPORTS in os.environ:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal ends the driver, then us
        end_with_driver(cancel)
        del os.environ[DRIVER]  # a cluster's jobs inherit the rest, and the driver is not theirs
    else:
        end_with_driver()
    try:
        sys.exit(main(sys.argv[1:]))
    finally:  # one that asks for more jobs a second later: all have ended, or shall end now
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):
                thread.cancel()
