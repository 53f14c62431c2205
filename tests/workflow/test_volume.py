"""The volume that is printed: which pages, with whose ids, and where their links lead."""

import pytest
from bs4 import BeautifulSoup

from workflow.volume import assemble

ARTICLE = """<html><head><script>window.MathJax = {"tex": {}}</script></head><body>
<nav>menu</nav><article class="bd-article"><h1>%s<a class="headerlink" href="#x">#</a></h1>
%s</article></body></html>"""
TOC = """\
format: jb-book
root: index
parts:
  - caption: Chapters
    chapters:
      - file: notebooks/one
      - file: notebooks/two
      - file: ledger
"""
ONE = """<p id="here">Words.</p><p><a href="#here">same</a><a href="two.html#there">other</a>
<a href="two.html">page</a><a href="../index.html">first</a><a href="../ledger.html#row">left</a>
<a href="https://example.org/">out</a><a href="#claim-a">claim</a></p>
<img src="../_images/a.svg" alt="A."><label for="here">L</label>
<details class="admonition hide"><pre>folded</pre></details><pre><span>x</span> = 1</pre>
<div class="companion-claims" id="claim-a">table</div><div class="solution">solved</div>
<details class="companion-further"><summary>open</summary><p>more</p></details>
<table><tr><td><code>a.<wbr>name</code></td></tr></table>"""
ADDRESS = "https://example.org/book/"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "_toc.yml").write_text(TOC)
    (tmp_path / "_config.yml").write_text("title: A & B\nauthor: The authors\n")
    (tmp_path / "index.html").write_text(ARTICLE % ("Welcome", ""))
    (tmp_path / "ledger.html").write_text(ARTICLE % ("Ledger", '<p id="row">r</p>'))
    (tmp_path / "notebooks" / "one.html").write_text(ARTICLE % ('1. "One"', ONE))
    two = ARTICLE % ("2. Two", '<h2 id="there">There</h2><p id="here">Again.</p>')
    (tmp_path / "notebooks" / "two.html").write_text(two)
    return tmp_path


def read(root, address=None, numbers=None):
    text, entries = assemble(root, root, address, numbers)
    return BeautifulSoup(text, "html.parser"), entries


def test_pages_stand_in_the_order_of_the_contents_below_their_parts(root):
    page, entries = read(root)
    titles = ["Welcome", "Chapters", '1. "One"', "2. Two"]
    assert [entry.title for entry in entries] == titles
    found = [(tag.name, tag.get_text()) for tag in page.find_all(["h1", "h2", "h3"])]
    levels = zip(("h1", "h1", "h2", "h2"), titles, strict=True)
    assert found == [*levels, ("h3", "There")]
    heads = page.find_all("style")[0].string
    assert '@top-left { content: "1. \\"One\\"" }' in heads
    assert '@top-left { content: "2. Two" }' in heads and "\\(" not in heads


def test_links_lead_to_places_of_the_volume(root):
    page, _ = read(root)
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    links = {a.get_text(): a["href"] for a in page.select(".leaf a")}
    assert links == {
        "same": "#page-notebooks-one--here",
        "other": "#page-notebooks-two--there",
        "page": "#page-notebooks-two",
        "first": "#page-index",
        "out": "https://example.org/",
    }
    inside = {a["href"][1:] for a in page.find_all("a") if a["href"].startswith("#")}
    assert inside <= set(ids)
    assert page.label["for"] == "page-notebooks-one--here"
    assert page.img["src"] == "_images/a.svg"


def test_what_is_not_printed_is_linked_on_the_site_where_its_address_is_known(root):
    page, _ = read(root, ADDRESS)
    links = {a.get_text(): a["href"] for a in page.select(".leaf a")}
    assert links["left"] == f"{ADDRESS}ledger.html#row"
    assert "claim" not in links and "claim" in page.get_text()


def test_folded_code_claims_and_solutions_stay_on_the_site(root):
    page, _ = read(root)
    words = page.get_text()
    assert not [w for w in ("folded", "table", "solved", "menu", "Ledger") if w in words]
    assert str(page.pre) == "<pre>x = 1</pre>"


def test_sections_for_the_few_are_printed_open(root):
    page, _ = read(root)
    assert "more" in page.get_text() and "open" not in page.get_text() and not page.details


def test_a_long_name_goes_on_behind_its_signs_as_on_the_site(root):
    page, _ = read(root)
    assert str(page.td.code) == "<code>a.<wbr/>name</code>"


def test_a_page_that_is_left_out_is_said_to_be_on_the_site(root):
    assert "left (on the site)" in read(root)[0].get_text()
    assert "left (on the site)" not in read(root, ADDRESS)[0].get_text()


def test_the_contents_carry_the_numbers_of_pages(root):
    page, _ = read(root, numbers=["3", "5", "6", "70"])
    lines = [line.get_text(" ", strip=True) for line in page.select(".contents li")]
    assert lines == ["Welcome 3", "Chapters 5", '1. "One" 6', "2. Two 70"]


def test_a_formula_in_a_title_stands_in_running_heads_and_bookmarks_as_it_is_drawn():
    from workflow import pdf, volume

    head = volume._running_head(volume.Leaf("two", r"2. From \(T\) numbers", 2))
    assert 'content: "2. From T numbers"' in head
    assert pdf.FORMULA.split(r"2. From \(T\) numbers") == ["2. From ", " numbers"]
