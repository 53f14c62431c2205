"""Execute one chapter: `python -m workflow.execute STAMP NOTEBOOK EXECUTED RUN`.

The chapter runs in a file of its own, which is moved to its place only when every cell has run. A
chapter that raises leaves its partly executed copy in `failed/`, and one sentence about where.
"""

import json
import os
import re
import time
from pathlib import Path

from workflow import nursery, progress

QUIET = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "MPLBACKEND": "agg",
    "TQDM_DISABLE": "1",
    # torch warns of its own code where forward-mode differentiation is first asked for; the chapter
    # that reads SUSY says itself that nobody published a checksum of it.
    "PYTHONWARNINGS": "ignore:`torch.jit.script` is deprecated,ignore:SUSY has no published",
}
#: The environment variable with settings that take their place, as `make reference RUNS=5` uses it.
CONDITION = "COMPANION_CONDITION"


def execute(stamp, notebook, executed, run):
    from workflow.project import digest, load, sealed, write  # not for one who only asks

    key = load(stamp)
    chapter, parameters = key["chapter"], key["parameters"]
    running = executed.parent.parent / "running" / f"{chapter}.ipynb"
    failed = executed.parent.parent / "failed" / f"{chapter}.ipynb"
    for path in (running, failed):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    _log_stderr(executed.parent.parent / "logs" / f"{chapter}.log")

    started, clock = time.time(), time.perf_counter()
    # Papermill is slow to import: only the process that executes a chapter pays for it.
    import papermill
    from nbformat import NO_CONVERT
    from nbformat import read as read_notebook

    os.environ.update(QUIET | json.loads(os.environ.get(CONDITION, "{}")))
    source = read_notebook(notebook, NO_CONVERT)
    order = {cell["id"]: number for number, cell in enumerate(source.cells, 1)}
    _register_engine(chapter, order)
    if nursery.SOCKET in os.environ:
        from workflow import forked

        forked.use()
    try:
        papermill.execute_notebook(
            str(notebook),
            str(running),
            parameters=parameters,
            engine_name="reporting",
            kernel_name="python3",
            progress_bar=False,
            log_output=False,
            cwd=str(notebook.parent),
            shutdown_kernel="immediate",  # all is collected; a kernel takes seconds to leave
        )
    except Exception as error:
        if running.exists():
            running.replace(failed)
        text = _explain(chapter, failed, load(failed) or {}, order, error)
        progress.report("failed", chapter=chapter, text=text)
        return 1
    seconds = time.perf_counter() - clock
    write(executed, running.read_bytes())
    running.unlink()
    record = {
        "key": key,
        "executed": digest(executed),
        "tier": parameters["tier"],
        "started": time.strftime("%Y-%m-%d %H:%M", time.gmtime(started)),
        "seconds": round(seconds, 2),
        "cells": len(order),
    }
    write(run, sealed(record))
    progress.report("executed", chapter=chapter, seconds=seconds, cells=len(order))
    return 0


def _register_engine(chapter, order):
    from papermill.engines import NBClientEngine, papermill_engines

    class ReportingEngine(NBClientEngine):
        """Papermill's own engine, telling which cell has started, and saving once at the end.

        Papermill saves the whole notebook before and after each cell, slower than many a cell is.
        """

        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **options):
            start, save = nb_man.cell_start, nb_man.save

            def cell_start(cell, cell_index=None, **more):
                if cell["id"] in order:
                    progress.report(
                        "cell", chapter=chapter, cell=order[cell["id"]], cells=len(order)
                    )
                return start(cell, cell_index, **more)

            nb_man.cell_start, nb_man.save = cell_start, lambda **_: None
            try:
                return super().execute_managed_notebook(nb_man, kernel_name, **options)
            finally:
                nb_man.save = save

    papermill_engines.register("reporting", ReportingEngine)


def _explain(chapter, failed, copy, order, error):
    """Chapter, cell, the last lines of the error, and where the partly executed copy lies."""
    cells = copy.get("cells", [])
    broken = [c for c in cells if c["metadata"].get("papermill", {}).get("exception")]
    number = order.get(broken[0]["id"]) if broken else None
    where = f"cell {number} of {len(order)}" if number else "no cell to blame"
    if number is None and broken:
        where = "the injected parameters"
    if hasattr(error, "ename"):
        lines = "\n".join(error.traceback).splitlines() or [f"{error.ename}: {error.evalue}"]
    else:
        lines = f"{type(error).__name__}: {error}".splitlines()
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines if line.strip()]
    text = [f"Chapter {chapter} failed in {where}:"]
    text += [f"    {line[:200]}" for line in lines[-6:]]
    if failed.exists():
        text.append(f"  The partly executed copy is {failed}")
    return "\n".join(text)


def _log_stderr(path):
    """Whatever the kernel writes to the terminal goes to a log, so that progress stays readable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as log:
        os.dup2(log.fileno(), 2)


def here(*paths):
    """Execute a chapter in this process."""
    return execute(*map(Path, paths))


def main(*arguments):
    """Execute a chapter in a process that forks where papermill is loaded, else in this one."""
    return nursery.step("execute", arguments)


if __name__ == "__main__":
    progress.job(main)
