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
        bound = {title: (steps, _pick(c, "ELBO", "entropy sum")) for title, (steps, c) in part}
        gap = {title: (steps, _pick(c, "|ELBO − entropy sum|")) for title, (steps, c) in part}
        write(folder / f"bound{ending}.svg", _svg(bound, "nats per data point"))
        write(folder / f"gap{ending}.svg", _svg(gap, "nats per data point", log=True))


def _pick(curves, *names):
    return {name: curves[name] for name in names}


def _panels(records):
    """{settings that vary, in words: (steps, {label: (S, T) values})}."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(dump(record["run"]["settings"]), []).append(record["run"])
    settings = [runs[0]["settings"] for runs in groups.values()]
    varying = [n for n in settings[0] if len({dump(one[n]) for one in settings}) > 1]
    panels = {}
    for runs in groups.values():
        chosen = runs[0]["settings"]
        rows = np.array([run["rows"] for run in runs])  # (S, T, columns)
        column = {name: rows[..., index] for index, name in enumerate(runs[0]["columns"])}
        title = ", ".join(f"{name}={chosen[name]}" for name in varying)
        panels[title or chosen["data"]] = (
            [int(step) for step in column["step"][0]],
            {
                "ELBO": column["elbo"],
                "entropy sum": column["entropy_sum"],
                "|ELBO − entropy sum|": column["gap"],
            },
        )
    return panels


def _svg(panels, ylabel, log=False):
    import matplotlib
    from matplotlib import pyplot

    from companion.book.ensembles import panels_over_seeds

    same = len({tuple(steps) for steps, _ in panels.values()}) == 1
    figure = panels_over_seeds(panels, ylabel=ylabel, log=log, share_steps=same)
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "companion"}):
        figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return text.getvalue()
