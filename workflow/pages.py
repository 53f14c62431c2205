"""Pages that are generated: claim ledger, papers, run times, benchmarks, faults, API reference."""

import ast
import re
from html import escape
from importlib import metadata

from companion.book.claims import comparison
from companion.book.text import markup
from workflow import benchmarks, faults, papers
from workflow.claims import as_claim, check, reference_of
from workflow.project import load

COLUMNS = "<th>Status</th><th>Claim</th><th>Value and bound</th>"


def generate(project, collected):
    """Names and texts of the generated pages."""
    return {
        "ledger.md": ledger(project, collected),
        "runtime.md": runtime(project),
        "notices.md": notices(),
        **benchmarks.pages(project),
        **papers.pages(project),
        **faults.pages(project),
        **api(project),
    }


def ledger(project, collected):
    """Theorem or source, chapter, statement, value, bound and status of every claim."""
    reference = {claim["id"]: claim for claim in reference_of(project)}
    runs = [project.run(chapter) for chapter in project.chapters]
    claims = collected["claims"]
    holding = sum(not problems(claim, reference, project.tier) for claim in claims)
    text = [
        "# Claim ledger",
        "",
        "Every statement that a chapter verifies, with the value that was computed for it and the "
        "bound it must keep. Follow a claim to the place in its chapter where it is computed. The "
        "build fails, naming the claim, when one does not hold, is missing, is new, or has "
        "drifted from its recorded value.",
        "",
        f"**{holding} of {len(claims)} claims hold.** "
        f"Tier `{project.tier}`, lock `{project.lock}`, executed "
        f"{max(run['started'] for run in runs)} UTC in "
        f"{sum(run['seconds'] for run in runs):.0f} s of run time "
        "([by chapter](runtime.md)).",
        "",
    ]
    for chapter in project.chapters:
        made = [claim for claim in claims if claim["chapter"] == chapter]
        if not made:
            continue
        seed = "" if made[0]["seed"] is None else f", seed {plain(made[0]['seed'])}"
        rows = "".join(_row(project, claim, reference) for claim in made)
        text += [
            f"## {project.numbers[chapter]}. {title(project, chapter)}",
            "",
            f"[Open the chapter](notebooks/{chapter}.ipynb): {len(made)} claims{seed}, "
            f"{made[0]['seconds']:.0f} s.",
            "",
            '<div class="companion-claims tex2jax_process" tabindex="0"><table>'
            f"<thead><tr>{COLUMNS}</tr></thead><tbody>{rows}</tbody></table></div>",
            "",
        ]
    return "\n".join(text)


def plain(value):
    """A parameter, which a reader may have given, as text that is neither Markdown nor HTML."""
    return escape(re.sub(r"[^\w.,:+ -]", "?", str(value)))


def problems(claim, reference, tier):
    """What the check says about this one claim."""
    listed = reference.get(claim["id"])
    return check([claim], [listed] if listed else [], tier)


def _row(project, claim, reference):
    made = as_claim(claim)
    wrong = problems(claim, reference, project.tier)
    status = "✓ holds" if not wrong else "✗ " + ", ".join(p.partition(":")[0] for p in wrong)
    target = f"notebooks/{claim['chapter']}.html#claim-{claim['id'].replace('/', '-')}"
    return (
        f"<tr><td>{escape(status)}</td><td>{markup(claim['statement'])}<br>"
        f"<small>{markup(claim['source'])} · "
        f'<a href="{target}">{escape(claim["id"])}</a></small></td>'
        f"<td>{comparison(made, rich=True)}</td></tr>"
    )


def runtime(project):
    """How long each chapter took, from papermill's own run."""
    text = [
        "# Run times",
        "",
        f"Measured while this copy of the book was made, at tier `{project.tier}`: wall time of "
        "one chapter with one thread, kernel start included; chapters ran side by side.",
        "",
        "| Chapter | Cells | Seconds | Executed (UTC) |",
        "|---|--:|--:|---|",
    ]
    runs = {chapter: project.run(chapter) for chapter in project.chapters}
    for chapter, run in runs.items():
        text.append(
            f"| [{project.numbers[chapter]}. {title(project, chapter)}](notebooks/{chapter}.ipynb) "
            f"| {run['cells']} | {run['seconds']:.1f} | {run['started']} |"
        )
    cells = sum(run["cells"] for run in runs.values())
    text.append(f"| Sum | {cells} | {sum(run['seconds'] for run in runs.values()):.1f} | |")
    first = next(iter(runs.values()))
    text += ["", f"Python {first['key']['python']}, lock `{project.lock}`.", ""]
    return "\n".join(text)


#: Packages that put files of theirs, or of others, into the site.
SHIPPED = {
    "sphinx-mathjax-offline": "MathJax and its fonts (Apache-2.0)",
    "pydata-sphinx-theme": "Bootstrap (MIT); Font Awesome Free (CC BY 4.0, OFL-1.1, MIT)",
    "sphinx-book-theme": "",
    "sphinx-design": "Material Design Icons and Octicons (Apache-2.0 and MIT)",
    "sphinx-copybutton": "clipboard.js and Tabler Icons (MIT)",
    "sphinx-togglebutton": "",
    "sphinx-proof": "",
    "sphinx-exercise": "",
    "myst-nb": "",
    "sphinx": "Snowball stemmers for the search (BSD-3-Clause)",
}


def notices():
    """Whose files the site holds beside the book's own, at which version, under which licence."""
    text = [
        "# Third-party notices",
        "",
        "The pages of this site use files of others, which are served with it. Each keeps its "
        "licence; the versions are those that this copy was built with.",
        "",
        "| Package | Version | Licence | Brings |",
        "|---|---|---|---|",
    ]
    for name, brings in SHIPPED.items():
        about = metadata.metadata(name)
        said = [c.rpartition(":: ")[2] for c in about.get_all("Classifier") or () if "License" in c]
        licence = about["License-Expression"] or ", ".join(said) or about["License"] or "see source"
        text.append(f"| {name} | {about['Version']} | {licence} | {brings} |")
    return "\n".join(text) + "\n"


def api(project):
    """One page for each room of the package, with the names a reader imports, from docstrings."""
    package = project.root / "companion"
    rows, generated = [], {}
    for path in sorted(package.glob("[!_]*/__init__.py")):
        room = path.parent.name
        described = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        rows.append(f"| [`{room}`](api/{room}.md) | {_sentence(described)} |")
        text = [f"# `companion.{room}`", ""]
        for name in _documented(path.parent):
            if name:
                text += [f"## `{room}.{name}`", ""]
            module = ".".join(filter(None, ("companion", room, name)))
            text += ["```{eval-rst}", f".. automodule:: {module}", "```", ""]
        generated[f"api/{room}.md"] = "\n".join(text)
    introduction = (
        "# API reference\n\nThe package `companion` computes everything the chapters show. Each "
        "room imports only from rooms below it, and `studies` keeps what one chapter needs. "
        "Parameters are plain dictionaries of float64 tensors, and every value is in nats per data "
        "point.\n\n| Room | What it holds |\n|---|---|\n"
    )
    return {"api.md": introduction + "\n".join(rows) + "\n", **generated}


def _documented(room):
    """The room's face (as `""`), then each of its modules that says more than the face hands on."""
    yield ""
    for path in sorted(set(room.rglob("*.py")) - {room / "__init__.py"}):
        faces = {
            folder / "__init__.py" for folder in path.parents if room in (folder, *folder.parents)
        }
        handed_on = set().union(*(_public(face) for face in faces - {path}))
        if _public(path) - handed_on:
            parts = path.relative_to(room).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _public(path):
    """The names in a module's `__all__`."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def title(project, chapter):
    """The chapter's first heading."""
    for cell in (load(project.notebook(chapter)) or {"cells": []})["cells"]:
        for line in "".join(cell["source"]).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return chapter


def _sentence(text):
    """The first paragraph, as a cell of a table."""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")
