"""One page made of the site's pages, in the order of the table of contents, to be printed."""

import re
from dataclasses import dataclass
from html import escape
from itertools import chain
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup

#: What is for the screen only. Claims, code that is folded, and solutions are read on the site.
ONLY_ON_SCREEN = (
    "a.headerlink, img.companion-dark, script, style, button, input, .toctree-wrapper, "
    "details.hide, .companion-mark, div.solution, .companion-claims, #the-claims-of-this-chapter, "
    ".cell.tag_parameters, .cell.tag_setup, .companion-start, details.companion-further > summary"
)
#: Pages of the site that lists and other commands make: too long for paper, or about the site.
LEFT_OUT = {
    *("ledger", "rerun", "scale", "benchmarks", "faults", "runtime", "api", "notices", "cite"),
    *("own-data", "papers"),
}
#: Attributes that hold the id of another element.
REFERRING = ("for", "aria-labelledby", "aria-describedby", "aria-controls")
CONFIGURATION = re.compile(r"window\.MathJax = (\{.*?\})</script>", re.DOTALL)


@dataclass(frozen=True)
class Leaf:
    """A page of the site: its path without ending, its title and its number in the volume."""

    name: str
    title: str
    level: int

    @property
    def slug(self):
        return "page-" + re.sub(r"\W+", "-", self.name)


def assemble(site, root, address, numbers=None):
    """The HTML of the volume and its entries in order; ``numbers`` are their pages, where known."""
    config = yaml.safe_load((root / "_config.yml").read_text("utf-8"))
    toc = yaml.safe_load((root / "_toc.yml").read_text("utf-8"))
    articles, entries, first = {}, [], ""
    for caption, names in _parts(toc):
        names = [name for name in names if (site / f"{name}.html").is_file()]
        if caption and names:
            entries.append(Leaf(f"part {caption}", caption, 1))
        for name in names:
            text = (site / f"{name}.html").read_text("utf-8")
            first = first or text
            article = BeautifulSoup(text, "html.parser").select("article.bd-article")[0]
            for tag in article.select(ONLY_ON_SCREEN):
                tag.extract()
            for box in article.select("details.companion-further"):
                box.unwrap()  # nobody opens it on paper
            for code in article.select("pre"):
                code.string = code.get_text()  # in one colour
            title = " ".join(article.select("h1")[0].get_text().split())
            entries.append(Leaf(name, title, 2 if caption else 1))
            articles[name] = article
    leaves = {entry.name: entry for entry in entries}
    for name, article in articles.items():
        _rename(article, leaves[name], leaves, address)
    numbers = numbers or ["000"] * len(entries)
    body, part = [_title_page(config, root), _contents(entries, numbers)], ""
    for entry in entries:
        if entry.name in articles:
            inner = part + articles[entry.name].decode_contents()
            body.append(f'<section class="leaf" id="{entry.slug}">{inner}</section>')
            part = ""
        else:
            part = f'<h1 class="part" id="{entry.slug}">{escape(entry.title)}</h1>'
    found = CONFIGURATION.search(first)
    mathematics = found[1] if found else "{}"
    return TEMPLATE.format(
        title=escape(config["title"]),
        heads="\n".join(_running_head(entry) for entry in entries if entry.name in articles),
        mathematics=mathematics,
        body="\n".join(body),
    ), entries


def _parts(toc):
    """The captions of the parts with the names of their pages; the first page has no caption."""
    yield "", [toc["root"]]
    for part in toc.get("parts", [toc]):
        names = [entry["file"] for entry in part.get("chapters", [])]
        yield part.get("caption", ""), [name for name in names if name not in LEFT_OUT]


def _rename(article, leaf, leaves, address):
    """Make ids and links those of the volume; what leads out of it leads to the site, if known."""
    for tag in article.find_all(True):
        if tag.get("id"):
            tag["id"] = f"{leaf.slug}--{tag['id']}"
        for name in REFERRING:
            if tag.get(name):
                tag[name] = " ".join(f"{leaf.slug}--{one}" for one in tag[name].split())
        del tag["tabindex"]
        if tag.name == "img" and not tag["src"].startswith("data:"):
            tag["src"] = _below(leaf.name, tag["src"])
        if tag.name in ("h1", "h2", "h3", "h4", "h5") and leaf.level == 2:
            tag.name = f"h{int(tag.name[1]) + 1}"
    ids = {tag["id"] for tag in article.find_all(id=True)}
    for link in article.find_all("a", href=True):
        parts = urlsplit(link["href"])
        if parts.scheme:
            continue
        target = _below(leaf.name, parts.path) if parts.path else f"{leaf.name}.html"
        other = leaves.get(target.removesuffix(".html"))
        place = f"{other.slug}--{unquote(parts.fragment)}" if other and parts.fragment else None
        if other and other is leaf and place and place not in ids:
            link.unwrap()  # to a claim or a solution, which stay on the site
        elif other:
            link["href"] = f"#{place or other.slug}"
        elif address:
            link["href"] = address + target + (f"#{parts.fragment}" if parts.fragment else "")
        else:
            if link.get_text(strip=True) and "sd-stretched-link" not in link.get("class", ()):
                link.insert_after(" (on the site)")
            link.unwrap()


def _below(name, path):
    """A relative address of a page as a path below the site."""
    parts: list[str] = []
    for part in chain(PurePosixPath(name).parent.parts, unquote(path).split("/")):
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _title_page(config, root):
    path = root / "CITATION.cff"
    about = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else {}
    version = f"<p>Version {about['version']}</p>" if "version" in about else ""
    return (
        f'<section class="title-page"><p class="title">{escape(config["title"])}</p>'
        f"<p>{escape(config['author'])}</p>{version}<p class='small'>Text and figures CC BY 4.0, "
        "code BSD 3-Clause. Folded code, the claims with their bounds, solutions, the reference "
        "of the package and live figures are on the site of the book.</p></section>"
    )


def _contents(entries, numbers):
    lines = "\n".join(
        f'<li class="level-{entry.level}"><a href="#{entry.slug}"><span>{escape(entry.title)}'
        f'</span><span class="dots"></span><span class="number">{number}</span></a></li>'
        for entry, number in zip(entries, numbers, strict=True)
    )
    return f'<nav class="contents"><p class="title">Contents</p><ul>\n{lines}\n</ul></nav>'


def _running_head(entry):
    title = re.sub(r"\\\((.*?)\\\)", r"\1", entry.title)
    words = title.replace("\\", r"\\").replace('"', r"\"")
    return (
        f"#{entry.slug} {{ page: {entry.slug} }}\n"
        f'@page {entry.slug} {{ @top-left {{ content: "{words}" }} }}'
    )


TEMPLATE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="stylesheet" href="_static/pygments.css">
<link rel="stylesheet" href="volume.css">
<style>{heads}</style>
<script>window.MathJax = {mathematics};</script>
<script defer src="_static/mathjax/startup.js"></script>
</head><body>
{body}
</body></html>
"""
