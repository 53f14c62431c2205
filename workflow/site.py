"""Build the site from the staged sources: `python -m workflow.site ROOT BUILD`.

The finished site takes the place of the one before as a whole; a failed build leaves that alone.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from workflow import extension, finish, progress, publish
from workflow.launch import standalone
from workflow.progress import Problem
from workflow.project import Project, load, pages_digest, sealed, write
from workflow.stage import stage


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


def sphinx(project, folder, only=()):
    """Run Jupyter Book on `stage/` in a folder; return where its pages are, or raise `Problem`.

    All is read; where there is an ``only``, these sources alone become pages.
    """
    made = folder / "jupyter-book"
    shutil.rmtree(made, ignore_errors=True)
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
        env=os.environ | {"PYTHONPATH": path, extension.ONLY: os.pathsep.join(only)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if result.returncode:
        raise Problem(f"The site was not built:\n{_excerpt(result.stdout, folder)}")
    return made / "_build" / "html"


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
