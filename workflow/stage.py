"""Stage the site's sources: prose, executed chapters and generated pages, in one folder.

The sources stay as they are; all that the site needs beyond them is done to the staged copies.
"""

import ast
import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from companion.book import claims
from companion.book.claims import CLAIM, VALUE
from workflow import pages
from workflow.numbers import number_cells, numbered
from workflow.progress import Problem
from workflow.project import load, repository_address, write, write_if_changed

MINUTES = re.compile(r"\{\{\s*minutes: ([a-z0-9-]+)\s*\}\}")
#: Words that one reads in a minute where there are formulas among them.
WORDS_A_MINUTE = 150
FIGURE = re.compile(r"^\{\{\s*figure:\s*([a-z0-9-]+)\s*\}\}[ \t]*$", re.MULTILINE)
MATHJAX = (
    "tex-chtml.js",
    "output/chtml/fonts",
    "input/tex/extensions",
    "input/mml",
    "ui",
    "a11y",
    "sre",
)
#: What chapters draw with: `show`, and modules of figures.
DRAWING = ("charts", "figures", "sections", "show", "show_animation")
SHOWN = {"image/svg+xml": "svg", "image/png": "png"}


def stage(project):
    """Write `stage/` anew where it differs, and remove what no longer belongs there."""
    collected = load(project.build / "claims.json")
    contents: dict[str, Any] = {}
    figures: dict[str, dict[str, Any]] = {}
    problems = []
    for chapter in project.chapters:
        notebook = load(project.build / "executed" / f"{chapter}.ipynb")
        problems += prepare(notebook, chapter, figures)
        number_cells(notebook, project.numbers)
        contents[f"notebooks/{chapter}.ipynb"] = json.dumps(notebook, indent=1, sort_keys=True)
    if problems:
        raise Problem("\n".join(problems))
    for path in sorted((project.root / "book").rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(project.root / "book").as_posix()
        if path.suffix == ".md":
            text = timed(numbered(path.read_text("utf-8"), project.numbers), name, project)
            contents[name] = fill_page(text, name, collected, figures)
        else:
            contents[name] = path.read_bytes()
    for name, figure in figures.items():
        contents[f"figures/{name}.{figure['format']}"] = figure["image"]
        write_if_changed(project.build / "figures" / f"{name}.{figure['format']}", figure["image"])
    contents |= pages.generate(project, collected)
    toc = yaml.safe_load((project.root / "_toc.yml").read_text("utf-8"))
    contents["_toc.yml"] = yaml.safe_dump(with_api(toc, contents), sort_keys=False)
    contents["_config.yml"] = yaml.safe_dump(configuration(project), sort_keys=False)
    contents |= mathjax()
    _synchronise(project.build / "stage", contents)


def prepare(notebook, chapter, figures):
    """Make an executed copy ready for MyST-NB, in place; return one sentence per problem."""
    problems, number = [], 0
    notebook["metadata"].pop("papermill", None)
    for cell in notebook["cells"]:
        tags = cell["metadata"].setdefault("tags", [])
        cell["metadata"].pop("papermill", None)
        if "injected-parameters" in tags:
            tags.append("remove-cell")
            continue
        number += 1
        if _only_shows(cell) and "hide-input" not in tags:
            tags.append("hide-input")
        shown = [o for o in cell.get("outputs", []) if not _invisible(o)]
        if "outputs" in cell:
            cell["outputs"] = shown
        images = [o for o in shown if any(kind in o.get("data", {}) for kind in SHOWN)]
        place = f"{chapter}, cell {number}"
        if len(images) > 1:
            problems.append(f"Figure in {place}: show one figure in a cell, for its caption.")
        for output in images:
            about = output.get("metadata", {}).get("companion") or {}
            if not (about.get("alt") or "").strip():
                problems.append(
                    f"Figure in {place} has no alternative text: end the cell with "
                    'show(figure, alt="...").'
                )
                continue
            cell["metadata"]["mystnb"] = _mystnb(about)
            if about.get("name"):
                if about["name"] in figures:
                    problems.append(f"Figure in {place}: the name {about['name']!r} is taken.")
                figures[about["name"]] = _figure(output, about, chapter)
        for output in shown:
            if output.get("name") == "stderr":
                words = "".join(output["text"]).strip().splitlines() or [""]
                problems.append(f"Cell {number} of {chapter} writes to stderr: {words[0][:200]}")
            output.get("data", {}).pop(CLAIM, None)
            _caption_animation(output)
    return problems


def fill_page(text, name, collected, figures):
    """Put values and figures where a page asks for `{{chapter/name:.1e}}`, `{{figure: name}}`."""

    def figure(match):
        wanted = match.group(1)
        if wanted not in figures:
            known = ", ".join(sorted(figures)) or "none"
            raise Problem(f"book/{name} asks for the figure {wanted!r}; the chapters name {known}.")
        found = figures[wanted]
        source = f"figures/{wanted}.{found['format']}"
        alt = " ".join(found["alt"].split())
        return f"```{{figure}} /{source}\n:alt: {alt}\n\n{found['caption'] or ''}\n```"

    try:
        return claims.fill(FIGURE.sub(figure, text), collected["values"])
    except (KeyError, ValueError, TypeError) as error:
        raise Problem(f"book/{name}: {error.args[0]}.") from None


def minutes(notebook):
    """How long a chapter takes to read, to five minutes: its prose, without folded solutions."""
    prose = " ".join(
        "".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"
    )
    read = re.sub(r"^(`{3,})\{solution\}.*?^\1$", "", prose, flags=re.MULTILINE | re.DOTALL)
    return max(5, 5 * round(len(read.split()) / WORDS_A_MINUTE / 5))


def timed(text, name, project):
    """Put reading times where a page asks for `{{minutes: chapter}}`."""

    def replace(match):
        notebook = load(project.notebook(match.group(1)))
        if notebook is None:
            raise Problem(f"book/{name} asks how long {match.group(1)!r} takes: no such chapter.")
        return str(minutes(notebook))

    return MINUTES.sub(replace, text)


def with_api(toc, contents):
    """The table of contents with the generated API pages below `api`."""
    api = sorted(name.removesuffix(".md") for name in contents if name.startswith("api/"))
    for part in toc.get("parts", [toc]):
        for entry in part.get("chapters", []):
            if entry["file"] == "api":
                entry["sections"] = [{"file": name} for name in api]
    return toc


def configuration(project):
    """`_config.yml`, with launch buttons where the repository's address is known."""
    config = yaml.safe_load((project.root / "_config.yml").read_text("utf-8"))
    address = repository_address(project.root)
    if address:
        config["repository"] = {"url": address, "branch": "main", "path_to_book": ""}
        config["launch_buttons"] = {"notebook_interface": "jupyterlab", "thebe": False}
        config["launch_buttons"]["binderhub_url"] = "https://mybinder.org"
        config["launch_buttons"]["colab_url"] = "https://colab.research.google.com"
        config.setdefault("html", {})["use_repository_button"] = True
    return config


def mathjax():
    """The parts of MathJax that pages need, from the installed package."""
    files = metadata.files("sphinx-mathjax-offline") or []
    root = "sphinx-mathjax-offline/static/mathjax/"
    found = {}
    for file in files:
        name = file.as_posix().removeprefix(root)
        if file.as_posix().startswith(root) and name.startswith(MATHJAX):
            found[f"assets/mathjax/{name}"] = Path(file.locate())
    if not found:
        raise Problem("MathJax was not found: install the package sphinx-mathjax-offline.")
    return found


def _only_shows(cell):
    """Whether a cell only records claims or draws: readers see the result, the code is folded."""
    if cell["cell_type"] != "code":
        return False
    try:
        statements = ast.parse("".join(cell.get("source", ""))).body
    except SyntaxError:  # a cell with a %magic: leave it open
        return False
    calls = [s for s in statements if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call)]
    return bool(calls) and all(_shows(statement) for statement in statements)


def _shows(statement):
    """`claims.record(...)`, `figure = charts.image_grid(...)`, words for a figure, `fit.final`."""
    if not isinstance(statement, ast.Expr | ast.Assign):
        return False
    value, found = statement.value, set(DRAWING)
    if isinstance(statement, ast.Expr):
        found |= {"claims"}
        if isinstance(value, ast.Attribute):
            return True
    else:
        try:
            ast.literal_eval(value)
            return True
        except ValueError:
            pass
    while isinstance(value, ast.Call | ast.Attribute):
        value = value.func if isinstance(value, ast.Call) else value.value
    return isinstance(value, ast.Name) and value.id in found


def _invisible(output):
    """Values kept by `claims.note` are for the workflow, not for the page."""
    return VALUE in output.get("data", {})


def _mystnb(about):
    described = {"image": {"alt": " ".join(about["alt"].split())}}
    if about.get("caption"):
        described["figure"] = {"caption": about["caption"]}
        if about.get("name"):
            described["figure"]["name"] = about["name"]
    return described


def _figure(output, about, chapter):
    import base64

    kind = next(kind for kind in SHOWN if kind in output["data"])
    image = "".join(output["data"][kind])
    content = image.encode() if kind == "image/svg+xml" else base64.b64decode(image)
    return {**about, "format": SHOWN[kind], "image": content, "chapter": chapter}


def _caption_animation(output):
    about = output.get("metadata", {}).get("companion") or {}
    data = output.get("data", {})
    if "text/html" in data and about.get("caption"):
        from html import escape

        page = "".join(data["text/html"])
        caption = f"<figcaption class='tex2jax_process'>{escape(about['caption'])}</figcaption>"
        data["text/html"] = f"<figure>{page}{caption}</figure>"


def _synchronise(folder, contents):
    for name, content in contents.items():
        path = folder / name
        if isinstance(content, Path):
            if not path.is_file() or path.stat().st_size != content.stat().st_size:
                write(path, content.read_bytes())
        else:
            write_if_changed(path, content)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(folder).as_posix() not in contents:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
