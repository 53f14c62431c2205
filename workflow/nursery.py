"""Kernels that start at once: they fork from one process that has imported the slow libraries.

The driver opens it where several chapters wait on this machine. A chapter asks for its kernel
through a socket (`workflow/forked.py`); where nobody answers it starts a plain one, with the same
result. The connection stays open as long as the kernel lives, so that each end sees at once when
the other is gone.
"""

import contextlib
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
#: From so many chapters on it pays to import everything for all.
CHAPTERS = 3
#: What is slow to import. Of the package nothing is, so that a chapter runs what is there then. The
#: last two are what torch imports when it is first asked for Adam, or for a gradient of a gradient.
LIBRARIES = (
    "ipykernel.ipkernel ipykernel.kernelapp matplotlib.pyplot scipy.optimize scipy.stats "
    "sklearn.datasets sklearn.decomposition sklearn.mixture sympy torch.distributions torch.func "
    "torch._dynamo torch._decomp.decompositions_for_jvp"
).split()


@contextlib.contextmanager
def nursery(chapters, path, settings, log):
    """Fork the kernels of so many chapters, with these folders and settings, where that pays."""
    if chapters < CHAPTERS or sys.platform != "linux":  # elsewhere libraries don't survive a fork
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="companion-") as folder, log.open("w") as said:
        path_of_socket = str(Path(folder, "kernels"))
        environment = os.environ | settings
        environment[progress.DRIVER] = str(os.getpid())
        environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
        with socket.socket(socket.AF_UNIX) as listener:  # from now on chapters may ask
            listener.bind(path_of_socket)
            listener.listen()
            number = listener.fileno()
            command = [sys.executable, "-P", "-m", "workflow.nursery", folder, str(number)]
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


def serve(folder, number):
    """Fork a kernel for each that asks at this open socket, as long as the driver lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the driver, and the driver us
    progress.hold_lock()
    driver = int(os.environ[progress.DRIVER])
    with socket.socket(fileno=int(number)) as listener:
        for name in LIBRARIES:
            with contextlib.suppress(ImportError):  # as in a book with fewer libraries
                importlib.import_module(name)
        while progress.lives(driver):
            _bury()
            if select.select([listener], [], [], 0.5)[0]:
                connection, _ = listener.accept()
                _, outputs, _, _ = socket.recv_fds(connection, 1, 2)
                with connection.makefile() as request:
                    asked = request.readline()
                if asked and os.fork() == 0:
                    listener.close()
                    _become_kernel(connection, outputs, **json.loads(asked))
                for file in outputs:
                    os.close(file)
                connection.close()
    shutil.rmtree(folder)  # a killed driver could not


def _bury():
    """Wait for the kernels that have ended: what they worked is counted as the driver's then."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become_kernel(connection, outputs, arguments, folder, environment):
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(outputs, 1):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    connection.sendall(f"{os.getpid()}\n".encode())

    def end_with_chapter():
        connection.recv(1)
        os._exit(1)

    threading.Thread(target=end_with_chapter, daemon=True).start()
    from ipykernel import kernelapp

    sys.argv = ["ipykernel_launcher.py", *arguments]
    # 1: it watches no parent itself.
    kernelapp.launch_new_instance([*arguments, "--IPKernelApp.parent_handle=1"])
    sys.exit()


if __name__ == "__main__":
    serve(*sys.argv[1:])
