"""How long a chapter is on a screen, shut and with every fold open, and how many bytes it loads."""

import functools
import gzip

SCREEN = {"width": 1300, "height": 900}
SHOWN, OPENED = 15, 25
OPEN = """() => {
  document.querySelectorAll("details").forEach((box) => { box.open = true; });
  for (const box of document.querySelectorAll(".toggle-hidden"))
    box.classList.remove("toggle-hidden");
  return window.MathJax && MathJax.typesetPromise ? MathJax.typesetPromise().then(() => 0) : 0;
}"""


def screens(page):
    """Height of a page in screens."""
    return page.evaluate("document.documentElement.scrollHeight") / SCREEN["height"]


def too_long(shown, opened):
    """A sentence where a chapter is longer than it may be, as it is shown or with all open."""
    if shown > SHOWN:
        yield f"shows {shown:.1f} screens: at most {SHOWN}"
    if opened > OPENED:
        yield f"opens to {opened:.1f} screens: at most {OPENED}"


@functools.cache
def weight(path):
    """Bytes of a file, and compressed."""
    content = path.read_bytes()
    return len(content), len(gzip.compress(content, 6))


def too_heavy(site, name, loaded):
    """A sentence where a chapter loads too many bytes, whole or compressed, or a script in vain.

    ``loaded`` are addresses below the site's. Pictures of clouds of points come on top.
    """
    names = {address.split("?")[0].split("#")[0] for address in loaded}
    paths = [site / each for each in names if not each.endswith(".png")]
    weights = [weight(path) for path in paths if path.is_file()]
    whole, packed = sum(w for w, _ in weights), sum(p for _, p in weights)
    text = (site / name).read_text("utf-8")
    # A chapter with an animation carries its frames.
    limits = (2.6e6, 0.95e6) if "companion-animation" in text else (2.6e6, 0.8e6)
    if whole > limits[0] or packed > limits[1]:
        yield f"loads {whole} bytes, {packed} compressed: at most {limits}"
    if ("_static/live.js" in names) != ("companion-live" in text):
        yield "loads the script of live figures without one, or has one without it"
