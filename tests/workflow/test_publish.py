"""What a site has beside its pages: card, map, the page for dead links, the inventory."""

import base64
import io
import re
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from PIL import Image

from workflow import publish

ADDRESS = "https://example.org/books/elbo/"


@pytest.fixture
def project(tmp_path):
    """A site of three pages, and the picture that its chapter drew."""
    root = tmp_path / "root"
    for name in ("site/notebooks", "site/_static", "figures"):
        (root / name).mkdir(parents=True)
    for name in ("index", "search", "notebooks/one"):
        (root / "site" / f"{name}.html").write_text("<p>x</p>")
    (root / "_config.yml").write_text("title: A <small> book\n")
    picture = io.BytesIO()
    Image.effect_noise((900, 700), 90).save(picture, "png")
    data = base64.b64encode(picture.getvalue()).decode()
    lines = "\n".join(data[i : i + 76] for i in range(0, len(data), 76))
    (root / publish.PICTURE).write_text(
        f'<svg><image href="data:image/png;base64,\n{lines}"/></svg>'
    )
    return SimpleNamespace(root=root, build=root)


def completed(project):
    publish.complete(project.build / "site", project)
    return project.build / "site"


def test_the_card_is_small_and_of_the_size_that_is_shown(project):
    card = completed(project) / publish.CARD
    assert card.stat().st_size < 300_000
    image = Image.open(card)
    assert image.size == (1200, 630)
    # The picture of the chapter is on it: noise, where a page without it is white.
    assert image.convert("L").crop((400, 150, 800, 500)).getextrema()[0] < 100


def test_a_book_without_the_picture_has_no_card(project):
    (project.root / publish.PICTURE).unlink()
    assert not (completed(project) / publish.CARD).exists()


def test_the_map_lists_each_page_at_its_address(project, monkeypatch):
    monkeypatch.setenv("SITE_URL", ADDRESS)
    site = completed(project)
    tree = ElementTree.parse(site / "sitemap.xml")
    found = [place.text for place in tree.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert found == [ADDRESS, f"{ADDRESS}notebooks/one.html"]
    dated = publish.sitemap(site, ADDRESS, "2026-01-02")
    assert dated.count("<lastmod>2026-01-02</lastmod>") == 2


def test_without_an_address_there_is_no_map(project, monkeypatch):
    monkeypatch.delenv("SITE_URL", raising=False)
    monkeypatch.delenv("REPOSITORY_URL", raising=False)
    assert not (completed(project) / "sitemap.xml").exists()


@pytest.mark.parametrize(("address", "root"), [("", "/"), (ADDRESS, "/books/elbo/")])
def test_the_page_for_dead_links_leads_back_from_any_depth(project, monkeypatch, address, root):
    monkeypatch.setenv("SITE_URL", address)
    monkeypatch.delenv("REPOSITORY_URL", raising=False)
    site = completed(project)
    page = BeautifulSoup((site / "404.html").read_text(), "html.parser")
    assert page.base["href"] == root and page.title.string == "No such page · A <small> book"
    # It loads nothing, and each of its links is a page of the site.
    assert not page.find_all(["script", "img"]) and page.link["href"] == "data:,"
    targets = [a["href"] for a in page.find_all("a")] + [page.form["action"]]
    assert all((site / target).is_file() for target in targets)
    assert page.find("input")["name"] == "q"


@pytest.mark.parametrize("published", [True, False])
def test_pages_name_the_card_where_there_is_one(small_book, published):
    picture = {publish.PICTURE: "<svg/>"} if published else {}
    text = "Title\n=====\n\nWords of the page.\n"
    page = small_book(text, f"html_baseurl = '{ADDRESS}'\n", **picture)
    found = re.findall(r'property="og:image" content="([^"]+)"', page)
    assert found == [f"{ADDRESS}_static/card.png"] * published
    assert 'content="Words of the page."' in page


def test_other_sites_can_refer_to_this_one(site):
    """Intersphinx reads the names of the package and of the chapters from `objects.inv`."""
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        names = InventoryFile.load(file, "", lambda base, path: base + path)
    assert any(name.endswith("verify") for name in names["py:function"])
    assert any(name.startswith("notebooks/") for name in names["std:doc"])
