"""Chapters and trainings that start at once: they fork from a process with the slow libraries.

The driver opens it where chapters or runs wait on this machine. What executes a chapter
(`workflow/execute.py`), the chapter's kernel (`workflow/forked.py`), and what trains a group of
runs (`workflow/trainings.py`) are asked for through a socket; where nobody answers they start as
plain processes, with the same result. The connection stays open as long as the process lives, so
that each end sees at once when the other is gone.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from workflow import progress

SOCKET = "COMPANION_NURSERY"
#: What is slow to import. The last two are what torch imports when it is first asked for Adam, or
#: for a gradient of a gradient.
LIBRARIES = (
    "papermill ipykernel.ipkernel ipykernel.kernelapp matplotlib.pyplot torch.distributions "
    "torch.func scipy.optimize scipy.stats sklearn.datasets sklearn.decomposition sklearn.mixture "
    "sympy torch._dynamo torch._decomp.decompositions_for_jvp"
).split()
#: Of the package, what nearly all chapters import. It is loaded only when the first one has asked:
#: the keys that say what it was made of are written by then, so that they are never too new.
PACKAGE = (
    "companion.models companion.datasets companion.fit companion.book.charts companion.book.claims "
    "companion.book.panels companion.book.text"
).split()
#: By what waits: what is loaded at once, and what when the first one has asked. A training loads
#: the package itself, after it has written down which one that is.
LOADED = {
    "chapters": (LIBRARIES, PACKAGE),
    "runs": ([name for name in LIBRARIES if name.startswith(("torch", "scipy", "sympy"))], []),
}


@contextlib.contextmanager
def nursery(waiting, path, settings, log, what="chapters"):
    """Fork chapters and their kernels, or runs, with these folders and settings, if any wait.

    If its process says anything, as where it fails, that is kept in `log`.
    """
    if not waiting or sys.platform != "linux":  # elsewhere libraries don't survive a fork
        yield
        return
    log.unlink(missing_ok=True)  # what an earlier one said
    with (
        tempfile.TemporaryDirectory(prefix="companion-") as folder,
        tempfile.TemporaryFile() as said,
    ):
        path_of_socket = str(Path(folder, "asked"))
        environment = os.environ | settings
        environment[progress.DRIVER] = str(os.getpid())
        environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
        with socket.socket(socket.AF_UNIX) as listener:  # from now on they may ask
            listener.bind(path_of_socket)
            listener.listen()
            number = listener.fileno()
            command = [sys.executable, "-P", "-m", "workflow.nursery", folder, str(number), what]
            process = subprocess.Popen(
                command, env=environment, stdout=said, stderr=said, pass_fds=[number]
            )
        os.environ[SOCKET] = path_of_socket
        try:
            yield
        finally:
            process.kill()
            process.wait()
            del os.environ[SOCKET]
            said.seek(0)
            if text := said.read():
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_bytes(text)


def step(what, arguments):
    """What ``workflow.<what>`` does here with these paths, in a process that forks if one may."""
    paths = [os.path.abspath(argument) for argument in arguments]
    try:
        if SOCKET not in os.environ:
            raise ConnectionError("there is no nursery")
        connection, _ = ask(what, paths, dict(os.environ), os.getcwd())
    except OSError:
        return importlib.import_module(f"workflow.{what}").here(*paths)
    with connection:
        return int(told(connection) or 1)


def ask(what, arguments, environment, folder):
    """Ask for a "kernel", or a step, with these arguments: the connection to it, and its number.

    It writes where this process does. An ``OSError`` if nobody answers.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(os.environ[SOCKET])
        socket.send_fds(connection, [b"!"], [1, 2])
        asked = {"what": what, "arguments": arguments}
        asked |= {"environment": environment, "folder": folder}
        connection.sendall(f"{json.dumps(asked)}\n".encode())
        number = int(told(connection) or 0)
        if not number:
            raise ConnectionError("the nursery has ended")
    except OSError:
        connection.close()
        raise
    return connection, number


def told(connection):
    """One line that the other end says, or what it said before it went."""
    said = b""
    while not said.endswith(b"\n") and (byte := connection.recv(1)):
        said += byte
    return said.decode()


def serve(folder, number, what):
    """Fork a process for each that asks at this open socket, as long as the driver lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the driver, and the driver us
    progress.hold_lock()
    driver = int(os.environ[progress.DRIVER])
    libraries, package = LOADED[what]
    _load(libraries)
    with socket.socket(fileno=int(number)) as listener:
        while progress.lives(driver):
            _bury()
            if select.select([listener], [], [], 0.5)[0]:
                _load(package)
                _fork(listener)
    shutil.rmtree(folder)  # a killed driver could not


def _load(names):
    for name in names:
        with contextlib.suppress(ImportError):  # as in a book with fewer libraries
            importlib.import_module(name)


def _fork(listener):
    connection, _ = listener.accept()
    _, outputs, _, _ = socket.recv_fds(connection, 1, 2)
    asked = told(connection)
    if asked and os.fork() == 0:
        listener.close()
        _become(connection, outputs, **json.loads(asked))
    for file in outputs:
        os.close(file)
    connection.close()


def _bury():
    """Wait for the kernels that have ended: what they worked is counted as the driver's then."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become(connection, outputs, what, arguments, environment, folder):
    gc.freeze()  # what is loaded stays: no collection need look through it
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(outputs, 1):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    connection.sendall(f"{os.getpid()}\n".encode())

    def end_with_the_other():
        connection.recv(1)
        os._exit(1)

    threading.Thread(target=end_with_the_other, daemon=True).start()
    sys.argv = [what, *arguments]
    if what == "kernel":
        from ipykernel import kernelapp

        # 1: it watches no parent itself.
        kernelapp.launch_new_instance([*arguments, "--IPKernelApp.parent_handle=1"])
        sys.exit()
    try:
        progress.job(importlib.import_module(f"workflow.{what}").here)
    except SystemExit as ended:
        connection.sendall(f"{ended.code}\n".encode())
        raise


if __name__ == "__main__":
    serve(*sys.argv[1:])
