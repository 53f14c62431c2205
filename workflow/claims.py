"""Collect the claims of the executed chapters, and check them against bounds and reference values.

`python -m workflow.claims collect|check ROOT BUILD FILE`, as the Snakefile calls it. The check
names every claim that does not hold, is missing, is not listed, has drifted, or is made twice. It
never loosens itself: only `python -m workflow.book --reference` rewrites `reference/claims.json`.
"""

from pathlib import Path
from typing import Any

from companion.book.claims import CLAIM, VALUE, Claim
from workflow import omitted, progress
from workflow.progress import Problem
from workflow.project import declared_parameters, digest, dump, load, sealed, write
from workflow.reference import drifted, renewed


def collect(project, chapters):
    """Every claim and value in the executed copies, with the run that made it."""
    claims, values = [], {}
    for chapter in chapters:
        run = project.run(chapter)
        notebook = load(project.build / "executed" / f"{chapter}.ipynb")
        if notebook is None:
            raise Problem(f"Chapter {chapter} has no executed copy: run the book first.")
        parameters = declared_parameters(project.notebook(chapter)) | run["key"]["parameters"]
        context = {
            "chapter": chapter,
            "tier": run["tier"],
            "seed": parameters.get("seed"),
            "lock": run["key"]["lock"][:12],
            "started": run["started"],
            "seconds": run["seconds"],
        }
        for number, output in outputs(notebook):
            data = output.get("data", {})
            if CLAIM in data:
                claims.append({**data[CLAIM], **context, "cell": number})
                values[data[CLAIM]["id"]] = data[CLAIM]["value"]
            elif VALUE in data:
                values[data[VALUE]["id"]] = data[VALUE]["value"]
    return {"claims": claims, "values": values, "executed": project.hashes()}


def outputs(notebook):
    """Pairs of cell number, as in the source notebook, and output."""
    number = 0
    for cell in notebook["cells"]:
        number += "injected-parameters" not in cell["metadata"].get("tags", [])
        for output in cell.get("outputs", []):
            yield number, output


def check(claims, reference, tier="book", new=()):
    """One sentence for each thing wrong; empty if all is well, or only the ids ``new`` are.

    Values are compared with their references for the tier `book` only, which they were taken from.
    """
    problems = duplicates(claims)
    if not claims:
        problems.append("none: no chapter made any, so nothing was checked")
    listed = {claim["id"]: claim for claim in reference}
    made = {claim["id"]: claim for claim in claims}
    for claim in claims:
        if not holds(claim):
            problems.append(f"does not hold: {describe(claim)}")
    for id in sorted(listed.keys() - made.keys()):
        problems.append(
            f"missing: {id} is listed in reference/claims.json, but chapter "
            f"{listed[id]['chapter']} did not make it"
        )
    for id in sorted(made.keys() - listed.keys() - set(new)):
        problems.append(
            f"not listed: {id} in {place(made[id])} is new to reference/claims.json; "
            "`make reference` lists it"
        )
    if tier == "book":
        for id in sorted(made.keys() & listed.keys()):
            problems += drifted(made[id], listed[id], place(made[id]))
    return problems


def holds(claim):
    """Whether a claim's value keeps its bound: computed here, whatever the file says."""
    return as_claim(claim).holds


def as_claim(claim):
    """The claim as the chapter made it, without what the collection adds."""
    return Claim(**{name: claim[name] for name in Claim.__dataclass_fields__})


def duplicates(claims):
    first: dict[str, dict[str, Any]] = {}
    problems = []
    for claim in claims:
        if claim["id"] in first:
            here, there = place(claim), place(first[claim["id"]])
            problems.append(f"made twice: {claim['id']} in {there} and in {here}")
        first.setdefault(claim["id"], claim)
    return problems


def place(claim):
    return f"{claim['chapter']}, cell {claim['cell']}"


def describe(claim):
    symbol = {"at_most": "≤", "at_least": "≥", "close_to": "="}[claim["relation"]]
    within = f" ± {claim['within']:g}" if claim["within"] is not None else ""
    value = "not a finite number" if claim["value"] is None else f"{claim['value']:.6g}"
    return (
        f"{claim['id']} in {place(claim)}: value {value}, "
        f"required {symbol} {claim['bound']:g}{within}"
    )


def rewrite_reference(project, runs, chapters):
    """Make the claims of these chapters the reference, on purpose: a person reads the difference.

    `runs` maps names of conditions to the claims that were made under them, the first as usual. A
    claim that still lies where its earlier runs allow keeps them, others start anew. Returns the
    file and a sentence for each claim that was new, went, or moved.
    """
    first, *_ = runs.values()
    problems = duplicates(first)
    for claims in runs.values():
        problems += [f"does not hold: {describe(claim)}" for claim in claims if not holds(claim)]
    if problems:
        raise Problem("The reference was not changed.\n  " + "\n  ".join(problems))
    path = project.root / "reference" / "claims.json"
    file = load(path) or {}
    before = {claim["id"]: claim for claim in reference_of(project)}
    conditions = list(dict.fromkeys([*file.get("conditions", []), *runs]))
    found = {name: {claim["id"]: claim for claim in claims} for name, claims in runs.items()}
    entries, news = {}, []
    for id, claim in before.items():
        if claim["chapter"] not in chapters:
            pad = [None] * (len(conditions) - len(claim["runs"]))
            entries[id] = claim | {"runs": claim["runs"] + pad}
        elif all(id != made["id"] for made in first):
            news.append(f"gone: {id}")
    for claim in first:
        id = claim["id"]
        values = {name: claims[id]["value"] for name, claims in found.items()}
        entries[id] = renewed(claim, before.get(id), values, conditions, news)
    kept = sorted(entries.values(), key=lambda claim: claim["id"])
    write(path, dump({"tier": "book", "conditions": conditions, "claims": kept}))
    pictures = project.root / "reference" / "figures"
    for picture in sorted(pictures.glob("*.*")):
        fresh = project.build / "figures" / picture.name
        if fresh.is_file():
            write(picture, fresh.read_bytes())
    return path, news


def reference_of(project):
    return (load(project.root / "reference" / "claims.json") or {"claims": []})["claims"]


def main(action, root, build, file):
    from workflow.project import Project

    tier = (load(next(Path(build).glob("runs/*.json"))) or {})["tier"]
    build = Path(build).absolute()
    project = Project(Path(root), tier, build if tier == "book" else build.parent)
    if action == "collect":
        write(Path(file), sealed(collect(project, project.chapters)))
        return 0
    if project.collected is None:
        raise Problem("The collected claims are not those of the executed chapters: run it again.")
    claims = project.collected["claims"]
    gone = omitted.chapters(project)
    problems = check(claims, [c for c in reference_of(project) if c["chapter"] not in gone], tier)
    for problem in problems:
        progress.report("claim", text=f"Claim {problem}")
    if not problems:
        certified = {"claims": digest(build / "claims.json"), "reference": project.reference}
        write(Path(file), sealed({**certified, "holding": len(claims)}))
    return 1 if problems else 0


if __name__ == "__main__":
    progress.job(main)
