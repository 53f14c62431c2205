"""The page of faults, from what `make faults` recorded; it computes nothing anew."""

from html import escape

from workflow.project import load

RESULTS = "reference/faults.json"
HEAD = "<th>Survived</th><th>Fault</th><th>Lost on weakened code</th>"
INTRODUCTION = """\
# Faults

What happens to this book when a run of it is killed, its files are damaged or the disk is full? A
small book is built once without any fault, a small sweep is trained, and an environment is set up
from packages made for it. Then each fault below is planted in a copy of one of them, and the
command that a reader would give again must end with status 0 and the result of the unbroken run:
every page of the site byte for byte, every claim, value and output, and the records that certify
them, but for times and dates; every number of the sweep; every package and its files. Nothing
half-written may be left, and a training that was done when its sweep was killed must not be done
again.

A test that cannot fail proves nothing. So every kind of fault is also planted where the workflow is
weakened on purpose, and there it must be lost: what was begun is believed to be done, what steps
depend on is written down once, sources are staged once, the site goes on with what is there, or
nobody holds a lock.

"""
RERUN = """
## How to try again

```
make faults
make faults SHORT=1
```

`SHORT=1` plants one fault of each kind, as CI does. A full disk is a small file system that only
root may mount; without root these faults are left out. Kills come at several delays after a phase
begins, in a sweep after its first run, in a set-up in each of its steps. Downloads are broken off
and damaged by tests of their own, in `tests/datasets`.
"""


def pages(project):
    """The page by its name; none where nothing was tried."""
    found = load(project.root / RESULTS)
    return {"faults.md": page(found)} if found else {}


def page(found):
    """All rows in one table, below their sum."""
    rows = found["rows"]
    names = ("tried", "survived", "planted_in_weak_code", "lost_in_weak_code")
    tried, survived, planted, lost = (sum(row[name] for row in rows) for name in names)
    lines = "".join(_line(row) for row in rows)
    return (
        f"{INTRODUCTION}**{survived} of {tried} faults were survived**, {lost} of {planted} were "
        f"lost on weakened code ({found['date']}).\n\n"
        '<div class="companion-claims" tabindex="0"><table>'
        f"<thead><tr>{HEAD}</tr></thead><tbody>{lines}</tbody></table></div>\n{RERUN}"
    )


def _line(row):
    sign = "✓" if row["survived"] == row["tried"] else "✗"
    fault = escape(row["fault"])
    if "/" in fault or "." in fault:
        fault = f'<code class="literal">{fault}</code>'
    return (
        f"<tr><td>{sign} {row['survived']} of {row['tried']}</td><td>{fault}<br>"
        f"<small>{escape(row['phase'])} · {escape(', '.join(row['how']))}</small></td>"
        f"<td>{row['lost_in_weak_code']} of {row['planted_in_weak_code']}</td></tr>"
    )
