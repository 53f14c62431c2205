"""Build the site from the staged sources: `python -m workflow.site ROOT BUILD`.

The finished site takes the place of the one before as a whole; a failed build leaves that alone.
"""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from workflow import finish, progress, publish
from workflow.exercises import without_solutions
from workflow.numbers import number_cells
from workflow.progress import Problem
from workflow.project import Project, load, pages_digest, sealed, write
from workflow.stage import stage

CARRIED = """\
# This copy of the chapter carries the package it uses, so that it runs on its own.
# It needs: pip install {requirements}
import base64, importlib.util, io, sys, tarfile, tempfile

if importlib.util.find_spec("companion") is None:
    folder = tempfile.mkdtemp()
    archive = "{archive}"
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(archive))) as package:
        package.extraction_filter = getattr(tarfile, "data_filter", None)  # from Python 3.11.4 on
        package.extractall(folder)
    sys.path.insert(0, folder)
"""


def build(project):
    """Stage, run Jupyter Book, complete what it made, and put it in place.

    Sphinx begins afresh each time: built upon what an earlier or interrupted build left, its index
    for the search lacks entries, and pages differ by how they came about.
    """
    stage(project)
    made = sphinx(project, project.build)
    fresh, site = project.build / "site.new", project.build / "site"
    shutil.rmtree(fresh, ignore_errors=True)
    ignored = shutil.ignore_patterns(".buildinfo", "*macros.html")
    shutil.copytree(made, fresh, ignore=ignored)
    for page, name in finish.pages_of(fresh):
        source = project.build / "stage" / name
        staged = any(source.with_suffix(kind).is_file() for kind in (".md", ".ipynb"))
        if not staged and name != "search.html":
            page.unlink()  # an index that no page links to
            continue
        page.write_text(finish.finish(page.read_text("utf-8"), name), "utf-8")
    finish.light_icons(fresh)
    for chapter in project.chapters:
        download = fresh / "_sources" / "notebooks" / f"{chapter}.ipynb"
        download.write_text(standalone(project, chapter), "utf-8")
    (fresh / ".nojekyll").touch()
    publish.complete(fresh, project)
    site_key = (project.build / "stamps" / "site").read_text()
    built = {"built": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "key": site_key}
    write(fresh / "build.json", sealed({**built, "pages": pages_digest(fresh)}))
    old = project.build / "site.old"
    shutil.rmtree(old, ignore_errors=True)
    if site.exists():
        site.replace(old)
    fresh.replace(site)
    shutil.rmtree(old, ignore_errors=True)


def sphinx(project, folder):
    """Run Jupyter Book on `stage/` in a folder; return where its pages are, or raise `Problem`."""
    shutil.rmtree(folder / "jupyter-book", ignore_errors=True)
    start = (
        "import sys; from workflow.progress import end_with_driver; end_with_driver(); "
        "from jupyter_book.cli.main import main; sys.exit(main())"
    )
    command = [sys.executable, "-P", "-c", start, "build", "stage"]
    command += ["--path-output", "jupyter-book", "-W", "-n", "--keep-going", "-q"]
    path = os.pathsep.join([str(project.root), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if result.returncode:
        raise Problem(f"The site was not built:\n{_excerpt(result.stdout, folder)}")
    return folder / "jupyter-book" / "_build" / "html"


def standalone(project, chapter):
    """The chapter's source, with the package it imports inside: no outputs, nothing else needed.

    Exercises have stubs in it in place of their solutions, and their public tests.
    """
    notebook = without_solutions(load(project.notebook(chapter)))
    cell: dict[str, object] = {
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
    """The package as the chapter needs it, core and own study; equal for equal sources."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:xz", preset=9) as archive:
        for path in project.package_files(chapter):
            content = path.read_bytes()
            entry = tarfile.TarInfo(path.relative_to(project.root).as_posix())
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return base64.b64encode(file.getvalue()).decode("ascii")


def _requirements(project):
    import tomllib

    path = project.root / "pyproject.toml"
    if not path.is_file():
        return "matplotlib numpy"
    listed = tomllib.loads(path.read_text("utf-8"))["project"]["dependencies"]
    return " ".join(f'"{name}"' for name in listed)


def _excerpt(output, build):
    """Sphinx's own words about each warning or error, without this machine's paths."""
    output = re.sub(r"\x1b\[[0-9;]*m", "", output).replace(f"{build}/", "")
    lines = [line for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"WARNING|ERROR|CRITICAL|Error:", line)]
    return "\n".join(f"    {line}" for line in (telling or lines[-15:])[:40])


def main(root, folder):
    root, folder = Path(root).absolute(), Path(folder).absolute()
    run = load(next(folder.glob("runs/*.json"))) or {}
    base = folder if run["tier"] == "book" else folder.parent
    project = Project(root, run["tier"], base)
    progress.report("site", text="Building the site")
    build(project)


if __name__ == "__main__":
    progress.job(main)
