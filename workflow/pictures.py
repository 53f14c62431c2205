"""Figures of a sweep: ELBO, entropy sum and the gap over training, with their spread over seeds."""

import io
from typing import Any

import numpy as np

from workflow.project import dump, write

# Panels in one file; a larger grid takes several.
PANELS = 12


def draw(folder, records):
    """Write `bound.svg` and `gap.svg` for the runs that are there; what is old is removed."""
    import matplotlib

    matplotlib.use("agg")
    for old in folder.glob("*.svg"):
        old.unlink()
    panels = list(_panels(records).items())
    parts = [panels[start : start + PANELS] for start in range(0, len(panels), PANELS)]
    for number, part in enumerate(parts, 1):
        ending = f"-{number}" if len(parts) > 1 else ""
        bound = {title: _pick(curves, "ELBO", "entropy sum") for title, curves in part}
        gap = {title: _pick(curves, "|ELBO − entropy sum|") for title, curves in part}
        write(folder / f"bound{ending}.svg", _svg(bound))
        write(folder / f"gap{ending}.svg", _svg(gap, yscale="log"))


def _pick(curves, *names):
    return {name: curves[name] for name in names}


def _panels(records):
    """{settings that vary, in words: {label: (steps, (S, T) values)}}."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(dump(record["run"]["settings"]), []).append(record["run"])
    settings = [runs[0]["settings"] for runs in groups.values()]
    varying = [n for n in settings[0] if len({dump(one[n]) for one in settings}) > 1]
    panels = {}
    for runs in groups.values():
        chosen = runs[0]["settings"]
        rows = np.array([run["rows"] for run in runs], dtype=float)  # (S, T, columns)
        column = {name: rows[..., index] for index, name in enumerate(runs[0]["columns"])}
        title = ", ".join(f"{name}={chosen[name]}" for name in varying)
        steps = column["step"][0].astype(int)
        panels[title or chosen["data"]] = {
            "ELBO": (steps, column["elbo"]),
            "entropy sum": (steps, column["entropy_sum"]),
            "|ELBO − entropy sum|": (steps, column["gap"]),
        }
    return panels


def _svg(panels, **options):
    import matplotlib
    from matplotlib import pyplot

    from companion.book.charts import curve_panels

    same = len({tuple(steps) for curves in panels.values() for steps, _ in curves.values()}) == 1
    figure = curve_panels(panels, columns=2, share="xy" if same else "y", **options)
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "companion"}):
        figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return text.getvalue()
