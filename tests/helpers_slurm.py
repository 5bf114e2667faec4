"""A real Slurm of one node on this machine, from Debian's slurmctld, slurmd, slurm-client and munge.

Nothing of the system's own configuration is used or changed: keys, ports, state and logs lie in one folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recollect.core.extras import need


@dataclass(frozen=True)
class Mark:
    """A worker that leaves a file, and another each time it is requeued."""

    folder: str
    seconds: float = 0.0

    def __call__(self) -> None:
        place = Path(self.folder) / f"start-{os.environ.get('SLURM_ARRAY_TASK_ID', os.getpid())}-{time.monotonic_ns()}"
        place.touch()
        again = len(list(Path(self.folder).glob("start-*"))) > 1
        time.sleep(0 if again else self.seconds)

    def checkpoint(self) -> Any:
        (Path(self.folder) / "told").touch()
        return need("submitit", "slurm").helpers.DelayedSubmission(self)


@dataclass(frozen=True)
class Fail:
    """A worker that raises."""

    def __call__(self) -> None:
        raise ValueError("no such model: nowhere")


_NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")


@contextmanager
def one_node(folder: Path, cpus: int = 2) -> Iterator[None]:
    """Slurm runs, and SLURM_CONF names it, until the end; the test is skipped where it cannot start."""
    if missing := [name for name in _NEEDED if not shutil.which(name)]:
        pytest.skip(
            f"no Slurm here: {', '.join(missing)} missing (apt-get install slurmctld slurmd slurm-client munge)"
        )
    if os.geteuid() != 0:
        pytest.skip("slurmd of a test starts jobs as root alone")
    host = socket.gethostname().partition(".")[0]
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(_configured(folder, host, cpus))
    try:
        _start(folder)
        yield
    finally:
        _stop(folder)
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


def _configured(folder: Path, host: str, cpus: int) -> Path:
    for name in ("munge", "controller", "node"):
        (folder / name).mkdir(mode=0o700)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    file = folder / "slurm.conf"
    file.write_text(
        f"""
ClusterName=one
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmctldPort={_free_port()}
SlurmdPort={_free_port()}
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/node
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/node.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=5
MinJobAge=3600
SchedulerParameters=sched_interval=2,requeue_delay=1
NodeName={host} CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
    )
    return file


def _start(folder: Path) -> None:
    munge = folder / "munge"
    names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    starts = [
        ["munged", "--force", *(f"--{name}={munge / file}" for name, file in names.items())],
        ["slurmctld", "-f", os.environ["SLURM_CONF"]],
        ["slurmd", "-f", os.environ["SLURM_CONF"]],
    ]
    for command in starts:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            pytest.skip(f"Slurm cannot start here: {command[0]} said {done.stderr.strip()[:300]}")
    end = time.monotonic() + 30
    while "idle" not in (said := _said("sinfo", "--noheader", "--format=%T")):
        if time.monotonic() > end:
            log = (folder / "node.log").read_text()[-300:] if (folder / "node.log").exists() else ""
            pytest.skip(f"Slurm cannot start here: its node is {said!r}. {log}")
        time.sleep(0.5)


def _stop(folder: Path) -> None:
    _said("scancel", "--user=root")
    for name in ("node.pid", "controller.pid", "munge/pid"):
        with suppress(OSError, ValueError):
            number = int((folder / name).read_text())
            os.kill(number, signal.SIGTERM)
            end = time.monotonic() + 15
            while time.monotonic() < end and Path(f"/proc/{number}").exists():
                time.sleep(0.1)


def _said(*command: str) -> str:
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout.strip()
    return ""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
