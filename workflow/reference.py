"""How far a value may lie from those measured before, and how `reference/claims.json` is renewed.

The file lists the conditions under which the book has been run, and for each claim its value under
each of them (`runs`; null where it was not measured), their `spread`, and what is `allowed`, which
follows from these alone: a chapter cannot widen it. A test recomputes both.

- A residual (`at_most`, bound up to 1e-5) may be ten times the largest seen, or round-off: a gap
  that grows from 1e-16 to 9e-9 is news though its bound be 1e-8.
- Any other value may move by ten times the spread, or by what round-off moves where all runs agree.
- Nothing is allowed beyond the bound.
"""

import platform

#: What changes from one run to the next: threads and vector instructions, which decide the order
#: of sums, as other processors do, and the hash seed. The first is that of `make book`.
CONDITIONS: tuple[dict[str, str], ...] = (
    {},
    {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", "PYTHONHASHSEED": "1"},
    {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Nehalem",
        "PYTHONHASHSEED": "2",
    },
    {"OMP_NUM_THREADS": "4", "OMP_WAIT_POLICY": "passive", "PYTHONHASHSEED": "3"},
    {"ATEN_CPU_CAPABILITY": "avx2", "OPENBLAS_CORETYPE": "Haswell", "PYTHONHASHSEED": "4"},
)
MARGIN = 10
#: What round-off may do to a value, relative to it and its bound, and absolutely.
RELATIVE, ABSOLUTE = 1e-6, 1e-9
#: What round-off may do to a residual: a claim `at_most` a bound no larger than `SMALL`.
RESIDUAL, SMALL = 1e-11, 1e-5
KEPT = ("id", "chapter", "statement", "relation", "bound", "within", "source")
SAME = ("relation", "bound", "within")


def measured(runs):
    """The values of a claim under all conditions in which it was measured."""
    return [value for value in runs if value is not None]


def entry(claim, runs):
    """What the reference says of a claim with these runs."""
    values = measured(runs)
    kept = {name: claim[name] for name in KEPT}
    spread = max(values) - min(values)
    allowed = interval(claim, values, spread)
    return kept | {"value": values[0], "runs": runs, "spread": spread, "allowed": allowed}


def interval(claim, values, spread):
    """Lowest and highest value allowed; None: any."""
    relation, bound = claim["relation"], claim["bound"]
    if relation == "at_most" and 0 < bound <= SMALL:
        return [None, min(bound, max(MARGIN * max(values), RESIDUAL))]
    floor = max(RELATIVE * max(abs(values[0]), abs(bound)), ABSOLUTE)
    reach = max(MARGIN * spread, floor)
    within = claim["within"] or 0.0
    low = {"at_least": bound, "close_to": bound - within}.get(relation, -float("inf"))
    high = {"at_most": bound, "close_to": bound + within}.get(relation, float("inf"))
    return [max(low, values[0] - reach), min(high, values[0] + reach)]


def inside(value, allowed):
    """Whether a value lies between the two numbers; what is no finite number never does."""
    low, high = allowed
    return value is not None and (low is None or low <= value) and value <= high


def drifted(claim, listed, place):
    """Sentences that say where bound or value has moved from the reference."""
    problems = [
        f"changed: {claim['id']} has {name} {claim[name]}, reference/claims.json has {listed[name]}"
        for name in SAME
        if claim[name] != listed[name] and not _close(claim[name], listed[name])
    ]
    if not inside(claim["value"], listed["allowed"]):
        low, high = listed["allowed"]
        allowed = f"at most {high:.6g}" if low is None else f"{low:.6g} to {high:.6g}"
        count = len(measured(listed["runs"]))
        problems.append(
            f"drifted: {claim['id']} in {place} is {claim['value']}, was {listed['value']}; "
            f"allowed is {allowed} ({count} run{'s' * (count > 1)}, spread {listed['spread']:.2g})"
        )
    return problems


def _close(a, b):
    numbers = isinstance(a, float | int) and isinstance(b, float | int)
    return numbers and abs(a - b) <= 1e-6 * max(abs(a), abs(b))


def name_of(condition):
    """Threads, processor and hash seed of a run on this machine, in words."""
    import torch

    vectors = condition.get("ATEN_CPU_CAPABILITY") or torch.backends.cpu.get_cpu_capability()
    threads = int(condition.get("OMP_NUM_THREADS", 1))
    return (
        f"{threads} thread{'s' * (threads > 1)}, {platform.machine()} {vectors.lower()}, "
        f"hash seed {condition.get('PYTHONHASHSEED', 0)}"
    )


def renewed(claim, old, values, conditions, news):
    """The entry of a claim after a measurement, and a sentence in `news` where it moved."""
    runs: dict[str, float | None] = dict.fromkeys(conditions)
    if old is None:
        news.append(f"new: {claim['id']}")
    elif drifted(claim, old, claim["chapter"]):
        news.append(f"moved: {claim['id']} from {old['value']:.6g} to {claim['value']:.6g}")
    else:
        runs |= dict(zip(conditions, old["runs"], strict=False))
    for name, value in values.items():
        # What differs by round-off alone is not written again, so that differences can be read.
        before = runs[name]
        if before is None or abs(value - before) > RELATIVE * abs(before) + RESIDUAL:
            runs[name] = value
    return entry(claim, list(runs.values()))
