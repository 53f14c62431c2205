"""Locks, pyproject.toml and environment.yml agree; the set-up believes only what is whole."""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from workflow import environment
from workflow.lock import CONDA_NAMES, UNLIKE_THE_BOOK

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
LOCKS = {path.stem: path for path in sorted((ROOT / "requirements").glob("*.lock"))}
TORCH = {"torch", "torch-cpu"}
DIRECT = [Requirement(line) for line in environment.direct_requirements(ROOT)]
PYTHONS = environment.PYTHONS
LOWEST_TRIED = "3.11.2"  # Debian 12's
SYSTEMS = (("linux", "Linux"), ("darwin", "Darwin"))
CUDA = re.compile(r"(cuda|nvidia|triton)\b")


def lines(name: str) -> list[str]:
    text = LOCKS[name].read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


@cache
def pins(name: str) -> dict[str, Requirement]:
    """A lock as {name: requirement}, hashes left out."""
    found = [Requirement(line.partition(" --hash")[0]) for line in lines(name)]
    return {canonicalize_name(r.name): r for r in found}


LOCK = {name: pin for lock in LOCKS for name, pin in pins(lock).items()}


# In environment.yml without a pin of ours: the interpreter, and programs that are not Python.
NOT_FROM_LOCK = {"python", "pip", "git", "make"}


def locked(name: str) -> str:
    (pin,) = LOCK[canonicalize_name(name)].specifier
    return Version(pin.version).public


def conda_pins() -> dict[str, str]:
    """{PyPI name: version} of environment.yml, its pip section included."""
    found: dict[str, str] = {}
    listed = [line.replace("=", "==", 1) for line in CONDA if isinstance(line, str)]
    listed += [line for section in CONDA if isinstance(section, dict) for line in section["pip"]]
    for line in listed:
        name, _, version = line.partition("==")
        name = canonicalize_name(CONDA_NAMES.get(name, name))
        assert name not in found, f"environment.yml lists {name} twice"
        found[name] = version
    return found


# --- the three files agree ----------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_one_version_each_by_its_hashes_in_order(lock: str) -> None:
    local = r"(\+cpu)?" if lock == "torch-cpu" else ""
    pattern = re.compile(
        rf"[a-z0-9]+(-[a-z0-9]+)*==[0-9][0-9a-z.]*{local}"
        r"( ; (python_version|sys_platform) == '[a-z0-9.]+')?( --hash=sha256:[0-9a-f]{64})+"
    )
    wrong = [line for line in lines(lock) if not pattern.fullmatch(line)]
    assert lines(lock) and not wrong, f"a range, a URL, an option, no hash: {wrong}"
    names = [line.partition("==")[0] for line in lines(lock)]
    assert names == sorted(set(names))


def test_locks_agree_and_others_only_add_to_the_books() -> None:
    assert LOCKS.keys() == environment.GROUPS.keys() | TORCH | {"grading"}
    extras = PROJECT["project"]["optional-dependencies"]
    assert extras.keys() == environment.GROUPS.keys()
    first = {*pins("torch"), *pins("torch-cpu")}
    assert not first & pins("book").keys()
    for group in set(LOCKS) - {"book", *TORCH}:
        shared = pins(group).keys() & (first | pins("book").keys())
        assert shared == (UNLIKE_THE_BOOK if group == "grading" else set()), group
    seen: dict[str, str] = {}
    for line in (line for lock in LOCKS for line in lines(lock) if "torch==" not in line):
        if line.startswith(tuple(f"{name}==" for name in UNLIKE_THE_BOOK)):
            continue
        assert seen.setdefault(line.partition("==")[0], line) == line


def test_only_the_torch_of_pypi_comes_with_cuda() -> None:
    with_cuda = {lock for lock in LOCKS if any(map(CUDA.match, pins(lock)))}
    assert with_cuda == {"torch"}
    assert pins("torch-cpu").keys() == {"setuptools", "torch"}
    markers = {str(pin.marker) for name, pin in pins("torch").items() if CUDA.match(name)}
    assert markers == {'sys_platform == "linux"'}


def test_no_cuda_is_installed_beside_the_cpu_build() -> None:
    if not importlib.metadata.version("torch").endswith("+cpu"):
        pytest.skip("this environment has another build of torch than the CPU build")
    names = [d.metadata["Name"] for d in importlib.metadata.distributions()]
    assert not [name for name in names if CUDA.match(canonicalize_name(name))]


def test_locked_versions_are_for_every_python_that_we_name() -> None:
    """As far as they are installed here, at the version of the lock."""
    wrong = {}
    for package in importlib.metadata.distributions():
        name = canonicalize_name(package.metadata["Name"])
        if name in LOCK and Version(package.version).public == locked(name):
            pythons = SpecifierSet(package.metadata.get("Requires-Python", ""))
            versions = (LOWEST_TRIED, *(f"{python}.0" for python in PYTHONS[1:]))
            if LOCK[name].marker is None and not all(map(pythons.contains, versions)):
                wrong[name] = str(pythons)
    assert not wrong


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_lock_holds_what_pyproject_asks_for(requirement: Requirement) -> None:
    assert requirement.specifier, "pyproject.toml must give a range"
    assert requirement.specifier.contains(locked(requirement.name))


def test_torch_is_the_version_that_has_a_cpu_build_where_ci_runs() -> None:
    assert locked("torch") == "2.13.0"


@pytest.mark.parametrize("group", environment.GROUPS)
@pytest.mark.parametrize(("python", "system"), [*itertools.product(PYTHONS, SYSTEMS)], ids=str)
def test_lock_is_complete(group: str, python: str, system: tuple[str, str]) -> None:
    """What a group needs is in its lock, torch's or the book's, on every Python and system."""
    settings = {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": system[0],
        "platform_system": system[1],
        "os_name": "posix",
    }
    here = {
        name
        for lock in ("torch", "book", group)
        for name, pin in pins(lock).items()
        if pin.marker is None or pin.marker.evaluate(settings)
    }
    direct = map(Requirement, environment.direct_requirements(ROOT, {"book", group}))
    seen: dict[str, frozenset[str]] = {}
    todo: list[tuple[str, frozenset[str]]] = [
        (canonicalize_name(r.name), frozenset(r.extras)) for r in direct
    ]
    while todo:
        name, extras = todo.pop()
        if name in seen and extras <= seen[name]:
            continue
        seen[name] = seen.get(name, frozenset()) | extras
        assert name in here, f"{name} is required on Python {python}, {system[1]}, but not locked"
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # locked for another Python or system, so not installed here
        for requirement in map(Requirement, requires):
            wanted = requirement.marker is None or any(
                requirement.marker.evaluate({**settings, "extra": extra})
                for extra in ("", *seen[name])
            )
            if wanted:
                todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))


def test_conda_environment_has_the_locked_versions() -> None:
    wrong = {
        name: (version, locked(name))
        for name, version in conda_pins().items()
        if name not in NOT_FROM_LOCK and version != locked(name)
    }
    assert not wrong, f"environment.yml against requirements/*.lock: {wrong}"


def test_conda_environment_has_every_direct_dependency_of_readers() -> None:
    wanted = environment.direct_requirements(
        ROOT, environment.GROUPS.keys() - {"bench", "jax", "lock"}
    )
    assert {canonicalize_name(Requirement(r).name) for r in wanted} <= conda_pins().keys()


def test_readme_gives_the_number_and_size_of_what_each_command_installs() -> None:
    """On Linux with Python 3.11 and the CPU build of torch; sizes of what is installed here."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `make (?:setup-)?(\w+)` \|[^|]*\| (\d+) \| (\d+) \|$", readme, re.M)
    assert [group for group, _, _ in told] == list(environment.GROUPS)
    settings = {"python_version": "3.11", "sys_platform": "linux"}
    for group, packages, megabytes in told:
        found = pins("torch-cpu") | pins("book") if group == "book" else pins(group)
        names = [
            n for n, pin in found.items() if pin.marker is None or pin.marker.evaluate(settings)
        ]
        assert int(packages) == len(names), f"{group} has {len(names)} packages"
        try:
            size = sum(map(installed_size, names)) / 1e6
        except importlib.metadata.PackageNotFoundError:
            continue
        small_torch = importlib.metadata.version("torch").endswith("+cpu")
        if sys.platform == "linux" and (small_torch or group != "book"):
            assert size == pytest.approx(int(megabytes), rel=0.1), f"{group} has {size:.0f} MB"


def installed_size(name: str) -> int:
    files = importlib.metadata.files(name) or []
    paths = [Path(str(file.locate())) for file in files]
    return sum(path.stat().st_size for path in paths if path.exists())


def test_python_versions_agree() -> None:
    lowest = PYTHONS[0]
    classifiers = PROJECT["project"]["classifiers"]
    named = [c.rpartition(" ")[2] for c in classifiers if "Python :: 3." in c]
    assert named == list(PYTHONS)
    assert PROJECT["project"]["requires-python"] == f">={lowest}"
    assert PROJECT["tool"]["mypy"]["python_version"] == lowest
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + lowest.replace(".", "")
    assert conda_pins()["python"] == lowest
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (bounds,) = re.findall(r"not \((3, \d+)\) <= sys.version_info < \(3, (\d+)\)", makefile)
    assert bounds == (lowest.replace(".", ", "), str(Version(PYTHONS[-1]).minor + 1))
    assert "Python {}, {} or {}".format(*PYTHONS) in makefile
    assert Version(lowest) <= Version(".".join(map(str, sys.version_info[:2])))


# --- setting up .venv ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "book").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "book")
    shutil.copytree(ROOT / "requirements", tmp_path / "book" / "requirements")
    return tmp_path / "book"


class Steps:
    """Stands in for running pip and venv in a folder: notes each step, and can fail at one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.done = folder, list[str]()
        self.last: list[str | Path] = []
        self.fail_at: str | None = None
        self.error: BaseException = environment.SetupError("no network")

    def run(self, command: list[str | Path], doing: str) -> None:
        if doing == self.fail_at:
            raise self.error
        self.done.append(doing)
        self.last = command
        if doing == "making .venv":
            assert "--clear" in command
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True, exist_ok=True)
            python.unlink(missing_ok=True)
            python.symlink_to(sys.executable)

    def attempt(self, command: list[str | Path], doing: str) -> tuple[int, str]:
        self.run(command, doing)
        return 0, ""

    def to(self, group: str = "book", keep_version: bool = True) -> list[str]:
        """The steps that are taken to have a group of packages."""
        self.done.clear()
        python = environment.ensure_venv(self.folder, group, keep_version)
        assert python == self.folder / ".venv" / "bin" / "python"
        return list(self.done)

    def broken_off(self, step: str, group: str = "book") -> None:
        self.fail_at = step
        with pytest.raises(type(self.error)):
            self.to(group)
        self.fail_at = None


COMPANION = "installing companion"
TORCH_STEP, BOOK_STEP, TEST_STEP, BENCH_STEP = (
    f"installing requirements/{name}.lock" for name in ("torch-cpu", "book", "test", "bench")
)
ALL_STEPS = ["making .venv", TORCH_STEP, BOOK_STEP, COMPANION]


@pytest.fixture
def steps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    steps = Steps(folder)
    monkeypatch.setattr(environment, "run", steps.run)
    monkeypatch.setattr(environment, "attempt", steps.attempt)
    monkeypatch.setattr(environment.sys, "platform", "linux")
    return steps


def change(path: Path) -> None:
    with path.open("a") as file:
        file.write("# changed\n")


CHANGES = {
    "requirements/torch.lock": [TORCH_STEP],
    "requirements/torch-cpu.lock": [TORCH_STEP],
    "requirements/book.lock": [BOOK_STEP],
    "pyproject.toml": [COMPANION],
}


@pytest.mark.parametrize("file", CHANGES)
def test_set_up_once_then_believed_until_a_file_changes(
    folder: Path, steps: Steps, file: str
) -> None:
    assert steps.to() == ALL_STEPS
    assert steps.to() == []
    change(folder / file)
    assert steps.to() == CHANGES[file]
    assert steps.to() == []


@pytest.mark.parametrize(
    ("changed", "step", "again"),
    [
        *(("", step, ALL_STEPS) for step in ALL_STEPS),
        ("requirements/torch.lock", TORCH_STEP, ALL_STEPS),
        ("requirements/book.lock", BOOK_STEP, ALL_STEPS),
        ("pyproject.toml", COMPANION, [COMPANION]),
    ],
)
@pytest.mark.parametrize(
    "error", [environment.SetupError("x"), KeyboardInterrupt()], ids=["failed", "interrupted"]
)
def test_what_was_broken_off_is_done_again(
    folder: Path, steps: Steps, changed: str, step: str, again: list[str], error: BaseException
) -> None:
    before = (folder / changed).read_text() if changed else ""
    if changed:
        steps.to()
        change(folder / changed)
    steps.error = error
    steps.broken_off(step)
    if changed:  # back to what was installed, but who knows what is there now
        (folder / changed).write_text(before)
    assert steps.to() == again


def test_group_is_added_once_then_believed_until_its_lock_changes(
    folder: Path, steps: Steps
) -> None:
    assert steps.to("test") == [*ALL_STEPS, TEST_STEP]
    for group, taken in (("test", []), ("book", []), ("bench", [BENCH_STEP]), ("test", [])):
        assert steps.to(group) == taken
    change(folder / "requirements" / "test.lock")
    assert steps.to() == []
    assert steps.to("test") == [TEST_STEP]


def test_broken_off_group_is_added_again_and_the_book_stays(steps: Steps) -> None:
    steps.to()
    steps.broken_off(TEST_STEP, "test")
    assert steps.to() == []
    assert steps.to("test") == [TEST_STEP] and "--ignore-installed" in steps.last


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"folder": 1}', '{"folder": "F", "lock": "an older form", "project": "x"}'],
    ids=["empty", "cut", "list", "less", "older"],
)
def test_stamp_that_cannot_be_read_is_not_believed(folder: Path, steps: Steps, text: str) -> None:
    steps.to()
    (folder / ".venv" / environment.STAMP).write_text(text.replace("F", str(folder)))
    assert steps.to() == ALL_STEPS


def test_moved_folder_and_python_that_went_away_are_noticed(folder: Path, steps: Steps) -> None:
    steps.to()
    steps.folder = folder.rename(folder.with_name("moved"))
    assert steps.to() == ALL_STEPS
    python = steps.folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(folder / "gone")
    assert steps.to() == ALL_STEPS


def test_other_python_version_only_on_request(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.to()
    monkeypatch.setattr(environment, "python_version", lambda python: "3.99")
    assert steps.to() == []
    assert steps.to(keep_version=False) == ALL_STEPS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my book", "a space"),
        ("it's", '"\'"'),
        ("{x}", "'{'"),
        ("$a", "'$'"),
        ("[a]", "'['"),
        ("a*", "'*'"),
        ("a:b", "':'"),
    ],
)
def test_folder_that_tools_cannot_handle_is_refused(
    folder: Path, steps: Steps, name: str, said: str
) -> None:
    steps.folder = folder.rename(folder.with_name(name))
    with pytest.raises(environment.SetupError) as caught:
        steps.to()
    assert f"has {said} in its path" in str(caught.value) and "rename it" in str(caught.value)
    assert "\n" not in str(caught.value) and steps.done == []


@pytest.mark.parametrize("name", ["é", 'a"b', "(1)", "a&b;c", "100%#!", "~^|<`"])
def test_folder_with_another_odd_name_is_not(folder: Path, steps: Steps, name: str) -> None:
    steps.folder = folder.rename(folder.with_name(name))
    assert steps.to() == ALL_STEPS


def test_full_disk_is_told_beside_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(ROOT)._replace(free=20_000_000)
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(environment.SetupError, match=r"status 3.*has only 20 MB left"):
        environment.run([sys.executable, "-c", "raise SystemExit(3)"], "installing this")


def test_failing_step_is_named() -> None:
    with pytest.raises(environment.SetupError, match=r"installing this \(exit status 3"):
        environment.run([sys.executable, "-c", "raise SystemExit(3)"], "installing this")
    with pytest.raises(environment.SetupError, match="installing that"):
        environment.run(["/nowhere/python"], "installing that")


def test_second_set_up_waits_even_for_an_orphaned_step(folder: Path) -> None:
    """The lock is held until the last step ends, not only as long as the make that began it."""
    lock, note = environment.lock_path(folder, "book"), folder / "note"
    begin = (
        "from pathlib import Path; from workflow import environment as e\n"
        f"with e.alone(Path({str(folder)!r})):\n"
        f"    step = 'sleep 0.7; echo step ended > {note}'\n"
        "    e.run(['sh', '-c', 'kill -9 $PPID; ' + step], 'being killed')\n"
    )
    killed = subprocess.run([sys.executable, "-c", begin], cwd=ROOT)
    assert killed.returncode == -9 and lock.exists() and not note.exists()
    with environment.alone(folder):
        assert note.read_text() == "step ended\n"


# --- conda --------------------------------------------------------------------------------------


def test_conda_counts_only_when_active_and_not_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_PREFIX", "/opt/conda")
    for name, expected in (("", None), ("base", None), ("companion", "companion")):
        monkeypatch.setenv("CONDA_DEFAULT_ENV", name)
        assert environment.active_conda() == expected
    monkeypatch.delenv("CONDA_PREFIX")
    assert environment.active_conda() is None


def test_conda_environment_that_lacks_something_is_told_what(
    monkeypatch: pytest.MonkeyPatch, steps: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    true_version = importlib.metadata.version
    changed = {"numpy": "1.26.4", "ruff": "0.17.4"}

    def version(name: str) -> str:
        if name == "snakemake":
            raise importlib.metadata.PackageNotFoundError(name)
        return changed.get(name) or true_version(name)

    monkeypatch.setattr(environment.importlib.metadata, "version", version)
    with pytest.raises(environment.SetupError) as caught:
        environment.check_conda(ROOT, "mine")
    message = str(caught.value)
    assert "'mine' lacks" in message and "conda env update" in message
    assert "numpy>=2.0 (it has 1.26.4)" in message and "snakemake" in message
    assert "torch" not in message and "ruff" not in message

    monkeypatch.setattr(
        environment.importlib.metadata,
        "version",
        lambda n: {"ruff": "0.17.4"}.get(n) or true_version(n),
    )
    environment.check_conda(ROOT, "mine")
    assert "ruff" not in capsys.readouterr().out
    environment.check_conda(ROOT, "mine", "test")
    assert "ruff 0.17.4 (lock: " in capsys.readouterr().out


# --- make ---------------------------------------------------------------------------------------

needs_make = pytest.mark.skipif(
    shutil.which("make") is None, reason="make is not installed (Debian: sudo apt-get install make)"
)


def make(*arguments: str, cwd: Path = ROOT, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = ("PATH", "HOME", "LANG")
    return subprocess.run(
        [shutil.which("make") or "make", *arguments],
        cwd=cwd,
        env={**{k: os.environ[k] for k in kept if k in os.environ}, **settings},
        capture_output=True,
        text=True,
    )


@needs_make
def test_make_alone_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", text, re.M)
    assert phony is not None
    answer = make()
    assert answer.returncode == 0
    listed = re.findall(r"^  ([\w-]+) +\S", answer.stdout, re.M)
    listed += re.findall(r"setup-\w+", answer.stdout)
    assert sorted(listed) == sorted(phony[1].replace("\\\n", "").split())


def versioned(version: str) -> str:
    """A shell script that is Python in all but its version."""
    code = f"import sys; sys.version_info = ({version})"
    return f"""[ "$1" = -c ] && exec "{sys.executable}" -c "{code}\n$2"\nexit 1"""


@pytest.fixture
def folder_of_make(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    return tmp_path


@pytest.fixture
def served(folder_of_make: Path) -> Path:
    """Where make takes a book for built."""
    (folder_of_make / "_build" / "site").mkdir(parents=True)
    (folder_of_make / "_build" / "site" / "index.html").write_text("")
    return folder_of_make


def only_programs(folder: Path, *names: str, python: str = "") -> str:
    """A PATH with a shell, these programs and, if there is a script for it, Python."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("sh", "sed", *names):
        (programs / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    if python:
        (programs / "python3").write_text(f"#!{programs}/sh\n{python}\n")
        (programs / "python3").chmod(0o755)
    return str(programs)


@needs_make
@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ((), "git and Python 3.11, 3.12 or 3.13"),
        (("git",), "Python 3.11, 3.12 or 3.13"),
        (("git", "old"), "Python 3.11, 3.12 or 3.13 (found 3.10.9)"),
        (("git", "new"), "Python 3.11, 3.12 or 3.13 (found 3.14.0)"),
        (("python3",), "git"),
        (("git", "bare"), "the venv module of python3"),
    ],
)
def test_missing_prerequisites_are_named(
    folder_of_make: Path, present: tuple[str, ...], missing: str
) -> None:
    scripts = {
        "python3": f'exec "{sys.executable}" "$@"',
        "old": versioned("3, 10, 9"),
        "new": versioned("3, 14, 0"),
        "bare": 'case "$2" in *ensurepip*) exit 1;; esac; exit 0',
    }
    python = "".join(scripts[name] for name in present if name in scripts)
    path = only_programs(folder_of_make, *({"git"} & {*present}), python=python)
    answer = make("book", cwd=folder_of_make, PATH=path)
    assert answer.returncode != 0
    first, *rest = answer.stderr.splitlines()
    assert first.startswith(f"The book needs {missing}: install it (Debian and Ubuntu: ")
    assert all(line.startswith("make: ***") for line in rest)


@needs_make
def test_serve_before_book_says_so(folder_of_make: Path) -> None:
    answer = make("serve", cwd=folder_of_make)
    assert answer.returncode != 0
    assert answer.stderr.startswith("The book is not built yet: run 'make book' first.")


@needs_make
def test_serve_on_a_taken_port_says_so(served: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        answer = make("serve", f"PORT={port}", cwd=served)
    assert answer.returncode != 0
    assert answer.stderr.startswith(f"Port {port} is not free on this machine: choose another")


@needs_make
def test_serve_takes_any_python_and_says_where_there_is_none(served: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    path = only_programs(served)
    answer = make("serve", f"PORT={port}", cwd=served, PATH=path)
    assert answer.returncode != 0
    assert answer.stderr.startswith("Serving the book needs Python 3: install it, or open")
    # Too old for the book, and good enough to serve it.
    python = served / "bin" / "python3"
    python.write_text(f"""#!{path}/sh
case "$2" in *version_info*) exit 1;; http.server) echo "served $*"; exit 0;; esac
exec "{sys.executable}" "$@"
""")
    python.chmod(0o755)
    answer = make("serve", f"PORT={port}", cwd=served, PATH=path)
    assert f"--directory _build/site {port}" in answer.stdout and answer.returncode == 0


HOSTILE = (
    '"; touch planted; " `touch planted` $(touch planted) $(shell touch planted) ${HOME} $$HOME',
    "'; touch planted; '$(shell touch planted)'",
    "x'); import os; os.system('touch planted') #\ntouch planted",
)
RECIPES = {
    "TIER": ("book", "-m workflow.book --tier {}"),
    "GRID": ("sweep", "-m workflow.sweep {}"),
    "ROWS": ("bench", "-m benchmarks --rows {} --official "),
    "OFFICIAL": ("bench", "-m benchmarks --rows  --official {}"),
    "ORDER": ("test", "-m pytest --numprocesses auto --dist worksteal --order {}"),
}


@pytest.fixture
def recorded(served: Path) -> Path:
    """A folder in which make sets nothing up, and Python writes down its words and its home."""
    (served / "workflow").mkdir()
    (served / "workflow" / "environment.py").write_text("")
    python = served / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("""#!/bin/sh\nprintf %s "$*" > words\nprintf %s "$HOME" > home\n""")
    python.chmod(0o755)
    return served


@needs_make
@pytest.mark.parametrize("name", [*RECIPES, "PORT"])
@pytest.mark.parametrize("value", HOSTILE, ids=("double", "single", "python"))
def test_what_is_given_to_make_is_no_code(recorded: Path, name: str, value: str) -> None:
    """Neither on the command line nor in the environment, for make, the shell or Python."""
    target, words = RECIPES.get(name, ("serve", ""))
    for option, settings in ((f"{name}={value}", {}), (f"{name}x=", {name: value})):
        answer = make(target, option, cwd=recorded, PYTHON=sys.executable, **settings)
        assert not (recorded / "planted").exists(), answer
        if words:
            assert answer.returncode == 0, answer.stderr
            assert (recorded / "words").read_text() == words.format(value)
            (recorded / "words").unlink()
        else:
            assert answer.returncode != 0
            assert answer.stderr.startswith(f"Port {value} is not free on this machine")


@needs_make
@pytest.mark.parametrize("home", [None, "", "/nowhere/at/all", "/proc"])
def test_without_a_home_one_is_made_below_the_build_folder(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    monkeypatch.delenv("HOME")
    settings = {} if home is None else {"HOME": home}
    if home == "/proc" and os.access(home, os.W_OK):
        pytest.skip("root may write everywhere")
    answer = make("book", cwd=recorded, PYTHON=sys.executable, **settings)
    assert answer.returncode == 0, answer.stderr
    assert (recorded / "home").read_text() == str(recorded / "_build" / "home")


@needs_make
def test_clean_leaves_what_people_wrote(folder_of_make: Path) -> None:
    generated = ["_build/site/index.html", "companion/__pycache__/a.pyc", ".mypy_cache/x"]
    kept = [".venv/companion-setup.json", "notebooks/a.ipynb", "reference/claims.json"]
    for name in generated + kept:
        (folder_of_make / name).parent.mkdir(parents=True, exist_ok=True)
        (folder_of_make / name).write_text("")
    assert make("clean", cwd=folder_of_make).returncode == 0
    assert [name for name in generated + kept if (folder_of_make / name).exists()] == kept
