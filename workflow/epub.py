"""Make the built site an edition for e-readers: `python -m workflow.epub`.

It has the pages of the PDF. Chromium reads them, formulas become MathML, and what it writes is
well-formed; nothing in the file is executed or fetched.
"""

import mimetypes
import re
import sys
import time
import unicodedata
import uuid
import zipfile
from html import escape

import yaml

from workflow import pdf, volume
from workflow.progress import Problem
from workflow.project import Project, commit_date, site_address

NAME = "book.epub"
#: Each section as XHTML, with MathML for formulas and without what XHTML does not know.
SECTIONS = """() => {
  for (const { root, math, typesetRoot } of window.MathJax?.startup?.document?.math ?? []) {
    const page = new DOMParser().parseFromString(MathJax.startup.toMML(root), "text/html");
    const made = page.querySelector("math");
    made.setAttribute("alttext", math.trim());
    for (const one of [made, ...made.querySelectorAll("*")])
      for (const { name } of [...one.attributes])
        if (name.startsWith("data-") || name === "class") one.removeAttribute(name);
    typesetRoot.replaceWith(made);
  }
  for (const one of document.querySelectorAll("body *")) {
    for (const name of ["align", "border", "frame", "rules", "valign", "width"])
      if (!one.closest("svg, math")) one.removeAttribute(name);
  }
  const leaves = document.querySelectorAll("section.title-page, section.leaf");
  return [...leaves].map(one => [one.id, new XMLSerializer().serializeToString(one)]);
}"""
#: A letter in a style of its own, which readers know by its character only.
STYLED = re.compile(r' mathvariant="(script|double-struck|sans-serif|bold)"([^>]*)>([A-Za-z]+)<')
STYLE = """\
body { margin: 0 1em; }
img { max-width: 100%; height: auto; }
figure { margin: 1em 0; }
figcaption, .small { font-size: 0.85em; }
pre { font-size: 0.75em; white-space: pre-wrap; }
table { border-collapse: collapse; font-size: 0.8em; }
td, th { padding: 0.2em 0.5em; border-bottom: 1px solid; text-align: left; vertical-align: top; }
.admonition, .proof { border-left: 3px solid; padding-left: 0.8em; margin: 1em 0; }
.admonition-title, .title { font-weight: bold; }
math[display="block"] { overflow-x: auto; }
"""
PAGE = """\
<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" \
lang="en" xml:lang="en"><head><title>{title}</title>
<link rel="stylesheet" href="style.css"/></head><body>{body}</body></html>
"""
CONTAINER = """\
<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="book/package.opf" media-type="application/oebps-package+xml"/>
</rootfiles></container>
"""
PACKAGE = """\
<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:uuid:{identifier}</dc:identifier>
<dc:title>{title}</dc:title><dc:creator>{author}</dc:creator><dc:language>en</dc:language>
<dc:rights>Text and figures CC BY 4.0, code BSD 3-Clause</dc:rights>
<meta property="dcterms:modified">{date}T00:00:00Z</meta>
<meta property="schema:accessMode">textual</meta><meta property="schema:accessMode">visual</meta>
<meta property="schema:accessModeSufficient">textual</meta>
<meta property="schema:accessibilityFeature">alternativeText</meta>
<meta property="schema:accessibilityFeature">MathML</meta>
<meta property="schema:accessibilityFeature">tableOfContents</meta>
<meta property="schema:accessibilityHazard">none</meta>
</metadata>
<manifest>{items}</manifest>
<spine>{spine}</spine></package>
"""


def make(site, root, output):
    """Write ``site`` to ``output`` as EPUB 3, and return the number of its chapters and pages."""
    text, entries = volume.assemble(site, root, site_address(root))
    with pdf.reader(site) as read:
        sections = dict(read(text, SECTIONS))
    title_page = sections.pop("")
    files = {"title": title_page, **sections}
    homes = {
        place: name for name, body in files.items() for place in re.findall(r' id="([^"]+)"', body)
    }
    titles = {entry.slug: _plain(entry.title) for entry in entries}
    config = yaml.safe_load((root / "_config.yml").read_text("utf-8"))
    images: dict[str, str] = {}
    pages = {"nav": PAGE.format(title="Contents", body=_contents(entries, homes))}
    for name, body in files.items():
        body = re.sub(
            r' href="#([^"]*)"',
            lambda m: f' href="{homes[m[1]]}.xhtml#{m[1]}"' if m[1] in homes else "",
            body,
        )
        body = re.sub(r' src="(?!data:)([^"]+)"', lambda m: _image(m[1], images), body)
        body = STYLED.sub(_letters, body)
        title = escape(titles.get(name, config["title"]))
        pages[name] = PAGE.format(title=title, body=body)
    properties = {
        name: " ".join(
            word
            for word, sign in {"nav": "<nav epub:type", "mathml": "<math", "svg": "<svg"}.items()
            if sign in page
        )
        for name, page in pages.items()
    }
    items = [
        f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"'
        + (f' properties="{properties[name]}"' if properties[name] else "")
        + "/>"
        for name in pages
    ]
    items += [
        f'<item id="image-{number}" href="{name}" media-type="{mimetypes.guess_type(name)[0]}"/>'
        for number, name in enumerate(images.values())
    ]
    items.append('<item id="style" href="style.css" media-type="text/css"/>')
    order = ["title", "nav", *(name for name in files if name != "title")]
    package = PACKAGE.format(
        identifier=uuid.uuid5(uuid.NAMESPACE_URL, config["title"]),
        title=escape(config["title"]),
        author=escape(config["author"]),
        date=commit_date(root) or "2026-01-01",
        items="\n".join(items),
        spine="".join(f'<itemref idref="{name}"/>' for name in order),
    )
    content = {f"{name}.xhtml": page.encode() for name, page in pages.items()}
    content |= {name: _once((site / path).read_bytes()) for path, name in images.items()}
    content |= {"package.opf": package.encode(), "style.css": STYLE.encode()}
    output.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(output, "w") as archive:
        _add(archive, "mimetype", b"application/epub+zip", zipfile.ZIP_STORED)
        _add(archive, "META-INF/container.xml", CONTAINER.encode())
        for name in sorted(content):
            _add(archive, f"book/{name}", content[name])
    return len(order)


def _add(archive, name, content, compression=zipfile.ZIP_DEFLATED):
    """A file with the same date always, so that equal books are equal files."""
    entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
    entry.compress_type = compression
    archive.writestr(entry, content)


def _plain(title):
    return pdf.FORMULA.sub(lambda found: found[0][2:-2], title)


def _letters(found):
    style, rest, letters = found.groups()
    return f"{rest}>{''.join(_letter(style.upper(), letter) for letter in letters)}<"


def _letter(style, letter):
    """A letter of a style of mathematics: some were in Unicode before all the others.

    >>> _letter("SCRIPT", "F"), _letter("DOUBLE-STRUCK", "E"), _letter("SANS-SERIF", "T")
    ('ℱ', '𝔼', '𝖳')
    """
    name = f"{style} {'CAPITAL' if letter.isupper() else 'SMALL'} {letter.upper()}"
    try:
        return unicodedata.lookup(f"MATHEMATICAL {name}")
    except KeyError:
        return unicodedata.lookup(name)


def _once(image):
    """An image whose ids stand once: Matplotlib gives equal pictures in one figure the same."""
    first, *others = re.split(rb'( id="image\w+")', image)
    kept, seen = first, set()
    for name, rest in zip(others[::2], others[1::2], strict=True):
        kept += rest if name in seen else name + rest
        seen.add(name)
    return kept


def _image(source, images):
    name = images.setdefault(source, f"image/{len(images)}-{source.rpartition('/')[2]}")
    return f' src="{name}"'


def _contents(entries, homes):
    """The table of contents, in which the chapters of a part stand below its name."""
    lines: list[str] = []
    for entry in entries:
        link = f'<a href="{homes[entry.slug]}.xhtml#{entry.slug}">{escape(_plain(entry.title))}</a>'
        if entry.level == 1 and lines and lines[-1].endswith("</li>"):
            lines[-1] += "</ol></li>" if lines[-1].startswith("  ") else ""
        part = entry.name.startswith("part ")
        head = f"<li><span>{escape(entry.title)}</span><ol>"
        lines.append(head if part else f"{'  ' * (entry.level > 1)}<li>{link}</li>")
    lines[-1] += "</ol></li>" if lines[-1].startswith("  ") else ""
    listed = "\n".join(lines)
    return f'<nav epub:type="toc"><h1>Contents</h1><ol>\n{listed}\n</ol></nav>'


def main():
    project = Project()
    try:
        site, output, start = project.site(), project.build / NAME, time.monotonic()
        sections = make(site, project.root, output)
        pdf.publish(site, output, "The book for e-readers (EPUB)")
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 2
    took = time.monotonic() - start
    print(f"{output}: {sections} sections, in {took:.0f} s; the site links to it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
