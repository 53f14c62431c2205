"""The set-up with a real pip, on packages made here: which torch it takes, and that hashes count.

Only the tests marked `setup` need the network: `make test-setup` runs them.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow.packages import BACKEND, PROJECT, make_index, make_wheel, settings
from tests.workflow.packages import Packages as Toy
from workflow import environment, grading_setup
from workflow.lock import UNLIKE_THE_BOOK

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def empty_venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    venv = tmp_path_factory.mktemp("venv") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    return venv


@pytest.fixture
def toy(tmp_path: Path, empty_venv: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A toy project on a machine where pip knows only the folders that the test makes."""
    toy, wanted = Toy(tmp_path), settings(tmp_path)
    for name in os.environ.keys() - wanted.keys():
        monkeypatch.delenv(name)
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)

    def copy_venv(venv: Path) -> None:  # making one takes seconds
        shutil.rmtree(venv, ignore_errors=True)
        shutil.copytree(empty_venv, venv, symlinks=True)

    monkeypatch.setattr(environment, "make_venv", copy_venv)
    return toy


CPU = {"torch": "1.0+cpu"}
CUDA = {"torch": "1.0", "nvidia-toy": "1.0"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has several builds of torch")
class TestTorch:
    def test_cpu_build_on_this_disk_is_taken(self, toy: Toy) -> None:
        toy.offer(toy.disk)
        assert toy.install("torch") == CPU

    def test_cpu_build_in_the_index_that_the_readme_names_is_taken(
        self, toy: Toy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        toy.offer(toy.pytorch)
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", toy.pytorch.as_uri())
        assert toy.install("torch") == CPU

    @pytest.mark.parametrize("constraints", [None, "torch<2\n"], ids=["", "constrained"])
    def test_without_one_pypis_build_is_taken_and_said(
        self,
        toy: Toy,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
        constraints: str | None,
    ) -> None:
        if constraints:
            (tmp_path / "constraints.txt").write_text(constraints)
            monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "constraints.txt"))
        assert toy.install("torch") == CUDA
        out, err = capfd.readouterr()
        assert "PyPI's comes with CUDA" in out and "ERROR" not in err

    def test_who_asked_for_the_cpu_build_never_gets_cuda(
        self, toy: Toy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", toy.pytorch.as_uri())
        with pytest.raises(environment.SetupError, match=r"installing requirements/torch-cpu\."):
            toy.install("torch")
        assert "No matching distribution found for torch" in capfd.readouterr().err
        assert toy.installed() == {}

    @pytest.mark.parametrize("place", ["disk", "pytorch"])
    def test_a_stranger_is_refused_unless_the_reader_vouches_for_it(
        self, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        stranger = make_wheel(tmp_path / "own", "torch", "1.0+cpu", "OWN = True\n")
        toy.offer(getattr(toy, place), tmp_path / "own" / toy.cpu_build.name)
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", toy.pytorch.as_uri())
        with pytest.raises(environment.SetupError, match=r"none of those .*make TORCH_SHA256="):
            toy.install("torch")
        assert toy.installed() == {}
        monkeypatch.setenv("TORCH_SHA256", stranger)
        assert toy.install("torch") == CPU
        assert "OWN" in (toy.packages / "torch.py").read_text()


def test_what_vouches_for_a_torch_is_a_hash(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_SHA256", "0" * 63)
    with pytest.raises(environment.SetupError, match="64 digits of a SHA-256: found '000"):
        environment.vouched(toy.root, "torch")


@pytest.mark.parametrize(
    ("hashes", "said"),
    [(f" --hash=sha256:{'0' * 64}", "DO NOT MATCH THE HASHES"), ("", "Hashes are required")],
    ids=["another", "none"],
)
def test_a_package_without_its_hash_is_refused(
    toy: Toy, capfd: pytest.CaptureFixture[str], hashes: str, said: str
) -> None:
    toy.write("book", [f"chapters==1.0{hashes}"])
    with pytest.raises(environment.SetupError, match=r"installing requirements/book\.lock"):
        toy.install("book")
    assert said in capfd.readouterr().err
    assert toy.installed() == {}


def test_a_source_is_built_with_what_is_there(toy: Toy, tmp_path: Path) -> None:
    """Nothing is fetched for a build: pip would check no hash of it."""
    source = tmp_path / "old-1.0"
    source.mkdir()
    (source / "pyproject.toml").write_text(PROJECT.replace("toy", "old"))
    (source / "backend.py").write_text(BACKEND.replace("toy", "old"))
    archive = Path(shutil.make_archive(str(toy.disk / "old-1.0"), "gztar", tmp_path, "old-1.0"))
    sha = hashlib.sha256(archive.read_bytes()).hexdigest()
    toy.write("book", [f"old==1.0 --hash=sha256:{sha}"])
    assert toy.install("book") == {"old": "1.0"}


@pytest.mark.slow
def test_a_group_is_added_to_the_book_and_harms_it_never(toy: Toy) -> None:
    """Not without a network either."""
    book = toy.set_up()
    assert book == CUDA | {"chapters": "1.0"}
    toy.pypi.rename(toy.pypi.with_name("away"))
    with pytest.raises(environment.SetupError, match=r"installing requirements/test\.lock"):
        toy.set_up("test")
    assert toy.set_up() == book
    toy.pypi.with_name("away").rename(toy.pypi)
    assert toy.set_up("test") == book | {"checks": "1.0"}


# --- disks --------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MB."""
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root on Linux can mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def set_up_on(disk: Path, toy: Toy, *groups: str) -> subprocess.CompletedProcess[str]:
    """Set up as make does, in a process of its own, with temporary files on the same disk."""
    (toy.root / "workflow").mkdir(exist_ok=True)
    shutil.copy(ROOT / "workflow" / "environment.py", toy.root / "workflow")
    (disk / "tmp").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-I", toy.root / "workflow" / "environment.py", *groups],
        env=os.environ | {"TMPDIR": str(disk / "tmp")},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_full_disk_is_told_and_does_no_harm(small_disk: Path, toy: Toy) -> None:
    """Neither while .venv is made, on 10 MB, nor while packages are installed, on 40."""
    content = base64.b64encode(os.urandom(30_000_000)).decode()
    sha = make_wheel(toy.pypi, "chapters", "1.0", f"TEXT = {content!r}")
    toy.write("book", [f"chapters==1.0 --hash=sha256:{sha}"])
    toy.offer(toy.disk)
    make_index(toy.pypi)
    toy.root = Path(shutil.move(toy.root, small_disk / "toy"))
    for size in ("10m", "40m"):
        subprocess.run(["mount", "-o", f"remount,size={size}", small_disk], check=True)
        answer = set_up_on(small_disk, toy)
        assert answer.returncode == 1 and "Traceback" not in answer.stderr
        assert "The set-up stopped while " in answer.stderr
        assert "No space left on device" in answer.stderr or "has only" in answer.stderr
    subprocess.run(["mount", "-o", "remount,size=300m", small_disk], check=True)
    assert set_up_on(small_disk, toy).returncode == 0
    assert toy.installed() == CPU | {"chapters": "1.0"}


# --- this machine's own Python, and the network -------------------------------------------------

SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.mark.setup
def test_the_grading_environment_stands_on_the_books(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    python = grading_setup.ensure(tmp_path)
    code = "import otter, torch, nbformat, wrapt; print(wrapt.__version__, torch.__file__)"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True)
    version, torch = said.stdout.split()
    (name,) = UNLIKE_THE_BOOK
    assert f"{name}=={version} " in environment.lock_path(tmp_path, "grading").read_text()
    assert str(tmp_path) not in torch, "torch is the book's"
    stamp = tmp_path / ".venv-grading" / environment.STAMP
    before = stamp.stat().st_mtime_ns
    assert grading_setup.ensure(tmp_path) == python and stamp.stat().st_mtime_ns == before


@pytest.mark.setup
def test_the_systems_own_python_sets_up_and_builds_a_chapter(tmp_path: Path) -> None:
    """As a newcomer does: a clean copy, `make setup` with the distribution's Python, a chapter."""
    tried = subprocess.run([SYSTEM_PYTHON, "-c", "import venv, ensurepip"], capture_output=True)
    if tried.returncode:
        pytest.skip("there is no /usr/bin/python3 with venv (Debian: apt-get install python3-venv)")
    ignore = shutil.ignore_patterns(".git", ".venv", "_build", "__pycache__", ".*_cache")
    book = Path(shutil.copytree(ROOT, tmp_path / "book", ignore=ignore))
    kept = ("PATH", "LANG", "TMPDIR", "PIP_CERT", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL")
    settings = {name: os.environ[name] for name in kept if name in os.environ}
    python = book / ".venv" / "bin" / "python"
    for command, more in (
        (["make", f"PYTHON={SYSTEM_PYTHON}", "setup"], {}),
        (
            [python, "-m", "workflow.book", "--tier", "smoke", "--chapters", "1"],
            {"HOME": str(tmp_path)},
        ),
    ):
        ended = subprocess.run(command, cwd=book, env=settings | more, capture_output=True)
        assert ended.returncode == 0, (ended.stdout + ended.stderr).decode()
    assert subprocess.run([python, "-m", "pip", "check"]).returncode == 0
    shutil.rmtree(book)  # pytest keeps folders, and this one has more than 1 GB
