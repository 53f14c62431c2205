"""Make the book: `python -m workflow.book [--tier smoke|book|paper] [--profile slurm]`.

Executes the chapters that changed, checks every claim, builds the site, and says where it is.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from companion.book.tiers import TIERS
from workflow import drive, progress, reference
from workflow.claims import check, collect, describe, holds, reference_of, rewrite_reference
from workflow.execute import CONDITION, QUIET
from workflow.nursery import nursery
from workflow.progress import Problem
from workflow.project import HOME, Project

TARGETS = {"execute": "execute", "claims": "claims.checked", "site": "all"}


@drive.driver
def main(arguments=None):
    options = _options(arguments)
    project = Project(
        options.root.resolve(),
        options.tier,
        options.output.resolve() if options.output else None,
        tuple(options.settings),
    )
    chapters = project.select(options.chapters)
    project.validate(chapters)
    if options.reference and (options.tier != "book" or options.settings):
        raise Problem(
            "Reference values are those of tier book: use --reference without --tier or --set."
        )
    if not 0 <= options.runs <= len(reference.CONDITIONS):
        raise Problem(
            f"--runs must be 1 to {len(reference.CONDITIONS)}, the conditions that "
            f"workflow/reference.py lists: found {options.runs}"
        )
    with drive.exclusive(project.build):
        return _make(project, chapters, options)


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m workflow.book", description=__doc__)
    add = parser.add_argument
    add("--tier", default="book", help=f"size of the run: {', '.join(TIERS)} (default: book)")
    drive.add_options(parser, "chapters")
    add(
        "--chapters",
        nargs="+",
        default=[],
        metavar="NAME",
        help="execute, check and render only these: numbers, or starts of their names",
    )
    add("--until", choices=list(TARGETS), default="site", help="stop after this step")
    add("--reference", action="store_true", help="make the present values the reference")
    add("--runs", type=int, default=1, help="with --reference: measure under so many conditions")
    add(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="give a parameter to every chapter, or to one: probabilistic-pca.seed=3",
    )
    add("--output", type=Path, help="folder for everything generated (default: _build)")
    add("--root", type=Path, default=HOME, help="the book's folder (default: this repository)")
    return drive.parse(parser, arguments)


def _make(project, chapters, options):
    began = time.perf_counter()
    current = {name for name in chapters if project.current(name)}
    view = progress.View(chapters, unchanged=len(current))
    if len(current) < len(chapters):
        what = "1 chapter" if len(chapters) == 1 else f"{len(chapters)} chapters"
        view.line(f"{what} at tier {project.tier}: {len(current)} unchanged")
    if options.reference and (status := _measure(project, chapters, options, view)):
        return status
    if options.chapters:
        return _some(project, chapters, current, options, view)
    target = TARGETS[options.until]
    targets = [f"executed/{c}.ipynb" for c in chapters] if target == "execute" else [target]
    status = _snakemake(project, targets, options, view)
    _times(project, chapters, current, view)
    if status == 0:
        if target != "execute":
            if project.checked is None:
                raise Problem("The claims were not checked to the end: run the same command again.")
            view.line(f"All {project.checked['holding']} claims hold.")
    site = project.build / "site"
    if target == "all" and project.built:
        view.line(f"{'The book' if status == 0 else 'The site'} is at {site / 'index.html'}")
    view.line(f"{'Done' if status == 0 else 'Failed'} after {time.perf_counter() - began:.1f} s.")
    return status


def _measure(project, chapters, options, view):
    """Execute under one condition after the other, and write what was measured down."""
    runs = {}
    for number, condition in enumerate(reference.CONDITIONS[: options.runs], 1):
        there, name = project, reference.name_of(condition)
        if number > 1:
            there = Project(project.root, "book", project.build / "conditions" / str(number))
            view.line(f"Run {number} of {options.runs}: {name}")
        os.environ[CONDITION] = json.dumps(condition)
        try:
            targets = [f"executed/{chapter}.ipynb" for chapter in chapters]
            if status := _snakemake(there, targets, options, view):
                return status
        finally:
            del os.environ[CONDITION]
        runs[name] = collect(there, chapters)["claims"]
    path, news = rewrite_reference(project, runs, chapters)
    for sentence in news:
        view.line(f"  {sentence}")
    view.line(f"{path} is written: read its difference before you commit it.")
    return 0


def _some(project, chapters, current, options, view):
    """Execute and check some chapters, and render them apart from the site."""
    status = _snakemake(project, [f"executed/{c}.ipynb" for c in chapters], options, view)
    if status or options.until == "execute":
        return status
    claims = collect(project, chapters)["claims"]
    status = _check_some(project, chapters, claims, view)
    _times(project, chapters, current, view)
    if options.until == "site" and (project.root / "_config.yml").is_file():
        from workflow.alone import render  # slow to import

        for page in render(project, chapters):
            view.line(f"Without the rest of the book: {page}")
    return status


def _check_some(project, chapters, claims, view):
    """Check claims that need not be listed yet: they are new while a chapter is written."""
    reference = [c for c in reference_of(project) if c["chapter"] in chapters]
    listed = {claim["id"] for claim in reference}
    new = {claim["id"] for claim in claims} - listed
    problems = check(claims, reference, project.tier, new)
    for claim in claims:
        is_new = " (new)" if claim["id"] in new else ""
        view.line(f"  {'✓' if holds(claim) else '✗'} {describe(claim)}{is_new}")
    for problem in problems:
        view.line(f"Claim {problem}")
    if new:
        are, them = ("claim is", "it") if len(new) == 1 else ("claims are", "them")
        command = f"make reference CHAPTERS='{' '.join(chapters)}'"
        view.line(f"{len(new)} {are} new: `{command}` lists {them}.")
    return 1 if problems else 0


def _times(project, chapters, current, view):
    view.line("")
    for name in chapters:
        run = project.run(name)
        if not project.current(name):
            view.line(f"  {name:<36} not executed")
        else:
            note = " (unchanged)" if name in current else ""
            view.line(f"  {name:<36} {run['seconds']:7.1f} s{note}")
    view.line("")


def _snakemake(project, targets, options, view):
    """Run Snakemake; where no step has said why it failed, show the end of its log."""
    arguments = [*targets, "--config", f"root={project.root}", f"tier={project.tier}"]
    arguments.append(f"settings={json.dumps(project.settings)}")
    if project.output:
        arguments.append(f"output={project.output}")
    plain = options.profile != "local" or os.environ.get(CONDITION, "{}") != "{}"
    waiting = 0 if plain else view.total - view.done
    with nursery(waiting, [project.root, HOME], QUIET, project.build / "logs" / "nursery.log"):
        ended = drive.snakemake("Snakefile", project.build, arguments, options, view)
    if ended.status and not ended.explained:
        view.line(ended.tail())
        view.line(f"Snakemake's full log is {ended.log}")
    return 1 if ended.status else 0


if __name__ == "__main__":
    sys.exit(main())
