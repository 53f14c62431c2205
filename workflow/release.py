"""Make what a release consists of: `python -m workflow.release dist` after `make book`.

The wheel and the source archive of the package, with links that lead somewhere from a package
index; and the executed book as an RO-Crate: its files, what made them, and how.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from workflow.pages import title
from workflow.progress import Problem
from workflow.project import Project, commit_date, repository_address, write

BACKEND = """\
import sys
from setuptools import build_meta
folder = sys.argv[1]  # setuptools writes arguments of its own there
build_meta.build_sdist(folder)
build_meta.build_wheel(folder)
"""


def distributions(project, folder):
    """Build sdist and wheel of the files that git knows, README's links made absolute."""
    command = ["git", "-C", str(project.root), "ls-files", "-z"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    with tempfile.TemporaryDirectory() as temporary:
        for name in filter(None, names):
            copy = Path(temporary) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(project.root / name, copy)
        readme = Path(temporary) / "README.md"
        readme.write_text(absolute(readme.read_text("utf-8"), repository_address(project.root)))
        folder.mkdir(parents=True, exist_ok=True)
        made = subprocess.run(
            [sys.executable, "-c", BACKEND, str(folder.resolve())],
            cwd=temporary, capture_output=True, text=True,
        )  # fmt: skip
    if made.returncode:
        raise Problem(f"The distributions were not built:\n{made.stderr[-2000:]}")
    return sorted(folder.glob("elbo_companion-*"))


def absolute(text, address):
    """Links into the repository with its address in front, where it is known.

    >>> absolute("[A](book/a.md), ![B](b.svg), [C](https://c.org), [D](#d)", "https://x.org/y")
    '[A](https://x.org/y/blob/main/book/a.md), ![B](https://x.org/y/raw/main/b.svg), ...
    """
    if not address:
        return text

    def link(match):
        picture, words, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        return f"{picture}[{words}]({address}/{'raw' if picture else 'blob'}/main/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", link, text)


def crate(project):
    """The executed book as an RO-Crate (1.1): chapters, claims, environment, provenance."""
    claims = (project.collected or {"claims": None})["claims"]
    if claims is None:
        raise Problem("The book is not executed as it is now: run `make book` first.")
    parts = [_file("claims.json", f"The book's {len(claims)} claims with values and bounds")]
    actions = []
    for chapter in project.chapters:
        run, name = project.run(chapter), f"executed/{chapter}.ipynb"
        about = {"sha256": run["executed"], "encodingFormat": "application/x-ipynb+json"}
        parts.append(_file(name, title(project, chapter)) | about)
        actions.append({
            "@id": f"#run-{chapter}",
            "@type": "CreateAction",
            "name": f"Execution of {chapter} at tier {run['tier']}",
            "instrument": {"@id": "#environment"},
            "object": {"@id": f"notebooks/{chapter}.ipynb"},
            "result": {"@id": name},
            "startTime": run["started"].replace(" ", "T") + ":00Z",
            "description": f"{run['seconds']:.0f} s, one thread; parameters "
            + json.dumps(run["key"]["parameters"], sort_keys=True),
        })  # fmt: skip
        source = _file(f"notebooks/{chapter}.ipynb", f"Source of {title(project, chapter)}")
        parts.append(source | {"sha256": run["key"]["notebook"]})
    environment = {
        "@id": "#environment",
        "@type": "SoftwareApplication",
        "name": f"Python {project.run(project.chapters[0])['key']['python']}, lock {project.lock}",
        "softwareRequirements": [{"@id": f"requirements/{n}.lock"} for n in ("torch", "book")],
    }
    locks = [_file(f"requirements/{n}.lock", f"Locked versions: {n}") for n in ("torch", "book")]
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": "An executable companion to: ELBOs converge to sums of entropies",
        "description": "The executed book, its claims, and what they were computed with.",
        "datePublished": commit_date(project.root) or time.strftime("%Y-%m-%d", time.gmtime()),
        "license": {"@id": "https://spdx.org/licenses/BSD-3-Clause"},
        "hasPart": [{"@id": part["@id"]} for part in (*parts, *locks)],
        "mentions": [{"@id": action["@id"]} for action in actions],
    }
    about = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }
    graph = [about, root, *parts, *locks, environment, *actions]
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}


def _file(name, words):
    return {"@id": name, "@type": "File", "name": words}


def archive(project, folder):
    """Write the executed book with its crate as one compressed archive; return its path."""
    with tempfile.TemporaryDirectory() as temporary:
        there = Path(temporary) / "elbo-companion-executed"
        made = crate(project)
        write(there / "ro-crate-metadata.json", json.dumps(made, indent=1, ensure_ascii=False))
        for entry in made["@graph"]:
            if entry["@type"] == "File":
                build = (
                    project.build if entry["@id"].startswith(("exec", "claims")) else project.root
                )
                copy = there / entry["@id"]
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(build / entry["@id"], copy)
        name = shutil.make_archive(str(folder / there.name), "gztar", temporary, there.name)
    return Path(name)


def main(folder):
    project, folder = Project(), Path(folder)
    try:
        for path in (*distributions(project, folder), archive(project, folder)):
            print(path)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
