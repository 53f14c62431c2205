"""The page "The papers, line by line", from `reference/papers.yml`."""

from html import escape

import yaml

from companion.book.text import markup
from workflow import omitted

FILE = "reference/papers.yml"
VERDICTS = ("agrees", "agrees under a condition", "differs", "not covered")
HEAD = "<th>In the paper</th><th>Here</th><th>Verdict</th>"
INTRODUCTION = """\
# The papers, line by line

What each paper states, shows or does, as far as public texts and published code tell, and where
this book looks at it. *Agrees* means that the claims named in the row hold. A condition is one that
the statement needs and that its text leaves open. Numbers of theorems and figures are given where
they could be seen.

"""


def load(project):
    """The papers with their rows; none if the book has no such file."""
    path = project.root / FILE
    return yaml.safe_load(path.read_text("utf-8")) if path.is_file() else []


def pages(project):
    """The page by its name; none where there is no file."""
    papers = load(project)
    return {"papers.md": page(project, papers)} if papers else {}


def page(project, papers):
    """A table for each paper, a row for each thing in it."""
    rows = [row for paper in papers for row in paper["rows"]]
    counts = ", ".join(
        _counted(sum(row["verdict"] == verdict for row in rows), verdict) for verdict in VERDICTS
    )
    text = [INTRODUCTION, f"**{len(rows)} rows**: {counts}.\n"]
    for paper in papers:
        body = "".join(_row(project, row) for row in paper["rows"])
        text += [
            f"\n## {paper['title']}\n",
            f"\n{{cite:t}}`{paper['paper']}` ({paper['version']}).\n",
            '\n<div class="companion-claims companion-papers tex2jax_process" tabindex="0"><table>'
            f"<thead><tr>{HEAD}</tr></thead><tbody>{body}</tbody></table></div>\n",
        ]
    return "".join(text)


def _counted(count, verdict):
    """The number of rows with a verdict, in words that fit the number."""
    several = verdict.replace("agrees", "agree").replace("differs", "differ")
    return f"{count} {verdict if count == 1 else several}"


def _row(project, row):
    note = f"<br><small>{markup(row['note'])}</small>" if row.get("note") else ""
    return (
        f"<tr><td>{markup(row['item'])}</td><td>{_where(project, row)}</td>"
        f"<td>{escape(row['verdict'])}{note}</td></tr>"
    )


def _where(project, row):
    """The chapter by its number, and the claims, as links."""
    if "chapter" not in row or row["chapter"] in omitted.chapters(project):
        return "—"
    target = f"notebooks/{row['chapter']}.html"
    claims = ", ".join(
        f'<a href="{target}#claim-{claim.replace("/", "-")}">{escape(claim)}</a>'
        for claim in row["claims"]
    )
    number = project.numbers[row["chapter"]]
    return f'<a href="{target}">Chapter {number}</a><br><small>{claims}</small>'
