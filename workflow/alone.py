"""Render chapters alone, in seconds, when only these are to be looked at.

All other pages are read with their headings and labels only, so that links, theorems and citations
of the chapters are checked as in the whole book, and in their places stands a sentence. It lies
apart from the book's site.
"""

import json
import re
import shutil

import yaml

from workflow import finish
from workflow.numbers import number_cells
from workflow.progress import Problem
from workflow.project import load
from workflow.site import sphinx
from workflow.stage import configuration, mathjax, prepare, synchronise

FENCE = re.compile(r"^([`:]{3,})(?:\{([\w:-]+)\}([^\n]*))?[^\n]*\n(.*?)^\1[ \t]*$\n?", re.M | re.S)
KEPT = re.compile(r"^(?:#+ .*|\([\w-]+\)=)$", re.M)
#: Pages that are made as they are: what they hold is named by others.
WHOLE = ("bibliography",)
ELSEWHERE = "This page stands here without its text: <code>make book</code> makes all of it."


def render(project, chapters):
    """Build the pages of executed chapters; return the paths of their HTML."""
    folder = project.build / "alone"
    synchronise(folder / "stage", _contents(project, chapters))
    site, names = folder / "site", [f"notebooks/{chapter}" for chapter in chapters]
    whole = [f"{name}.md" for name in WHOLE]
    made = sphinx(project, folder, [f"{name}.ipynb" for name in names] + whole)
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(made, site)
    pages = [site / f"{name}.html" for name in names]
    for page in pages:
        page.write_text(finish.finish(page.read_text("utf-8"), f"notebooks/{page.name}"), "utf-8")
    for source in (folder / "stage").rglob("*"):
        page = site / source.relative_to(folder / "stage").with_suffix(".html")
        if source.suffix in (".md", ".ipynb") and not page.exists():
            page.write_text(f"<!DOCTYPE html><title>{page.stem}</title><p>{ELSEWHERE}", "utf-8")
    return pages


def _contents(project, chapters):
    contents, problems = dict(mathjax()), []
    toc = yaml.safe_load((project.root / "_toc.yml").read_text("utf-8"))
    parts = toc.get("parts", [toc])
    names = [entry["file"] for part in parts for entry in part.get("chapters", [])]
    for name in [toc["root"], *names]:
        chapter, page = name.rpartition("/")[2], project.root / "book" / f"{name}.md"
        if name.startswith("notebooks/") and chapter in chapters:
            notebook = load(project.executed(chapter))
            problems += prepare(notebook, chapter, {})
            number_cells(notebook, project.numbers)
            contents[f"{name}.ipynb"] = json.dumps(notebook, indent=1, sort_keys=True)
        elif name.startswith("notebooks/"):
            cells = (load(project.notebook(chapter)) or {"cells": []})["cells"]
            prose = [c["source"] for c in cells if c["cell_type"] == "markdown"]
            text = outline("\n\n".join("".join(one) for one in prose), chapter)
            # As a notebook, since links name it with its ending.
            cell = {"cell_type": "markdown", "metadata": {}, "source": text}
            made = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 2}
            contents[f"{name}.ipynb"] = json.dumps(made)
        elif page.is_file():
            text = page.read_text("utf-8")
            contents[f"{name}.md"] = text if name in WHOLE else outline(text, name)
        else:  # made of the whole book
            contents[f"{name}.md"] = outline("", name)
    if problems:
        raise Problem("\n".join(problems))
    assets = project.root / "book" / "assets"
    contents |= {f"assets/{p.name}": p.read_bytes() for p in assets.glob("*") if p.is_file()}
    contents["references.bib"] = (project.root / "book" / "references.bib").read_bytes()
    contents["_toc.yml"] = yaml.safe_dump(toc, sort_keys=False)
    contents["_config.yml"] = yaml.safe_dump(configuration(project), sort_keys=False)
    return contents


def outline(text, name):
    """Headings of a page, and what others can refer to: directives with labels, emptied.

    >>> lemma = "```{prf:lemma} L\\n:label: l\\n\\nWords.\\n```\\n"
    >>> print(outline("# A page\\n\\nText.\\n" + lemma, "a"))
    # A page
    <BLANKLINE>
    ```{prf:lemma} L
    :label: l
    <BLANKLINE>
    …
    ```
    """
    labelled = []
    for fence, kind, title, body in FENCE.findall(text):
        if label := re.search(r"^:label:[ \t]*\S+", body, re.M) if kind else None:
            labelled.append(f"{fence}{{{kind}}}{title}\n{label[0]}\n\n…\n{fence}")
    first, *more = KEPT.findall(FENCE.sub("", text)) or [f"# {name}"]
    return "\n\n".join([first, *more, *labelled])
