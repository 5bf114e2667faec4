"""What this machine has, and what we make of it: threads, device, number format. Every automatic choice has its reason.

Notable choices
- Threads: as many as the cores this process may use (affinity and cgroup quota), halved for hyper-threads, unless
  OMP_NUM_THREADS says otherwise. Two torch processes that both take every core slow each other by 10 to 50 times.
- Number format: float32 on a CPU (exact and simple), bfloat16 on a GPU that has it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


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


def prepare(device: str = "auto", dtype: str = "auto") -> Machine:
    """Choose, apply the thread count to torch, and return the choices."""
    import torch

    threads, threads_reason = choose_threads()
    torch.set_num_threads(threads)
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


def choose_threads() -> tuple[int, str]:
    """The number of CPU threads to compute with, and the reason."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given), "OMP_NUM_THREADS"
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_cores()
    if quota is not None and quota < usable:
        return max(1, int(quota)), "cgroup quota"
    physical = _physical_cores()
    if physical is not None and physical < usable:
        return physical, "physical cores"
    return usable, "cores this process may use"


def _cgroup_cores() -> float | None:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _physical_cores() -> int | None:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    cores: set[tuple[str, str]] = set()
    physical = core = None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "physical id":
            physical = value.strip()
        elif key.strip() == "core id":
            core = value.strip()
        elif not line.strip() and physical is not None and core is not None:
            cores.add((physical, core))
            physical = core = None
    return len(cores) or None
