"""A chapter's side of the nursery: a kernel that is forked there, if there is one."""

import os
import select
import signal
from importlib.metadata import EntryPoint
from typing import Any

from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from workflow import nursery


class Kernel:
    """A forked kernel, with what jupyter_client asks of a process."""

    stdin = stdout = stderr = None

    def __init__(self, command, environment, folder):
        arguments = command[command.index("ipykernel_launcher") + 1 :]
        self._connection, self.pid = nursery.ask("kernel", arguments, environment, folder)

    def poll(self):
        """None while the kernel lives."""
        return 1 if select.select([self._connection], [], [], 0)[0] else None

    def wait(self):
        self._connection.recv(1)
        self._connection.close()
        return 1

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)


class Forked(LocalProvisioner):
    """A kernel from the nursery, or a plain one."""

    process: Any

    async def launch_kernel(self, cmd, **given):
        try:
            kernel = Kernel(cmd, given["env"], given.get("cwd") or os.getcwd())
        except OSError:
            return await super().launch_kernel(cmd, **given)
        self.process, self.pid, self.pgid = kernel, kernel.pid, kernel.pid
        return self.connection_info


def use():
    """Let jupyter_client take kernels from the nursery."""
    factory = KernelProvisionerFactory.instance()
    factory.provisioners["forked"] = EntryPoint("forked", f"{__name__}:Forked", "")
    factory.default_provisioner_name = "forked"
