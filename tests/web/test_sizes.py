"""Sizes of pages are measured; that no chapter is too long or heavy is seen by its visit."""

import gzip

import pytest

from tests.web import sizes


@pytest.mark.web
def test_heights_are_measured_shut_and_open(tmp_path, serve, browser):
    tall = "<div style='height: {}px'></div>"
    (tmp_path / "page.html").write_text(
        f"<style>body {{ margin: 0 }} .toggle-hidden {{ display: none }}</style>{tall.format(1800)}"
        f"<details style='height: auto'><summary style='height: 90px'></summary>"
        f"{tall.format(900)}</details><div class='toggle-hidden'>{tall.format(450)}</div>"
    )
    page = browser.new_page(viewport=sizes.SCREEN)
    page.goto(serve(tmp_path) + "page.html")
    found = [sizes.screens(page), page.evaluate(sizes.OPEN) or sizes.screens(page)]
    assert found == pytest.approx([2.1, 3.6], abs=0.01)
    page.close()


@pytest.mark.parametrize(
    ("shown", "opened", "said"),
    [
        (15.0, 25.0, []),
        (15.1, 20.0, ["shows 15.1 screens: at most 15"]),
        (9.0, 25.2, ["opens to 25.2 screens: at most 25"]),
    ],
)
def test_a_chapter_that_is_too_long_is_named(shown, opened, said):
    assert [*sizes.too_long(shown, opened)] == said


def test_a_chapter_that_is_too_heavy_is_named(tmp_path):
    (tmp_path / "live.html").write_text("<script class='companion-live'></script>")
    (tmp_path / "page.html").write_text(" " * 3_000_000)
    (tmp_path / "cloud.png").write_bytes(bytes(9_000_000))
    assert [*sizes.too_heavy(tmp_path, "live.html", ["_static/live.js?v=1", "cloud.png"])] == []
    (loads,) = sizes.too_heavy(tmp_path, "page.html", ["page.html"])
    assert loads.startswith("loads 3000000 bytes")
    (loads,) = sizes.too_heavy(tmp_path, "live.html", ["live.html"])
    assert loads.endswith("has one without it")


@pytest.mark.web
def test_the_script_of_live_figures_is_small(site):
    assert len(gzip.compress((site / "_static" / "live.js").read_bytes())) < 60_000
