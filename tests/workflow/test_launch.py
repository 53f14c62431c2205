"""What Binder and Colab open: files of the branch `notebooks`, in a Python without the package."""

import json
import subprocess
import sys
import sysconfig

import pytest

from workflow import launch, stage
from workflow.project import HOME, Project

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


@pytest.fixture(scope="module")
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


def test_a_package_that_is_installed_is_taken(branch, tmp_path):
    cells = json.loads((branch / "notebooks" / "theorem-1.ipynb").read_text())["cells"]
    code = cells[1]["source"] + "\nimport companion; print(companion.__file__)"
    command = [sys.executable, "-"]  # the code is too long for an argument
    said = subprocess.run(command, cwd=HOME, input=code, capture_output=True, text=True).stdout
    assert said.strip() == str(HOME / "companion" / "__init__.py")


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
