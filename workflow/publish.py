"""What a published site has beside its pages, and what pages have of one another.

A card, a map of the site, a page for dead links; links to the glossary, figures for dark pages.
"""

import base64
import io
import re
from html import escape
from urllib.parse import urlsplit

import yaml

from workflow import finish, glossary, plates
from workflow.project import commit_date, site_address, write

#: The picture that stands for the book.
PICTURE = "figures/surfaces-meet.svg"
CARD = "_static/card.png"
SHOWN = "Two surfaces over a plane, ELBO and entropy sum, which meet along a curve."
WIDTH, HEIGHT = 1200, 630
DRAWN = re.compile(r'href="data:image/png;base64,([^"]+)"')
EQUATION = (
    r"$\mathcal{F}-\mathcal{S}=\langle\nabla\mathcal{F},\,v\rangle$"
    " exactly, at any parameters; at stationary points the ELBO is a sum of entropies"
)
LOST = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>No such page · {title}</title>
<base href="{root}"><link rel="icon" href="data:,"><meta name="robots" content="noindex">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; }}
body {{ padding: 0 1rem; }}
a {{ color: inherit; }}
input, button {{ font: inherit; padding: 0.2em 0.6em; }}
</style></head>
<body><main><h1>There is no such page</h1>
<p>A chapter may have got another name. The <a href="index.html">first page</a> leads to all of
them, and the search finds words in them.</p>
<form action="search.html" role="search"><label>Search the book
<input type="search" name="q"></label> <button>Search</button></form>
</main></body></html>
"""


def complete(site, project):
    """Add to a site what it needs where it is published."""
    plates.pair(site)
    if (site / "glossary.html").is_file():
        found = glossary.terms((site / "glossary.html").read_text("utf-8"))
        for path in (site / "notebooks").glob("*.html"):
            text = path.read_text("utf-8")
            path.write_text(glossary.linked(text, found, "../glossary.html"), "utf-8")
    config = yaml.safe_load((project.root / "_config.yml").read_text("utf-8"))
    title, address = config["title"], site_address(project.root)
    picture = project.build / PICTURE
    if picture.is_file() and (found := DRAWN.search(picture.read_text("utf-8"))):
        (site / CARD).write_bytes(card(base64.b64decode(found[1]), title))
    if address:
        write(site / "sitemap.xml", sitemap(site, address, commit_date(project.root)))
    # Servers show it at any depth: its links start from where the site does.
    root = urlsplit(address).path if address else "/"
    write(site / "404.html", LOST.format(title=escape(title), root=escape(root, quote=True)))


def sitemap(site, address, date):
    """The addresses of all pages that are worth finding, as search engines read them."""
    names = [name for _, name in finish.pages_of(site) if name not in ("search.html", "404.html")]
    changed = f"<lastmod>{date}</lastmod>" if date else ""
    lines = [
        f"<url><loc>{escape(address + name.removesuffix('index.html'))}</loc>{changed}</url>"
        for name in names
    ]
    start = '<?xml version="1.0" encoding="UTF-8"?>\n'
    start += '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return start + "\n".join(lines) + "\n</urlset>\n"


def card(picture, title):
    """The picture that is shown where a page is linked: the two surfaces below the book's title."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    surfaces = Image.open(io.BytesIO(picture)).convert("RGBA")
    drawn = np.asarray(surfaces.crop(surfaces.getbbox()))
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.05, 0.12, 0.9, 0.73))
    axes.imshow(drawn, interpolation="antialiased")
    axes.set_axis_off()
    figure.text(0.5, 0.9, title, fontsize=34, weight="bold", ha="center", va="center")
    figure.text(0.5, 0.06, EQUATION, fontsize=17, ha="center", va="center")
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    colours = Image.open(file).convert("RGB").quantize(200)
    file = io.BytesIO()
    colours.save(file, format="png", optimize=True)
    return file.getvalue()
