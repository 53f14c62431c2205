"""The PDF, printed by a real browser: numbers of pages, links, and what must end the command."""

from concurrent.futures import ThreadPoolExecutor

import pytest

pypdfium2 = pytest.importorskip("pypdfium2")

from tests.workflow.test_volume import ARTICLE, TOC, root  # noqa: E402, F401
from workflow import pdf  # noqa: E402
from workflow.progress import Problem  # noqa: E402

pytestmark = pytest.mark.web
LONG = "<h2>Far on</h2>" + "<p>Words and more words.</p>" * 90


def apart(function, *arguments):
    """Call in a thread of its own: Playwright runs once in each, and here for all tests."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


def printed(book, text):
    with pdf.printer(book) as print_page:
        return print_page(text)


@pytest.fixture
def book(root):  # noqa: F811
    (root / "_images").mkdir()
    (root / "_static").mkdir()
    (root / "_images" / "a.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="9"/>'
    )
    (root / "_static" / "pygments.css").write_text("")
    (root / "_static" / "mathjax").mkdir()
    (root / "_static" / "mathjax" / "startup.js").write_text(
        "MathJax = { startup: { promise: Promise.resolve(), document: { math: [] } } }"
    )
    page = root / "notebooks" / "one.html"
    page.write_text(page.read_text().replace("</article>", LONG + "</article>"))
    return root


def test_the_contents_bookmarks_and_links_lead_to_the_pages(book, tmp_path):
    made = tmp_path / "book.pdf"
    pages = apart(pdf.make, book, book, made)
    document = pypdfium2.PdfDocument(made)
    assert pages == len(document) >= 6
    marks = {m.get_title(): m.get_dest().get_index() + 1 for m in document.get_toc()}
    assert marks['1. "One"'] < marks["2. Two"] == pages
    contents = document[1].get_textpage().get_text_range()
    for title in ("Welcome", "2. Two"):
        line = next(line for line in contents.splitlines() if line.startswith(title))
        assert int(line.split()[-1]) == marks[title]
    # The running head of a chapter stands on all of its pages, and the number of each below.
    for number in range(marks['1. "One"'], marks["2. Two"]):
        text = "".join(document[number - 1].get_textpage().get_text_range().split())
        assert '1."One"' in text and str(number) in text
    assert b"/MarkInfo" in made.read_bytes() and b"/StructTreeRoot" in made.read_bytes()


@pytest.mark.parametrize(
    ("planted", "sentence"),
    [
        ("<div style='width:900px'>wide</div>", 'div "wide" is'),
        (
            "<div style='width:9em;overflow:hidden'><p style='width:20em'>cut</p></div>",
            "cut by its",
        ),
        ("<img src='gone.svg' alt='Gone.'>", "gone.svg is missing"),
    ],
)
def test_what_would_be_lost_ends_the_command(book, tmp_path, planted, sentence):
    page = book / "notebooks" / "two.html"
    page.write_text(page.read_text().replace("</article>", planted + "</article>"))
    with pytest.raises(Problem, match=sentence):
        apart(pdf.make, book, book, tmp_path / "book.pdf")
    assert not (tmp_path / "book.pdf").exists()


def test_empty_pages_and_words_in_the_margin_are_seen(book, tmp_path):
    made = tmp_path / "book.pdf"
    style = "<style>@page { size: A4; margin: 0 } body { margin: 0 }"
    style += "p { margin: 0; padding-top: 9cm; break-after: page }</style>"
    middle, empty, edge = "<p style='padding-left: 9cm'>x</p>", "<p>\xa0</p>", "<p>at the edge</p>"
    made.write_bytes(apart(printed, book, style + middle + empty + edge))
    assert pdf.faults(made) == ["page 2 is empty", "page 3 has something in its margin"]


def test_pages_link_to_the_pdf_once_it_is_there(book, tmp_path):
    page = book / "notebooks" / "two.html"
    page.write_text(page.read_text() + "<p class='companion-footer'>Version 1.</p>")
    made = tmp_path / "made" / "book.pdf"
    made.parent.mkdir()
    made.write_bytes(b"%PDF")
    for _ in range(2):
        pdf.publish(book, made, "The book as PDF (12 pages)")
    assert page.read_text().count("<a href='../book.pdf'>The book as PDF (12 pages)</a>") == 1
    assert (book / "book.pdf").read_bytes() == b"%PDF"


def test_a_chapter_takes_few_pages_on_paper(open_page):
    page = open_page("notebooks/entropy-sums-at-a-glance.html")
    page.evaluate("() => MathJax.startup.promise")
    assert len(pypdfium2.PdfDocument(page.pdf(format="A4"))) <= 12
