"""What Binder and Colab open: files of the branch `notebooks`, in a Python without the package."""

import ast
import json
import re
import subprocess
import sys
import sysconfig

import pytest

import companion
from workflow import launch, stage
from workflow.project import HOME, Project, load
from workflow.reach import reached

RUN = """
import json, sys
sys.path[:0] = sys.argv[2:]
cells = json.load(open(sys.argv[1]))["cells"]
namespace, failed = {"__name__": "__main__"}, []
for cell in cells:
    if cell["cell_type"] != "code":
        continue
    text = "".join(cell["source"])
    tags = cell["metadata"].get("tags", [])
    try:
        exec(text.replace('tier = "book"', 'tier = "smoke"'), namespace)
    except Exception as error:
        if "raises-exception" not in tags:  # a test of an exercise that nobody has solved
            raise
        failed.append(type(error).__name__)
import companion
print("SAID", companion.__file__, len(failed))
"""


@pytest.fixture(scope="session")
def branch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("branch")
    launch.branch(Project(), folder)
    return folder


def run(branch, chapter, tmp_path, *path):
    """Execute a file of the branch where packages are, but not what is installed in place."""
    site = sysconfig.get_path("purelib")
    code = ["-I", "-S", "-c", RUN, str(branch / "notebooks" / f"{chapter}.ipynb")]
    done = subprocess.run(
        [sys.executable, *code, *map(str, path), site],
        cwd=tmp_path, capture_output=True, text=True,
        env={"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.rpartition("SAID ")[2].split()


def foreign(folder):
    """Another package of the same name, as there is one on PyPI."""
    (folder / "companion").mkdir(parents=True)
    (folder / "companion" / "__init__.py").write_text("raise SystemExit('not ours')\n")
    return folder


@pytest.mark.slow
def test_a_file_that_a_button_opens_runs_without_the_package(branch, tmp_path):
    """And where another package has its name, which it steps over."""
    where, failed = run(branch, "what-breaks-it", tmp_path, foreign(tmp_path / "other"))
    assert "other" not in where and str(HOME) not in where
    assert int(failed) > 0, "exercises are stubs, and their tests say so"


@pytest.mark.slow
def test_a_download_carries_what_its_chapter_imports_and_is_small(branch, tmp_path):
    """Every chapter of this book, in an interpreter that knows no other copy of the package."""
    project = Project()
    package = project.root / "companion"
    for chapter in project.chapters:
        studies = project.studies(chapter)
        carried = reached(package, project.notebook(chapter), studies)
        parts = [path.relative_to(package).parts for path in carried]
        assert {p[1] for p in parts if p[0] == "studies" and len(p) > 2} == set(studies)
        # Summaries of the full-size experiments, and all the models that no other chapter has.
        more = {"full_size": 46_000, "catalogue": 48_000}
        lines = [load(branch / "notebooks" / f"{chapter}.ipynb")["cells"][1]["source"]]
        assert len(lines[0]) <= 123_000 + sum(more.get(study, 0) for study in studies)
        for cell in load(project.notebook(chapter))["cells"]:
            source = re.sub(r"^[%!].*$", "", "".join(cell["source"]), flags=re.MULTILINE)
            if cell["cell_type"] == "code":
                nodes = ast.walk(ast.parse(source))
                kinds = (ast.Import, ast.ImportFrom)
                lines += [ast.unparse(node) for node in nodes if isinstance(node, kinds)]
            for room, name in re.findall(r"\b(models|datasets|fit|families)\.([A-Za-z_]+)", source):
                if hasattr(getattr(companion, room), name):
                    lines.append(f"from companion.{room} import {name}")
        modules = [".".join(p) for p in parts if p[-1].endswith(".py") and len(p) > 1]
        names = [name.removesuffix(".py").removesuffix(".__init__") for name in modules]
        lines += [f"import companion.{name}" for name in names]
        lines += [f"assert not companion.__file__.startswith({str(project.root)!r})"]
        (tmp_path / f"{chapter}.py").write_text("\n".join(lines), "utf-8")
    with (tmp_path / "probabilistic-pca.py").open("a") as chapter:
        chapter.write(LEFT_OUT)
    files = sorted(tmp_path.glob("*.py"))
    command = [sys.executable, "-P", "-c", EACH.format(root=repr(str(project.root))), *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and len(files) == len(project.chapters), done.stderr


#: What a chapter does not use is named, not carried.
LEFT_OUT = """
try:
    models.Diffusion
except ModuleNotFoundError as error:
    assert "models.diffusion is not in this copy of the package" in str(error)
else:
    raise AssertionError
assert not hasattr(models, "Nonsense")
"""
#: Runs each file in a process of its own, where the repository itself cannot be found, however the
#: package was installed. What takes seconds to import is imported once, before the processes part.
EACH = """\
import os, runpy, sys
sys.path[:] = [p for p in sys.path if p != {root}]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in str(f).lower()]
import IPython, matplotlib.pyplot, scipy.stats, sklearn.datasets, sympy, torch
def run(file):
    if child := os.fork():
        return os.waitpid(child, 0)[1]
    try:
        runpy.run_path(file)
        os._exit(0)
    finally:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
sys.exit(any([run(file) for file in sys.argv[1:]]))
"""


def test_a_package_that_is_installed_is_taken(branch, tmp_path):
    cells = json.loads((branch / "notebooks" / "theorem-1.ipynb").read_text())["cells"]
    code = cells[1]["source"] + "\nimport companion; print(companion.__file__)"
    command = [sys.executable, "-"]  # the code is too long for an argument
    said = subprocess.run(command, cwd=HOME, input=code, capture_output=True, text=True).stdout
    assert said.strip() == str(HOME / "companion" / "__init__.py")


@pytest.mark.slow
def test_every_chapter_is_there_without_solutions_and_binder_gets_the_locked_versions(branch):
    names = sorted(path.stem for path in (branch / "notebooks").glob("*.ipynb"))
    assert names == sorted(Project().chapters)
    for path in (branch / "notebooks").glob("*.ipynb"):
        text = path.read_text("utf-8")
        assert '"solution"' not in text and "{solution}" not in text
    pins = (branch / ".binder" / "requirements.txt").read_text().splitlines()[2:]
    listed = (HOME / "pyproject.toml").read_text()
    assert all("==" in pin and f'"{pin.partition("==")[0]}' in listed for pin in pins)


def test_buttons_point_to_that_branch(monkeypatch):
    monkeypatch.setenv("REPOSITORY_URL", "https://github.com/somebody/elbo-companion")
    config = stage.configuration(Project())
    assert config["repository"]["branch"] == launch.BRANCH
    workflow = (HOME / ".github" / "workflows" / "book.yml").read_text()
    assert f"HEAD:{launch.BRANCH}" in workflow and "workflow.launch" in workflow


def test_binder_and_container_use_the_locks():
    lines = (HOME / ".binder" / "requirements.txt").read_text().splitlines()
    locks = [line.partition("-r ")[2] for line in lines if line.startswith("-r ")]
    assert [(HOME / ".binder" / lock).resolve().name for lock in locks] == [
        *("torch-cpu.lock", "book.lock")
    ]
    assert all((HOME / ".binder" / lock).is_file() for lock in locks)
    container = json.loads((HOME / ".devcontainer" / "devcontainer.json").read_text())
    assert container["postCreateCommand"] == "make setup-test"
