"""A book of fewer chapters: what its texts say of the chapters that were deleted.

A fork deletes chapters from `_toc.yml` and `notebooks/`; `reference/claims.json` still knows them.
In staged copies, links to them become words, rows, entries and paragraphs that ask for their
reading time, their values or their figures are left out, and references to their statements are
names. In a whole book nothing is touched, so that a wrong link is a fault there.
"""

import json
import re

from workflow.project import load

LINK = re.compile(r"\[([^\]\n]*)\]\((?:[\w./-]*/)?([\w-]+)\.(?:ipynb|html)(#[\w-]*)?\)")
NUMBER = re.compile(r"^(?:Chapter \d+$|\d+\. )")
REFERENCE = re.compile(r"\{(?:prf:ref|ref|numref|eq)\}`(?:[^`<]*<)?([\w-]+)>?`")
LABEL = re.compile(r"^:label:[ \t]*(\S+)|^\(([\w-]+)\)=", re.M)
CARD = re.compile(r"^:::\{grid-item-card\}.*?^:::\n\n?", re.M | re.S)
CARD_LINK = re.compile(r"^:link:[ \t]*notebooks/([\w-]+)", re.M)
ASKS = re.compile(r"\{\{\s*(?:(minutes|figure):\s*)?([\w/-]+)[^}]*\}\}")


def chapters(project):
    """The chapters that have claims on record, but no file and no place, with words for each."""
    recorded = (load(project.root / "reference" / "claims.json") or {"claims": []})["claims"]
    absent = {claim["chapter"] for claim in recorded} - set(project.chapters)
    gone = [chapter for chapter in sorted(absent) if not project.notebook(chapter).exists()]
    return {chapter: chapter.replace("-", " ") for chapter in gone}


def unlink(contents, gone):
    """Change staged texts, in place, so that nothing leads to the chapters that are gone."""
    if not gone:
        return
    texts = {name: text for name, text in contents.items() if name.endswith((".md", ".ipynb"))}
    labels: set[str] = set()
    for name, text in texts.items():
        for page in _pages(name, text):
            labels |= {first or second for first, second in LABEL.findall(page)}
    for name, text in texts.items():
        if name.endswith(".md"):
            contents[name] = _without(text, gone, labels)
        else:
            notebook = json.loads(text)
            for cell in notebook["cells"]:
                if cell["cell_type"] == "markdown":
                    cell["source"] = _without("".join(cell["source"]), gone, labels)
            contents[name] = json.dumps(notebook, indent=1, sort_keys=True)


def _pages(name, text):
    if name.endswith(".md"):
        return [text]
    cells = json.loads(text)["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def _without(text, gone, labels):
    """Links and references as words.

    >>> _without("See [](a-b.ipynb), [it](c.ipynb), {prf:ref}`x`.", {"a-b": "a b"}, set())
    'See *a b*, [it](c.ipynb), *x*.'
    >>> _without("[Chapter 7](a-b.ipynb), or [7. All of it](a-b.ipynb).", {"a-b": "a b"}, set())
    '*a b*, or All of it.'
    """

    def words(link):
        if link[2] not in gone:
            return link[0]
        # A number that nothing has, or that another chapter has by now, says nothing.
        return NUMBER.sub("", link[1]) or f"*{gone[link[2]]}*"

    text = LINK.sub(words, text)
    return REFERENCE.sub(lambda m: m[0] if m[1] in labels else f"*{m[1]}*", text)


def asking(text, known):
    """A page without cards, buttons, rows, entries and paragraphs that ask for what is gone.

    ``known`` are the names that it may ask for: of chapters, values and figures.

    >>> asking("| {{minutes: a}} |\\n| {{minutes: b}} |\\n\\nIt is {{x/y:.1f}}.\\n", {"a"})
    '| {{minutes: a}} |\\n'
    """

    def kept_card(card):
        asked = CARD_LINK.findall(card[0]) + [name for _, name in ASKS.findall(card[0])]
        return card[0] if all(name in known for name in asked) else ""

    blocks, text = [], CARD.sub(kept_card, text)
    for block in text.split("\n\n"):
        buttons = block.startswith(":::{div}")  # each stands on a line
        parts = re.split(r"\n" if buttons else r"\n(?=\||- |\d+\. )", block)
        kept = [p for p in parts if all(name in known for _, name in ASKS.findall(p))]
        blocks += ["\n".join(kept)] if kept else []
    return "\n\n".join(blocks).rstrip("\n") + "\n"
