"""Pages that are generated: claim ledger, papers, run times, benchmarks, faults, citation."""

import json
import re
from html import escape
from importlib import metadata

import yaml

from companion.book.claims import anchor, comparison
from companion.book.text import markup
from workflow import benchmarks, faults, manual, papers
from workflow.claims import as_claim, check, reference_of
from workflow.project import load, repository_address

COLUMNS = "<th>Status</th><th>Claim</th><th>Value and bound</th>"


def generate(project, collected):
    """Names and texts of the generated pages."""
    return {
        **ledger(project, collected),
        "cite.md": cite(project),
        "runtime.md": runtime(project),
        "notices.md": notices(),
        **benchmarks.pages(project),
        **papers.pages(project),
        **faults.pages(project),
        **manual.pages(project.root / "companion"),
    }


def ledger(project, collected):
    """The overview of all claims, and for each chapter a page with value, bound and status."""
    reference = {claim["id"]: claim for claim in reference_of(project)}
    runs = [project.run(chapter) for chapter in project.chapters]
    claims = collected["claims"]
    holds = {c["id"]: not problems(c, reference, project.tier) for c in claims}
    overview = [
        "# Claim ledger",
        "",
        "Every statement that a chapter verifies, with the value that was computed for it and the "
        "bound it must keep. Follow a claim to the place in its chapter where it stands. The "
        "build fails, naming the claim, when one does not hold, is missing, is new, or has "
        "drifted from its recorded value.",
        "",
        f"**{sum(holds.values())} of {len(claims)} claims hold.** "
        f"Tier `{project.tier}`, lock `{project.lock}`, executed "
        f"{max(run['started'] for run in runs)} UTC in "
        f"{sum(run['seconds'] for run in runs):.0f} s of run time "
        "([by chapter](runtime.md)).",
        "",
        *("```{raw} html", FILTER, "```", ""),
        "| Chapter | Claims | Hold |",
        "|---|--:|--:|",
    ]
    written, found = {}, []
    for chapter in project.chapters:
        made = [claim for claim in claims if claim["chapter"] == chapter]
        if not made:
            continue
        name = f"{project.numbers[chapter]}. {title(project, chapter)}"
        holding = sum(holds[claim["id"]] for claim in made)
        overview.append(f"| [{name}](ledger/{chapter}.md) | {len(made)} | {holding} |")
        seed = "" if made[0]["seed"] is None else f", seed {plain(made[0]['seed'])}"
        rows = "".join(_row(project, claim, reference) for claim in made)
        written[f"ledger/{chapter}.md"] = "\n".join([
            f"# Claims of {name}",
            "",
            f"[Open the chapter](../notebooks/{chapter}.ipynb): {len(made)} claims{seed}, "
            f"{made[0]['seconds']:.0f} s.",
            "",
            '<div class="companion-claims tex2jax_process" tabindex="0"><table>'
            f"<thead><tr>{COLUMNS}</tr></thead><tbody>{rows}</tbody></table></div>",
            "",
        ])  # fmt: skip
        found += [[claim["id"], _words(claim), chapter, bool(holds[claim["id"]])] for claim in made]
    written["ledger.md"] = "\n".join([*overview, ""])
    written["assets/ledger.json"] = json.dumps(found, ensure_ascii=False)
    return written


#: Looks for words in all claims, without loading them before somebody asks.
FILTER = """\
<p><label>Find claims with the words <input type="search" id="companion-filter"
aria-describedby="companion-found" autocomplete="off"></label></p>
<ul id="companion-found" aria-live="polite"></ul>
<script>
(() => {
  const box = document.getElementById("companion-filter");
  const list = document.getElementById("companion-found");
  let claims = null;
  box.addEventListener("input", async () => {
    claims ??= await (await fetch("_static/ledger.json")).json();
    const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const hits = !words.length ? [] : claims.filter(
      ([id, text]) => words.every(word => (id + " " + text).toLowerCase().includes(word)));
    list.replaceChildren(...hits.slice(0, 50).map(([id, text, chapter, holds]) => {
      const item = document.createElement("li"), link = document.createElement("a");
      link.href = `ledger/${chapter}.html#row-${id.replace("/", "-")}`;
      link.textContent = id;
      item.append(holds ? "✓ " : "✗ ", link, " " + text);
      return item;
    }));
    if (words.length && hits.length > 50) list.append(`and ${hits.length - 50} more`);
    if (words.length && !hits.length) list.append("No claim has all of these words.");
  });
})();
</script>"""


def _words(claim):
    """A claim's sentence and source as plain text, to be searched."""
    text = re.sub(r"[$`*]|\\\\(?:mathcal|operatorname|text)", "", claim["statement"])
    return f"{text} ({claim['source']})"


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
    target = f"../notebooks/{claim['chapter']}.html#{anchor(claim['id'])}"
    return (
        f"<tr id='{anchor(claim['id']).replace('claim', 'row', 1)}'><td>{escape(status)}</td>"
        f"<td>{markup(claim['statement'])}<br><small>{markup(claim['source'])} · "
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


def cite(project):
    """How to cite the companion and the papers, from CITATION.cff and the bibliography."""
    path = project.root / "CITATION.cff"
    if not path.is_file():
        return "# Cite this\n\nThis book has no file CITATION.cff.\n"
    cff = yaml.safe_load(path.read_text("utf-8"))
    authors = " and ".join(
        "{" + one["name"] + "}" if "name" in one else f"{one['family-names']}, {one['given-names']}"
        for one in cff["authors"]
    )
    fields = {"author": authors, "title": "{" + cff["title"] + "}", "version": cff["version"]}
    if "date-released" in cff:
        fields["year"] = str(cff["date-released"])[:4]
    address = repository_address(project.root)
    if address:
        fields["url"] = address
    entry = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    papers = (project.root / "book" / "references.bib").read_text("utf-8")
    wanted = [p for p in re.findall(r"@\w+\{.*?\n\}\n", papers, re.DOTALL) if _is_cited(p, cff)]
    return "\n".join([
        "# Cite this",
        "",
        "The results are those of the papers; please cite them first, and this companion where you "
        "use its code, its figures or what it adds.",
        "",
        *("```bibtex", *"\n".join(wanted).splitlines(), "```", ""),
        *("```bibtex", f"@software{{companion,\n{entry}\n}}", "```", ""),
        "The same in the Citation File Format, which reference managers read:",
        "",
        *("```yaml", *path.read_text("utf-8").splitlines(), "```", ""),
        "Text and figures are licensed under CC BY 4.0, the code under the BSD 3-Clause License: "
        "you may reuse both, and say where they come from.",
        "",
    ])  # fmt: skip


def _is_cited(entry, cff):
    numbers = re.findall(r"arXiv:[\d.]+\d", json.dumps(cff.get("references", [])))
    return any(number in entry for number in numbers)


def title(project, chapter):
    """The chapter's first heading."""
    for cell in (load(project.notebook(chapter)) or {"cells": []})["cells"]:
        for line in "".join(cell["source"]).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return chapter
