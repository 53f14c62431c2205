"""Sections for the few, folded: the cell of their heading is tagged `further`.

The heading stays in sight, and a link to the section or into it opens it.
"""

from docutils import nodes

TAG = "further"
MARK = "<!-- further -->"
OPEN = (
    "<details class='companion-further'><summary>This section goes further: open it</summary>"
    "<script>(() => { const box = document.currentScript.parentElement; const open = () => {"
    " const target = location.hash && document.getElementById(decodeURIComponent("
    "location.hash.slice(1))); if (target && (target === box.parentElement || box.contains(target)"
    " || target.matches('span') && target.parentElement === box.parentElement)) {"
    " box.open = true; target.scrollIntoView(); } };"
    " addEventListener('hashchange', open); addEventListener('load', open); })();</script>"
)


def mark(text):
    """A cell's text with a mark behind the heading that it begins with.

    >>> mark("## Going further\\n\\nText.")
    '## Going further\\n\\n```{raw} html\\n<!-- further -->\\n```\\n\\nText.'
    """
    heading, _, text = text.partition("\n")
    return f"{heading}\n\n```{{raw}} html\n{MARK}\n```\n\n{text.lstrip()}".rstrip()


def fold(app, doctree):
    """Put what follows the mark in its section into a box that opens and closes."""
    for found in [n for n in doctree.findall(nodes.raw) if n.astext().strip() == MARK]:
        section = found.parent
        found.replace_self(nodes.raw("", OPEN, format="html"))
        section += nodes.raw("", "</details>", format="html")
