"""How long a chapter is on a screen: as it is shown, and with everything open that opens."""

import pytest

pytestmark = pytest.mark.web

WIDTH, HEIGHT = 1300, 900
SHOWN, OPENED = 15, 25
#: Chapters whose open folds are longer: solutions and sections for the few, which stand there once.
LONGER = {
    "discrete-data-vaes": 26,
    "mixtures-of-any-family": 26,
    "temperature": 27,
    "verification-experiments": 31,
}
OPEN = """() => {
  document.querySelectorAll("details").forEach((box) => { box.open = true; });
  for (const box of document.querySelectorAll(".toggle-hidden"))
    box.classList.remove("toggle-hidden");
  return window.MathJax && MathJax.typesetPromise ? MathJax.typesetPromise().then(() => 0) : 0;
}"""


def screens(browser, address):
    """Heights of a page in screens: as shown, and with all folds open."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.goto(address)
    page.evaluate("() => window.MathJax && MathJax.startup.promise.then(() => 0)")
    heights = []
    for action in ("() => 0", OPEN):
        page.evaluate(action)
        heights.append(page.evaluate("document.documentElement.scrollHeight") / HEIGHT)
    page.close()
    return heights


def too_long(found, longer):
    """One sentence for each chapter that is longer than it may be; ``found`` maps it to screens."""
    faults = []
    for chapter, (shown, opened) in found.items():
        if shown > SHOWN:
            faults.append(f"{chapter} shows {shown:.1f} screens: at most {SHOWN}")
        if opened > (limit := longer.get(chapter, OPENED)):
            faults.append(f"{chapter} opens to {opened:.1f} screens: at most {limit}")
    return faults


def test_no_chapter_is_longer_than_a_reader_scrolls(site, serve, browser):
    base = serve(site)
    chapters = sorted((site / "notebooks").glob("*.html"))
    assert len(chapters) > 15
    found = {path.stem: screens(browser, f"{base}notebooks/{path.name}") for path in chapters}
    assert too_long(found, LONGER) == []


def test_heights_are_measured_shut_and_open(tmp_path, serve, browser):
    tall = "<div style='height: {}px'></div>"
    (tmp_path / "page.html").write_text(
        f"<style>body {{ margin: 0 }} .toggle-hidden {{ display: none }}</style>{tall.format(1800)}"
        f"<details style='height: auto'><summary style='height: 90px'></summary>"
        f"{tall.format(900)}</details><div class='toggle-hidden'>{tall.format(450)}</div>"
    )
    assert screens(browser, serve(tmp_path) + "page.html") == pytest.approx([2.1, 3.6], abs=0.01)


def test_a_chapter_that_is_too_long_is_named():
    found = {"short": (15.0, 25.0), "seen": (15.1, 20.0), "open": (9.0, 25.2), "known": (9.0, 26.0)}
    assert too_long(found, {"known": 26}) == [
        "seen shows 15.1 screens: at most 15",
        "open opens to 25.2 screens: at most 25",
    ]
