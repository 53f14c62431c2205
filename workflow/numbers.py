"""The numbers of chapters, derived from `_toc.yml` wherever a text refers to a chapter by a link.

`[Chapter 5](probabilistic-pca.ipynb)`, `[5. Probabilistic PCA](...)` and `[5](...)` carry the
number of the chapter they lead to. Staging puts the present numbers into every page of the site;
`python -m workflow.numbers` puts them into the sources, after `_toc.yml` was changed.
"""

import json
import re
import sys

from workflow.progress import Problem
from workflow.project import Project, write_if_changed

LINK = re.compile(
    r"\[(?P<before>(?:[^\]\n]*\b[Cc]hapter )?)(?P<number>\d+)(?P<after>(?:\. [^\]\n]*)?)\]"
    r"(?P<target>\((?:[\w./-]*/)?(?P<chapter>[\w-]+)\.(?:ipynb|html)(?:#[\w-]*)?\))"
)


def numbered(text, numbers):
    """The text with the number of each chapter that a link names; unknown targets stay."""

    def replace(match):
        number = numbers.get(match["chapter"], match["number"])
        return f"[{match['before']}{number}{match['after']}]{match['target']}"

    return LINK.sub(replace, text)


def number_cells(notebook, numbers):
    """The same in every text cell of a notebook, in place."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            found = numbered(text, numbers)
            if found != text:
                cell["source"] = found.splitlines(keepends=True)


def sources(project):
    """Every text that refers to chapters, with what it should say."""
    pages = [project.root / "README.md", project.root / "CONTRIBUTING.md"]
    pages += sorted((project.root / "book").glob("*.md"))
    for path in filter(lambda path: path.is_file(), pages):
        yield path, numbered(path.read_text("utf-8"), project.numbers)
    for chapter in project.chapters:
        path = project.notebook(chapter)
        notebook = json.loads(path.read_text("utf-8"))
        number_cells(notebook, project.numbers)
        yield path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def main():
    try:
        for path, text in sources(Project()):
            write_if_changed(path, text)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
