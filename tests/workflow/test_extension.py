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
