"""What the built pages need beyond what Sphinx and its themes make of them."""

import re
from functools import cache, partial
from pathlib import Path

ICON = re.compile(r"\bfa-[a-z0-9-]+")
#: A rule that gives icons their character, and a character in what is left of a style sheet.
NAMED = re.compile(r'((?:\.fa-[a-z0-9-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}')
CODE = re.compile(r'content:"\\([ef][0-9a-f]{3})"')
FONT_FILE = re.compile(
    r"url\(([^)]*webfonts/)([a-z0-9-]+)\.woff2\) format\(\"woff2\"\)"
    r"(?:,url\([^)]*\) format\(\"truetype\"\))?"
)
#: Ids that sphinx-proof and sphinx-exercise give to every box of a page.
REPEATED = re.compile(r' id="(?:proof|exercise|solution)-content"')
PROOF = re.compile(r'(<div class="proof admonition") id="proof"')
#: Scripts of the search, which only its own page needs.
SEARCH = re.compile(
    r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^>]*></script>'
)
#: Style and script of grids, cards and tabs, for pages that have one.
DESIGN = re.compile(
    r"\s*<(?:link|script)[^>]*(?:sphinx-design\.min\.css|design-tabs\.js)[^>]*>(?:</script>)?"
)
#: A formula in a line with brackets before it or punctuation behind it, and a solution's link with
#: a space inside.
_MATH = r'<span class="math notranslate nohighlight">[^<]*</span>'
_AFTER = r"(?:[.,;:?!)’”]|’s)+(?!\w)"
FORMULA = re.compile(rf"([(\[“]+{_MATH}(?:{_AFTER})?|{_MATH}{_AFTER})")
#: Names of VAEs, which do not break at their hyphen; and first what is no running text.
VAE = re.compile(
    r"<(script|style|svg|title|code|pre|option)\b.*?</\1>"
    r'|<(span|div) class="math\b.*?</\2>|<[^>]*>|(?P<name>\bVAE-\d)',
    re.DOTALL,
)
#: Names and calls in code, which break behind their signs rather than inside a word.
NAME = re.compile(r'(?<=<span class="pre">)(?:[\w.,()=\[\]\']|&quot;){12,}(?=</span>)')
#: Below this length a name has a line's room, but in a table.
LONG = 26
#: Where highlighted code breaks on a phone: behind a dot or a bracket before a name.
JOINT = re.compile(r'(<span class="(?:o">\.|p">\(+)</span>)(?=<span class="n)')
SOLUTION = re.compile(r"(Solution to)(<a\b[^>]*>) ")
ICON_SCRIPT = re.compile(r'\s*<script defer src="[^"]*/fontawesome\.js[^>]*></script>')


def finish(page, name):
    """One page of HTML as it is published; ``name`` is its path below the site."""
    page = SOLUTION.sub(r"\1 \2", FORMULA.sub(r'<span class="companion-whole">\1</span>', page))
    page = VAE.sub(_whole, page)
    page = NAME.sub(_breakable, JOINT.sub(r"\1<wbr>", page))
    page = accessible(page)
    page = ICON_SCRIPT.sub("", page)
    if ' class="sd-' not in page:
        page = DESIGN.sub("", page)
    if name != "search.html":
        page = SEARCH.sub("", page)
    return page


def _whole(found):
    return f'<span class="companion-whole">{found[0]}</span>' if found["name"] else found[0]


def _breakable(name):
    sign = "<wbr>" if len(name[0]) >= LONG else '<wbr class="in-table">'
    return re.sub(r"([._(\[=])(?=\w)", rf"\1{sign}", name[0])


def accessible(page):
    """Mend what theme and docutils leave unsaid or say wrongly to a screen reader."""
    page = page.replace(
        '<summary><span class="toctree-toggle"',
        '<summary aria-label="Pages below"><span class="toctree-toggle"',
    )
    page = re.sub(r'(<div [^>]*?) ?role="(?:list|doc-biblioentry)"', r"\1", page)
    page = PROOF.sub(r"\1", REPEATED.sub("", page))
    # A figure and a theorem may bear one name in the sources, an element's id stands once.
    seen: set[str] = set()

    def once(element):
        again = element[2] in seen
        seen.add(element[2])
        return element[1] if again else element[0]

    page = re.sub(r'(<(?:figure|div)\b[^>]*?) id="([^"]+)"', once, page)
    # The corner of a table whose first column names its rows is no heading.
    page = re.sub(r"<th\b([^>]*)>(?:\s|<p>\s*</p>)*</th>", r"<td\1></td>", page)
    # What scrolls must be in reach of the keyboard.
    return re.sub(
        r"<div style=(['\"])overflow-x:auto\1>", r'<div style="overflow-x:auto" tabindex="0">', page
    )


def light_icons(site):
    """Keep of Font Awesome only the icons that pages use, as small web fonts; return their number.

    The theme ships all icons twice, as fonts and as a script of 1.5 MB that draws the same ones.
    """
    script = site / "_static" / "scripts" / "fontawesome.js"
    if not script.is_file():
        return 0
    script.unlink()
    names = {
        name for page in site.rglob("*.html") for name in ICON.findall(page.read_text("utf-8"))
    }
    sheets = {path: path.read_text("utf-8") for path in (site / "_static").rglob("*.css")}
    slim = {path: NAMED.sub(partial(_kept, names), text) for path, text in sheets.items()}
    characters = {int(code, 16) for text in slim.values() for code in CODE.findall(text)}
    for path, text in slim.items():
        text = FONT_FILE.sub(r'url(\1\2.woff) format("woff")', text)
        if text != sheets[path]:
            path.write_text(text, "utf-8")
    for font in (site / "_static" / "vendor").rglob("fa-*.ttf"):
        font.with_suffix(".woff").write_bytes(subset(font.read_bytes(), frozenset(characters)))
        font.unlink()
        font.with_suffix(".woff2").unlink(missing_ok=True)
    return len(characters)


def _kept(names, rule):
    """The rule of an icon that is used, or nothing."""
    selectors = (part.partition(":")[0] for part in rule[1].split(","))
    return rule[0] if any(part.removeprefix(".") in names for part in selectors) else ""


@cache
def subset(font, characters):
    """A font with these characters only, as WOFF."""
    import io

    from fontTools import subset as tool
    from fontTools.ttLib import TTFont

    options = tool.Options(flavor="woff", notdef_outline=False, recalc_timestamp=False)
    whole = TTFont(io.BytesIO(font), recalcTimestamp=False)
    small = tool.Subsetter(options)
    small.populate(unicodes=characters)
    small.subset(whole)
    whole.flavor = "woff"
    file = io.BytesIO()
    whole.save(file)
    return file.getvalue()


def pages_of(site):
    """Every page below a folder with its path there."""
    for path in sorted(Path(site).rglob("*.html")):
        yield path, path.relative_to(site).as_posix()
