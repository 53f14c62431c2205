"""A Slurm of one node on loopback, for the tests: installed if absent, ended with all its jobs.

Its configuration, key, sockets, logs and state lie in one temporary folder, its ports are free ones
of 127.0.0.1; a Slurm that is installed and running on the machine is neither read nor changed.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "sinfo")
POLICY = Path("/usr/sbin/policy-rc.d")  # Debian: may a package start its services?


class Unavailable(Exception):
    """Why there can be no Slurm here, and what to do, in one sentence."""


def install():
    """Install slurm-wlm and munge from Debian's archive if absent, without starting them."""
    if os.geteuid() != 0:
        raise Unavailable(
            "the Slurm tests start munged as its own user, which takes root: "
            "run 'sudo make test-slurm', or in a container of Debian or Ubuntu"
        )
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Unavailable(
            f"{', '.join(missing)} are missing and there is no apt-get: install Slurm and MUNGE"
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    get = ["apt-get", "-qq"]
    with ExitStack() as stack:
        if not POLICY.exists():
            POLICY.write_text("#!/bin/sh\nexit 101\n")
            POLICY.chmod(0o755)
            stack.callback(POLICY.unlink)
        for command in (
            [*get, "update"],
            [*get, "install", "-y", "--no-install-recommends", "slurm-wlm", "munge"],
        ):
            ended = subprocess.run(command, env=environment, capture_output=True, text=True)
            if ended.returncode:
                last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
                raise Unavailable(f"'{' '.join(command)}' failed: {last}")


def configuration(folder, *, host, controller, node, cpus, memory_mb):
    """Content of slurm.conf: one node, loopback only, no accounting, a list of ended jobs."""
    return f"""\
ClusterName=companion
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,batch_sched_delay=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/ended.txt
KillWait=5
MailProg=/bin/true
ReturnToService=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """Slurm's three services while they run; `environment` is what its users need."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.services = []
        self.environment = {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
        }

    def start(self):
        host = socket.gethostname().split(".")[0]
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        controller, node = free_ports(2)
        text = configuration(
            self.folder,
            host=host,
            controller=controller,
            node=node,
            cpus=len(os.sched_getaffinity(0)),
            memory_mb=memory * 9 // 10,
        )
        for path in (self.folder, self.folder / "state", self.folder / "spool"):
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        # Snakemake's plugin clears every SLURM_* for the srun in a job: that finds no cluster.
        srun = self.folder / "bin" / "srun"
        srun.parent.mkdir()
        conf = self.environment["SLURM_CONF"]
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        self._start_munge()
        self._service("slurmctld", ["slurmctld", "-D", "-f", conf])
        self._service("slurmd", ["slurmd", "-D", "-f", conf])
        self._until(lambda: self.ask("sinfo", "-h", "-o", "%T").strip() == "idle", "an idle node")

    def _start_munge(self):
        """MUNGE as user munge, with a key and a socket of its own."""
        munge = self.folder / "munge"
        munge.mkdir()
        (munge / "key").write_bytes(os.urandom(128))
        (munge / "key").chmod(0o400)
        for path in (munge, munge / "key"):
            shutil.chown(path, "munge", "munge")
        command = ["munged", "--foreground", f"--socket={munge}/socket"]
        command += [f"--{name}-file={munge}/{name}" for name in ("key", "log", "pid", "seed")]
        self._service("munged", command, user="munge", group="munge", extra_groups=[])
        self._until((munge / "socket").exists, "MUNGE's socket")

    def _service(self, name, command, **options):
        command = ["setpriv", "--pdeathsig", "TERM", *command]  # none outlives the tests
        log = (self.folder / f"{name}.out").open("w")
        with log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
                start_new_session=True,
                **options,
            )
        self.services.append((name, process))

    def _until(self, condition, what, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            for name, process in self.services:
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended while waiting for {what}:\n{self.logs()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"No {what} after {seconds} s:\n{self.logs()}")
            time.sleep(0.1)

    def logs(self):
        found = [*self.folder.glob("*.out"), *self.folder.glob("*.log"), self.folder / "munge/log"]
        parts = [(path.name, path.read_text().strip()) for path in found if path.is_file()]
        return "\n".join(f"== {name}\n{text[-2000:]}" for name, text in parts if text)

    def ask(self, *command):
        """Standard output of a Slurm command; empty where it failed."""
        ended = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True
        )
        return ended.stdout if ended.returncode == 0 else ""

    def ended(self):
        """What Slurm itself wrote about each job that ended: its fields by name."""
        path = self.folder / "ended.txt"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [dict(f.split("=", 1) for f in line.split() if "=" in f) for line in lines]

    def stop(self):
        """Cancel every job, end the services, and leave no process behind."""
        if self.services:
            self.ask("scancel", "--full", "--user=root")
            wait_for(lambda: not self.ask("squeue", "-h"), 30)
        for _, process in reversed(self.services):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        wait_for(lambda: not self.processes(), 10)
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def processes(self):
        """Every process that was started with this cluster's configuration."""
        mark = f"SLURM_CONF={self.environment['SLURM_CONF']}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found


def wait_for(condition, seconds):
    """Whether the condition comes true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def free_ports(count):
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in found]
