"""Chapters that run alone, and the branch of the repository that Binder and Colab open.

A chapter in `notebooks/` needs the package. Its copy here carries it, as a download does; the
hosted workflow pushes these copies to the branch `notebooks`: `python -m workflow.launch FOLDER`
writes what belongs there.
"""

import base64
import io
import json
import lzma
import re
import sys
import tarfile
import tomllib
from pathlib import Path

from workflow.environment import pinned_versions
from workflow.exercises import Cell, without_solutions
from workflow.numbers import number_cells
from workflow.project import Project, load, write
from workflow.reach import carried, reached

#: The branch that buttons open.
BRANCH = "notebooks"
#: On PyPI another package has the name `companion`: it is not ours, and is stepped over.
CARRIED = """\
# This copy of the chapter carries the package it uses, so that it runs on its own.
# It needs: pip install {requirements}
import base64, importlib.util, io, pathlib, sys, tarfile, tempfile

found = importlib.util.find_spec("companion")
if not (found and found.origin and pathlib.Path(found.origin).with_name("book").is_dir()):
    folder = tempfile.mkdtemp()
    archive = "{archive}"
    with tarfile.open(fileobj=io.BytesIO(base64.b85decode(archive))) as package:
        package.extraction_filter = getattr(tarfile, "data_filter", None)  # from Python 3.11.4 on
        package.extractall(folder)
    sys.path.insert(0, folder)

    class Missing:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.startswith("companion."):
                raise ModuleNotFoundError(
                    f"{{name}} is not in this copy of the package, which carries what its chapter "
                    "needs: for more, install the book's package.", name=name)

    sys.meta_path.append(Missing)
    for name in [name for name in sys.modules if name.split(".")[0] == "companion"]:
        del sys.modules[name]
"""
#: How xz packs text best: a letter follows from the one before, wherever both stand.
TEXT = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}
BINDER = """\
# What Binder installs for the chapters on this branch; they carry the package itself.
--extra-index-url https://download.pytorch.org/whl/cpu
{pins}
"""
README = """\
# Chapters that run alone

Written by the book's workflow, from the branch `main`: each notebook carries the package that it
uses. Binder and Colab open these. Changes belong on `main`.
"""


def standalone(project, chapter):
    """The chapter's source, with the package it imports inside: no outputs, nothing else needed.

    Exercises have stubs in it in place of their solutions, and their public tests.
    """
    notebook = without_solutions(load(project.notebook(chapter)))
    cell: Cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "carried-package",
        "metadata": {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]},
        "outputs": [],
        "source": CARRIED.format(
            requirements=_requirements(project), archive=_archive(project, chapter)
        ),
    }
    number_cells(notebook, project.numbers)
    notebook["cells"].insert(1, cell)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _archive(project, chapter):
    """What the chapter reaches of the package, and its own study; equal for equal sources."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        studies, package = project.studies(chapter), project.root / "companion"
        files = reached(package, project.notebook(chapter), studies)
        for path in files:
            content = carried(path, package, files)
            entry = tarfile.TarInfo(path.relative_to(project.root).as_posix())
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    packed = lzma.compress(file.getvalue(), filters=[TEXT])
    return base64.b85encode(packed).decode("ascii")


def _requirements(project):
    path = project.root / "pyproject.toml"
    if not path.is_file():
        return "matplotlib numpy"
    listed = tomllib.loads(path.read_text("utf-8"))["project"]["dependencies"]
    return " ".join(f'"{name}"' for name in listed)


def branch(project, folder):
    """Write what belongs on the branch that buttons open."""
    for chapter in project.chapters:
        write(folder / "notebooks" / f"{chapter}.ipynb", standalone(project, chapter))
    versions = pinned_versions(project.root)
    names = [re.split(r"[<>=]", name.strip('"'))[0] for name in _requirements(project).split()]
    pins = "\n".join(f"{name}=={versions[name]}" for name in names)
    write(folder / ".binder" / "requirements.txt", BINDER.format(pins=pins))
    write(folder / ".binder" / "runtime.txt", "python-3.11\n")
    write(folder / "README.md", README)


if __name__ == "__main__":
    branch(Project(), Path(sys.argv[1]))
