"""The edition for e-readers: made by a real browser of a small site, and read part by part."""

import re
import zipfile
from xml.etree import ElementTree

import pytest

from tests.web.test_pdf import apart
from tests.workflow.test_volume import root  # noqa: F401
from workflow import epub, pdf

pytestmark = pytest.mark.web

MATHJAX = """MathJax = { startup: {
  promise: Promise.resolve(), document: { math: [] },
  toMML: root => `<math class="MJX"><mi data-x="1" mathvariant="script">${root}</mi></math>` } };
document.addEventListener("DOMContentLoaded", () => {
  const typesetRoot = document.querySelector("mjx-container");
  MathJax.startup.document.math.push({ root: "F", math: "\\\\mathcal F", typesetRoot }); });"""


@pytest.fixture
def made(root, tmp_path):  # noqa: F811
    (root / "_images").mkdir()
    twice = '<svg xmlns="http://www.w3.org/2000/svg"><image id="image1"/><image id="image1"/></svg>'
    (root / "_images" / "a.svg").write_text(twice)
    (root / "_static" / "mathjax").mkdir(parents=True)
    (root / "_static" / "pygments.css").write_text("")
    (root / "_static" / "mathjax" / "startup.js").write_text(MATHJAX)
    page = root / "notebooks" / "two.html"
    text = page.read_text().replace("Again.", "A <mjx-container>F</mjx-container> &amp;<br>B.")
    page.write_text(text.replace("2. Two", r"2. From \(T\) numbers"))
    output = tmp_path / "made" / "book.epub"
    assert apart(epub.make, root, root, output) == 5
    with zipfile.ZipFile(output) as archive:
        assert archive.infolist()[0].filename == "mimetype"
        assert archive.infolist()[0].compress_type == zipfile.ZIP_STORED
        yield {name: archive.read(name).decode() for name in archive.namelist()}


def test_all_parts_are_well_formed_listed_once_and_lead_to_one_another(made):
    pages = {name: text for name, text in made.items() if name.endswith(".xhtml")}
    for name, text in made.items():
        if not name.endswith((".css", "mimetype")):
            ElementTree.fromstring(text)
    listed = re.findall(r' href="([^"]+)" media-type="([^"]+)"', made["book/package.opf"])
    assert sorted(f"book/{name}" for name, _ in listed) == sorted(
        name for name in made if name.startswith("book/") and not name.endswith(".opf")
    )
    assert ("image/0-a.svg", "image/svg+xml") in listed
    for text in pages.values():
        assert "<script" not in text and "style=" not in text
        for link in re.findall(r'<a[^>]* href="([^"]+)"', text):
            name, _, place = link.partition("#")
            assert link.startswith("https:") or f' id="{place}"' in pages[f"book/{name}"]
    assert made["book/image/0-a.svg"].count(' id="image1"') == 1


def test_formulas_are_mathml_with_letters_in_their_style(made):
    page = made["book/page-notebooks-two.xhtml"]
    assert r'<math xmlns="http://www.w3.org/1998/Math/MathML" alttext="\mathcal F">' in page
    assert "<mi>ℱ</mi></math> &amp;<br />B." in page
    assert re.search(r'id="page-notebooks-two"[^>]*properties="mathml"', made["book/package.opf"])
    assert "<title>2. From T numbers</title>" in page


def test_the_contents_name_parts_and_lead_to_chapters(made):
    contents = ElementTree.fromstring(made["book/nav.xhtml"])
    at = {"h": "http://www.w3.org/1999/xhtml"}
    found = ["".join(one.itertext()) for one in contents.findall(".//h:li/h:a", at)] + [
        one.text for one in contents.findall(".//h:li/h:span", at)
    ]
    assert found == ["Welcome", '1. "One"', "2. From T numbers", "Chapters"]


def test_what_is_missing_ends_the_command(root, tmp_path):  # noqa: F811
    with pytest.raises(pdf.Problem, match="is missing, which the book shows"):
        apart(epub.make, root, root, tmp_path / "book.epub")
