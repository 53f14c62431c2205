"""Figures that carry their own alternative text and caption, reproducible to the byte."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the book's style inside this block, and leave matplotlib as it was afterwards.

    The colours can be told apart with any kind of colour vision; the background is opaque white,
    which reads on light and on dark pages.
    """
    import matplotlib
    from cycler import cycler

    settings: dict[Any, Any] = {
        "figure.figsize": (7.0, 3.8),
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "figure.constrained_layout.use": True,
        "axes.prop_cycle": cycler(color=COLOURS),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.titlesize": "medium",
        "grid.color": "#e5e5e5",
        "grid.linewidth": 0.7,
        "font.size": 11,
        "lines.linewidth": 1.8,
        "legend.fontsize": 10,
        "legend.frameon": False,
    }
    with matplotlib.rc_context(settings):
        yield


def show(
    figure: Figure,
    *,
    alt: str,
    caption: str | None = None,
    name: str | None = None,
    format: str = "svg",
    live: tuple[str, dict[str, Any]] | None = None,
) -> None:
    """Show a figure with its alternative text, then close it.

    Parameters
    ----------
    figure
        The figure.
    alt
        What is to be seen, for readers who do not see it.
    caption
        Stands below the figure in the book.
    name
        In lower case with hyphens; lets pages refer to the figure or show it again.
    format
        "svg", or "png" for clouds of points.
    live
        The figure of `book/assets/live.js` that the site draws in place of this one, and its data,
        which JSON can hold.

    Raises
    ------
    ValueError
        For an empty ``alt``, or a name or format that is none.
    """
    import matplotlib
    from matplotlib import pyplot

    metadata = _metadata(alt, caption, name)
    if live is not None:
        metadata["companion"]["live"] = {"figure": live[0], "data": live[1]}
    if format not in ("svg", "png"):
        raise ValueError(f'format must be "svg" or "png": found {format!r}')
    file = io.BytesIO()
    fixed = {"Date": None, "Creator": None} if format == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "companion"}):
        figure.savefig(
            file, format=format, dpi=160, bbox_inches="tight", facecolor="white", metadata=fixed
        )
    pyplot.close(figure)
    if format == "svg":
        bundle = {"image/svg+xml": file.getvalue().decode("utf-8")}
    else:
        bundle = {"image/png": base64.b64encode(_small(file, 256)).decode("ascii")}
    emit({**bundle, "text/plain": f"Figure: {alt}"}, metadata)


def show_animation(
    frames: Iterable[Figure],
    *,
    alt: str,
    caption: str | None = None,
    name: str | None = None,
    frames_per_second: float = 10,
) -> None:
    """Show figures one after the other, with a play button and a slider, in plain HTML.

    The player needs nothing from the network and waits, on its last frame, for the reader to start.

    Parameters
    ----------
    frames
        Figures, or one that changes from frame to frame; they are closed.
    alt, caption, name
        As in :func:`show`.
    frames_per_second
        How fast they are played.
    """
    from matplotlib import pyplot

    metadata = _metadata(alt, caption, name)
    pictures = []
    for figure in frames:
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
        pictures.append(base64.b64encode(_small(file, 128)).decode("ascii"))
        pyplot.close(figure)
    digest = hashlib.sha256("".join(pictures).encode()).hexdigest()[:12]
    player = _PLAYER.format(
        id=f"animation-{digest}",
        alt=html.escape(alt, quote=True),
        frames=json.dumps(pictures),
        last=pictures[-1],
        count=len(pictures) - 1,
        pause=1000 / frames_per_second,
    )
    emit({"text/html": player, "text/plain": f"Animation: {alt}"}, metadata)


def _small(file: io.BytesIO, colours: int) -> bytes:
    """A picture in few colours, enough for lines and flat areas, at a third of the size."""
    from PIL import Image

    small = io.BytesIO()
    Image.open(file).convert("RGB").quantize(colours).save(small, format="png", optimize=True)
    return small.getvalue()


_PLAYER = """<div class="companion-animation" id="{id}">
<img src="data:image/png;base64,{last}" alt="{alt}" style="max-width:100%;height:auto">
<div style="display:flex;gap:.6em;align-items:center;max-width:40em">
<button type="button" style="min-width:5em">Play</button>
<input type="range" min="0" max="{count}" value="{count}" aria-label="Frame" style="flex:1"></div>
<script>
(function () {{
  const frames = {frames};
  const player = document.getElementById("{id}");
  const [image, button, slider] = ["img", "button", "input"].map(t => player.querySelector(t));
  let timer = null;
  const draw = i => {{ slider.value = i; image.src = "data:image/png;base64," + frames[i]; }};
  const stop = () => {{ clearInterval(timer); timer = null; button.textContent = "Play"; }};
  slider.addEventListener("input", () => {{ stop(); draw(Number(slider.value)); }});
  button.addEventListener("click", () => {{
    if (timer) return stop();
    if (Number(slider.value) >= frames.length - 1) draw(0);
    button.textContent = "Pause";
    timer = setInterval(() => {{
      const next = Number(slider.value) + 1;
      if (next >= frames.length) stop(); else draw(next);
    }}, {pause});
  }});
}})();
</script></div>"""


def _metadata(alt: str, caption: str | None, name: str | None) -> dict[str, Any]:
    if not alt or not alt.strip():
        raise ValueError("alt must say in words what the figure shows: found an empty text")
    if name is not None and not _NAME.fullmatch(name):
        raise ValueError(f"name must be lower case with hyphens: found {name!r}")
    return {"companion": {"alt": alt, "caption": caption, "name": name}}


def emit(bundle: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
    """Display in a notebook; print elsewhere. Text says what a reader without IPython sees."""
    module = sys.modules.get("IPython")
    if module is not None and module.get_ipython() is not None:
        module.display.display(bundle, raw=True, metadata=metadata)
    elif bundle["text/plain"]:
        print(bundle["text/plain"])
