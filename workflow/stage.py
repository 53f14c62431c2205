"""Stage the site's sources: prose, executed chapters and generated pages, in one folder.

The sources stay as they are; all that the site needs beyond them is done to the staged copies.
"""

import json
import re
from html import escape
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

import companion
from companion.book import claims
from companion.book.claims import CLAIM, VALUE
from workflow import folds, further, omitted, pages
from workflow.exercises import exercises, folded, without_solutions
from workflow.launch import BRANCH
from workflow.numbers import number_cells, numbered
from workflow.progress import Problem
from workflow.project import (
    commit_date,
    load,
    repository_address,
    site_address,
    write,
    write_if_changed,
)

MINUTES = re.compile(r"\{\{\s*minutes: ([a-z0-9-]+)\s*\}\}")
#: Words that one reads in a minute where there are formulas among them.
WORDS_A_MINUTE = 150
FIGURE = re.compile(r"^\{\{\s*figure:\s*([a-z0-9-]+)\s*\}\}[ \t]*$", re.MULTILINE)
MATHJAX = (
    "startup.js",
    "core.js",
    "output/chtml",
    "input/tex.js",
    "input/tex/extensions",
    "ui/safe.js",
    "a11y/assistive-mml.js",
)
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
    gone = omitted.chapters(project)
    asked = {*project.chapters, *collected["values"], *figures}
    for path in sorted((project.root / "book").rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(project.root / "book").as_posix()
        if path.suffix == ".md":
            text = (
                omitted.asking(path.read_text("utf-8"), asked) if gone else path.read_text("utf-8")
            )
            text = timed(numbered(text, project.numbers), name, project)
            text = addressed(text, repository_address(project.root))
            contents[name] = fill_page(text, name, collected, figures)
        else:
            contents[name] = path.read_bytes()
    for name, figure in figures.items():
        contents[f"figures/{name}.{figure['format']}"] = figure["image"]
        write_if_changed(project.build / "figures" / f"{name}.{figure['format']}", figure["image"])
    contents |= pages.generate(project, collected)
    omitted.unlink(contents, gone)
    toc = yaml.safe_load((project.root / "_toc.yml").read_text("utf-8"))
    contents["_toc.yml"] = yaml.safe_dump(with_generated(toc, contents), sort_keys=False)
    contents["_config.yml"] = yaml.safe_dump(configuration(project), sort_keys=False)
    contents |= mathjax()
    synchronise(project.build / "stage", contents)


def prepare(notebook, chapter, figures):
    """Make an executed copy ready for MyST-NB, in place; return one sentence per problem."""
    problems, number = [], 0
    notebook["metadata"].pop("papermill", None)
    order: dict[str, int] = {}  # claims, numbered as in the table at the chapter's end
    cells = []
    for cell in folds.joined(notebook["cells"]):
        tags = cell["metadata"]["tags"]
        cell["metadata"].pop("papermill", None)
        cells.append(cell)
        if "injected-parameters" in tags:
            tags.append("remove-cell")
            continue
        number += cell.pop("joined", 1)
        if further.TAG in tags:
            cell["source"] = further.mark("".join(cell["source"]))
        shown = [o for o in cell.get("outputs", []) if not _invisible(o)]
        images = [output for output in shown if _is_figure(output)]
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
            if about.get("name"):
                if about["name"] in figures:
                    problems.append(f"Figure in {place}: the name {about['name']!r} is taken.")
                figures[about["name"]] = _figure(output, about, chapter)
        for output in shown:
            if output.get("name") == "stderr":
                words = "".join(output["text"]).strip().splitlines() or [""]
                problems.append(f"Cell {number} of {chapter} writes to stderr: {words[0][:200]}")
            _caption_animation(output)
        shown = [one for output in shown for one in (output, *_live(output))]
        if "outputs" in cell:
            cells += _outputs(cell, _marked(shown, order))
    notebook["cells"] = folded(cells, [one.label for one in exercises(notebook)])
    return problems


def _outputs(cell, shown):
    """Give each figure a cell of its own, since MyST-NB puts a cell's caption on every output.

    The cell keeps what comes before its first figure; the cells that follow it are returned.
    """
    parts: list[list[Any]] = [[]]
    for output in shown:
        if parts[-1] and (_is_figure(output) or _is_figure(parts[-1][-1])):
            parts.append([])
        parts[-1].append(output)
    more = []
    for place, part in enumerate(parts):
        own = (
            cell if place == 0 else {**cell, "source": "...", "id": f"{cell.get('id', '')}-{place}"}
        )
        if place:
            own["metadata"] = {"tags": ["remove-input"]}
            more.append(own)
        own["outputs"] = part
        if part and _is_figure(part[0]):
            about = part[0]["metadata"].get("companion") or {}
            own["metadata"]["mystnb"] = _mystnb(about) if about.get("alt") else {}
    return more


def _live(output):
    """The data of a live figure, in an output of its own behind the still one."""
    about = output.get("metadata", {}).get("companion") or {}
    if live := about.pop("live", None):
        data = json.dumps(live["data"]).replace("<", "\\u003c")
        script = (
            f"<script type='application/json' class='companion-live' "
            f"data-figure='{escape(live['figure'], quote=True)}'>{data}</script>"
        )
        yield {"output_type": "display_data", "metadata": {}, "data": {"text/html": script}}


def _is_figure(output):
    return any(kind in output.get("data", {}) for kind in SHOWN)


def _marked(shown, order):
    """A cell's outputs with its claims in one small line: their rows stand at the chapter's end."""
    claimed = [o["data"][CLAIM] for o in shown if CLAIM in o.get("data", {})]
    rest = [o for o in shown if CLAIM not in o.get("data", {})]
    if not claimed:
        return shown
    made = [claims.Claim(**claim) for claim in claimed]
    links = ", ".join(
        f"<a href='#{claims.anchor(one.id)}'>{order.setdefault(one.id, len(order) + 1)}</a>"
        for one in made
    )
    failing = [one for one in made if not one.holds]
    word = "claim" if len(made) == 1 else "claims"
    verdict = f"✗ {len(failing)} of {word}" if failing else f"✓ {word}"
    line = f"<p class='companion-mark'>{verdict} {links}</p>"
    return [*rest, {"output_type": "display_data", "metadata": {}, "data": {"text/html": line}}]


def addressed(text, address):
    """Put the repository's address where a page clones it; where none is known, leave that out.

    >>> addressed("git clone {{address}} elbo-companion\\ncd elbo-companion", None)
    "cd elbo-companion  # your copy of the project's folder"
    """
    if address:
        return text.replace("{{address}}", address)
    here = "cd elbo-companion  # your copy of the project's folder"
    return re.sub(r"git clone \{\{address\}\} \S+\ncd \S+", here, text)


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
    cells = without_solutions(notebook)["cells"]
    read = " ".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return max(5, 5 * round(len(read.split()) / WORDS_A_MINUTE / 5))


def timed(text, name, project):
    """Put reading times where a page asks for `{{minutes: chapter}}`."""

    def replace(match):
        notebook = load(project.notebook(match.group(1)))
        if notebook is None:
            raise Problem(f"book/{name} asks how long {match.group(1)!r} takes: no such chapter.")
        return str(minutes(notebook))

    return MINUTES.sub(replace, text)


def with_generated(toc, contents):
    """The table of contents with generated pages below the page of their folder's name."""
    for part in toc.get("parts", [toc]):
        for entry in part.get("chapters", []):
            below = [name for name in contents if name.startswith(f"{entry['file']}/")]
            pages = [name.removesuffix(".md") for name in below if name.endswith(".md")]
            if pages and not entry["file"].startswith("notebooks"):
                entry["sections"] = [{"file": name} for name in pages]
    return toc


def configuration(project):
    """`_config.yml`, with launch buttons and addresses where the repository's address is known."""
    config = yaml.safe_load((project.root / "_config.yml").read_text("utf-8"))
    address = repository_address(project.root)
    sphinx = config.setdefault("sphinx", {}).setdefault("config", {})
    theme = sphinx.setdefault("html_theme_options", {})
    theme["extra_footer"] = footer(project, address)
    if address:
        # The branch is that of the launch buttons, whose notebooks carry the package.
        config["repository"] = {"url": address, "branch": BRANCH, "path_to_book": ""}
        config["launch_buttons"] = {"notebook_interface": "jupyterlab", "thebe": False}
        config["launch_buttons"]["binderhub_url"] = "https://mybinder.org"
        config["launch_buttons"]["colab_url"] = "https://colab.research.google.com"
        config.setdefault("html", {})["use_repository_button"] = True
    if (project.root / "book" / "assets" / "search.js").is_file():
        sphinx["html_search_scorer"] = "stage/assets/search.js"  # from where Sphinx is started
    if site := site_address(project.root):
        sphinx["html_baseurl"] = site
    return config


def footer(project, address):
    """Version, date, licences and source, as they stand below every page."""
    parts = ["Text and figures CC BY 4.0, code BSD 3-Clause"]
    if version := getattr(companion, "__version__", None):
        date = commit_date(project.root)
        parts.insert(0, f"Version {version} of {date}" if date else f"Version {version}")
    if address:
        parts.append(f"<a href='{escape(address, quote=True)}'>Source</a>")
    return f"<p class='companion-footer'>{'. '.join(parts)}.</p>"


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
        page = "".join(data["text/html"])
        caption = f"<figcaption class='tex2jax_process'>{escape(about['caption'])}</figcaption>"
        data["text/html"] = f"<figure>{page}{caption}</figure>"


def synchronise(folder, contents):
    """Make a folder hold these contents and nothing else; what is the same keeps its time."""
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
