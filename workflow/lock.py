"""Renew `requirements/*.lock` and `environment.yml` from the ranges in `pyproject.toml`.

`make lock` keeps every version that still fits, adds what is new, drops what is no longer needed
and renews all hashes; `make lock UPGRADE=1` takes the newest versions that the ranges allow. uv
resolves once for all Pythons and systems that we name, one version of each package for all of
them, and nothing is installed for it.

torch keeps the version that stands in `requirements/torch.lock`: to change it, change it there and
run this. Its CPU builds are known to PyTorch's own index only. Where that cannot be reached, the
hashes that the lock has stay, and a new version is refused.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from packaging.markers import Marker, default_environment
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from workflow.environment import GROUPS, PYTHONS, ROOT, SetupError, lock_path, pinned_versions

CPU_INDEX = "https://download.pytorch.org/whl/cpu/torch/"
# torch has no builds for other systems.
SYSTEMS = (
    ("linux", "Linux", "x86_64"),
    ("linux", "Linux", "aarch64"),
    ("darwin", "Darwin", "arm64"),
)
MARKERS = (  # in the simplest words, where one of these says the same
    *(f"sys_platform == '{system}'" for system in ("linux", "darwin")),
    *(f"python_version == '{python}'" for python in PYTHONS),
)
# What a package is called on conda-forge where that is not its name on PyPI.
CONDA_NAMES = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}

# What the grader cannot have at the book's version: otter-grader asks for an older wrapt.
UNLIKE_THE_BOOK = {"wrapt"}

Package = dict[str, Any]  # an entry of pylock.toml: name, version, marker, ...; and its hashes


def renew(root: Path, upgrade: bool = False) -> None:
    """Write every lock anew and bring environment.yml in step."""
    before = pinned_versions(root)
    with tempfile.TemporaryDirectory() as folder:
        pins, torch = Path(folder) / "pins.txt", Path(folder) / "torch.txt"
        pins.write_text("".join(f"{n}=={v}\n" for n, v in before.items()), "utf-8")
        torch.write_text(f"torch=={before['torch']}\n", "utf-8")
        newest = ["--upgrade"] if upgrade else []  # else uv prefers what its output file has
        uv(root, GROUPS, pins, "--no-header", "--no-annotate", "--constraint", torch, *newest)
        found = {package["name"]: package for package in packages(root, GROUPS, pins)}
        needs = {group: {p["name"] for p in packages(root, [group], pins)} for group in GROUPS}

    cuda = {name for name in needs["book"] if re.match(r"(cuda|nvidia|triton)\b", name)}
    first = {"setuptools", "torch"} | cuda
    about = "Torch as PyPI has it, for Linux with CUDA, and setuptools, which it needs."
    write_lock(root, "torch", about, [found[name] for name in first])
    about = "Torch without CUDA, as PyTorch has it, and setuptools, which it needs."
    write_lock(root, "torch-cpu", about, [found["setuptools"], cpu_builds(root, found["torch"])])
    for group, about in GROUPS.items():
        below = first if group == "book" else first | needs["book"]
        write_lock(root, group, about, [found[name] for name in needs[group] - below])

    after = pinned_versions(root)
    renew_grading(root)
    write_conda(root, after)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            print(f"{name}: {before.get(name, 'new')} -> {after.get(name, 'dropped')}")


def renew_grading(root: Path) -> None:
    """Write the lock of the grading environment: what it has beside the book's, or unlike it."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "pins.txt"
        known = pinned_versions(root).items()
        same = (f"{n}=={v}\n" for n, v in known if n not in UNLIKE_THE_BOOK)
        pins.write_text("".join(same), "utf-8")
        needed = Path(folder) / "needed.txt"
        project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
        needed.write_text("\n".join(project["dependency-groups"]["grading"]), "utf-8")
        found = packages(root, (), pins, needed)
    book = pinned_versions(root, ("book", "torch"))
    listed = [p for p in found if book.get(p["name"]) != p["version"]]
    write_lock(root, "grading", "What grades coursework, beside the book's own packages.", listed)


def uv(
    root: Path,
    extras: Iterable[str],
    output: Path,
    *options: str | Path,
    needed: str | Path = "pyproject.toml",
) -> None:
    """Let uv resolve what pyproject.toml and some of its extras need, on every system."""
    command: list[str | Path] = [sys.executable, "-m", "uv", "pip", "compile", "--quiet"]
    command += ["--universal", "--python-version", PYTHONS[0], "--fork-strategy", "fewest"]
    command += [word for extra in extras for word in ("--extra", extra)]
    command += ["--output-file", output, *options, needed]
    if subprocess.run(command, cwd=root, stdout=subprocess.DEVNULL).returncode:
        raise SetupError("uv could not renew the lock: its message is above.")


def packages(
    root: Path, extras: Iterable[str], pins: Path, needed: str | Path = "pyproject.toml"
) -> list[Package]:
    """What some extras need on our systems, at the versions of `pins`, with all their files."""
    output = pins.with_name("pylock.toml")
    output.unlink(missing_ok=True)
    uv(root, extras, output, "--constraint", pins, needed=needed)
    listed = tomllib.loads(output.read_text("utf-8"))["packages"]
    return [p | {"hashes": hashes(p)} for p in listed if any(applies(p.get("marker")))]


def applies(marker: str | None) -> list[bool]:
    """Whether a marker holds, for each of our Pythons and systems."""
    settings: list[dict[str, str]] = [
        {
            **{key: str(value) for key, value in default_environment().items()},
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "python_version": python,
            "python_full_version": f"{python}.0",
            "os_name": "posix",
            "sys_platform": platform,
            "platform_system": system,
            "platform_machine": machine,
        }
        for python, (platform, system, machine) in itertools.product(PYTHONS, SYSTEMS)
    ]
    return [marker is None or Marker(marker).evaluate(setting) for setting in settings]


def hashes(package: Package) -> list[str]:
    """SHA-256 of the files that may be installed: wheels for us, else the source."""
    files = [wheel for wheel in package.get("wheels", []) if fits(wheel["url"])]
    if not files and "sdist" not in package:
        raise SetupError(f"{package['name']} {package['version']} has no file for our systems.")
    return [file["hashes"]["sha256"] for file in files or [package["sdist"]]]


def fits(url: str) -> bool:
    """Whether a wheel is for one of our Pythons and systems."""
    name = unquote(urlparse(url).path.rpartition("/")[2])
    return any(map(_tag_fits, parse_wheel_filename(name)[3]))


def _tag_fits(tag: Tag) -> bool:
    ours = ["cp" + python.replace(".", "") for python in PYTHONS]
    if tag.abi == "abi3":
        python = int(tag.interpreter[3:]) <= int(ours[-1][3:])
    else:
        known = tag.interpreter in ours or tag.interpreter.startswith("py3")
        python = known and tag.abi in ("none", tag.interpreter)
    pattern = r"any|manylinux\w+_(x86_64|aarch64)|macosx\w+_(arm64|universal2)"
    return python and bool(re.fullmatch(pattern, tag.platform))


def line(package: Package) -> str:
    """One line of a lock: the pin, where it applies if not everywhere, and the hashes."""
    places = applies(package.get("marker"))
    same = (marker for marker in MARKERS if applies(marker) == places)
    where = "" if all(places) else f" ; {next(same, package['marker'])}"
    known = "".join(f" --hash=sha256:{sha}" for sha in sorted(package["hashes"]))
    return f"{package['name']}=={package['version']}{where}{known}"


def write_lock(root: Path, name: str, about: str, listed: Iterable[Package]) -> None:
    where = f"For Python {PYTHONS[0]} to {PYTHONS[-1]}, Linux and macOS; `make lock` writes this."
    lines = [f"# {about}", f"# {where}", *map(line, sorted(listed, key=lambda p: p["name"]))]
    lock_path(root, name).write_text("\n".join([*lines, ""]), "utf-8")


def cpu_builds(root: Path, torch: Package) -> Package:
    """The CPU builds of a torch: from PyTorch's index, or from the lock if that is away."""
    version = f"{torch['version']}+cpu"
    try:
        with urllib.request.urlopen(CPU_INDEX, timeout=20) as answer:
            page = answer.read().decode()
    except OSError as error:
        print(f"{CPU_INDEX} is out of reach ({error}): the hashes of the CPU builds stay.")
        lines = lock_path(root, "torch-cpu").read_text("utf-8").splitlines()
        named = [line for line in lines if line.startswith(f"torch=={version} ")]
        found = re.findall(r"sha256:(\w+)", "".join(named))
    else:
        links = re.findall(r"href=\"([^\"#]+)#sha256=(\w+)", page)
        found = [sha for url, sha in links if f"-{version}-" in unquote(url) and fits(url)]
    if not found:
        raise SetupError(f"No CPU build of torch {version} is known here or at {CPU_INDEX}.")
    return torch | {"version": version, "hashes": found}


def write_conda(root: Path, pins: dict[str, str]) -> None:
    """Give the packages in environment.yml the versions of the locks."""

    def pinned(match: re.Match[str]) -> str:
        start, name, equals, version = match.groups()
        return start + name + equals + pins.get(CONDA_NAMES.get(name, name), version)

    path = root / "environment.yml"
    text = path.read_text("utf-8")
    path.write_text(re.sub(r"^( +- )([\w-]+)(==?)([\w.]+)$", pinned, text, flags=re.M), "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workflow.lock", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    try:
        renew(ROOT, parser.parse_args().upgrade)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
