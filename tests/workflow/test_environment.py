"""Lock, pyproject.toml and environment.yml say the same; the set-up believes only what is whole."""

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
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from workflow import environment

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
LOCK_LINES = [
    line
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
LOCK = {
    canonicalize_name(r.name): r
    for r in map(Requirement, (line for line in LOCK_LINES if not line.startswith("-")))
}
DIRECT = [Requirement(line) for line in environment.direct_requirements(ROOT)]
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = (("linux", "Linux"), ("darwin", "Darwin"))

# What a package is called on conda-forge where that is not its name on PyPI.
PYPI_NAME = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}
# In environment.yml without a pin of ours: the interpreter, and programs that are not Python.
NOT_FROM_LOCK = {"python", "pip", "git", "make"}


def locked(name: str) -> str:
    (pin,) = LOCK[canonicalize_name(name)].specifier
    return pin.version


def conda_pins() -> dict[str, str]:
    """{PyPI name: version} of environment.yml, its pip section included."""
    pins: dict[str, str] = {}
    lines = [line.replace("=", "==", 1) for line in CONDA if isinstance(line, str)]
    lines += [line for section in CONDA if isinstance(section, dict) for line in section["pip"]]
    for line in lines:
        name, _, version = line.partition("==")
        name = canonicalize_name(PYPI_NAME.get(name, name))
        assert name not in pins, f"environment.yml lists {name} twice"
        pins[name] = version
    return pins


# --- the three files agree ----------------------------------------------------------------------


def test_lock_pins_one_public_version_each() -> None:
    pattern = re.compile(
        r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][0-9a-z.]*"
        r'( ; (python_version|sys_platform) == "[a-z0-9.]+")?'
    )
    wrong = [line for line in LOCK_LINES if not pattern.fullmatch(line)]
    assert LOCK_LINES and not wrong, f"a range, a local version, a URL or an option: {wrong}"


def test_lock_is_sorted_and_has_each_package_once() -> None:
    names = [Requirement(line).name for line in LOCK_LINES]
    assert names == sorted(set(names))


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_lock_holds_what_pyproject_asks_for(requirement: Requirement) -> None:
    assert requirement.specifier, "pyproject.toml must give a range"
    assert requirement.specifier.contains(locked(requirement.name))


def test_torch_is_the_version_that_has_a_cpu_build_where_ci_runs() -> None:
    assert locked("torch") == "2.13.0"


@pytest.mark.parametrize(("python", "system"), [*itertools.product(PYTHONS, SYSTEMS)], ids=str)
def test_lock_is_complete(python: str, system: tuple[str, str]) -> None:
    """Whatever a locked package requires is locked too, on every Python and system we name."""
    settings = {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": system[0],
        "platform_system": system[1],
        "os_name": "posix",
    }
    here = {
        name for name, pin in LOCK.items() if pin.marker is None or pin.marker.evaluate(settings)
    }
    seen: dict[str, frozenset[str]] = {}
    todo: list[tuple[str, frozenset[str]]] = [
        (canonicalize_name(r.name), frozenset(r.extras)) for r in DIRECT
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
            # torch pins its own CUDA packages, exactly and only where it needs them.
            if wanted and not (name == "torch" and "cuda" in str(requirement).lower()):
                todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))


def test_conda_environment_has_the_locked_versions() -> None:
    pins = conda_pins()
    wrong = {
        name: (version, locked(name))
        for name, version in pins.items()
        if name not in NOT_FROM_LOCK and version != locked(name)
    }
    assert not wrong, f"environment.yml against requirements.lock: {wrong}"


def test_conda_environment_has_every_direct_dependency() -> None:
    missing = {canonicalize_name(r.name) for r in DIRECT} - conda_pins().keys()
    assert not missing


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
    assert set(re.findall(r"version_info < \((\d+, \d+)\)", makefile)) == {
        lowest.replace(".", ", ")
    }
    assert Version(lowest) <= Version(".".join(map(str, sys.version_info[:2])))


def test_citation_gives_the_version_of_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]


# --- setting up .venv ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "book").mkdir()
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / "book")
    return tmp_path / "book"


class Steps:
    """Stands in for running pip and venv: notes each step and can fail at one."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fail_at: str | None = None
        self.error: BaseException = environment.SetupError("no network")

    def run(self, command: list[str | Path], doing: str) -> None:
        if self.fail_at and self.fail_at in doing:
            raise self.error
        self.done.append(doing)
        if doing == "making .venv":
            assert "--clear" in command
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True, exist_ok=True)
            python.unlink(missing_ok=True)
            python.symlink_to(sys.executable)

    def take(self) -> list[str]:
        done, self.done = self.done, []
        return done


ALL_STEPS = ["making .venv", "installing requirements.lock", "installing companion"]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    steps = Steps()
    monkeypatch.setattr(environment, "run", steps.run)
    return steps


def test_set_up_once_then_believed(folder: Path, steps: Steps) -> None:
    assert environment.ensure_venv(folder) == folder / ".venv" / "bin" / "python"
    assert steps.take() == ALL_STEPS
    environment.ensure_venv(folder)
    assert steps.take() == []


@pytest.mark.parametrize("step", ALL_STEPS)
@pytest.mark.parametrize(
    "error", [environment.SetupError("x"), KeyboardInterrupt()], ids=["failed", "interrupted"]
)
def test_broken_off_set_up_is_done_again(
    folder: Path, steps: Steps, step: str, error: BaseException
) -> None:
    steps.fail_at, steps.error = step, error
    with pytest.raises(type(error)):
        environment.ensure_venv(folder)
    steps.fail_at = None
    steps.take()
    environment.ensure_venv(folder)
    assert steps.take() == ALL_STEPS


def test_broken_off_update_is_done_again(folder: Path, steps: Steps) -> None:
    environment.ensure_venv(folder)
    (folder / "requirements.lock").write_text("numpy==2.4.6\n")
    steps.take()
    steps.fail_at = "requirements.lock"
    with pytest.raises(environment.SetupError):
        environment.ensure_venv(folder)
    steps.fail_at = None
    environment.ensure_venv(folder)
    assert steps.take() == ALL_STEPS


def test_new_lock_is_installed(folder: Path, steps: Steps) -> None:
    environment.ensure_venv(folder)
    (folder / "requirements.lock").write_text("numpy==2.4.6\n")
    steps.take()
    environment.ensure_venv(folder)
    assert steps.take() == ALL_STEPS[1:]


def test_new_project_file_reinstalls_companion_only(folder: Path, steps: Steps) -> None:
    environment.ensure_venv(folder)
    with (folder / "pyproject.toml").open("a") as handle:
        handle.write("# changed\n")
    steps.take()
    environment.ensure_venv(folder)
    assert steps.take() == ALL_STEPS[2:]


def test_moved_folder_gets_an_environment_of_its_own(folder: Path, steps: Steps) -> None:
    environment.ensure_venv(folder)
    moved = folder.rename(folder.with_name("moved"))
    steps.take()
    environment.ensure_venv(moved)
    assert steps.take() == ALL_STEPS


def test_python_that_went_away_is_noticed(folder: Path, steps: Steps) -> None:
    python = environment.ensure_venv(folder)
    python.unlink()
    python.symlink_to(folder / "gone")
    steps.take()
    environment.ensure_venv(folder)
    assert steps.take() == ALL_STEPS


def test_other_python_version_only_on_request(
    folder: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.ensure_venv(folder)
    steps.take()
    monkeypatch.setattr(environment, "python_version", lambda python: "3.99")
    environment.ensure_venv(folder)
    assert steps.take() == []
    environment.ensure_venv(folder, keep_version=False)
    assert steps.take() == ALL_STEPS


def test_folder_with_a_space_is_refused(folder: Path, steps: Steps) -> None:
    spaced = folder.rename(folder.with_name("my book"))
    with pytest.raises(environment.SetupError, match=r"space in its path.*move or rename"):
        environment.ensure_venv(spaced)
    assert steps.take() == []


def test_failing_step_is_named() -> None:
    with pytest.raises(environment.SetupError, match=r"installing this \(exit status 3"):
        environment.run([sys.executable, "-c", "raise SystemExit(3)"], "installing this")
    with pytest.raises(environment.SetupError, match="installing that"):
        environment.run(["/nowhere/python"], "installing that")


def test_second_set_up_waits_even_for_an_orphaned_step(folder: Path) -> None:
    """The lock is held until the last step ends, not only as long as the make that began it."""
    lock, note = folder / "requirements.lock", folder / "note"
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
    phony = re.search(r"^\.PHONY: (.*)", text, re.M)
    assert phony is not None
    answer = make()
    assert answer.returncode == 0
    listed = re.findall(r"^  ([\w-]+) +\S", answer.stdout, re.M)
    assert sorted(listed) == sorted(phony[1].split())


@needs_make
@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ((), "git and Python 3.11 or newer"),
        (("git",), "Python 3.11 or newer"),
        (("git", "old"), "Python 3.11 or newer"),
        (("python3",), "git"),
        (("git", "bare"), "the venv module of python3"),
    ],
)
def test_missing_prerequisites_are_named(
    tmp_path: Path, present: tuple[str, ...], missing: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "git", "sed"):
        if name != "git" or "git" in present:
            (programs / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    script = {
        "python3": f'exec "{sys.executable}" "$@"',
        "old": "exit 1",
        "bare": 'case "$2" in *ensurepip*) exit 1;; esac; exit 0',
    }
    for name in set(present) & set(script):
        (programs / "python3").write_text(f"#!{programs}/sh\n{script[name]}\n")
        (programs / "python3").chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    answer = make("book", cwd=tmp_path, PATH=str(programs))
    assert answer.returncode != 0
    first, *rest = answer.stderr.splitlines()
    assert first.startswith(f"The book needs {missing}: install it (Debian and Ubuntu: ")
    assert all(line.startswith("make: ***") for line in rest)


@needs_make
def test_serve_before_book_says_so(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    answer = make("serve", cwd=tmp_path)
    assert answer.returncode != 0
    assert answer.stderr.startswith("The book is not built yet: run 'make book' first.")


@needs_make
def test_serve_on_a_taken_port_says_so(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "_build" / "site").mkdir(parents=True)
    (tmp_path / "_build" / "site" / "index.html").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        answer = make("serve", f"PORT={port}", cwd=tmp_path)
    assert answer.returncode != 0
    assert answer.stderr.startswith(f"Port {port} is not free on this machine: choose another")


@needs_make
def test_clean_leaves_what_people_wrote(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    generated = ["_build/site/index.html", "companion/__pycache__/a.pyc", ".mypy_cache/x"]
    kept = [".venv/companion-setup.json", "notebooks/a.ipynb", "reference/claims.json"]
    for name in generated + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert make("clean", cwd=tmp_path).returncode == 0
    assert [name for name in generated + kept if (tmp_path / name).exists()] == kept
