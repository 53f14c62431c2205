"""A toy book in a temporary folder: small chapters, the real workflow."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]

SETUP = "from companion.book import claims, tiers"
PARAMETERS = 'tier = "book"  # smoke, book or paper\nseed = 1  # of the random numbers'
BODY = [
    "size = tiers.pick(tier, smoke=1, book=2, paper=3)",
    (
        'claims.record("{name}/first", "The size $n$ is at most 3.", size, at_most=3,\n'
        '    source="this companion")'
    ),
    (
        'claims.record("{name}/second", "The seed is near one.", float(seed), close_to=1,\n'
        '    within=5, source="this companion")'
    ),
    "claims.table()",
]


def cell(source, number, tags=()):
    kind = "markdown" if source.startswith(("#", ":::", "Text")) else "code"
    made = {
        "cell_type": kind,
        "id": f"cell-{number}",
        "metadata": {"tags": list(tags)} if tags else {},
        "source": source,
    }
    return made if kind == "markdown" else made | {"outputs": [], "execution_count": None}


def notebook(name, extra=()):
    texts = [f"# Chapter {name}", SETUP, PARAMETERS, *(b.replace("{name}", name) for b in BODY)]
    cells = [
        cell(text, number, ["parameters"] if text == PARAMETERS else [])
        for number, text in enumerate([*texts, *extra], 1)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


class Toy:
    """A book of toy chapters; `run` is the command a reader would type."""

    #: Options that let jobs run side by side.
    abreast = ("--cores", "2")

    def __init__(self, root, home=HOME):
        self.root, self.build, self.home = root, root / "_build", home

    def write(self, name, extra=()):
        path = self.root / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(notebook(name, extra), indent=1))
        return path

    def command(self, *options):
        return [sys.executable, "-m", "workflow.book", "--root", str(self.root), *options]

    @property
    def environment(self):
        return {k: v for k, v in os.environ.items() if k != "REPOSITORY_URL"}

    def start(self, *options):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        # A shell's background jobs ignore Ctrl-C, and hand that on to what they start.
        return subprocess.Popen(
            self.command(*options), cwd=self.home, text=True, env=self.environment,
            start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            **pipes,
        )  # fmt: skip

    def run(self, *options):
        process = self.start(*options)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    def until_claims(self, *options):
        return self.run("--until", "claims", *options)

    def executed(self, name):
        return self.build / "executed" / f"{name}.ipynb"

    def executions(self):
        """What papermill says about each execution, its start among it."""
        copies = self.build.glob("executed/*.ipynb")
        return {p.stem: json.loads(p.read_text())["metadata"]["papermill"] for p in copies}

    def claims(self):
        return json.loads((self.build / "claims.json").read_text())


def make_toy(root, names=("one", "two")):
    package = root / "companion"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""A toy package."""\n')
    shutil.copytree(HOME / "companion" / "book", package / "book")
    (root / "requirements").mkdir()
    for name in ("torch", "book"):
        (root / "requirements" / f"{name}.lock").write_text("toy==1\n")
    (root / "reference").mkdir()
    entries = "".join(f"  - file: notebooks/{name}\n" for name in names)
    (root / "_toc.yml").write_text(f"format: jb-book\nroot: index\nchapters:\n{entries}")
    toy = Toy(root)
    for name in names:
        toy.write(name)
    return toy


@pytest.fixture
def toy(tmp_path):
    return make_toy(tmp_path / "toy")


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A toy book that was executed and whose claims are the reference, to be copied."""
    toy = make_toy(tmp_path_factory.mktemp("template") / "toy")
    for options in (["--reference"], []):
        status, output = toy.until_claims(*options)
        assert status == 0, output
    return toy


@pytest.fixture
def made(template, tmp_path):
    shutil.copytree(template.root, tmp_path / "made")
    return Toy(tmp_path / "made")


@pytest.fixture
def small_book(tmp_path):
    """A function that builds a page of our extension of Sphinx alone, and returns its text."""

    def build(page, settings="", **files):
        source = tmp_path / "source"
        source.mkdir(exist_ok=True)
        conf = "extensions = ['sphinx.ext.autodoc', 'workflow.extension']\nproject = 'Book'\n"
        texts = {"index.rst": page, "conf.py": conf + settings, **files}
        for name, text in texts.items():
            (source / name).parent.mkdir(exist_ok=True)
            (source / name).write_text(text)
        command = ["-m", "sphinx", "-q", "-W", str(source), str(tmp_path / "out")]
        subprocess.run([sys.executable, *command], check=True)
        return (tmp_path / "out" / "index.html").read_text()

    return build
