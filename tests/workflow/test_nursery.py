"""Chapters and kernels that fork from one process: loaded, ending with either side, never needed.

That a book opens one is seen in ``test_workflow.py``.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from nbformat.v4 import new_code_cell, new_notebook

from tests.workflow.conftest import HOME
from workflow import execute, forked, nursery, progress, trainings
from workflow.execute import QUIET
from workflow.progress import lives
from workflow.project import load, write

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels fork on Linux only")

LOADED = f"import sys; print(*({{*{nursery.LIBRARIES + nursery.PACKAGE}}} - {{*sys.modules}}))"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    factory = KernelProvisionerFactory.instance()
    before = factory.default_provisioner_name
    log = tmp_path_factory.mktemp("logs") / "nursery.log"
    with nursery.nursery(1, [HOME], QUIET, log):
        forked.use()
        yield
    factory.default_provisioner_name = before
    assert not log.exists()
    assert nursery.SOCKET not in os.environ


def printed(source):
    """What a cell prints in a new kernel, and the process that it ran in."""
    manager = KernelManager()
    manager.start_kernel()
    process = manager.provisioner.pid
    client = manager.client()
    client.start_channels()
    said = []
    try:
        client.wait_for_ready(timeout=120)
        client.execute_interactive(source, timeout=60, output_hook=said.append)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    assert not lives(process)
    return "".join(m["content"]["text"] for m in said if m["msg_type"] == "stream")


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_libraries_and_the_package_are_there(opened):
    assert printed(LOADED) == "\n"


def test_a_kernel_imports_nothing_of_torch_late(opened):
    source = """
import sys, torch
before = set(sys.modules)
weight = torch.ones(2, requires_grad=True)
adam = torch.optim.Adam([weight], fused=True)
torch.func.hessian(lambda at: (at**3).sum())(torch.ones(2))
late = {name.partition(".")[2] for name in set(sys.modules) - before if name.startswith("torch.")}
print(len(late))
"""
    assert printed(source) == "0\n"


def test_a_kernel_has_the_folder_and_the_environment_of_its_chapter(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OF_THIS_CHAPTER", "yes")
    source = "import os; print(os.getcwd(), os.environ['OF_THIS_CHAPTER'])"
    assert printed(source) == f"{tmp_path} yes\n"


def test_what_a_kernel_worked_counts_as_its_drivers(opened):
    children = psutil.Process().children()
    (process,) = (child for child in children if "workflow.nursery" in child.cmdline())
    before = process.cpu_times().children_user
    printed("import time\nwhile time.process_time() < 1: pass")
    until(lambda: process.cpu_times().children_user - before > 0.5)


def test_a_kernel_ends_with_its_chapter(opened):
    kernel = forked.Kernel(["ipykernel_launcher"], dict(os.environ), str(HOME))
    assert kernel.poll() is None
    kernel._connection.close()
    until(lambda: not lives(kernel.pid))


def test_a_chapter_sees_that_its_kernel_has_ended(opened):
    kernel = forked.Kernel(["ipykernel_launcher"], dict(os.environ), str(HOME))
    kernel.kill()
    assert kernel.wait() == 1


def test_without_a_nursery_a_plain_kernel_starts(opened, monkeypatch, tmp_path):
    monkeypatch.setenv(nursery.SOCKET, str(tmp_path / "nobody"))
    assert "torch.func" in printed(LOADED)


def test_a_chapter_forks_and_its_status_comes_back(opened, tmp_path, monkeypatch, capfd):
    cell = new_code_cell("import os; assert os.environ['RIGHT']", metadata={"tags": []})
    about = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python"}}
    nbformat.write(new_notebook(cells=[cell], metadata=about), tmp_path / "one.ipynb")
    stamp = tmp_path / "stamp.json"
    write(stamp, json.dumps({"chapter": "one", "parameters": {"tier": "book"}}))
    paths = [stamp, tmp_path / "one.ipynb", *(tmp_path / "made" / n / "one" for n in ("a", "b"))]
    monkeypatch.delenv(progress.DRIVER, raising=False)
    monkeypatch.setattr(execute, "here", None)  # what forks has its own
    assert execute.main(*paths) == 1
    assert "KeyError" in capfd.readouterr().out
    monkeypatch.setenv("RIGHT", "yes")
    assert execute.main(*paths) == 0
    assert load(paths[3])["cells"] == 1


@pytest.mark.slow
def test_a_group_of_runs_forks_with_torch_and_without_the_package(tmp_path, monkeypatch):
    group, done = tmp_path / "groups" / "one.json", tmp_path / "done.json"
    write(group, "[]")
    monkeypatch.delenv(nursery.SOCKET, raising=False)
    monkeypatch.setattr(trainings, "here", None)  # what forks has its own
    with nursery.nursery(1, [HOME], QUIET, tmp_path / "log", "runs"):
        factory = KernelProvisionerFactory.instance()
        monkeypatch.setattr(factory, "default_provisioner_name", "forked")
        forked.use()
        names = ("torch._dynamo", "papermill", "companion")
        assert printed(f"import sys; print(*({{*{names}}} & {{*sys.modules}}))") == names[0] + "\n"
        assert trainings.main(group, done) == 0
    assert load(done) == {"runs": 0}


def test_what_it_says_is_kept(tmp_path, monkeypatch):
    monkeypatch.delenv(nursery.SOCKET, raising=False)
    with nursery.nursery(1, [HOME], QUIET, tmp_path / "logs" / "log", "nothing"):
        started = psutil.Process().children()
        (process,) = (child for child in started if child.cmdline()[-1:] == ["nothing"])
        process.wait()
    assert "KeyError: 'nothing'" in (tmp_path / "logs" / "log").read_text()


def test_what_an_earlier_one_said_is_gone(tmp_path, monkeypatch):
    monkeypatch.delenv(nursery.SOCKET, raising=False)
    (tmp_path / "log").write_text("said before")
    with nursery.nursery(1, [HOME], QUIET, tmp_path / "log"):
        pass
    assert not (tmp_path / "log").exists()


def test_no_chapter_opens_none(tmp_path, monkeypatch):
    monkeypatch.delenv(nursery.SOCKET, raising=False)
    with nursery.nursery(0, [HOME], QUIET, tmp_path / "log"):
        assert nursery.SOCKET not in os.environ


def test_the_package_is_loaded_once_a_chapter_has_asked(tmp_path, monkeypatch):
    monkeypatch.delenv(nursery.SOCKET, raising=False)
    loaded = tmp_path / "loaded"
    for name in {name.partition(".")[0] for name in nursery.LIBRARIES}:
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "companion.py").write_text(f"open({str(loaded)!r}, 'w')")
    with nursery.nursery(1, [tmp_path, HOME], QUIET, tmp_path / "log"):
        time.sleep(1)
        assert not loaded.exists()
        nursery.ask("kernel", [], dict(os.environ), str(tmp_path))[0].close()
        until(loaded.exists)


@pytest.mark.slow
def test_it_ends_with_a_killed_driver_and_leaves_nothing(tmp_path):
    source = (
        "import os, time; from pathlib import Path; from workflow import nursery\n"
        f"with nursery.nursery(9, [{str(HOME)!r}], {{}}, Path('log')):\n"
        "    print(os.environ[nursery.SOCKET], flush=True); time.sleep(99)"
    )
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    command = [sys.executable, "-c", source]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as driver:
        path = Path(driver.stdout.readline().strip())
        child = Path(f"/proc/{driver.pid}/task/{driver.pid}/children")
        until(path.exists)
        process = int(child.read_text())
        driver.kill()
    until(lambda: not lives(process))
    assert not path.parent.exists()
