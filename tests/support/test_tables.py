"""Tables of results: heads stand above their numbers, nothing breaks out of the HTML."""

import pytest

from companion.support.tables import Table


def test_a_head_is_aligned_as_its_column():
    page = Table(("name", "gap"), [("a", 1.5), ("b", 2.5)])._repr_html_()
    head, body = page.split("<tbody>")
    assert head.count("text-align:left") == 1 and head.count("text-align:right") == 1
    assert head.index("text-align:left") < head.index("text-align:right")
    assert body.count("text-align:right") == 2


def test_cells_are_escaped_and_an_empty_table_is_fine():
    assert "&lt;b&gt;" in Table(("<b>",), [("<b>",)])._repr_html_()
    assert "<b>" not in Table(("<b>",), [("<b>",)])._repr_html_()
    assert "only" in Table(("only",), [])._repr_html_()


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="2 cells, one for each column"):
        Table(("a", "b"), [("x",)])
