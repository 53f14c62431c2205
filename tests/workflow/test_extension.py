"""What our extension of Sphinx makes of a page, in a small book of its own."""

import re

from bs4 import BeautifulSoup

PAGE = """\
Title
=====

.. figure:: a.svg
   :alt: A line.

   A drawing.

.. raw:: html

   <figure><div class='companion-animation'><img alt="B."></div><figcaption class='x'>It moves &amp;
   stops at $x$.</figcaption></figure>

.. figure:: b.svg
   :alt: A line.

   Another drawing.
"""


FUNCTIONS = """\
Title
=====

.. py:function:: f(a, b)

   :param a: What it *is*.
   :type a: int | None
   :param b: Another.

.. py:function:: g(c)

   :param c: Alone.
   :type c: str
   :raises ValueError: At times.
"""


def test_parameters_stand_in_a_table_of_names_types_and_words(small_book):
    page = BeautifulSoup(small_book(FUNCTIONS), "html.parser")
    rows = [
        [[p.get_text() for p in cell.select("p")] for cell in row.select("td")]
        for row in page.select("table.companion-parameters tr")
    ]
    assert rows == [
        [["a", "int | None"], ["What it is."]],
        [["b"], ["Another."]],
        [["c", "str"], ["Alone."]],
    ]
    assert "is" in [em.get_text() for em in page.select("td em")]
    assert "ValueError" in page.get_text()


def test_animations_are_numbered_as_other_figures_are(small_book):
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" id="{}"/>'
    drawings = {f"{name}.svg": drawing.format(name) for name in "ab"}
    page = small_book(PAGE, "numfig = True\n", **drawings)
    assert re.findall(r'caption-number">(Fig. \d) </span>', page) == ["Fig. 1", "Fig. 2", "Fig. 3"]
    assert "companion-animation" in page.partition("Fig. 2")[0].rpartition("<figure")[2]
    moves = page.partition("Fig. 2")[2].partition("</figcaption>")[0]
    assert 'class="tex2jax_process">It moves &amp;' in moves and "$x$" in moves


def test_a_sidebar_of_titles_holds_all_pages_and_takes_no_headings_from_other_lists(small_book):
    part = "\n\nPart of {0}\n-----------\n\n.. py:function:: {0}.f(x)\n"
    below = "\n.. toctree::\n\n   {0}\n"
    titles = "<nav>{{ toctree(titles_only=True, collapse=False) }}</nav>"
    files = {
        "b.rst": "Bb\n==" + part.format("b") + below.format("c"),
        "a.rst": "Aa\n==" + part.format("a"),
        "c.rst": "Cc\n==" + part.format("c"),
        "shown/lists.html": f"{titles}<nav>{{{{ toctree(collapse=False) }}}}</nav>{titles}"
        "<nav>{{ toc }}</nav>",
    }
    settings = "templates_path = ['shown']\nhtml_sidebars = {'**': ['lists.html']}\n"
    index = "Title\n=====\n\nSome\n----\n" + below.format("a\n   b")
    page = BeautifulSoup(small_book(index, settings, **files), "html.parser")
    lists = [[a.get_text() for a in nav.select("a")] for nav in page.select("nav")[-4:]]
    first, every, again, own = lists
    assert first == again == ["Aa", "Bb", "Cc"]
    assert every == "Aa,Part of a,a.f(),Bb,Part of b,b.f(),Cc,Part of c,c.f()".split(",")
    assert own == ["Title", "Some"]
