"""Which code of a page is folded, and which folded cells share one handle."""

import pytest

from workflow.folds import elided, joined, only_sets, packed


def cell(source, *tags, figure=False, kind="code"):
    made = {"cell_type": kind, "metadata": {"tags": list(tags)}, "source": source}
    picture = {"data": {"image/png": "AA=="}}
    return made if kind == "markdown" else {**made, "outputs": [picture] if figure else []}


def sources(*cells):
    return [one["source"] for one in joined(list(cells))]


RECORD = 'claims.record("a/b", "It holds.", 1, at_most=2, source="T")'


def test_a_run_of_folded_cells_has_one_handle_over_its_one_figure():
    hidden = cell("x = f(1)", "hide-input")
    drawn = cell('show(f(x), alt="A.")', figure=True)
    (one,) = joined([hidden, drawn, cell(RECORD)])
    words = RECORD.replace("It holds.", "…")
    assert one["source"] == f'x = f(1)\n\nshow(f(x), alt="…")\n\n{words}'
    assert len(one["outputs"]) == 1 and one["joined"] == 3
    assert one["metadata"]["tags"] == ["hide-input"]
    again = cell('show(g(x), alt="B.")', figure=True)
    assert len(joined([hidden, drawn, again])) == 2


def test_visible_code_prose_and_other_kinds_of_cells_end_a_run():
    folded = [cell(RECORD), cell(RECORD)]
    assert len(joined([folded[0], cell("y = f(2)"), folded[1]])) == 3
    assert len(joined([folded[0], cell("Words.", kind="markdown"), folded[1]])) == 3
    assert len(joined([folded[0], cell(RECORD, "test")])) == 2
    assert len(joined([cell(RECORD, "test"), cell(RECORD, "test")])) == 1
    assert len(joined([cell(RECORD, "test"), cell(RECORD, "hidden-test")])) == 2


def test_folded_code_leaves_out_what_the_page_says_elsewhere():
    code = """claims.record("a/b",
    "Größe: "
    "it holds.", (x
    - y), at_most=1,
    source="T")
show(f(x, "kept"), alt="A long "
         "line.",
    caption=f"{x} it.")
claims.say("So {a/b:.2f}.")
record("a/b", "kept")"""
    assert elided(code) == (
        """claims.record("a/b", "…", x - y, at_most=1, source="T")
show(f(x, "kept"), alt="…", caption="…")
claims.say("…")
record("a/b", "kept")"""
    )
    assert elided("%matplotlib inline") == "%matplotlib inline"
    visible = cell(code.replace("show", "y = show"))
    assert joined([visible])[0]["source"] == visible["source"]


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (
            'claims.note("a/b",\n    max(\n        f(x)\n    ),\n);',
            ['claims.note("a/b", max(f(x)));'],
        ),
        ('claims.note("a/b",\n    é);', ['claims.note("a/b", é);']),
        ('claims.note("a/b", (1,\n    ))', ['claims.note("a/b", (1,', "    ))"]),
        ('claims.note("a/b",  # why\n    1)', ['claims.note("a/b",  # why', "    1)"]),
        (f"show(f({'x' * 70},\n    2))", [f"show(f({'x' * 70},", "    2))"]),
        (f"show({'x' * 70},\n    2,\n    3)", [f"show({'x' * 70},", "    2, 3)"]),
        ("f(\n    1)", ["f(", "    1)"]),
    ],
)
def test_claims_and_figures_fill_their_lines_and_stay_the_code_that_they_are(code, lines):
    assert packed(code).split("\n") == lines


def test_the_table_of_claims_has_no_second_handle():
    assert joined([cell("claims.table()")])[0]["metadata"]["tags"][-1] == "remove-input"
    assert "remove-input" not in joined([cell(RECORD)])[0]["metadata"]["tags"]


def test_sizes_and_seeds_stand_behind_the_handle_of_the_imports():
    start = [
        cell("import torch", "setup", "hide-input"),
        cell("seed = 0  # of every number", "parameters"),
        cell("seed = 3", "injected-parameters"),
        cell("n = tiers.pick(tier, book=3)\ngenerator = torch.Generator()"),
    ]
    made = joined(start)
    assert [one["source"] for one in made][1:] == ["seed = 3"]
    assert made[0]["source"].count("\n\n") == 2
    assert len(joined([start[0], cell("show(x)", figure=True)])) == 2


@pytest.mark.parametrize(
    ("source", "sets"),
    [
        ("n = tiers.pick(tier, book=3)", True),
        ("n = tiers.pick(tier, book=3)\nfit.em(model, p, x, steps=n)", False),
        ("n = tiers.pick(tier, book=3)\nx = fit.em(model, p, x, steps=n)", False),
        ("n, m = tiers.pick(tier, book=3), 2\nseeds = range(n)", True),
        ("x = datasets.iris()", False),
        ("", False),
    ],
)
def test_only_sizes_are_folded_unasked(source, sets):
    assert only_sets(cell(source)) == sets
