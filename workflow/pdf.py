"""Print the built site as one PDF: `python -m workflow.pdf`.

Chromium sets the pages: tagged, with bookmarks, page numbers and running heads. It prints twice,
since the table of contents needs the pages that the first print found. What would be cut, and a
page with nothing on it, end the command with a sentence.
"""

import functools
import os
import re
import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from workflow import volume
from workflow.progress import Problem
from workflow.project import Project, pages_digest, sealed, site_address, unsealed, write

NAME = "book.pdf"
#: Where requests of the page go: to nobody, all are answered from the site's folder.
ORIGIN = "http://book.invalid/"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FORMULA = re.compile(r"\\\(.*?\\\)")
FOOTER = "<p class='companion-footer'>"

#: Makes formulas and tables that are too wide as small as they must be, down to this share.
SMALLEST = 0.55
FIT = """smallest => {
  const most = document.body.clientWidth;
  for (const math of document.querySelectorAll('mjx-container[display="true"], mjx-container')) {
    const drawn = math.querySelector("mjx-math"), room = math.closest("td, th, li, div, section");
    if (!drawn || math.closest("table")) continue;
    const share = room.clientWidth / (drawn.getBoundingClientRect().width + 2);
    if (share < 1) math.style.fontSize = `${Math.max(share, smallest) * 100}%`;
  }
  for (const table of document.querySelectorAll("table")) {
    const room = table.parentElement.clientWidth;
    for (let size = 8.5; table.offsetWidth > room && size >= 8.5 * smallest; size -= 0.5)
      table.style.fontSize = `${size}pt`;
  }
}"""
#: One sentence for each element that reaches over the edge of its page, or is cut by its box.
CUT = """() => {
  const found = [], edge = document.body.getBoundingClientRect().right + 1;
  for (const e of document.body.querySelectorAll("*")) {
    if (e.closest("svg, mjx-container") && e.tagName !== "MJX-MATH") continue;
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    const leaf = e.closest(".leaf")?.id ?? "";
    const words = `${leaf}: ${e.tagName.toLowerCase()} "${e.textContent.trim().slice(0, 50)}"`;
    const hidden = style.overflowX !== "visible" && e.clientWidth > 1;
    if (box.width && box.right > edge)
      found.push(`${words} is ${Math.round(box.right - edge)} px too wide`);
    else if (hidden && e.scrollWidth > e.clientWidth + 1) found.push(`${words} is cut by its box`);
  }
  return found;
}"""
SPOKEN = """() => {
  for (const item of MathJax.startup.document.math) {
    item.typesetRoot?.setAttribute("role", "img");
    item.typesetRoot?.setAttribute("aria-label", item.math.trim());
    item.typesetRoot?.querySelector("mjx-math")?.setAttribute("aria-hidden", "true");
  }
  return document.querySelectorAll("mjx-merror").length;
}"""


def find_chromium():
    """The Chromium to use: $CHROMIUM if set, else Debian's, else the first on the path."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    if Path("/usr/bin/chromium").exists():
        return "/usr/bin/chromium"
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def make(site, root, output):
    """Print the pages of ``site`` to ``output``, check every page, and return their number."""
    address = site_address(root)
    page, entries = volume.assemble(site, root, address)
    with printer(site) as print_page:
        write(output, print_page(page))
        numbers = starts(output, entries)
        page, _ = volume.assemble(site, root, address, numbers)
        write(output, print_page(page))
    if starts(output, entries) != numbers:
        raise Problem("The pages moved when their numbers were put into the table of contents.")
    if wrong := faults(output):
        raise Problem("The PDF has faults:\n" + "\n".join(f"    {one}" for one in wrong))
    return len(_document(output))


@contextmanager
def browser():
    """Chromium, started for this."""
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    if path is None:
        raise Problem(
            "The book is read by Chromium, which is not installed: install it (Debian: sudo "
            "apt-get install chromium), or name one with CHROMIUM=/path/to/chromium."
        )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@contextmanager
def printer(site):
    """A function from HTML to PDF, which refuses a page with anything cut on it."""
    with browser() as started:
        yield functools.partial(_print, started, site)


@contextmanager
def reader(site):
    """A function from HTML and a script to what the script finds on the page, formulas set."""

    def read(text, script):
        page, lost = _opened_page(started, site, text)
        if lost:
            raise Problem(f"{lost[0]} is missing, which the book shows.")
        return page.evaluate(script)

    with browser() as started:
        yield read


def _opened_page(started, site, text):
    """The page that shows ``text``, as on paper, and what of it is not in the site's folder."""
    page = started.new_page(viewport={"width": 658, "height": 980})
    page.set_default_timeout(600_000)
    page.emulate_media(media="print")

    def answer(route):
        name = route.request.url.removeprefix(ORIGIN).partition("?")[0]
        if name == "":
            route.fulfill(body=text, content_type="text/html; charset=utf-8")
        elif name == "volume.css":
            route.fulfill(path=Path(__file__).with_name("volume.css"))
        elif (site / name).is_file():
            route.fulfill(path=site / name)
        else:
            route.fulfill(status=404)

    page.route("**/*", answer)
    lost: list[str] = []
    page.on("response", lambda r: lost.extend([r.url.removeprefix(ORIGIN)] * (r.status >= 400)))
    page.goto(ORIGIN)
    page.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise")
    return page, lost


def _print(started, site, text):
    page, lost = _opened_page(started, site, text)
    errors = page.evaluate("() => !!window.MathJax?.startup") and page.evaluate(SPOKEN)
    page.evaluate(FIT, SMALLEST)
    found = [f"{name} is missing" for name in lost] + page.evaluate(CUT)
    found += [f"{errors} formulas are in error"] if errors else []
    if found:
        lines = "\n".join(f"    {one}" for one in found[:40])
        raise Problem(f"Not all of the book would be seen on paper:\n{lines}")
    content = page.pdf(prefer_css_page_size=True, print_background=True, tagged=True, outline=True)
    page.close()
    return content


def starts(path, entries):
    """On which page each part and each page of the site begins, from the PDF's bookmarks."""
    wanted = [" ".join(entry.title.split()) for entry in entries]
    # A formula stands in a bookmark as it is drawn.
    patterns = [".*".join(re.escape(p.strip()) for p in FORMULA.split(t)) for t in wanted]
    found: list[str] = []
    for mark in _document(path).get_toc():
        title = " ".join(mark.get_title().split())
        if len(found) < len(wanted) and re.fullmatch(patterns[len(found)], title):
            found.append(str(mark.get_dest().get_index() + 1))
    if len(found) < len(wanted):
        raise Problem(f"The PDF has no bookmark for {wanted[len(found)]!r}.")
    return found


def faults(path):
    """One sentence for each page with nothing on it, or with something over its margins."""
    import numpy as np

    found = []
    for number, page in enumerate(_document(path), 1):
        drawn = page.render(scale=1, grayscale=True).to_numpy().squeeze() < 200
        height, width = drawn.shape
        body = drawn[int(0.06 * height) : int(0.945 * height)]
        edge = int(width * 14 / 210)  # of 18 mm of margin
        if not body.any():
            found.append(f"page {number} is empty")
        elif np.hstack([body[:, :edge], body[:, -edge:]]).any():
            found.append(f"page {number} has something in its margin")
        page.close()
    return found


@functools.lru_cache(maxsize=1)
def _opened(path, changed):
    from pypdfium2 import PdfDocument

    return PdfDocument(path)


def _document(path):
    return _opened(path, path.stat().st_mtime_ns)


def publish(site, made, words):
    """Put an edition of the book among the site's pages and link it below each of them."""
    shutil.copyfile(made, site / made.name)
    for path in site.rglob("*.html"):
        text = path.read_text("utf-8")
        up = "../" * (len(path.relative_to(site).parts) - 1)
        link = f"<a href='{up}{made.name}'>{words}</a>. "
        if FOOTER in text and f"'{up}{made.name}'" not in text:
            path.write_text(text.replace(FOOTER, FOOTER + link, 1), "utf-8")
    record = unsealed(site / "build.json")
    if record:
        del record["pages"]
        write(site / "build.json", sealed({**record, "pages": pages_digest(site)}))


def main():
    project = Project()
    try:
        site, output = project.site(), project.build / NAME
        start = time.monotonic()
        pages = make(site, project.root, output)
        publish(site, output, f"The book as PDF ({pages} pages)")
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 2
    print(f"{output}: {pages} pages, in {time.monotonic() - start:.0f} s; the site links to it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
