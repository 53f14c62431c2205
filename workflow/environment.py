"""The environment that the book runs in: `.venv` from the locks, or the active conda environment.

`make` calls this before everything else, with the group of packages that it needs: what executes
and builds the book, and on demand what tests, benchmarks or a cluster need beside. It is quick when
nothing changed, and it needs nothing but Python itself, because nothing is installed yet when it
first runs.

Every file is checked against the hashes in `requirements/`. torch comes first, because there are
several builds of one version. PyTorch's own CPU builds have a lock, and PyPI's, which on Linux need
CUDA, have another; on Linux the first is tried, and the second serves where pip is offered no CPU
build. (One lock with the hashes of both would not do: pip then prefers PyPI's to a file on a disk.)

`.venv` is believed only if its stamp names the locks, the project file and the folder that are
there now. What is about to change is taken out of the stamp before and put back after. So a set-up
that was killed half-way is done again from the start, a group that was broken off is added again, a
new lock is installed, and a folder that was moved gets an environment of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

ROOT = Path(__file__).resolve().parents[1]
STAMP = "companion-setup.json"
PYTHONS = ("3.11", "3.12", "3.13")

# Extras of pyproject.toml and locks in requirements/; all but the book's hold only what they add.
GROUPS = {
    "book": "What executes the chapters and builds the site.",
    "test": "What the tests and checks need beside.",
    "pdf": "What `make pdf` prints with.",
    "bench": "What `make bench` measures against.",
    "jax": "What the rows of `make bench` against JAX need beside.",
    "cluster": "What submits the workflow to Slurm.",
    "lock": "What renews these locks.",
}
Stamp = dict[str, Any]  # folder: path; project: hash; locks: {name: hash, or None if broken off}


class SetupError(Exception):
    """What is wrong and what to do about it, in one sentence."""


def lock_path(root: Path, name: str) -> Path:
    return root / "requirements" / f"{name}.lock"


def pinned_versions(root: Path, names: Iterable[str] = ()) -> dict[str, str]:
    """Locks as {normalised name: version}, markers and hashes left out.

    All but the grading environment's, which has another version of a package or two.
    """
    pins = {}
    for path in sorted((root / "requirements").glob("*.lock")):
        if path.stem not in names if names else path.stem == "grading":
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                name, _, version = line.split()[0].partition("==")
                pins[normalised(name)] = version.partition("+")[0]
    return pins


def direct_requirements(root: Path, groups: Iterable[str] = GROUPS) -> list[str]:
    """What pyproject.toml asks for, with some of its extras."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {})
    return [*project["dependencies"], *(line for group in groups for line in extras[group])]


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def expected_stamp(root: Path, group: str) -> Stamp:
    torch = digest(lock_path(root, "torch-cpu"), lock_path(root, "torch"))
    groups = {name: digest(lock_path(root, name)) for name in ("book", group)}
    return {
        "folder": str(root),
        "project": digest(root / "pyproject.toml"),
        "locks": {"torch": torch, **groups},
    }


def read_stamp(venv: Path) -> Stamp:
    """The stamp of `.venv`, or {} if there is none that can be read."""
    try:
        stamp = json.loads((venv / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    readable = isinstance(stamp, dict) and {"folder", "project", "locks"} <= stamp.keys()
    return stamp if readable else {}


def write_stamp(venv: Path, stamp: Stamp) -> None:
    """Write the stamp whole or not at all."""
    part = venv / (STAMP + ".part")
    part.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    os.replace(part, venv / STAMP)


def python_version(python: Path) -> str | None:
    """Major and minor version of an interpreter, None if it does not run."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True)
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def run(command: list[str | Path], doing: str) -> None:
    """Run one step of the set-up, or say which one failed."""
    code, _ = attempt(command, doing, keep_errors=False)
    if code:
        raise failed(doing, code)


def attempt(command: list[str | Path], doing: str, keep_errors: bool = True) -> tuple[int, str]:
    """Exit status of one step and, if they are kept, the errors that it would have shown."""
    settings = {"PIP_USER": "0", "PIP_REQUIRE_HASHES": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    errors = subprocess.PIPE if keep_errors else None
    try:
        ended = subprocess.run(
            command,
            env=os.environ | settings,
            close_fds=False,
            stderr=errors,
            text=True,
            preexec_fn=_deaf,
        )
    except OSError as error:
        raise SetupError(f"The set-up stopped while {doing}: {error}.") from error
    return ended.returncode, ended.stderr or ""


def _deaf() -> None:
    """Ctrl-C is for the set-up, which ends its step: pip and venv would show tracebacks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def failed(doing: str, code: int) -> SetupError:
    return SetupError(
        f"The set-up stopped while {doing} (exit status {code}, its message is above); "
        f"run the same make command again once the cause is gone.{full_disks()}"
    )


def full_disks() -> str:
    """A sentence about each disk that a set-up writes to and that has hardly any room left."""
    said = ""
    for place in dict.fromkeys([str(ROOT), os.environ.get("TMPDIR", "/tmp")]):
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(place).free // 1_000_000
            said += f" The disk of {place} has only {free} MB left." if free < 300 else ""
    return said


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Let two makes in one folder set up one after the other.

    The steps inherit the lock: a pip that outlives a killed make is waited for.
    """
    with open(lock_path(root, "book"), "rb") as handle:
        os.set_inheritable(handle.fileno(), True)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another set-up in this folder to end.", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass  # some network file systems cannot lock; then we go on without
        yield


def refuse_path(root: Path) -> None:
    """Refuse what make, Snakemake, setuptools or venv would take for something else.

    Snakemake, for one, looks for its profile as for a pattern: below [a] it finds none, and says
    nothing.
    """
    found = re.search(r"[][\s'{}$:*?\\]", str(root))
    if found:
        character = "a space" if found[0] == " " else repr(found[0])
        raise SetupError(
            f"The book's folder {str(root)!r} has {character} in its path, which make and "
            "Snakemake cannot handle: move or rename it, then run make again."
        )


def ensure_venv(root: Path, group: str = "book", keep_version: bool = True) -> Path:
    """Bring `.venv` in step with the book's locks, then add another group, and return its Python.

    keep_version: whether an existing `.venv` of another Python version than the one that runs
    this may stay (it may, unless the reader named a Python to make).
    """
    refuse_path(root)
    if group != "book":
        ensure_venv(root, "book", keep_version)
    venv = root / ".venv"
    python = venv / "bin" / "python"
    with alone(root):
        wanted, stamp = expected_stamp(root, group), read_stamp(venv)
        version = python_version(python) if stamp else None
        this_version = "{}.{}".format(*sys.version_info[:2])
        whole = (
            version is not None
            and stamp["folder"] == wanted["folder"]
            and (keep_version or version == this_version)
        )
        if not whole:
            make_venv(venv)
            stamp = {"folder": str(root), "project": None, "locks": {}}
        locks = stamp["locks"]
        behind = [name for name, lock in wanted["locks"].items() if locks.get(name) != lock]
        # Where packages are only added, what the stamp says of the others stays true meanwhile.
        adding = whole and not any(locks.get(name) for name in behind)
        if whole and not adding:
            print("The lock changed: bringing .venv in step with it.", flush=True)
            (venv / STAMP).unlink()
        for name in behind:
            broken_off = adding and name in locks
            if adding:
                write_stamp(venv, stamp | {"locks": locks | {name: None}})
            install(root, name, overwrite=broken_off)
            locks[name] = wanted["locks"][name]
        if stamp["project"] != wanted["project"]:
            if adding:
                write_stamp(venv, stamp | {"project": None})
            pip = pip_install(python, "--no-deps", "--no-build-isolation", "--editable", root)
            run(pip, "installing companion")
        elif not behind:
            return python
        write_stamp(venv, wanted | {"locks": locks})
    return python


def make_venv(venv: Path) -> None:
    print(
        "Setting up .venv from requirements/: once, some minutes, about 1 GB; on Linux several GB "
        "more with the CUDA build of torch (README.md says how to keep it small).",
        flush=True,
    )
    (venv / STAMP).unlink(missing_ok=True)
    run([sys.executable, "-m", "venv", "--clear", venv], "making .venv")


def pip_install(python: Path, *arguments: str | Path) -> list[str | Path]:
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    return [python, "-m", "pip", "install", *quiet, *arguments]


def install(root: Path, name: str, overwrite: bool = False) -> None:
    """Install a lock, every file checked against its hashes.

    A lock is complete, so nothing is resolved. What has no wheel is built with the setuptools that
    came with torch, because pip would check no hash of what it fetches for a build of its own.

    overwrite: whether packages that seem to be there are written again, after a break-off.
    """
    options = ["--no-deps", "--require-hashes", "--no-build-isolation", "--use-pep517"]
    options += ["--ignore-installed"] if overwrite else []
    pip = pip_install(root / ".venv" / "bin" / "python", *options, "--requirement")
    if name == "torch":
        install_torch(root, pip)
    else:
        run([*pip, lock_path(root, name)], f"installing requirements/{name}.lock")


def install_torch(root: Path, pip: list[str | Path]) -> None:
    """Install the CPU build of torch where pip is offered one, else PyPI's.

    Who asked for PyTorch's own index, as README does, gets its CPU build or is told why not.
    """
    asked = "download.pytorch.org/whl/cpu" in os.environ.get("PIP_EXTRA_INDEX_URL", "")
    if sys.platform == "linux":
        if _install_torch(root, pip, "torch-cpu", needed=asked):
            return
        print(
            "pip finds no CPU build of torch. PyPI's comes with CUDA, several GB that the book "
            "does not use; README.md says how to keep torch small.",
            flush=True,
        )
    _install_torch(root, pip, "torch", needed=True)


def _install_torch(root: Path, pip: list[str | Path], name: str, needed: bool) -> bool:
    """Whether pip found a build that a lock of torch names; an error if it found a stranger."""
    doing = f"installing requirements/{name}.lock"
    code, errors = attempt([*pip, vouched(root, name)], doing)
    # The second is what pip says of the same where the reader has constraints for it.
    absent = "No matching distribution found for torch", "Cannot install torch=="
    if any(words in errors for words in absent) and not needed:
        return False
    print(errors, end="", file=sys.stderr, flush=True)
    if "DO NOT MATCH THE HASHES" in errors:
        raise SetupError(
            f"The torch that pip was offered is none of those that requirements/{name}.lock knows "
            "(see PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS and 'pip config list' for where it is from): "
            "take that offer away, or vouch for it with 'make TORCH_SHA256=<the hash it has> ...'."
        )
    if code:
        raise failed(doing, code)
    return True


def vouched(root: Path, name: str) -> Path:
    """A lock of torch, with the file added that the reader vouches for by TORCH_SHA256."""
    lock, sha = lock_path(root, name), os.environ.get("TORCH_SHA256")
    if not sha:
        return lock
    if not re.fullmatch("[0-9a-f]{64}", sha):
        raise SetupError(f"TORCH_SHA256 must be the 64 digits of a SHA-256: found {sha!r}.")
    text = lock.read_text(encoding="utf-8")
    extended = root / ".venv" / lock.name
    extended.write_text(re.sub(r"(?m)^torch==.*", rf"\g<0> --hash=sha256:{sha}", text), "utf-8")
    return extended


def check_conda(root: Path, name: str, group: str = "book") -> Path:
    """Check that the active conda environment has what book and group need; return its Python."""
    refuse_path(root)
    missing, differing = [], []
    pins = pinned_versions(root)
    try:
        from packaging.requirements import Requirement
    except ImportError:
        missing = ["packaging"]
    else:
        for line in direct_requirements(root, {"book", group}):
            requirement = Requirement(line)
            try:
                version = importlib.metadata.version(requirement.name).partition("+")[0]
            except importlib.metadata.PackageNotFoundError:
                missing.append(requirement.name)
                continue
            if not requirement.specifier.contains(version, prereleases=True):
                missing.append(f"{requirement.name}{requirement.specifier} (it has {version})")
            elif version != pins[normalised(requirement.name)]:
                pin = pins[normalised(requirement.name)]
                differing.append(f"{requirement.name} {version} (lock: {pin})")
    if missing:
        raise SetupError(
            f"The active conda environment {name!r} lacks {', '.join(missing)}: run "
            "'conda env update -f environment.yml' in it, or 'conda deactivate' to let make "
            "set up .venv instead."
        )
    if differing:
        print(
            f"Note: the conda environment {name!r} differs from the lock, so values may move: "
            + ", ".join(differing),
            flush=True,
        )
    if installed_from() != root:
        pip = pip_install(
            Path(sys.executable), "--no-deps", "--no-build-isolation", "--editable", root
        )
        run(pip, "installing companion into the conda environment")
    return Path(sys.executable)


def installed_from() -> Path | None:
    """The folder that an editable companion is installed from, None if there is none."""
    try:
        text = importlib.metadata.distribution("elbo-companion").read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return None
    url = json.loads(text)["url"] if text else ""
    return Path(unquote(urlparse(url).path)) if url.startswith("file:") else None


def active_conda() -> str | None:
    """The name of the active conda environment; base does not count."""
    name = os.environ.get("CONDA_DEFAULT_ENV", "")
    return name if os.environ.get("CONDA_PREFIX") and name not in ("", "base") else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("group", nargs="?", default="book", choices=GROUPS)
    parser.add_argument(
        "--this-python",
        action="store_true",
        help="rebuild a .venv of another Python version than the one that runs this",
    )
    arguments = parser.parse_args()
    try:
        conda = active_conda()
        if conda:
            check_conda(ROOT, conda, arguments.group)
        else:
            ensure_venv(ROOT, arguments.group, keep_version=not arguments.this_python)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        place = error.filename or ".venv"
        print(f"The set-up could not write {place}: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("The set-up was interrupted; the next make does it again.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
