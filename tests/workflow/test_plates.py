"""Drawings on dark pages: which get a twin in light ink, and what stays as it was drawn."""

import pytest

from workflow import plates

AXES = (
    '<svg width="9"><path style="fill: #ffffff"/><path style="stroke: #000000"/>'
    '<path style="stroke: #e5e5e5"/><text>word</text>{}</svg>'
)


def test_ink_and_ground_change_places_and_colours_stay():
    turned = plates.dark(AXES.format('<path style="stroke: #0072b2"/>'))
    assert turned == (
        '<svg fill="#e6e6e6" width="9"><path style="fill: #121212"/><path style="stroke: #e6e6e6"/>'
        '<path style="stroke: #282828"/><text>word</text><path style="stroke: #0072b2"/></svg>'
    )


@pytest.mark.parametrize(
    "planted", ["<image href='x'/>", '<path fill="#440154"/>', '<path fill="#cfe3f1"/>']
)
def test_what_would_be_lost_keeps_its_plate(planted):
    assert plates.dark(AXES.format(planted)) is None


def test_colours_of_the_book_are_seen_on_both_grounds():
    """Those of lines, 3 : 1 and more on the dark ground."""
    from companion.book.display import COLOURS

    for colour in COLOURS[:-1]:  # the last is black, which is turned
        channels = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
        assert plates.contrast(channels, plates.GROUND) >= 3
    assert plates.contrast(plates.INK, plates.GROUND) > 12


def test_contrast_is_that_of_wcag():
    assert plates.contrast((0, 0, 0), (255, 255, 255)) == 21
    # The least grey on white that text may have: 4.5 : 1.
    assert plates.contrast((118, 118, 118), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)


def test_pages_show_each_drawing_with_its_twin(tmp_path):
    (tmp_path / "_images").mkdir()
    (tmp_path / "notebooks").mkdir()
    drawn = AXES.format('<!-- a word --><path id="b" d="M 1.23456 2"/>')
    (tmp_path / "_images" / "a.svg").write_text(drawn)
    (tmp_path / "_images" / "b.svg").write_text(AXES.format("<image/>"))
    page = tmp_path / "notebooks" / "one.html"
    page.write_text('<img alt="A." src="../_images/a.svg"/><img class="x" src="../_images/b.svg">')
    assert plates.pair(tmp_path) == 1
    assert page.read_text() == (
        '<img class="companion-light" alt="A." src="../_images/a.svg"/>'
        '<img class="companion-dark dark-light" loading="lazy" alt="A." '
        'src="../_images/a-dark.svg"/>'
        '<img class="x" src="../_images/b.svg">'
    )
    slim = (tmp_path / "_images" / "a.svg").read_text()
    assert slim == AXES.format('<path id="b" d="M 1.23 2"/>')
    assert (tmp_path / "_images" / "a-dark.svg").read_text().startswith('<svg fill="#e6e6e6"')


@pytest.mark.parametrize(("height", "named"), [(119, ""), (121, "companion-high ")])
def test_a_drawing_much_higher_than_wide_gets_more_height(tmp_path, height, named):
    (tmp_path / "_images").mkdir()
    drawn = AXES.format("").replace("<svg ", f'<svg viewBox="0 0 100 {height}" ', 1)
    (tmp_path / "_images" / "a.svg").write_text(drawn)
    (tmp_path / "one.html").write_text('<img alt="A." src="_images/a.svg">')
    plates.pair(tmp_path)
    shown = (tmp_path / "one.html").read_text()
    assert f'class="companion-light {named}"'.replace(' "', '"') in shown
    assert shown.count("companion-high") == 2 * bool(named)
