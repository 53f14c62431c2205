"""What helps a reader beside the text, in a real browser, with mouse and with keys alone."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.web

ASSETS = Path(__file__).parents[2] / "book" / "assets"
SCRIPT = ASSETS / "reader.js"
PAGE = """<!doctype html><html lang="en"><title>x</title><article>
<p><a id="same" href="#thm">Theorem 1</a> <a id="far" href="other.html#term-gap">gap</a>
<a id="none" href="#here">here</a></p><p id="here">Words.</p>
<div class="proof theorem" id="thm"><p>Statement.</p></div>
<figure><img src="a.svg" alt="A line." width="60"></figure></article></html>"""
OTHER = (
    """<dl class="glossary"><dt id="term-gap">gap</dt><dd><p>What is <b>left</b>.</p></dd></dl>"""
)


@pytest.fixture
def folder(tmp_path):
    for name, text in {"index.html": PAGE, "other.html": OTHER}.items():
        script = f"<script>{SCRIPT.read_text('utf-8')}</script>" if name == "index.html" else ""
        (tmp_path / name).write_text(text + script)
    (tmp_path / "a.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    )
    return tmp_path


@pytest.fixture
def page(folder, serve, browser):
    page = browser.new_page()
    page.goto(serve(folder) + "index.html")
    yield page
    page.close()


@pytest.mark.parametrize(("name", "words"), [("same", "Statement."), ("far", "What is left.")])
def test_a_reference_shows_what_it_leads_to(page, name, words):
    box, link = page.locator("#companion-preview"), page.locator(f"#{name}")
    link.focus()
    box.get_by_text(words).wait_for()
    assert link.get_attribute("aria-describedby") == "companion-preview"
    assert page.locator("#thm").count() == 1  # the copy has no ids
    page.keyboard.press("Escape")
    assert not box.is_visible() and link.get_attribute("aria-describedby") is None
    page.mouse.move(0, 0)
    link.hover()
    box.get_by_text(words).wait_for()
    box.hover()  # the pointer may go there
    page.wait_for_timeout(300)
    assert box.is_visible()
    page.mouse.move(1000, 600)
    box.wait_for(state="hidden")


def test_other_links_show_nothing(page):
    page.locator("#none").focus()
    page.wait_for_timeout(500)
    assert not page.locator("#companion-preview").is_visible()


def test_nothing_is_shown_where_there_is_no_pointer_that_hovers(folder, serve, browser):
    context = browser.new_context(has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(serve(folder) + "index.html")
    page.locator("#same").focus()
    page.wait_for_timeout(500)
    assert page.locator("#companion-preview").count() == 0
    context.close()


def test_a_figure_opens_large_and_closes_by_keys(page):
    button = page.get_by_role("button", name="A line.")
    button.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("img", name="A line.").is_visible()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
    assert page.evaluate("() => document.activeElement.className") == "companion-enlarge"
    button.click()
    dialog.get_by_role("button", name="Close").click()
    assert page.get_by_role("dialog").count() == 0


FORMULA = """<!doctype html><html lang="en"><title>x</title><style>
mjx-container { display: block; width: 500px; font-size: 20px; overflow: auto }
mjx-math { display: inline-block; width: 28em; height: 1em }</style>
<script>MathJax = {startup: {promise: Promise.resolve()}}</script>
<details><summary>More</summary><mjx-container display="true"><mjx-math></mjx-math></mjx-container>
</details>"""


def test_a_wide_formula_is_drawn_smaller_as_its_fold_is_opened_and_its_place_changes(
    tmp_path, serve, browser
):
    script = (SCRIPT.parent / "book.js").read_text("utf-8")
    (tmp_path / "index.html").write_text(f"{FORMULA}<script>{script}</script>")
    page = browser.new_page()
    page.goto(serve(tmp_path) + "index.html")
    page.locator("summary").click()
    fits = (
        "() => { const f = document.querySelector('mjx-container'); return f.clientWidth === {} &&"
    )
    fits += " f.scrollWidth === f.clientWidth && (f.style.fontSize === '') === {}; }"
    page.wait_for_function(fits.replace("{}", "500", 1).replace("{}", "false"))
    page.add_style_tag(content="mjx-container { width: 600px !important }")
    page.wait_for_function(fits.replace("{}", "600", 1).replace("{}", "true"))
    page.close()


LONG = """<!doctype html><title>x</title><style>{style}
mjx-container {{ white-space: nowrap }}</style>
<article class="bd-article"><p>So <span class="companion-whole"><mjx-container
>a formula that is wider than a small window is</mjx-container>.</span> And
<mjx-container>x</mjx-container>.</p><div style="overflow-x:auto"><table><tr><td
style="min-width:500px">wide</td></tr></table></div></article><script>{script}</script>"""


def test_what_is_too_wide_scrolls_and_fades_where_more_is_to_come(tmp_path, serve, browser):
    style, script = ((ASSETS / f"book.{kind}").read_text("utf-8") for kind in ("css", "js"))
    (tmp_path / "index.html").write_text(LONG.format(style=style, script=script))
    page = browser.new_page(viewport={"width": 900, "height": 600})
    page.goto(serve(tmp_path) + "index.html")
    formula, table = page.locator(".companion-whole"), page.locator("article div")
    faded = page.locator(".companion-more")
    assert faded.count() == page.locator(".companion-wide").count() == 0
    page.set_viewport_size({"width": 240, "height": 600})
    page.locator(".companion-wide.companion-more").wait_for()
    assert page.locator(".companion-wide").count() == 1 and faded.count() == 2
    assert formula.evaluate("e => e.getBoundingClientRect().right <= innerWidth")
    for box in (formula, table):
        assert box.evaluate("e => getComputedStyle(e).maskImage") != "none"
        box.evaluate("e => e.scrollTo(1000, 0)")
    page.wait_for_function("() => !document.querySelector('.companion-more')")
    page.set_viewport_size({"width": 900, "height": 600})
    page.wait_for_function("() => !document.querySelector('.companion-wide')")
    page.close()
