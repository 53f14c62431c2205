"""A project whose packages are made here, and the places that pip may take them from."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

from workflow import environment

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


def settings(folder: Path) -> dict[str, str]:
    """The environment of a machine where pip knows only the folders that are made here."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "TORCH_"))}
    return kept | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": (folder / "pypi").as_uri(),
        "PIP_FIND_LINKS": str(folder / "disk"),
        "HOME": str(folder / "home"),
    }


def installed(root: Path) -> dict[str, str]:
    """{name: version} of what `.venv` has and its records account for."""
    code = (
        "from importlib.metadata import distributions as d\n"
        "for p in d():\n    print(p.name, p.version if p.read_text('RECORD') else 'broken')"
    )
    python = root / ".venv" / "bin" / "python"
    answer = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True)
    found = dict(line.split() for line in answer.stdout.splitlines())
    return {n: v for n, v in found.items() if n not in ("pip", "setuptools", "toy")}


def site_packages(root: Path) -> Path:
    (folder,) = (root / ".venv" / "lib").glob("python*/site-packages")
    return folder


class Packages:
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
        return installed(self.root)

    @property
    def packages(self) -> Path:
        return site_packages(self.root)
