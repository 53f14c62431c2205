"""Claims, sizes per tier and figures: what a chapter shows and what the workflow reads."""

import math

import pytest
from IPython.core.interactiveshell import InteractiveShell

from companion.book import claims, display, show, show_animation, style, tiers

SOURCE = "this companion"


@pytest.fixture
def shown(monkeypatch):
    """The bundles a chapter displays."""
    bundles = []
    monkeypatch.setattr(claims, "emit", bundles.append)
    monkeypatch.setattr(claims, "_claims", {})
    monkeypatch.setattr(claims, "_values", {})
    return bundles


@pytest.mark.parametrize(
    ("value", "bound", "holds"),
    [
        (1e-13, {"at_most": 1e-12}, True),
        (1e-11, {"at_most": 1e-12}, False),
        (2.0, {"at_least": 1.0}, True),
        (0.5, {"at_least": 1.0}, False),
        (1.05, {"close_to": 1.0, "within": 0.1}, True),
        (1.15, {"close_to": 1.0, "within": 0.1}, False),
        (0.85, {"close_to": 1.0, "within": 0.1}, False),
        (math.nan, {"at_most": 1e-12}, False),
        (math.nan, {"close_to": 1.0, "within": 0.1}, False),
        (math.inf, {"at_least": 1.0}, False),
        (-math.inf, {"at_most": 1.0}, False),
    ],
)
def test_a_claim_holds_exactly_within_its_bound(shown, value, bound, holds):
    returned = claims.record("toy/claim", "A statement.", value, source=SOURCE, **bound)
    made = shown[-1][claims.CLAIM]
    assert "holds" not in made
    assert returned == value or math.isnan(returned)
    assert made["value"] == (value if math.isfinite(value) else None)
    assert shown[-1]["text/plain"].startswith("[holds]" if holds else "[FAILS]")
    assert ("this claim fails" in shown[-1]["text/html"]) is not holds


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "exactly one of"),
        ({"at_most": 1, "at_least": 0}, "exactly one of"),
        ({"close_to": 1}, "needs an absolute tolerance"),
        ({"at_most": 1, "within": 1}, "only close_to takes one"),
        ({"at_most": math.nan}, "at_most must be finite"),
        ({"close_to": 1, "within": -1}, "within must be finite"),
        ({"at_most": 1, "id": "Toy claim"}, "chapter/name"),
        ({"at_most": 1, "value": [1, 2]}, "one number"),
        ({"at_most": 1, "statement": " "}, "needs a statement"),
    ],
)
def test_a_bad_call_is_refused_in_one_sentence(shown, arguments, sentence):
    call = {"id": "toy/claim", "statement": "A.", "value": 0.0, "source": SOURCE} | arguments
    with pytest.raises(ValueError, match=sentence):
        claims.record(**call)
    assert not shown


def test_recording_again_replaces_and_the_table_shows_each_claim_once(shown):
    claims.record("toy/a", "A.", 5.0, at_most=1, source=SOURCE)
    claims.record("toy/a", "A.", 0.5, at_most=1, source=SOURCE)
    claims.table()
    assert shown[-1]["text/plain"] == "[holds] toy/a: A. 0.5 ≤ 1 (this companion)"
    assert shown[-1]["text/html"].count("✓") == 1 and "✗" not in shown[-1]["text/html"]


def test_say_fills_recorded_values_and_leaves_mathematics_alone(shown):
    claims.record("toy/a", "A.", 0.25, at_most=1, source=SOURCE)
    claims.note("toy/size", 8)
    claims.say(r"$\frac{1}{2}$: **{toy/a:.1e}** of {toy/size}")
    assert shown[-1]["text/markdown"] == "$\\frac{1}{2}$: **2.5\u00a0×\u00a010⁻¹** of 8"
    with pytest.raises(KeyError, match="no value was recorded as 'toy/b'"):
        claims.say("{toy/b}")


def test_statements_cannot_break_the_page(shown):
    claims.record("toy/a", "$x < 1$ & <script>", 0, at_most=1, source="<b>")
    page = shown[-1]["text/html"]
    assert "<script>" not in page and "<b>" not in page and r"\(x &lt; 1\)" in page


def test_an_unknown_tier_names_the_allowed_ones():
    with pytest.raises(ValueError, match="one of smoke, book, paper: found 'huge'"):
        tiers.pick("huge", smoke=1, book=2, paper=3)
    with pytest.raises(ValueError, match="one size for each"):
        tiers.pick("smoke", smoke=1, book=2)


@pytest.fixture
def displayed(monkeypatch):
    shown = []
    monkeypatch.setattr(display, "emit", lambda bundle, metadata: shown.append((bundle, metadata)))
    return shown


def draw():
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot([0, 1], [0, 1])
    return figure


def test_figures_carry_their_text_are_reproducible_and_closed(displayed):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    for _ in range(2):
        with style():
            show(draw(), alt="A rising line.", caption="Rise.", name="rise")
    (first, metadata), (second, _) = displayed
    assert first == second and first["image/svg+xml"].lstrip().startswith("<?xml")
    assert metadata == {"companion": {"alt": "A rising line.", "caption": "Rise.", "name": "rise"}}
    assert pyplot.get_fignums() == before


def test_style_leaves_matplotlib_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with style():
        assert dict(matplotlib.rcParams) != before
    assert dict(matplotlib.rcParams) == before


def test_a_figure_without_words_is_refused(displayed):
    with pytest.raises(ValueError, match="alt must say in words"):
        show(draw(), alt=" ")
    with pytest.raises(ValueError, match="format must be"):
        show(draw(), alt="A line.", format="pdf")
    assert not displayed


def test_animations_need_nothing_remote(displayed):
    figure = draw()
    (line,) = figure.axes[0].lines
    frames = (line.set_ydata([0, i]) or figure for i in range(3))
    show_animation(frames, alt='A "growing" line.')
    page = displayed[0][0]["text/html"]
    assert "http" not in page and 'alt="A &quot;growing&quot; line."' in page
    assert 'max="2"' in page and page.count("iVBOR") == 4


def test_in_a_notebook_the_record_travels_with_its_row():
    shell = InteractiveShell.instance()
    try:
        from IPython.utils.capture import capture_output

        with capture_output() as captured:
            claims.record("toy/shown", "A.", 0.5, at_most=1, source=SOURCE)
            claims.note("toy/noted", 2)
        row, value = (output.data for output in captured.outputs)
        assert row[claims.CLAIM]["id"] == "toy/shown" and "<div" in row["text/html"]
        assert value[claims.VALUE] == {"id": "toy/noted", "value": 2.0} and not value["text/html"]
    finally:
        shell.clear_instance()
