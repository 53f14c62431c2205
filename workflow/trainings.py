"""Run one group of a sweep: `python -m workflow.trainings GROUP DONE`, in the sweep's folder.

Each run's record is written as a whole when the run has ended. A run that fails leaves its error in
`failed/`, and the group goes on; it then ends with status 1. On a GPU the runs of a group that
share their settings are trained in one batch of tensors.
"""

import itertools
import platform
import time
import traceback
from importlib.metadata import version
from pathlib import Path

from workflow import nursery, progress
from workflow.project import dump, load, sealed, write
from workflow.sweep import key, result


def main(*arguments):
    """Train a group in a process that forks where PyTorch is loaded, else in this one."""
    return nursery.step("trainings", arguments)


def here(group, done):
    """Train a group in this process: the status to end with."""
    group, done = Path(group).absolute(), Path(done).absolute()
    folder = group.parent.parent
    # A job runs on one core: several threads on small arrays only get in each other's way.
    import torch

    torch.set_num_threads(1)
    present = key({})
    waiting = [run for run in load(group) if not result(folder, run, present)]
    if not all([several(folder, runs, present) for runs in batches(waiting)]):
        return 1
    write(done, dump({"runs": len(load(group))}))
    return 0


def batches(runs):
    """The runs that are trained together: on a GPU all of the same settings, else each alone."""
    from workflow.settings import Settings

    for settings, found in itertools.groupby(runs, lambda run: run["settings"]):
        same = list(found)
        try:
            together = Settings(**settings).place.type == "cuda"
        except ValueError:  # no GPU: the run itself will say so
            together = False
        yield from [same] if together else ([run] for run in same)


def several(folder, runs, present):
    """Train runs in one batch, and write what came of it; whether all went well.

    Where one fails, all do: then each has another chance alone.
    """
    from workflow.settings import Settings, train_together

    started, run = time.perf_counter(), runs[0]
    try:
        trained = train_together(Settings(**run["settings"]), [run["seed"] for run in runs])
    except Exception as error:
        if len(runs) > 1:
            return all([several(folder, [run], present) for run in runs])
        text = f"{type(error).__name__}: {error}"
        failed = folder / "failed" / f"{run['id']}.json"
        write(failed, dump({**run, "error": text, "traceback": traceback.format_exc()}))
        said = f"Run {run['id']} failed: {text}; its settings and traceback are in {failed}"
        progress.report("failed", chapter=run["id"], text=said)
        return False
    seconds = time.perf_counter() - started
    for run, made in zip(runs, trained, strict=True):
        record = {
            "key": present | run,
            "run": made.to_json(),
            "seconds": round(seconds / len(runs), 3),
            "together": len(runs),
            "device": made.device,
            "processor": processor(made.device),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "versions": {name: version(name) for name in ("torch", "numpy", "scipy")},
            "python": platform.python_version(),
        }
        write(folder / "runs" / f"{run['id']}.json", sealed(record))
        progress.report("ran", chapter=run["id"], seconds=seconds / len(runs))
    return True


def processor(device):
    """The name of the GPU, or the kind of processor."""
    if device == "cpu":
        return platform.machine()
    import torch

    return torch.cuda.get_device_name()


if __name__ == "__main__":
    progress.job(main)
