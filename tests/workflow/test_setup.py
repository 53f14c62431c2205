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
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from workflow import environment, grading_setup
from workflow.lock import UNLIKE_THE_BOOK

ROOT = Path(__file__).resolve().parents[2]

# A build system of the project's own: nothing need be installed to install it in place.
BACKEND = r"""
import zipfile
FILES = {
    "METADATA": "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
    "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "RECORD": "",
}
def build_wheel(folder, *settings):
    with zipfile.ZipFile(f"{folder}/toy-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(f"toy-1.0.dist-info/{name}", text)
    return "toy-1.0-py3-none-any.whl"
build_editable = build_wheel
"""
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "backend"
backend-path = ["."]
[project]
name = "toy"
version = "1.0"
"""


def make_wheel(folder: Path, name: str, version: str, content: str = "") -> str:
    """Write a package of one module, and return the SHA-256 of its file."""
    folder.mkdir(parents=True, exist_ok=True)
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    files = {
        f"{module}.py": f"VERSION = {version!r}\n{content}",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{info}/RECORD"
    sums = {
        n: base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()) for n, t in files.items()
    }
    files[record] = "".join(
        f"{n},sha256={sums[n].decode().rstrip('=')},{len(t)}\n" for n, t in files.items()
    )
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(zipfile.ZipInfo(file), text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_index(folder: Path) -> None:
    """Offer the wheels in a folder as an index does: by package, each with its hash."""
    for path in folder.glob("*.whl"):
        name = path.name.partition("-")[0].replace("_", "-")
        (folder / name).mkdir(exist_ok=True)
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        href = f"../{path.name.replace('+', '%2B')}#sha256={sha}"
        with (folder / name / "index.html").open("a") as page:
            page.write(f'<a href="{href}">{path.name}</a><br>\n')


class Toy:
    """A project with locks of its own, and the places that pip may take packages from."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "toy"
        self.pypi = folder / "pypi"
        self.pytorch = folder / "download.pytorch.org" / "whl" / "cpu"
        self.disk = folder / "disk"
        self.disk.mkdir()
        (self.root / "requirements").mkdir(parents=True)
        (self.root / "pyproject.toml").write_text(PROJECT)
        (self.root / "backend.py").write_text(BACKEND)
        self.lock("torch", {"torch": "1.0", "nvidia-toy": "1.0"})
        sha = make_wheel(folder / "later", "torch", "1.0+cpu")
        self.cpu_build = folder / "later" / "torch-1.0+cpu-py3-none-any.whl"
        self.write("torch-cpu", [f"torch==1.0+cpu --hash=sha256:{sha}"])
        self.lock("book", {"chapters": "1.0"})
        self.lock("test", {"checks": "1.0"})
        make_index(self.pypi)

    def write(self, name: str, lines: list[str]) -> None:
        environment.lock_path(self.root, name).write_text("\n".join(["# A lock.", *lines, ""]))

    def lock(self, name: str, pins: dict[str, str]) -> None:
        made = {n: make_wheel(self.pypi, n, version) for n, version in pins.items()}
        self.write(name, [f"{n}=={pins[n]} --hash=sha256:{sha}" for n, sha in made.items()])

    def offer(self, place: Path, wheel: Path | None = None) -> None:
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel or self.cpu_build, place / self.cpu_build.name)
        if place == self.pytorch:
            make_index(place)

    def set_up(self, group: str = "book") -> dict[str, str]:
        """Set up, and return what is installed: {name: version}."""
        environment.ensure_venv(self.root, group)
        return self.installed()

    def install(self, lock: str) -> dict[str, str]:
        """Install one lock into an empty `.venv`, and return what is installed."""
        environment.make_venv(self.root / ".venv")
        environment.install(self.root, lock)
        return self.installed()

    def installed(self) -> dict[str, str]:
        """{name: version} of what `.venv` has and its records account for."""
        code = (
            "from importlib.metadata import distributions as d\n"
            "for p in d():\n    print(p.name, p.version if p.read_text('RECORD') else 'broken')"
        )
        python = self.root / ".venv" / "bin" / "python"
        answer = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True)
        found = dict(line.split() for line in answer.stdout.splitlines())
        return {n: v for n, v in found.items() if n not in ("pip", "setuptools", "toy")}

    @property
    def packages(self) -> Path:
        (folder,) = (self.root / ".venv" / "lib").glob("python*/site-packages")
        return folder


@pytest.fixture(scope="module")
def empty_venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    venv = tmp_path_factory.mktemp("venv") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    return venv


@pytest.fixture
def toy(tmp_path: Path, empty_venv: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A toy project on a machine where pip knows only the folders that the test makes."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "TORCH_"))]:
        monkeypatch.delenv(name)
    toy = Toy(tmp_path)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", toy.pypi.as_uri())
    monkeypatch.setenv("PIP_FIND_LINKS", str(toy.disk))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

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


def test_a_group_is_added_to_the_book_and_harms_it_never(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not without a network, not when it is killed; and then it is written whole."""
    book = toy.set_up()
    assert book == CUDA | {"chapters": "1.0"}
    toy.pypi.rename(toy.pypi.with_name("away"))
    with pytest.raises(environment.SetupError, match=r"installing requirements/test\.lock"):
        toy.set_up("test")
    assert toy.set_up() == book
    toy.pypi.with_name("away").rename(toy.pypi)

    true_run = environment.run

    def killed(command: list[str | Path], doing: str) -> None:
        true_run(command, doing)
        (toy.packages / "checks.py").unlink()
        (toy.packages / "checks-1.0.dist-info" / "RECORD").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(environment, "run", killed)
        toy.set_up("test")
    assert toy.set_up() == book | {"checks": "broken"}
    assert toy.set_up("test") == book | {"checks": "1.0"}
    assert (toy.packages / "checks.py").exists()


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
    made = subprocess.run(
        ["make", f"PYTHON={SYSTEM_PYTHON}", "setup"],
        cwd=book,
        env=settings,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert made.returncode == 0, made.stdout
    python = book / ".venv" / "bin" / "python"
    chapter = [python, "-m", "workflow.book", "--tier", "smoke", "--chapters", "1"]
    built = subprocess.run(
        chapter,
        cwd=book,
        env=settings | {"HOME": str(tmp_path)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert built.returncode == 0, built.stdout
    assert subprocess.run([python, "-m", "pip", "check"]).returncode == 0
    shutil.rmtree(book)  # pytest keeps folders, and this one has more than 1 GB
