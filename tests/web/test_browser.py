"""The site in a real browser: every page, wide and narrow, light and dark, without the network."""

import re
import zlib

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.web import sizes

pytestmark = pytest.mark.web

WIDE, PHONE = sizes.SCREEN, {"width": 390, "height": 844}
# Of the theme's own markup, not ours to mend: its search button and its skip link.
KNOWN = {"label-content-name-mismatch", "region"}
UNRENDERED = """() => {
  const left = [...document.querySelectorAll(".math:not(pre)")].filter(
    e => !e.querySelector("mjx-container"));
  const rows = [...document.querySelectorAll(".tex2jax_process")].filter(
    e => /\\\\\\(|\\$[^$]+\\$/.test(e.textContent));
  const dollars = [...document.querySelectorAll("span.math")].filter(
    e => (e.previousSibling?.data ?? "").endsWith("$"));
  return [...left, ...rows, ...dollars].map(e => e.textContent.trim().slice(0, 60));
}"""
# What a reader cannot see without scrolling inside a box: at the width of a desktop, and on paper.
CLIPPED = """() => {
  const found = [];
  const article = document.querySelector("article.bd-article") || document.querySelector("main");
  for (const e of article.querySelectorAll("*")) {
    if (e.tagName === "MJX-CONTAINER" && e.getAttribute("display") === "true") {
      const drawn = e.querySelector("mjx-math")?.getBoundingClientRect().width || 0;
      if (drawn > e.clientWidth + 1) found.push("formula " + e.textContent.slice(0, 40));
    }
    if (e.closest("svg, mjx-container, span.math, input, select")) continue;
    if (getComputedStyle(e).display === "inline" || e.clientWidth < 2) continue;
    if (e.scrollWidth > e.clientWidth + 1)
      found.push(`${e.tagName.toLowerCase()}.${e.className} ${e.scrollWidth}>${e.clientWidth}: `
        + e.textContent.trim().slice(0, 40));
  }
  return found;
}"""
# The titles of the chapters before and after, cut at the edge of a phone.
CUT = """() => [...document.querySelectorAll(".prev-next-area a")].filter(
  link => link.scrollWidth > link.clientWidth + 1).map(link => link.title)"""
# Words of tables that are broken in their middle, which happens where a column is too narrow.
TORN = """() => {
  const torn = [], word = new Range();
  for (const cell of document.querySelectorAll(".companion-table :is(td, th)")) {
    const text = cell.childNodes.length === 1 && cell.firstChild.nodeType === 3 && cell.firstChild;
    for (const { 0: letters, index } of text ? text.data.matchAll(/[\\p{L}\\d]{2,16}/gu) : []) {
      word.setStart(text, index);
      word.setEnd(text, index + letters.length);
      if (word.getClientRects().length > 1) torn.push(letters);
    }
  }
  return torn;
}"""
# What ends beyond its box or the window, on a phone with all folds open, and cannot be scrolled to;
# and pictures that do not open large, or do not say that they do. Scripts may take a moment.
BEYOND = """async () => {
  const article = document.querySelector("article.bd-article") || document.querySelector("main");
  const scrolls = e => ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
  const look = () => {
    const found = [];
    for (const e of article.querySelectorAll("*")) {
      const drawn = e.getBoundingClientRect();
      if (drawn.width < 2 || drawn.height < 2 || e.parentElement.closest("svg, mjx-container"))
        continue;
      if (getComputedStyle(e).visibility === "hidden") continue;
      let box = e.parentElement;
      while (getComputedStyle(box).display === "inline") box = box.parentElement;
      let up = box;
      while (up !== article && !scrolls(up)) up = up.parentElement;
      if (up !== article) continue;
      const beyond = drawn.right - Math.min(innerWidth, box.getBoundingClientRect().right);
      if (beyond > 1)
        found.push(`${e.tagName.toLowerCase()}.${e.className} ${Math.ceil(beyond)} px: `
          + e.textContent.trim().slice(0, 40));
    }
    for (const image of article.querySelectorAll("figure img")) {
      if (!image.offsetParent || image.closest(".companion-animation")) continue;
      const button = image.closest("button.companion-enlarge");
      if (!button || getComputedStyle(button, "::after").content === "none")
        found.push(`a picture that does not open large: ${image.alt.slice(0, 40)}`);
    }
    return found;
  };
  for (let i = 0; i < 20 && look().length; i++) await new Promise(done => setTimeout(done, 100));
  return look();
}"""
PAPER = {"width": 718, "height": 1000}  # A4 between margins of a centimetre
OVERFLOW = "() => document.documentElement.scrollWidth - window.innerWidth"


# What looks alike on all pages and takes axe most of its time, highlighted code and formulas, is
# exchanged for words while it looks.
EXCHANGE = """() => {
  window.alike = [...document.querySelectorAll(".highlight, mjx-container")]
    .filter(e => !e.parentElement.closest(".highlight, mjx-container"))
    .map(e => [e, document.createTextNode("words")]);
  for (const [e, words] of window.alike) e.replaceWith(words);
}"""
RESTORE = "() => { for (const [e, words] of window.alike) words.replaceWith(e); }"
AXE = {"preload": False, "resultTypes": ["violations"], "selectors": False}
# They are looked at on these pages, which stand for the others of their kind, in their turn.
WHOLE = (
    *("index.html", "notation.html", "rerun.html", "notebooks/is-my-elbo-right."),
    *("api/check.", "api/learn."),
)
SHARES = 8


def visit(window, base, name, site=None, schemes=("light", "dark"), whole=True):
    """One sentence for each thing wrong with one page, which is opened once for all of them.

    ``window`` is a browser, or a context of one, whose pages share what they load; ``site`` the
    folder of the files, where sizes of chapters count too; ``schemes`` those that axe looks at,
    on the ``whole`` page or on all but code and formulas.
    """
    found, loaded = [], []
    page = window.new_page()
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
    page.on("response", lambda response: loaded.append(response.url.removeprefix(base)))
    page.on("console", lambda m: m.type == "error" and found.append(f"console: {m.text}"))
    page.on("pageerror", lambda error: found.append(f"script: {error}"))
    page.on("requestfailed", lambda request: found.append(f"failed: {request.url}"))
    page.on("response", lambda r: r.status >= 400 and found.append(f"{r.status}: {r.url}"))
    page.on(
        "request",
        lambda request: (
            request.url.startswith(("data:", "blob:", base))
            or found.append(f"remote: {request.url}")
        ),
    )
    page.goto(base + name)
    if page.evaluate("() => !!window.MathJax"):
        page.wait_for_function("() => MathJax.startup && MathJax.startup.promise")
        page.evaluate("() => MathJax.startup.promise")
    shown = sizes.screens(page)
    found += [f"formula not rendered: {text}" for text in page.evaluate(UNRENDERED)]
    for error in page.locator("mjx-merror").all():
        found.append(f"formula in error: {error.get_attribute('title') or error.inner_text()}")
    if not whole:
        page.evaluate(EXCHANGE)
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        page.add_style_tag(content="* { transition: none !important }")
        # Dark: the same page in other colours.
        only = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
        options = AXE | (only if scheme == "dark" else {})
        for violation in Axe().run(page, options=options).response["violations"]:
            if violation["id"] not in KNOWN:
                where = ", ".join(node["html"][:200] for node in violation["nodes"][:3])
                found.append(f"axe ({scheme}) {violation['id']}: {where}")
    if not whole:
        page.evaluate(RESTORE)
    page.emulate_media(color_scheme="light")
    found += [f"clipped: {what}" for what in page.evaluate(CLIPPED)]
    page.set_viewport_size(PAPER)
    page.emulate_media(media="print")
    found += [f"clipped on paper: {what}" for what in page.evaluate(CLIPPED)]
    found += [f"torn on paper: {word}" for word in page.evaluate(TORN)]
    page.emulate_media(media="screen")
    page.set_viewport_size(PHONE)
    if (wide := page.evaluate(OVERFLOW)) > 0:
        found.append(f"wider than a phone by {wide} px")
    found += [f"cut on a phone: {title}" for title in page.evaluate(CUT)]
    page.set_viewport_size(WIDE)
    page.evaluate(sizes.OPEN)
    if site and name.startswith("notebooks/"):
        found += sizes.too_long(shown, sizes.screens(page))
        found += sizes.too_heavy(site, name, loaded)
    page.set_viewport_size(PHONE)
    found += [f"beyond its box on a phone: {what}" for what in page.evaluate(BEYOND)]
    page.close()
    return [f"{name}: {fault}" for fault in dict.fromkeys(found)]


def seen_by_axe(name, order):
    """The schemes in which axe looks at a page, a quarter of them closely: other ones each time.

    Dark colours are the same on all pages; those of the ledger and of the reference are made alike.
    """
    if zlib.crc32(f"{order} {name}".encode()) % 4 == 0:
        return ("light", "dark")
    return () if name.startswith(("ledger/", "api/")) else ("light",)


def test_every_page_has_its_turn_to_be_seen_closely():
    for name, else_seen in (("ledger/a.html", ()), ("notebooks/a.html", ("light",))):
        turns = [seen_by_axe(name, order) for order in range(40)]
        assert set(turns) == {("light", "dark"), else_seen}
        assert 3 < turns.count(("light", "dark")) < 20


@pytest.mark.slow
@pytest.mark.parametrize("closely", [False, pytest.param(True, marks=pytest.mark.crossed)])
@pytest.mark.parametrize("share", range(SHARES))
def test_every_page_is_without_faults(site, serve, browser, share, closely, request):
    base = serve(site)
    pages = [p.relative_to(site).as_posix() for p in sorted(site.rglob("*.html"))]
    assert len(pages) > 15
    assert all(any(name.startswith(start) for name in pages) for start in WHOLE)
    window, faults = browser.new_context(), []
    for name in pages[share::SHARES]:
        order = request.config.getoption("--order")
        schemes = ("light", "dark") if closely else seen_by_axe(name, order)
        whole = name.startswith(WHOLE) and "dark" in schemes
        faults += visit(window, base, name, site, schemes, whole)
    window.close()
    assert faults == []


def test_mathematics_is_rendered_by_our_own_mathjax(open_page):
    page = open_page("index.html")
    page.wait_for_function("() => window.MathJax && MathJax.startup && MathJax.startup.promise")
    page.evaluate("() => MathJax.startup.promise")
    assert page.evaluate("() => MathJax.version").startswith("3.")
    assert page.locator("mjx-container").count() >= 1


def test_a_formula_links_to_pages_and_runs_no_script(open_page):
    """On a built page, with its own settings: MathJax's safe mode refuses scripts."""
    page = open_page("index.html")
    page.wait_for_function("() => window.MathJax && MathJax.startup && MathJax.startup.promise")
    found = page.evaluate(
        r"""async () => {
          await MathJax.startup.promise;
          const links = {};
          for (const target of ["https://example.org/", "javascript:alert(1)", "data:text/html,x",
                                "JaVaScRiPt:alert(1)"]) {
            const place = document.body.appendChild(document.createElement("div"));
            place.className = "tex2jax_process";
            place.textContent = "\\(\\href{" + target + "}{x}\\)";
            await MathJax.typesetPromise([place]);
            const made = place.querySelectorAll("mjx-container").length;
            links[target] = [made, place.querySelector("a")?.getAttribute("href") ?? null];
          }
          return links;
        }"""
    )
    assert found.pop("https://example.org/") == [1, "https://example.org/"]
    assert set(map(tuple, found.values())) == {(1, None)}


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["desktop", "phone"])
def test_the_first_screen_says_what_is_proved_by_whom_and_where_to_begin(open_page, size):
    page = open_page("index.html", viewport=size)
    said = page.locator("article p").first
    assert "sum of three entropies: a theorem of Jörg Lücke and Jan Warnken" in " ".join(
        said.inner_text().split()
    )
    doors = page.locator(".companion-start a").all()
    named = [re.sub(r"\d+", "n", door.inner_text()) for door in doors]
    assert named == ["Learn it, in n min", "Check my model, in n min", "Reproduce the papers"]
    picture = page.locator("article figure").first.locator("img:visible").first
    for what in (said, *doors, picture):
        box = what.bounding_box()
        assert box["y"] + box["height"] <= size["height"] and box["x"] >= 0
    page.evaluate("() => MathJax.startup.promise.then(() => 0)")
    page.wait_for_function(  # all three entropies are seen without scrolling
        """() => [document.querySelector('mjx-container[display="true"]')].every(
          formula => formula.querySelector("mjx-math").getBoundingClientRect().width
            <= formula.clientWidth + 1)"""
    )


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["desktop", "phone"])
def test_names_and_ends_of_sentences_are_not_torn_apart(open_page, size):
    page = open_page("api/check.html", viewport=size)
    names = page.locator("table.autosummary td:first-child a")
    assert names.count() > 10
    torn = "links => links.filter(a => a.offsetHeight > 40 || !a.offsetHeight).map(a => a.text)"
    assert names.evaluate_all(torn) == []
    page = open_page("notebooks/temperature.html", viewport=size)
    page.evaluate("() => MathJax.startup.promise.then(() => 0)")
    whole = page.locator(".companion-whole:visible")
    assert whole.count() > 10
    apart = """boxes => boxes.filter(box => {
      const formula = box.querySelector("mjx-container").getBoundingClientRect();
      const sign = new Range();
      sign.selectNodeContents(box.lastChild);
      return sign.getBoundingClientRect().top > formula.bottom;
    }).map(box => box.textContent)"""
    assert whole.evaluate_all(apart) == []


def test_boxes_of_code_stay_whole_on_paper_and_plates_have_no_frame_in_the_dark(open_page):
    page = open_page("notebooks/entropy-sums-at-a-glance.html", viewport=WIDE, color_scheme="dark")
    style = "(all, name) => [...new Set(all.map(e => getComputedStyle(e)[name]))]"
    plates = page.locator("article figure img:visible")
    assert plates.evaluate_all(style, "padding") == ["0px"]
    assert plates.evaluate_all(style, "backgroundColor") == ["rgb(255, 255, 255)"]
    page.emulate_media(media="print")
    assert page.locator("article .cell_input").evaluate_all(style, "breakInside") == ["avoid"]
    page.goto(page.url.replace("notebooks/entropy-sums-at-a-glance", "index"))
    contents = page.locator("article table")
    assert contents.evaluate_all(style, "breakInside") == ["auto"]  # it is as long as a page
    assert contents.locator("tr").evaluate_all(style, "breakInside") == ["avoid"]


def test_search_finds_a_word_of_the_book(open_page):
    page = open_page("search.html?q=entropy", viewport=WIDE)
    page.wait_for_selector("#search-results li a", timeout=15000)
    assert page.locator("#search-results li").count() > 3
    page.goto(page.url.replace("entropy", "xylophone"))
    page.wait_for_selector("#search-results p")
    assert page.locator("#search-results li").count() == 0


def test_there_is_one_search_box(open_page):
    page = open_page("index.html", viewport=WIDE)
    buttons = page.locator("button.search-button-field, button.search-button__button").all()
    assert sum(button.is_visible() for button in buttons) == 1


def test_the_theme_follows_the_system_and_can_be_switched(open_page):
    page = open_page("index.html", viewport=WIDE, color_scheme="dark")
    theme = "() => document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "dark"
    seen = {page.evaluate(theme)}
    for _ in range(2):
        page.locator("button.theme-switch-button:visible").first.click()
        seen.add(page.evaluate(theme))
    assert seen == {"light", "dark"}


GOOD = """<!doctype html><html lang="en"><head><title>A page</title>
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width"></head>
<body><main><h1>A page</h1><p>Words.</p>{}</main></body></html>"""


CLIP = """<div class='clip' style='width:200px;overflow-x:auto' tabindex='0'>
<p style='width:260px;margin:0'>wide</p></div>"""


TEAR = """<style>@media print { table { width: 90px; overflow-wrap: anywhere; table-layout: fixed }
}</style><table class='companion-table'><tr><td>gradient</td><td>a sentence</td></tr></table>"""


@pytest.mark.parametrize(
    ("planted", "sentence"),
    [
        ("", None),
        ("<script>console.error('broken')</script>", "console: broken"),
        ("<script>throw new Error('thrown')</script>", "script: thrown"),
        ("<img src='gone.svg' alt='Gone.'>", "404: "),
        ("<img src='http://127.0.0.2:9/a.svg' alt='Remote.'>", "remote: http://127.0.0.2"),
        ("<div class='math'>\\(x\\)</div>", "formula not rendered"),
        (
            "<p>$<span class='math'><mjx-container></mjx-container></span>$</p>",
            "formula not rendered",
        ),
        ("<p class='tex2jax_process'>\\(x\\)</p>", "formula not rendered"),
        ("<mjx-merror title='Undefined control sequence'>x</mjx-merror>", "formula in error"),
        ("<div style='width:600px'>wide</div>", "wider than a phone by"),
        (
            "<nav class='prev-next-area'><a href='.' title='next page' style='overflow:hidden;"
            "display:block;max-width:45%'><span style='white-space:nowrap'>"
            "The title of a chapter that has many words</span></a></nav>",
            "cut on a phone: next page",
        ),
        (CLIP, "clipped: div"),
        (
            "<div style='overflow:hidden'><p style='width:500px'>wide</p></div>",
            "beyond its box on a phone: p",
        ),
        (
            "<details><summary>More</summary><p style='margin-right:9em'>"
            "<b style='white-space:nowrap'>a formula that is wider than its box</b></p></details>",
            "beyond its box on a phone: b",
        ),
        (
            "<figure><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw=' width='9' height='9' "
            "alt='A line.'></figure>",
            "does not open large: A line.",
        ),
        (
            f"<style>@media screen {{ .clip {{ width: auto !important }} }}</style>{CLIP}",
            "on paper",
        ),
        (TEAR, "torn on paper: gradient"),
        ("<p style='color:#eee'>pale</p>", "axe (light) color-contrast"),
        (
            "<style>@media (prefers-color-scheme:dark){p{color:#eee}}</style><p>pale</p>",
            "axe (dark) color-contrast",
        ),
    ],
)
def test_each_planted_fault_is_seen(tmp_path, serve, browser, planted, sentence):
    (tmp_path / "index.html").write_text(GOOD.replace("{}", planted))
    faults = visit(browser, serve(tmp_path), "index.html")
    if sentence is None:
        assert faults == []
    else:
        assert any(sentence in fault for fault in faults), faults


def test_only_code_and_formulas_are_left_to_the_pages_that_stand_for_all(tmp_path, serve, browser):
    pale = "<div class='{}' style='color:#eee'>pale</div>"
    (tmp_path / "code.html").write_text(GOOD.replace("{}", pale.format("highlight")))
    (tmp_path / "text.html").write_text(GOOD.replace("{}", pale.format("text")))
    base = serve(tmp_path)
    assert visit(browser, base, "code.html", whole=False) == []
    assert "color-contrast" in visit(browser, base, "code.html")[0]
    assert "color-contrast" in visit(browser, base, "text.html", whole=False)[0]
