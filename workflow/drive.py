"""Start Snakemake for the book or a sweep: on this machine, or on a cluster with another profile.

What the jobs report comes back to the driver: from this machine through a pipe, from a cluster
through files in `reports/`, since its jobs are no children of ours and may run elsewhere.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from workflow import progress
from workflow.progress import Problem
from workflow.project import HOME

#: Seconds that the next run waits for processes of a killed one: they end by themselves in one.
LEFT_BEHIND = 30

PROFILES = Path(__file__).with_name("profiles")
#: Executors that Snakemake brings itself.
BUILT_IN = ("local", "dryrun", "touch")


def driver(main):
    """A command's `main` with one sentence and a status for what stops it: no traceback."""

    @wraps(main)
    def told(arguments=None):
        try:
            return main(arguments)
        except Problem as problem:
            print(problem, file=sys.stderr)
            return 2
        except OSError as error:
            print(progress.unwritten(error), file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\nStopped. The same command goes on where it stopped.", file=sys.stderr)
            return 130

    return told


@dataclass(frozen=True)
class Profile:
    """A folder with Snakemake options in `config.yaml`: who executes the jobs, and how many."""

    folder: Path
    settings: dict[str, Any]

    @classmethod
    def find(cls, name):
        """The profile of that name in `workflow/profiles`, or in a folder of the reader's own."""
        for folder in (PROFILES / name, Path(name).expanduser().resolve()):
            path = folder / "config.yaml"
            if path.is_file():
                break
        else:
            known = ", ".join(sorted(path.parent.name for path in PROFILES.glob("*/config.yaml")))
            raise Problem(
                f"There is no profile {name!r}: choose one of {known}, "
                "or name a folder that has a config.yaml."
            )
        try:
            settings = yaml.safe_load(path.read_text("utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise Problem(f"{path} is not readable YAML: {error}.") from None
        if not isinstance(settings, dict):
            raise Problem(f"{path} must map names of Snakemake options to values.")
        return cls(folder, settings)

    @property
    def remote(self):
        """Whether others than this machine's processes execute the jobs."""
        return self.settings.get("executor", "local") != "local"

    def width(self, asked):
        """Jobs side by side: what was asked for, else all cores here, the profile's jobs there."""
        if asked:
            return asked
        if not self.remote:
            return available_cores()
        jobs = self.settings.get("jobs", 1)
        return jobs if isinstance(jobs, int) else sys.maxsize  # "unlimited"

    def arguments(self, asked):
        """Snakemake's options for this profile."""
        given = ["--workflow-profile", str(self.folder)]
        if not self.remote:
            return [*given, "--cores", str(self.width(asked))]
        return [*given, "--jobs", str(asked)] if asked else given

    def check(self, words):
        """Refuse an executor that is asked for, here or by options after --, and not installed."""
        given = [word.lstrip("-") for text in words for word in text.split("=")]
        executors = [self.settings.get("executor", "local")]
        executors += [b for a, b in pairwise(given) if a in ("executor", "e")]
        executors += ["slurm" for name in (*self.settings, *given) if name.startswith("slurm-")]
        for name in executors:
            plugin = f"snakemake_executor_plugin_{name.replace('-', '_')}"
            if name not in BUILT_IN and find_spec(plugin) is None:
                by = "`make setup-cluster` installs it" if name == "slurm" else "install it"
                raise Problem(f"What submits to {name} is not installed: {by} ({plugin}).")


@contextmanager
def exclusive(build):
    """One run at a time in a build folder, and none beside what is left of a killed one.

    The driver holds one lock; every process that writes for it shares a second one, which the next
    driver waits for. Both lie beside the folder, where `make clean` leaves them alone.
    """
    one, jobs = (build.with_name(f".{build.name}.{name}") for name in ("lock", "jobs"))
    try:
        build.mkdir(parents=True, exist_ok=True)
        lock = one.open("w")
    except OSError as error:
        reason = (error.strerror or "not possible").lower()
        raise Problem(f"Cannot write to the output folder {build}: {reason}.") from None
    with lock:
        if not _locked(lock):
            raise Problem(f"Another run is using {build}: wait for it to end.")
        with jobs.open("w") as left:
            end = time.monotonic() + LEFT_BEHIND
            while not _locked(left):
                if time.monotonic() > end:
                    raise Problem(f"What is left of a killed run still writes to {build}: end it.")
                time.sleep(0.2)
        os.environ[progress.LOCK] = str(jobs)
        yield


def _locked(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks, as on some clusters
    return True


@dataclass(frozen=True)
class Ended:
    """How Snakemake ended: its status, its log, and whether a job has said what went wrong."""

    status: int
    log: Path
    explained: bool

    def tail(self, lines=15):
        with suppress(OSError):
            return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])
        return ""


def add_options(parser, what):
    """`--cores` and `--profile`, the same for every driver."""
    parser.add_argument(
        "--cores",
        type=int,
        help=f"{what} side by side (default: all cores; on a cluster, the jobs of the profile)",
    )
    parser.add_argument(
        "--profile",
        default="local",
        help="local or slurm (in workflow/profiles), or a folder of your own with a config.yaml; "
        "what follows -- goes to Snakemake",
    )


def parse(parser, arguments):
    """Options, with `snakemake` holding what follows `--`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:cut])
    options.snakemake = arguments[cut + 1 :]
    if options.cores is not None and options.cores < 1:
        parser.error(f"--cores must be at least 1: found {options.cores}")
    return options


def snakemake(snakefile, folder, arguments, options, view):
    """Run Snakemake in `folder`, showing what the jobs report and keeping its log in a file."""
    profile = Profile.find(options.profile)
    profile.check(options.snakemake)
    # Targets first: some options of Snakemake take every word that follows.
    command = [sys.executable, "-P", "-m", "workflow.engine", *arguments]
    command += ["--snakefile", str(Path(__file__).with_name(snakefile))]
    command += ["--directory", str(folder), *profile.arguments(options.cores), *options.snakemake]
    path = [str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        progress.DRIVER: str(os.getpid()),
        "PYTHONPATH": os.pathsep.join(path),
    }
    log = folder / "logs" / "snakemake.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    told: set[str] = set()

    def show(event):
        told.add(event["event"])
        view.show(event)

    run = _on_a_cluster if profile.remote else _here
    status = run(command, environment, log, folder / "reports", show)
    return Ended(status, log, bool(told & {"failed", "claim"}))


def _here(command, environment, log, _, show):
    with log.open("w") as kept:
        pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, env=environment, text=True, **pipe) as process:
            try:
                for line in process.stdout or ():
                    event = progress.parse(line)
                    if event is None:
                        with suppress(OSError):  # a full disk is said by those who need it
                            kept.write(line)
                            kept.flush()
                    else:
                        show(event)
                return process.wait()
            except KeyboardInterrupt:
                process.wait()
                raise
            except BaseException:  # as where nobody reads what we say: the jobs end with us
                process.kill()
                raise


def _on_a_cluster(command, environment, log, reports, show):
    """Snakemake writes to its log itself: it has jobs to cancel even when this driver is gone."""
    with _alone(log.with_name("snakemake.lock")) as lock:
        _cancel_left(log)
        shutil.rmtree(reports, ignore_errors=True)
        reports.mkdir()
        environment = environment | {progress.REPORTS: str(reports)}
        files: dict[str, Any] = {"stderr": subprocess.STDOUT, "pass_fds": [lock.fileno()]}
        with log.open("w") as kept, _following(reports, show):
            process = subprocess.Popen(command, env=environment, stdout=kept, **files)
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.wait()
                raise


@contextmanager
def _alone(path):
    """Wait for the Snakemake of a driver that was killed: it cancels its jobs and tidies up.

    The lock is handed to our own Snakemake, which holds it as long as it lives.
    """
    with path.open("w") as lock:
        with suppress(OSError):  # a file system without locks, as on some clusters
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def _cancel_left(log):
    """Cancel the Slurm jobs of a run that was killed so that it could not: they race with ours."""
    text = log.read_text("utf-8", "replace") if log.is_file() else ""
    for name in re.findall(r"SLURM run ID: (\S+)", text):
        if shutil.which("scancel"):
            subprocess.run(["scancel", "--quiet", f"--name={name}"], capture_output=True)


@contextmanager
def _following(folder, show):
    """Show the reports in a folder while they are written."""
    reports, over = progress.Reports(folder), threading.Event()

    def follow():
        while not over.wait(0.5):
            for event in reports.new():
                show(event)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for event in reports.new():
            show(event)


def available_cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
