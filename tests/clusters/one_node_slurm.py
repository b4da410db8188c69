"""A Slurm of one node, this machine: daemons of a test's own, with all their files in a folder.

It needs Debian's slurm-wlm and munge, no rights and no settings of the system's.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
START_S = 60.0
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=30
NodeName={host} NodeAddr=127.0.0.1 CPUs=2
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Say what this machine lacks, if anything."""
    programs = [*DAEMONS, "sbatch", "srun", "scontrol", "scancel", "squeue"]
    lacking = [name for name in programs if shutil.which(name, path=PLACES) is None]
    return f"no Slurm here: {lacking[0]} is missing (slurm-wlm, munge)" if lacking else None


class OneNodeSlurm:
    """A running Slurm; commands find it by `environment`."""

    def __init__(self, folder: Path) -> None:
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}

    def __call__(self, *words: str) -> str:
        """Run one of Slurm's commands and return what it says."""
        return subprocess.run(
            words,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    def jobs(self) -> list[str]:
        """Return the numbers of all jobs that are not done, those of arrays as `4_0`, `4_1`."""
        return sorted(self("squeue", "--noheader", "--array", "--format=%i").split())


@contextlib.contextmanager
def one_node_slurm(folder: Path) -> Iterator[OneNodeSlurm]:
    """Start a Slurm with its files in an empty folder (of a short name: sockets) and end it after.

    `cred_expire` is what a requeued job has to wait; by default it is two minutes.
    """
    folder.chmod(0o755)  # munge refuses a socket that others cannot reach
    key = folder / "munge.key"
    key.write_bytes(os.urandom(64))
    key.chmod(0o600)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    ports = free_ports(2)
    host = socket.gethostname().partition(".")[0]
    settings = {"host": host, "user": getpass.getuser(), "folder": folder}
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(controller_port=ports[0], node_port=ports[1], **settings)
    )
    slurm = OneNodeSlurm(folder)
    files = {"key": "key", "socket": "socket", "pid": "pid", "log": "log", "seed": "seed"}
    with contextlib.ExitStack() as daemons:
        options = [
            f"--{option if option == 'socket' else f'{option}-file'}={folder}/munge.{ending}"
            for option, ending in files.items()
        ]
        daemons.enter_context(running("munged", "--foreground", *options))
        wait_until((folder / "munge.socket").exists)
        daemons.enter_context(running("slurmctld", "-D", **slurm.environment))
        daemons.enter_context(running("slurmd", "-D", "-N", host, **slurm.environment))
        wait_until(lambda: "idle" in answer(slurm, "sinfo", "--noheader", "--format=%t"))
        try:
            yield slurm
        finally:
            slurm("scancel", f"--user={settings['user']}")
            wait_until(lambda: not slurm.jobs())


@contextlib.contextmanager
def running(program: str, *options: str, **variables: str) -> Iterator[subprocess.Popen]:
    """Run a daemon in the foreground, and end it."""
    found = shutil.which(program, path=PLACES)
    assert found
    process = subprocess.Popen(
        [found, *options],
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answer(slurm: OneNodeSlurm, *words: str) -> str:
    """Return what a command says, nothing as long as nobody answers it."""
    try:
        return slurm(*words)
    except subprocess.SubprocessError:
        return ""


def wait_until(condition, within_s: float = START_S) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
