"""The page of benchmarks, from the results that `make bench` wrote; it computes nothing anew."""

import math
from html import escape

from workflow.project import load

RESULTS = "benchmarks/results.json"
GROWTH = "benchmarks/growth.json"
HEAD = "<th>Status</th><th>What, and its target</th><th>Measured</th>"
INTRODUCTION = """\
# Benchmarks

How fast this companion is next to others that do the same work to the same result, and whether it
reaches what was aimed at. Both sides run in turn, in one process and with one thread where nothing
else is said: one call each to warm up, then ours, theirs, ours, theirs, … Time is that of the
processor, for one thread the same as elapsed time on an idle machine; of whole commands it is
elapsed time. A ratio is that of the medians, and its range that of neighbouring timings. Before a
ratio counts, the results of both sides are compared; where they differ, none is given.

"""
UNEQUAL = """
## Where the work is not the same

These rows compare an algorithm of ours with one that does more, the papers' own code mostly. Their
ratios say what closed forms and fewer samples save, and nothing about whose program is the
better one. Each row says below what differs.

"""
RERUN = """
## How to measure again

```
make bench
make bench OFFICIAL=path/to/ELBO-Entropies-AISTATS23
make bench ROWS=mixture
make bench UNMEASURED=1 MINUTES=30
make bench QUICK=1
```

`ROWS` measures only the rows with this word in their names; the others keep what was measured
before. `UNMEASURED=1` measures those that no run on an otherwise idle machine has measured, the
most telling first, and `MINUTES` begins no row after so long; each row is written as it ends.
`QUICK=1` takes small sizes, to see that everything runs, and leaves these results alone.

Rows against JAX need it: `make setup-jax` installs it beside. `OFFICIAL` names a clone of
[the papers' own code](https://github.com/Learning-with-Entropies/ELBO-Entropies-AISTATS23), without
which its rows are left out. That code is written for a GPU. It is made to run on a processor when
it is imported, its files stay as they are: calls of `.cuda()` and `torch.set_default_tensor_type`
are taken from its syntax tree, and so is the import of torchvision, which only its command line
needs; its progress bar is switched off. Single precision, batches, numbers of samples and learning
rates are those of the published experiments.
"""


def pages(project):
    """The page by its name; none where nothing was measured."""
    entries = (load(project.root / RESULTS) or {}).get("rows")
    grown = load(project.root / GROWTH)
    return {"benchmarks.md": page(entries) + (growth(grown) if grown else "")} if entries else {}


def growth(found):
    """How time and memory grow: a row for each curve and side, with its exponent."""
    if not found["curves"]:
        return "\n## How it grows\n\nNot measured yet on a quiet machine.\n"
    rows = []
    for curve in found["curves"]:
        sizes, letter, sides = curve["sizes"], curve["letter"], curve["sides"]
        span = f"{letter} from {_size(sizes[0])} to {_size(sizes[-1])}"
        head = f'<th scope="rowgroup" rowspan="{len(sides)}">{escape(curve["work"])}'
        head += f"<br><small>{span}</small></th>"
        for name, side in sides.items():
            each, most = side["seconds"], side["megabytes"][-1]
            taken = f"{duration(each[0])} to {duration(each[-1])}"
            memory = f"{number(max(most, 0))} MB"
            if letter in "NT" and most > 50:
                fits = number(MEGABYTES * sizes[-1] / most)
                memory += f"<br><small>24 GiB hold {letter} ≈ {fits}</small>"
            power = f"{letter}<sup>{side['exponent']:.1f}</sup>"
            cells = [escape(name), taken, power, memory]
            rows.append(f"<tr>{head}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
            head = ""
    versions = ", ".join(f"{name} {value}" for name, value in found["versions"].items())
    left = ", ".join(map(escape, found["missing"]))
    missing = f"\nNot measured yet: {left}.\n" if left else ""
    words = {**found, "versions": versions, "missing": missing}
    return GROWS.format(rows="".join(rows), **words) + graphics(found)


def graphics(found):
    """From how many seeds a GPU is faster than one core; nothing where neither is known."""
    curve = next((each for each in found["curves"] if each["letter"] == "S"), None)
    if not (curve and found.get("gpu")):
        return ""
    gpu = found["gpu"]
    core = curve["sides"]["ours"]["seconds"][-1] / found["steps"] / curve["sizes"][-1]
    ratio = gpu["seeds"] * core / gpu["step"]
    return PAYS.format(
        processor=escape(gpu["processor"]),
        seeds=gpu["seeds"],
        step=duration(gpu["step"]),
        core=duration(core),
        ratio=number(ratio),
        even=math.ceil(gpu["step"] / core),
    )


MEGABYTES = 24 * 1024**3 / 1e6
GROWS = """
## How it grows

Time of the processor, the best of three calls with one thread, and the memory that a call adds at
its peak, at the largest size. The exponent is a least-squares slope of logarithms over the largest
three sizes; small ones cost what calls cost. What fits into 24 GiB is extrapolated in proportion
from the largest size, where its memory is large enough to tell. What is held fixed is the default
in `benchmarks/growth.py`; `python -m benchmarks.growth` measures again.

<div class="companion-claims" tabindex="0"><table class="companion-table">
<thead><tr><th>Work and sizes</th><th>By</th><th>Time</th><th>Grows as</th><th>Memory</th></tr>
</thead>
<tbody>{rows}</tbody></table></div>

On {date}: {processor}, others kept {others:.1f} cores busy meanwhile; {versions}.
{missing}"""
PAYS = """
## From where a GPU or a cluster pays

A step of VAE-3 on the ring, one sample for each of 2000 points, took {step} for {seeds} seeds
together on a GPU ({processor}, in the records of the runs at full size). Here it takes {core} for
each seed on one core: {ratio} cores are as fast as that GPU. If fewer seeds take it no less time,
it pays from {even} seeds on. A cluster pays where a run takes much longer than the seconds in which
a job starts ([Beyond one machine](scale.md)): seeds are independent.
"""


def page(entries):
    """Targets against equals in one table, missed ones first, unmeasured last; then other rows."""
    fair = [line for entry in entries if not entry["differs"] for line in targets(entry)]
    other = [line for entry in entries if entry["differs"] for line in targets(entry)]
    order = {"not met": 0, "met": 1}
    for lines in (fair, other):
        lines.sort(key=lambda line: order.get(line["status"], len(order)))
    return "".join(
        [
            INTRODUCTION,
            _table(fair),
            UNEQUAL + _table(other) if other else "",
            *(section(entry) for entry in entries),
            RERUN,
        ]
    )


def _table(lines):
    """How many targets are met, and each of them in a row."""
    met = sum(line["status"] == "met" for line in lines)
    measured = sum(line["status"] in ("met", "not met") for line in lines)
    rows = "".join(_line(line) for line in lines)
    return (
        f"**{met} of {len(lines)} targets are met**; missed: {measured - met}, "
        f"not measured: {len(lines) - measured}.\n\n"
        '<div class="companion-claims" tabindex="0"><table>'
        f"<thead><tr>{HEAD}</tr></thead><tbody>{rows}</tbody></table></div>\n"
    )


def targets(entry):
    """Every target of a row with its status: met, not met, differs, failed, left out."""
    made = entry["measurement"]
    for target in entry["targets"]:
        found = made.get("quantities", {}).get(target["quantity"])
        status = made["status"] if found is None else verdict(found["median"], target)
        if status == "measured":
            status = "left out"
        yield {"entry": entry, "target": target, "found": found, "status": status}


def verdict(value, target):
    """Whether a median reaches its target."""
    if target["at_least"] is not None:
        return "met" if value >= target["at_least"] else "not met"
    return "met" if value <= target["at_most"] else "not met"


SIGNS = {
    "met": "✓ met",
    "not met": "✗ not met",
    "differs": "✗ results differ",
    "failed": "✗ failed",
    "left out": "– not measured",
}


def _line(line):
    entry, target = line["entry"], line["target"]
    sign, bound = _bound(target)
    what = (
        f'<a href="#benchmark-{entry["name"]}">{escape(entry["title"])}</a><br>'
        f"<small>{sign} {number(bound)} {escape(target['words'])} · {escape(entry['peer'])}</small>"
    )
    if line["found"] is not None:
        unit = escape(line["found"]["unit"])
        measured = f"{number(line['found']['median'])}{unit}"
        if extent := _range(line["found"]):
            measured += f"<br><small>{extent}</small>"
    else:
        measured = f"<small>{escape(entry['measurement'].get('reason', 'no ratio'))}</small>"
    if line["status"] == "not met":
        measured += f"<br><small>{escape(entry['limits'])}</small>"
    return f"<tr><td>{SIGNS[line['status']]}</td><td>{what}</td><td>{measured}</td></tr>"


def _bound(target):
    if target["at_least"] is not None:
        return "≥", target["at_least"]
    return "≤", target["at_most"]


def _range(found, written=None):
    if found["low"] == found["high"]:
        return ""
    written = written or number
    return f"from {written(found['low'])} to {written(found['high'])}"


def section(entry):
    """Peer, work, sizes, times, checks, machine and limits of one row."""
    made = entry["measurement"]
    text = [f"\n(benchmark-{entry['name']})=\n## {entry['title']}\n\n{entry['work']}\n\n"]
    if entry["differs"]:
        text.append(f"**What differs.** {entry['differs']}\n\n")
    text.append(f"- Peer: {entry['peer']}.\n")
    if made["status"] in ("left out", "failed"):
        said = "Not measured" if made["status"] == "left out" else "Failed"
        text.append(f"- {said}: {_plain(made['reason'])}.\n")
        return "".join([*text, f"- What limits it: {entry['limits']}\n"])
    sizes = "; ".join(f"{name}: {_size(value)}" for name, value in made["sizes"].items())
    threads = "one thread" if made["threads"] == 1 else f"{made['threads']} threads"
    repeats = "once" if made["repeats"] == 1 else f"{made['repeats']} times each"
    how = [word for word in (repeats, threads, made["precision"]) if word != "none"]
    text.append(f"- Sizes: {sizes}.\n- Measured {', '.join(how)}.\n")
    for name, time in made["times"].items():
        extent = _range(time, duration)
        text.append(f"- Time, {name}: {duration(time['median'])}{extent and ', '}{extent}.\n")
    for check in made["checks"]:
        text.append(f"- {_check(check)}\n")
    versions = ", ".join(f"{name} {value}" for name, value in made["versions"].items())
    text.append(
        f"- On {made['date']}: {made['processor']}, {made['cores']} cores, others kept "
        f"{made['others']:.1f} busy meanwhile; {versions}.\n"
    )
    return "".join([*text, f"- What limits it: {entry['limits']}\n"])


def _check(check):
    equal = "≈" if check["tolerance"] else "="
    relation = {"equal": equal, "at least": "≥", "at most": "≤"}[check["relation"]]
    said = "" if check["holds"] else " **They differ.**"
    return (
        f"Compared: {check['what']}: {check['ours']:.10g} {relation} {check['peer']:.10g}, "
        f"tolerance {number(check['tolerance'])}.{said}"
    )


def _plain(reason):
    return reason.rstrip(".").replace("https://", "")


def _size(value):
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else str(value)


def duration(seconds):
    """Seconds, milliseconds or microseconds."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{number(seconds / size)}\u00a0{unit}"
    return f"{number(seconds / 1e-6)}\u00a0µs"


def number(value):
    """Three digits, in powers of ten where a reader would count zeros."""
    if value == 0:
        return "0"
    if 1e-2 <= abs(value) < 1e5:
        digits = f"{value:.3g}"
        return f"{float(digits):,.0f}".replace(",", "\u202f") if "e" in digits else digits
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}\u00a0×\u00a010{str(int(exponent)).translate(RAISED)}"


RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
