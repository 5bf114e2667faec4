"""What this machine has, and what we make of it: threads, device, number format; each choice with its reason.

Notable choices
- Threads: the command line takes as many as the cores this process may use (affinity, cgroup quota, physical cores),
  less those that other processes keep busy, unless OMP_NUM_THREADS says otherwise. Two torch processes that both take
  every core slow each other by 10 to 50 times. Inside somebody's program torch keeps the number it is set to.
- Number format: float32 on a CPU (exact and simple), bfloat16 on a GPU that has it.
"""

from __future__ import annotations

import gc
import os
import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from recollect.core.phases import phase
from recollect.errors import InputError

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Machine:
    """The choices made for this process, and why."""

    threads: int
    threads_reason: str
    device: str
    device_reason: str
    dtype: str
    dtype_reason: str

    def line(self) -> str:
        """One line for people."""
        return (
            f"{self.device} ({self.device_reason}), {self.dtype} ({self.dtype_reason}), "
            f"{self.threads} thread{'s' if self.threads != 1 else ''} ({self.threads_reason})"
        )

    @property
    def torch_dtype(self) -> torch.dtype:
        """The number format as torch's own object."""
        import torch

        found: torch.dtype = getattr(torch, self.dtype)
        return found


_owner = [False]


def own_process() -> None:
    """Say, at the start of a command, that this process is ours: `prepare` may set torch's threads for all of it."""
    _owner[0] = True


def prepare(device: str = "auto", dtype: str = "auto") -> Machine:
    """Choose and return the choices. Torch's thread count is set in a process of our own alone (`own_process`).

    Raises InputError for a number format that is none of `DTYPES` and for a device that is not there.
    """
    with phase("torch"):
        import torch

    if dtype != "auto" and dtype not in DTYPES:
        raise InputError(f"dtype must be auto, {', '.join(DTYPES)}, but got dtype={dtype!r}.")
    if device != "auto":
        _check_device(device)
    if _owner[0]:
        threads, threads_reason = choose_threads()
        torch.set_num_threads(threads)
    else:
        threads, threads_reason = torch.get_num_threads(), "as torch is set"
    if device == "auto":
        device, device_reason = ("cuda", "found") if torch.cuda.is_available() else ("cpu", "no CUDA device found")
    else:
        device_reason = "asked for"
    if dtype == "auto":
        if device.startswith("cuda") and torch.cuda.is_bf16_supported():
            dtype, dtype_reason = "bfloat16", "the GPU has it"
        else:
            dtype, dtype_reason = "float32", "exact on a CPU" if device == "cpu" else "no bfloat16 here"
    else:
        dtype_reason = "asked for"
    return Machine(threads, threads_reason, device, device_reason, dtype, dtype_reason)


def _check_device(device: str) -> None:
    import torch

    if device == "cpu":
        return
    if device == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("device is mps, but this machine has no such device. Take --device auto.")
        return
    found = re.fullmatch(r"cuda(?::([0-9]+))?", device)
    if not found:
        raise InputError(f"device must be auto, cpu, cuda, cuda:N or mps, but got device={device!r}.")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(found[1] or 0) >= count:
        raise InputError(f"device is {device}, but this machine has {count} CUDA devices. Take --device auto.")


def choose_threads() -> tuple[int, str]:
    """The number of CPU threads to compute with, and the reason: the smallest of the known limits.

    Cores that other processes keep busy are left to them: two torch processes that share all cores slow each other by
    10 to 50 times.
    """
    given = re.fullmatch(r"([0-9]+)(,[0-9]+)*", os.environ.get("OMP_NUM_THREADS", "").strip())
    if given and int(given[1]) > 0:
        return int(given[1]), "OMP_NUM_THREADS"
    import psutil

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [(usable, "cores this process may use")]
    quota = _cgroup_cores()
    if quota is not None:
        limits.append((max(1, int(quota)), "cgroup quota"))
    physical = psutil.cpu_count(logical=False)
    if physical is not None:
        limits.append((physical, "physical cores"))
    most, reason = min(limits, key=lambda limit: limit[0])  # of equal ones the first
    busy, cores = _busy_cores(), max(usable, os.cpu_count() or 1)
    free = max(1, min(most, round(cores - busy)))
    return (most, reason) if free == most else (free, f"{busy:.1f} of {cores} cores are at other work")


@cache
def _busy_cores(seconds: float = 0.2) -> float:
    """How many cores other processes keep busy right now; asked once a process."""
    import psutil

    started, own = time.perf_counter(), time.process_time()
    busy = float(psutil.cpu_percent(seconds)) / 100 * (os.cpu_count() or 1)
    own = (time.process_time() - own) / (time.perf_counter() - started)  # a thread of ours may read a model meanwhile
    return max(0.0, busy - own)


def _cgroup_cores() -> float | None:
    """CPU time this process's group may take, in cores (cgroup v2, then v1); None without a limit.

    psutil reads no quota; joblib does, and says neither which limit it was nor rounds down.
    """
    folder = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError, ZeroDivisionError):
        allowed = int((folder / "cpu/cpu.cfs_quota_us").read_text())
        return None if allowed < 0 else allowed / int((folder / "cpu/cpu.cfs_period_us").read_text())
    return None


def free_memory(device: str) -> int:
    """Bytes that are free on a device, or for the CPU on the host."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    import psutil

    return int(psutil.virtual_memory().available)


def give_back_memory() -> None:
    """Let go of what nobody holds any more, as optimizers and their schedules that hold each other; also on a GPU."""
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
