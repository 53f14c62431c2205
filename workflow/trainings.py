"""Run one group of a sweep: `python -m workflow.trainings GROUP DONE`, in the sweep's folder.

Each run's record is written as a whole when the run has ended. A run that fails leaves its error in
`failed/`, and the group goes on; it then ends with status 1.
"""

import platform
import time
import traceback
from importlib.metadata import version
from pathlib import Path

from workflow import progress
from workflow.project import dump, load, sealed, write
from workflow.sweep import key, result


def main(group, done):
    group, done = Path(group).absolute(), Path(done).absolute()
    folder = group.parent.parent
    # A job runs on one core: several threads on small arrays only get in each other's way.
    import torch

    torch.set_num_threads(1)
    present = key({})
    failures = sum(not one(folder, run, present) for run in load(group))
    if failures:
        return 1
    write(done, dump({"runs": len(load(group))}))
    return 0


def one(folder, run, present):
    """Train, and write what came of it; whether it went well."""
    if result(folder, run, present):
        return True
    from workflow.settings import Settings, train

    started = time.perf_counter()
    try:
        trained = train(Settings(**run["settings"]), run["seed"])
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        failed = folder / "failed" / f"{run['id']}.json"
        write(failed, dump({**run, "error": text, "traceback": traceback.format_exc()}))
        said = f"Run {run['id']} failed: {text}; its settings and traceback are in {failed}"
        progress.report("failed", chapter=run["id"], text=said)
        return False
    seconds = time.perf_counter() - started
    record = {
        "key": present | run,
        "run": trained.to_json(),
        "seconds": round(seconds, 3),
        "device": trained.device,
        "processor": platform.machine(),
        "versions": {name: version(name) for name in ("torch", "numpy", "scipy")},
        "python": platform.python_version(),
    }
    write(folder / "runs" / f"{run['id']}.json", sealed(record))
    progress.report("ran", chapter=run["id"], seconds=seconds)
    return True


if __name__ == "__main__":
    progress.job(main)
