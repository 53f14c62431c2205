"""Write a chapter that runs, to be made one's own: `python -m workflow.new_chapter my-topic`.

It is a copy of `workflow/my-topic.ipynb`: every part that a chapter needs, on a model of the
package and with its data in one cell. It passes `tests/book` as it is, and stands last of the
chapters in `_toc.yml`.
"""

import re
import sys
from pathlib import Path

import yaml

from workflow.progress import Problem
from workflow.project import HOME, Project, write

TEMPLATE = Path(__file__).with_name("my-topic.ipynb")
NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
CAPTION = "Own chapters"
#: The part of the table of contents in front of which that of own chapters stands.
BEFORE = "Reproduce and reuse"


def new_chapter(project, name):
    """Write the chapter's notebook and its line in the table of contents; return the notebook."""
    if not NAME.fullmatch(name):
        raise Problem(
            f"A chapter's name has small letters, digits and single hyphens: found {name!r}; "
            "make chapter NAME=my-topic"
        )
    path, toc = project.notebook(name), project.root / "_toc.yml"
    if name in project.chapters or path.exists():
        raise Problem(f"There is a chapter {name!r} already: choose another name.")
    text = listed(toc.read_text("utf-8"), name)
    chapter = TEMPLATE.read_text("utf-8").replace("my-topic", name)
    write(path, chapter.replace("My topic", name.replace("-", " ").capitalize()))
    write(toc, text)
    return path


def listed(toc, name):
    """The table of contents with one chapter more, as text, so that its comments stay.

    >>> print(listed("parts:\\n  - caption: A\\n    chapters:\\n      - file: a\\n", "b"))
    parts:
      - caption: A
        chapters:
          - file: a
      - caption: Own chapters
        numbered: 1
        chapters:
          - file: notebooks/b
    """
    line = f"      - file: notebooks/{name}\n"
    part = f"  - caption: {CAPTION}\n    numbered: 1\n    chapters:\n"
    toc = toc.rstrip("\n") + "\n"
    before = f"  - caption: {BEFORE}\n"
    if part in toc:
        start, _, rest = toc.partition(part)
        own = re.match(r"(?:      .*\n)*", rest)
        there = own[0] if own else ""
        made = start + part + there + line + rest[len(there) :]
    elif before in toc:
        made = toc.replace(before, part + line + before)
    else:
        made = toc + part + line
    files = [e["file"] for p in yaml.safe_load(made)["parts"] for e in p["chapters"]]
    if f"notebooks/{name}" not in files:
        raise Problem("_toc.yml has no list of parts in the book's form: add the chapter there.")
    return made


def main(arguments):
    if len(arguments) != 1:
        print("Name the chapter: make chapter NAME=my-topic", file=sys.stderr)
        return 2
    try:
        path = new_chapter(Project(HOME), arguments[0])
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 2
    name = path.stem
    print(f"{path.relative_to(HOME)} is written and stands in _toc.yml.")
    print(f"Execute, check and render it alone: make book CHAPTERS={name}")
    print("What is refused in it, once `make setup-test` has run:")
    print(f"  .venv/bin/python -m pytest tests/book -k {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
