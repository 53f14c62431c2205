"""Tables of results: heads stand above their numbers, nothing breaks out of the HTML."""

import io
from importlib import import_module
from pkgutil import walk_packages
from xml.etree import ElementTree

import pytest

import companion
from companion.support.tables import Record, Table


def test_a_head_is_aligned_as_its_column():
    page = Table(("name", "gap"), [("a", 1.5), ("b", 2.5)])._repr_html_()
    head, body = page.split("<tbody>")
    assert head.count("text-align:left") == 1 and head.count("text-align:right") == 1
    assert head.index("text-align:left") < head.index("text-align:right")
    assert body.count("text-align:right") == 2


@pytest.mark.parametrize(
    ("cells", "side"),
    [
        ((1.5, 2.5, "no formula"), "right"),
        ((3, "it is the ELBO", "a sum"), "left"),
        ((0.5, ""), "right"),
        (("+1.50 ± 0.03", "7 of 10"), "right"),
        (("−0.5", "2 %", "2 of them"), "right"),
        (("3 layers", "2.9.0"), "left"),
    ],
)
def test_all_cells_of_a_column_stand_on_the_side_of_most(cells, side):
    page = Table(("name", "found"), [("a", cell) for cell in cells])._repr_html_()
    assert page.count(f"text-align:{side}") == page.count("text-align") - (
        (len(cells) + 1) * (side == "right")
    )


def test_a_table_with_long_rows_says_so():
    short, long = ([("a", "word " * count, 1.5)] for count in (15, 25))
    assert "companion-wide" not in Table(("name", "text", "gap"), short)._repr_html_()
    assert "companion-table companion-wide" in Table(("name", "text", "gap"), long)._repr_html_()


def test_cells_are_escaped_and_an_empty_table_is_fine():
    assert "&lt;b&gt;" in Table(("<b>",), [("<b>",)])._repr_html_()
    assert "<b>" not in Table(("<b>",), [("<b>",)])._repr_html_()
    assert "only" in Table(("only",), [])._repr_html_()


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="2 cells, one for each column"):
        Table(("a", "b"), [("x",)])


class Point(Record):
    decimals = 6

    def rows(self):
        return [
            ("gap <b>", -0.25),
            ("residual", 2.5e-15),
            ("none", 0.0),
            ("kind", "saddle"),
            ("n", 3),
        ]


def test_a_record_without_heads_prints_labels_and_values():
    assert str(Point()) == repr(Point())
    lines = [line.split("  ", 1) for line in str(Point()).splitlines()]
    assert [(label, value.strip()) for label, value in lines] == [
        ("gap <b>", "-0.250000"),
        ("residual", "2.50e-15"),
        ("none", "0"),
        ("kind", "saddle"),
        ("n", "3"),
    ]
    assert {line.index(line.split()[-1]) for line in str(Point()).splitlines()[1:]} == {10}


def test_the_page_of_a_record_has_a_head_for_each_row_and_none_above():
    (table,) = ElementTree.fromstring(Point()._repr_html_())
    assert [part.tag for part in table] == ["tbody"]
    rows = [[(cell.tag, cell.text) for cell in row] for row in table[0]]
    assert rows[0] == [("th", "gap <b>"), ("td", "−0.250000")]
    assert all([tag for tag, _ in row] == ["th", "td"] for row in rows)


def test_a_record_with_heads_is_a_table():
    class Pair(Record):
        columns = ("point", "gap")

        def rows(self):
            return [("maximum", 2e-15), ("saddle", 0.25)]

    table = Table(Pair.columns, Pair().rows())
    assert str(Pair()) == str(table) and Pair()._repr_html_() == table._repr_html_()
    assert table.rows() == Pair().rows() and isinstance(table, Record)


def test_a_record_needs_rows():
    with pytest.raises(TypeError, match="abstract"):
        Record()
    with pytest.raises(TypeError, match="missing 2 required positional arguments"):
        Table()


def records():
    """Every record of the package, by name."""
    modules = [import_module(each.name) for each in walk_packages(companion.__path__, "companion.")]
    kinds = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    return {kind.__name__: kind for kind in kinds if issubclass(kind, Record)}


def test_every_record_prints_in_this_one_way():
    found = records()
    assert found.keys() >= {
        *("Verification", "EntropySum", "Explanation", "ModuleVerification", "Criterion"),
        *("Curvature", "FactorIdentity", "FactorIdentities", "Trace", "FitResult", "Ensemble"),
        *("LatentEntropies", "Counterexample", "ProfiledCurvature", "BatchBias", "Marginal"),
    }
    for kind in found.values():
        for method in ("__str__", "__repr__", "_repr_html_"):
            assert getattr(kind, method) is getattr(Record, method), kind


@pytest.mark.parametrize("encoding", ("latin-1", "ascii", "cp1252", "utf-8"))
def test_a_record_prints_on_any_terminal(encoding, monkeypatch):
    page = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    table = Table(("slope = ⟨∇ELBO, v⟩", "−λ ≥ 0"), [("∇", 1.5)])
    usual = str(table)
    monkeypatch.setattr("sys.stdout", page)
    print(table)
    page.seek(0)
    shown = page.read()
    if encoding == "utf-8":
        assert shown == usual + "\n"
    else:
        assert shown.startswith("slope = <grad ELBO, v>  -") and "1.5000" in shown
