"""The built site: every link leads somewhere, every image says what it shows, nothing remote."""

import json
import re
from collections import Counter
from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from workflow.project import Project

REMOTE = re.compile(r"(?:@import\s+|url\()['\"]?((?:https?:)?//[^'\")]+)")
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}
MACHINE = re.compile(r"(?:/home/|/Users/|/root/|/tmp/)[\w.-]+|site-packages")


def faults(site, local=()):
    """One sentence for each thing wrong in the HTML and CSS below `site`."""
    pages = {
        path: BeautifulSoup(path.read_text("utf-8"), "html.parser")
        for path in sorted(site.rglob("*.html"))
    }
    anchors = {
        path: {tag["id"] for tag in page.find_all(id=True)}
        | {tag["name"] for tag in page.find_all("a", attrs={"name": True})}
        for path, page in pages.items()
    }
    found = []
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        found += [f"{name}: {fault}" for fault in _links(site, path, page, anchors)]
        found += [f"{name}: {fault}" for fault in _resources(site, path, page)]
        found += [f"{name}: {fault}" for fault in (*_structure(page), *_announced(page))]
        for image in page.find_all("img"):
            alt = image.get("alt", "").strip()
            if not alt or re.search(r"\.(svg|png|jpe?g)$|/", alt):
                found.append(f"{name}: image {image.get('src', '')[:60]} has no alternative text")
        text = path.read_text("utf-8")
        for machine in [*(word for word in local if word in text), *MACHINE.findall(text)]:
            found.append(f"{name}: names a path of the building machine: {machine}")
        if not name.startswith("api/") and re.search(r"\{\{\s*[a-z0-9-]+/[a-z0-9-]+", text):
            found.append(f"{name}: has a value that was not filled in")
    for path in site.rglob("*.css"):
        name = path.relative_to(site).as_posix()
        found += [f"{name}: loads {a}" for a in REMOTE.findall(path.read_text("utf-8"))]
    return found


def _links(site, path, page, anchors):
    for link in page.find_all("a", href=True):
        address = urlsplit(link["href"])
        if address.scheme in ("https", "mailto"):
            continue
        if address.scheme or address.netloc:
            yield f"link {link['href']} is neither local nor https"
            continue
        target = path if not address.path else (path.parent / unquote(address.path)).resolve()
        if target.is_dir():
            target /= "index.html"
        if not target.is_file() or not target.is_relative_to(site.resolve()):
            yield f"link {link['href']} leads nowhere"
        elif address.fragment and target.suffix == ".html":
            if unquote(address.fragment) not in anchors.get(target, ()):
                yield f"link {link['href']} leads to no such place on the page"


def _structure(page):
    """Figures that show nothing, captions and ids that stand twice, words still to be filled in."""
    for figure in page.find_all("figure"):
        if not figure.find(["img", "svg"]):
            yield f"figure without a picture: {figure.get_text(' ', strip=True)[:60]}"
    captions = [c.get_text(" ", strip=True) for c in page.select("figcaption .caption-text")]
    yield from (f"caption used twice: {c[:60]}" for c, n in Counter(captions).items() if n > 1)
    ids = Counter(tag["id"] for tag in page.find_all(id=True))
    yield from (f"id used twice: {name}" for name, count in ids.items() if count > 1)
    for word in re.findall(r"ADDRESS-OF-[A-Z-]+|\bTODO\b|\bFIXME\b|lorem ipsum", page.get_text()):
        yield f"placeholder: {word}"


def _announced(page):
    """Paragraphs with a colon at their end that only folded code and claims follow."""
    for words in page.select("article p"):
        if not words.get_text().rstrip().endswith(":"):
            continue
        following = words.find_next_siblings()
        cells = list(takewhile(lambda tag: "cell" in tag.get("class", ()), following))
        shown = [tag for cell in cells for tag in cell.find_all(["pre", "img", "table"])]
        folded = [{"class_": "hide"}, {"class_": "companion-claims"}]
        if cells and all(any(tag.find_parent(**box) for box in folded) for tag in shown):
            yield f"nothing follows the colon: {words.get_text(' ', strip=True)[-60:]}"


def _resources(site, path, page):
    wanted = [(tag, tag.get(LOADED[tag.name])) for tag in page.find_all(list(LOADED))]
    wanted += [
        (tag, tag["href"])
        for tag in page.find_all("link", href=True)
        if not {"canonical", "next", "prev", "index", "search"} & set(tag.get("rel", []))
    ]
    for tag, address in wanted:
        if not address or address.startswith("data:"):
            continue
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            yield f"<{tag.name}> loads {address}"
        elif not (path.parent / unquote(parts.path)).resolve().is_file():
            yield f"<{tag.name}> loads {address}, which is missing"


@pytest.mark.slow
def test_the_site_has_no_faults(site):
    assert faults(site, local=[str(Project().root)]) == []


def test_every_chapter_can_be_downloaded_clean_and_with_its_package(site):
    for chapter in Project().chapters:
        page = (site / "notebooks" / f"{chapter}.html").read_text("utf-8")
        assert f"_sources/notebooks/{chapter}.ipynb" in page
        notebook = json.loads((site / "_sources" / "notebooks" / f"{chapter}.ipynb").read_text())
        assert not any(cell.get("outputs") for cell in notebook["cells"])
        assert [c for c in notebook["cells"] if c["id"] == "carried-package"]


def test_the_ledger_lists_every_claim_and_links_to_its_row(site):
    project = Project()
    claims = json.loads((project.build / "claims.json").read_text("utf-8"))["claims"]
    ledger = (site / "ledger.html").read_text("utf-8")
    pages = "".join(path.read_text("utf-8") for path in (site / "ledger").glob("*.html"))
    found = {id for id, *_ in json.loads((site / "_static" / "ledger.json").read_text("utf-8"))}
    assert found == {claim["id"] for claim in claims}
    for claim in claims:
        anchor = f"../notebooks/{claim['chapter']}.html#claim-{claim['id'].replace('/', '-')}"
        assert anchor in pages, f"{claim['id']} is not in the ledger"
    assert f"{len(claims)} of {len(claims)} claims hold" in ledger


FIGURE = """<figure><img src="sub/c.svg" alt="A rising line.">
<figcaption><span class="caption-text">A line.</span></figcaption></figure>"""
ANNOUNCED = "<article><p>So:</p><div class='cell'>{}</div></article>"
GOOD = """<html><head><link rel="stylesheet" href="a.css"></head><body id="top">
<a href="#top">up</a> <a href="sub/b.html#there">b</a> <a href="https://example.org">out</a>
<img src="sub/c.svg" alt="A rising line."> {}</body></html>"""


@pytest.fixture
def small(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.css").write_text("body { color: black }")
    (tmp_path / "sub" / "b.html").write_text('<p id="there">b</p>')
    (tmp_path / "sub" / "c.svg").write_text("<svg/>")
    (tmp_path / "index.html").write_text(GOOD.format(""))
    return tmp_path


def test_a_good_site_has_no_faults(small):
    assert faults(small) == []


@pytest.mark.parametrize(
    ("planted", "sentence"),
    [
        ('<a href="missing.html">x</a>', "link missing.html leads nowhere"),
        ('<a href="sub/b.html#gone">x</a>', "leads to no such place"),
        ('<a href="#gone">x</a>', "leads to no such place"),
        ('<a href="file:///etc/hosts">x</a>', "neither local nor https"),
        ('<a href="../outside.html">x</a>', "leads nowhere"),
        ('<img src="sub/c.svg">', "no alternative text"),
        ('<img src="sub/c.svg" alt="_images/c.svg">', "no alternative text"),
        ('<script src="https://cdn.example.org/a.js"></script>', "<script> loads https://cdn"),
        ('<script src="//cdn.example.org/a.js"></script>', "<script> loads //cdn"),
        ('<link rel="preload" href="https://fonts.example.org/a.woff2">', "<link> loads https"),
        ('<script src="gone.js"></script>', "gone.js, which is missing"),
        ("<p>/home/someone/book/a.py</p>", "path of the building machine"),
        ("<p>/srv/checkout/a.py</p>", "path of the building machine: /srv/checkout"),
        ("<p>{{ ppca/gap:.1e }}</p>", "not filled in"),
        ("<figure><p>A table.</p></figure>", "figure without a picture: A table."),
        (2 * (FIGURE), "caption used twice: A line."),
        (2 * "<p id='here'>x</p>", "id used twice: here"),
        (
            ANNOUNCED.format("<details class='hide'><pre>x</pre></details>"),
            "follows the colon: So:",
        ),
        (
            ANNOUNCED.format(
                "<div class='companion-claims'><table><tr><td><pre>x</pre></td></tr></table></div>"
            ),
            "nothing follows the colon",
        ),
        ("<p>ADDRESS-OF-THIS-REPOSITORY</p>", "placeholder: ADDRESS-OF-THIS-REPOSITORY"),
    ],
)
def test_each_planted_fault_is_found(small, planted, sentence):
    (small / "index.html").write_text(GOOD.replace("{}", planted))
    assert any(sentence in fault for fault in faults(small, local=["/srv/checkout"]))


def test_what_a_colon_announces_may_be_code_or_a_table(small):
    for shown in ("<pre>x</pre>", "<table></table>"):
        (small / "index.html").write_text(GOOD.replace("{}", ANNOUNCED.format(shown)))
        assert faults(small) == []


def test_remote_fonts_in_style_sheets_are_found(small):
    (small / "a.css").write_text("@font-face { src: url('https://fonts.example.org/a.woff2') }")
    assert any("fonts.example.org" in fault for fault in faults(small))


def test_this_file_reads_the_site_of_this_repository():
    assert Project().build == Path(__file__).resolve().parents[2] / "_build"
