"""Score submissions of a chapter's exercises: `python grading.py ASSIGNMENT SUBMISSION...`.

This file stands alone, so that an autograder can carry it. The chapter itself is executed once,
from the lecturer's copy; of a submission only the answers are read, the code between a question
and the next. Each answer runs in a process of its own, with so much memory and no more, which ends
when its time is over, with all that it started; then the tests run on the names that the question
asks for and, beside these, on the lecturer's objects alone. So it does not matter what a submission
deletes, redefines or breaks elsewhere. It is no prison: who wants to cheat a grader in the same
process can, and the code shows it.

An assignment is a JSON file: `before`, the sources of the chapter's cells before the exercises;
`limit`, seconds for one answer; and `exercises`, each with `label`, `names`, `solution` (run when
all answers are scored, since later exercises may build upon it) and `tests`: `id`, `source`,
`hidden`.
"""

import ast
import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

#: Whether the test of an id was passed, and what is to be said of it.
Verdicts = dict[str, list[Any]]
LABEL = re.compile(r"^:label:[ \t]*(\S+)", re.MULTILINE)
#: Bytes that an answer may take beside the chapter's, and bytes of a file that it may write.
MEMORY, FILE = 4 << 30, 100 << 20


def answers(submission, exercises):
    """The code of each answer, by label, from the text of a notebook; "" where there is none."""
    found = {one["label"]: "" for one in exercises}
    given = {_bare(test["source"]) for one in exercises for test in one["tests"]}
    try:
        cells = json.loads(submission)["cells"]
    except (ValueError, KeyError, TypeError):
        return found
    label = None
    for cell in cells if isinstance(cells, list) else []:
        if not isinstance(cell, dict):
            continue
        source = cell.get("source", "")
        text = "".join(map(str, source)) if isinstance(source, list) else str(source)
        if cell.get("cell_type") == "markdown":
            named = LABEL.findall(text)
            if named or re.match(r"## ", text):
                label = next((one for one in named if one in found), None)
        elif cell.get("cell_type") == "code" and label and _bare(text) not in given:
            found[label] += text + "\n"
    return found


def _bare(text):
    return "".join(text.split())


def score(assignment, submissions):
    """For each submission (its text), {test id: [passed, words]}."""
    os.environ.setdefault("MPLBACKEND", "agg")
    exercises = assignment["exercises"]
    results: list[Verdicts] = [{} for _ in submissions]
    found = [answers(text, exercises) for text in submissions]
    namespace = {"__name__": "__main__"}
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        for source in assignment["before"]:
            _execute(source, namespace)
        for one in exercises:
            for answer, result in zip(found, results, strict=True):
                result.update(_apart(one, answer[one["label"]], namespace, assignment["limit"]))
            for source in (one["solution"], *(test["source"] for test in one["tests"])):
                _execute(source, namespace)
    return results


def _execute(source, namespace):
    """Run a cell as Jupyter does, without what is Jupyter's own."""
    text = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)
    exec(compile(ast.parse(text, "the cell"), "the cell", "exec"), namespace)


def _apart(exercise, answer, namespace, limit):
    """Score one answer in a child of this process, which is killed when the time is over."""
    failed = {test["id"]: [False, ""] for test in exercise["tests"]}
    if not answer.strip():
        return {id: [False, "There is no answer."] for id in failed}
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setsid()  # what the answer starts ends with it
                _child(exercise, answer, namespace, folder, told)
                status = 0
            finally:
                os._exit(status)
        end = time.monotonic() + limit
        while True:
            done, _ = os.waitpid(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() > end:
                _end(child)
                os.waitpid(child, 0)
                return {id: [False, f"The answer takes more than {limit} s."] for id in failed}
            time.sleep(0.01)
        _end(child)
        try:
            return failed | json.loads(told.read_text("utf-8"))
        except (OSError, ValueError):
            return {id: [False, "The answer ends Python before the tests."] for id in failed}


def _end(group):
    """Kill what still runs of a group of processes."""
    with suppress(ProcessLookupError, PermissionError):  # none is left; macOS says the second
        os.killpg(group, signal.SIGKILL)


def _bound():
    """Hold this process, and what it starts, to the sizes above."""
    bounds = {resource.RLIMIT_FSIZE: FILE}
    if (taken := Path("/proc/self/statm")).is_file():  # macOS does not count it
        pages = int(taken.read_text("ascii").split()[0])
        bounds[resource.RLIMIT_AS] = pages * resource.getpagesize() + MEMORY
    for what, most in bounds.items():
        allowed = resource.getrlimit(what)[1]
        most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(what, (most, most))


def _child(exercise, answer, namespace, folder, told):
    os.chdir(folder)
    _bound()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    trusted, before = dict(namespace), _modules()
    own = dict(namespace)
    try:
        _execute(answer, own)
        stopped = ""
    except BaseException as error:  # also SystemExit: what was defined till then is tested
        stopped = f" (the answer stopped with {type(error).__name__}: {error})"[:300]
    changed = _restore(before)
    # What the chapter defined under a name that is asked for is no answer.
    given = [name for name in exercise["names"] if own.get(name) is not namespace.get(name)]
    names = {name: own[name] for name in given if name in own}
    for name in exercise["names"]:
        trusted.pop(name, None)
    trusted |= names
    results = {}
    for test in exercise["tests"]:
        passed, words = _test(test, trusted, changed)
        results[test["id"]] = [passed, words if passed else words + stopped]
        _restore(before)
    told.write_text(json.dumps(results), "utf-8")


def _test(test, namespace, changed):
    """Whether the claim that a test records holds."""
    from companion.book import claims

    if changed:
        return False, f"The answer changes {changed[0]}, which is not its own."
    claims._claims.pop(test["id"], None)
    try:
        _execute(test["source"], namespace)
    except BaseException as error:
        return False, f"{type(error).__name__}: {error}"[:300]
    claim = claims._claims.get(test["id"])
    if claim is None:
        return False, "The test recorded nothing."
    return claim.holds, f"{claim.statement} {claims.comparison(claim)}"


def _modules():
    """Names of the package's modules and what they stand for, to be put back."""
    loaded = {n: m for n, m in sys.modules.items() if n.split(".")[0] in ("companion", "builtins")}
    return {name: (module, dict(vars(module))) for name, module in loaded.items()}


def _restore(before):
    """Put back what was changed in modules; return the names of it."""
    changed: list[str] = []
    for name, (module, content) in before.items():
        for key, value in content.items():
            if module.__dict__.get(key, changed) is not value and key not in (
                "_",
                "__warningregistry__",
            ):
                changed.append(f"{name}.{key}")
                module.__dict__[key] = value
    return changed


def verdict(id, folder="."):
    """What a test says of the one submission in a folder: for the tests of an autograder."""
    if not _said:
        here = Path(__file__).resolve().parent
        (submission,) = Path(folder).glob("*.ipynb")
        assignment = json.loads((here / "assignment.json").read_text("utf-8"))
        _said.update(score(assignment, [submission.read_text("utf-8")])[0])
    return _said[id]


_said: Verdicts = {}


def main(assignment, *submissions):
    texts = [Path(name).read_text("utf-8", "replace") for name in submissions]
    print(json.dumps(score(json.loads(Path(assignment).read_text("utf-8")), texts)))


if __name__ == "__main__":
    main(*sys.argv[1:])
