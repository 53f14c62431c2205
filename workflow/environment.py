"""The environment that the book runs in: `.venv` from the lock, or the active conda environment.

`make` calls this before everything else. It is quick when nothing changed, and it needs nothing
but Python itself, because nothing is installed yet when it first runs.

`.venv` is believed only if its stamp, written last, names the lock, the project file and the folder
that are there now. So a set-up that was killed half-way is done again from the start, a new lock
is installed, and a folder that was moved gets an environment of its own.
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
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

ROOT = Path(__file__).resolve().parents[1]
STAMP = "companion-setup.json"


class SetupError(Exception):
    """What is wrong and what to do about it, in one sentence."""


def pinned_versions(root: Path) -> dict[str, str]:
    """The lock as {normalised name: version}, markers left out."""
    pins = {}
    for line in (root / "requirements.lock").read_text(encoding="utf-8").splitlines():
        requirement = line.partition("#")[0].partition(";")[0].strip()
        if requirement:
            name, _, version = requirement.partition("==")
            pins[normalised(name)] = version.strip()
    return pins


def direct_requirements(root: Path) -> list[str]:
    """What pyproject.toml asks for, extras included."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    return [*project["dependencies"], *(line for extra in extras for line in extra)]


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def expected_stamp(root: Path) -> dict[str, str]:
    return {
        "folder": str(root),
        "lock": digest(root / "requirements.lock"),
        "project": digest(root / "pyproject.toml"),
    }


def read_stamp(venv: Path) -> dict[str, str]:
    """The stamp of a set-up that ended well, or {}."""
    try:
        stamp = json.loads((venv / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(venv: Path, stamp: dict[str, str]) -> None:
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
    environment = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        code = subprocess.run(command, env=environment, close_fds=False).returncode
    except OSError as error:
        raise SetupError(f"The set-up stopped while {doing}: {error}.") from error
    if code:
        raise SetupError(
            f"The set-up stopped while {doing} (exit status {code}, its message is above); "
            "run the same make command again once the cause is gone."
        )


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Let two makes in one folder set up one after the other.

    The steps inherit the lock: a pip that outlives a killed make is waited for.
    """
    with open(root / "requirements.lock", "rb") as handle:
        os.set_inheritable(handle.fileno(), True)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another set-up in this folder to end.", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass  # some network file systems cannot lock; then we go on without
        yield


def refuse_space(root: Path) -> None:
    if re.search(r"\s", str(root)):
        raise SetupError(
            f"The book's folder {str(root)!r} has a space in its path, which make and Snakemake "
            "cannot handle: move or rename it, then run make again."
        )


def ensure_venv(root: Path, keep_version: bool = True) -> Path:
    """Bring `.venv` in step with the lock and return its Python.

    keep_version: whether an existing `.venv` of another Python version than the one that runs
    this may stay (it may, unless the reader named a Python to make).
    """
    refuse_space(root)
    venv = root / ".venv"
    python = venv / "bin" / "python"
    with alone(root):
        wanted, found = expected_stamp(root), read_stamp(venv)
        version = python_version(python) if found else None
        this_version = "{}.{}".format(*sys.version_info[:2])
        whole = (
            version is not None
            and found.get("folder") == wanted["folder"]
            and (keep_version or version == this_version)
        )
        if whole and found == wanted:
            return python
        (venv / STAMP).unlink(missing_ok=True)
        if not whole:
            print(
                "Setting up .venv from requirements.lock: once, some minutes, about 2 GB "
                "(README.md says how to keep torch small on Linux).",
                flush=True,
            )
            run([sys.executable, "-m", "venv", "--clear", venv], "making .venv")
        quiet = [] if sys.stdout.isatty() else ["--quiet"]
        pip: list[str | Path] = [python, "-m", "pip", "install", *quiet]
        if not whole or found.get("lock") != wanted["lock"]:
            if whole:
                print("The lock changed: bringing .venv in step with it.", flush=True)
            run([*pip, "-r", root / "requirements.lock"], "installing requirements.lock")
        run([*pip, "--no-deps", "--no-build-isolation", "-e", root], "installing companion")
        write_stamp(venv, wanted)
    return python


def check_conda(root: Path, name: str) -> Path:
    """Check that the active conda environment has what the book needs; return its Python."""
    refuse_space(root)
    missing, differing = [], []
    pins = pinned_versions(root)
    try:
        from packaging.requirements import Requirement
    except ImportError:
        missing = ["packaging"]
    else:
        for line in direct_requirements(root):
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
        run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--no-build-isolation",
                "-e",
                root,
            ],
            "installing companion into the conda environment",
        )
    return Path(sys.executable)


def installed_from() -> Path | None:
    """The folder that an editable companion is installed from, None if there is none."""
    try:
        text = importlib.metadata.distribution("companion").read_text("direct_url.json")
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
    parser.add_argument(
        "--this-python",
        action="store_true",
        help="rebuild a .venv of another Python version than the one that runs this",
    )
    arguments = parser.parse_args()
    try:
        conda = active_conda()
        if conda:
            check_conda(ROOT, conda)
        else:
            ensure_venv(ROOT, keep_version=not arguments.this_python)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"The set-up could not write {error.filename}: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("The set-up was interrupted; the next make does it again.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
