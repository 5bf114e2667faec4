"""The machine's choices: how many threads, which device, which number format, and why."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from recollect.core import machine
from recollect.core.machine import Machine, choose_threads, prepare
from recollect.errors import InputError


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The files of /sys that the machine reads; absent unless a test puts them here. No physical cores are known."""
    there: dict[str, str] = {}

    def read_text(self: Path, *_: object, **__: object) -> str:
        if str(self) not in there:
            raise FileNotFoundError(str(self))
        return there[str(self)]

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: None)
    return there


BUSY_CORES = machine._busy_cores.__wrapped__  # the real one, not its remembered answer
CPU_MAX = "/sys/fs/cgroup/cpu.max"
OLD_QUOTA, OLD_PERIOD = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_busy_cores", lambda: 0.0)


@pytest.mark.parametrize(("busy", "threads"), [(0.0, 8), (0.4, 8), (0.6, 7), (6.9, 1), (8.0, 1)])
def test_cores_at_other_work_are_left_to_it(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, busy: float, threads: int
) -> None:
    monkeypatch.setattr(machine, "_busy_cores", lambda: busy)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    found, reason = choose_threads()
    assert found == threads
    assert ("at other work" in reason) == (threads < 8)


def test_a_core_that_spins_is_seen_as_busy() -> None:
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.3)
        assert BUSY_CORES(0.5) > 0.5
    finally:
        spinning.kill()
        spinning.wait()


@pytest.mark.parametrize(
    ("given", "threads"),
    [
        ("3", 3),
        (" 3 ", 3),
        ("64", 64),
        ("4,2", 4),
        ("0", 8),
        ("-1", 8),
        ("", 8),
        ("many", 8),
        ("²", 8),
        ("1.5", 8),
    ],
)
def test_omp_num_threads_is_honoured_when_it_is_a_number(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, given: str, threads: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    reason = "OMP_NUM_THREADS" if threads != 8 else "cores this process may use"
    assert choose_threads() == (threads, reason)


def test_the_affinity_of_the_process_counts_and_not_the_cores_of_the_machine(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5, 7})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert choose_threads() == (2, "cores this process may use")


def test_without_affinity_the_cores_of_the_machine_count(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert choose_threads()[0] == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert choose_threads()[0] == 1


@pytest.mark.parametrize(
    ("text", "threads", "reason"),
    [
        ("200000 100000\n", 2, "cgroup quota"),
        ("350000 100000\n", 3, "cgroup quota"),
        ("50000 100000\n", 1, "cgroup quota"),
        ("800000 100000\n", 8, "cores this process may use"),
        ("1600000 100000\n", 8, "cores this process may use"),
        ("max 100000\n", 8, "cores this process may use"),
        ("", 8, "cores this process may use"),
        ("a b", 8, "cores this process may use"),
        ("100 0", 8, "cores this process may use"),
        ("1 2 3", 8, "cores this process may use"),
    ],
)
def test_a_cgroup_quota_limits_the_threads(files: dict[str, str], text: str, threads: int, reason: str) -> None:
    files[CPU_MAX] = text
    assert choose_threads() == (threads, reason)


@pytest.mark.parametrize(("quota", "threads"), [("400000", 4), ("-1", 8), ("x", 8)])
def test_a_quota_of_the_first_cgroup_version_limits_them_too(files: dict[str, str], quota: str, threads: int) -> None:
    files[OLD_QUOTA], files[OLD_PERIOD] = quota, "100000"
    assert choose_threads()[0] == threads


def test_hyper_threads_are_not_counted_as_cores(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 8 if logical else 2)
    assert choose_threads() == (2, "physical cores")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_sockets_with_the_same_core_numbers_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As psutil counts them, from the topology or, where that is hidden, from /proc/cpuinfo."""
    text = "".join(f"physical id\t: {s}\ncpu cores\t: 3\ncore id\t\t: {c}\n\n" for s in range(2) for c in range(3))
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    monkeypatch.setattr("glob.glob", lambda *_: [])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "_cgroup_cores", lambda: None)
    assert choose_threads() == (6, "physical cores")


def test_a_machine_that_does_not_tell_its_cores_says_nothing(files: dict[str, str]) -> None:
    assert choose_threads() == (8, "cores this process may use")


def test_the_smallest_limit_wins(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 8 if logical else 2)
    files[CPU_MAX] = "300000 100000"
    assert choose_threads() == (2, "physical cores")
    files[CPU_MAX] = "100000 100000"
    assert choose_threads() == (1, "cgroup quota")


def test_a_command_gives_torch_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(machine, "_owner", [False])
    machine.own_process()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        assert prepare("cpu").threads == torch.get_num_threads() == 2
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert prepare("cpu").threads == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_library_call_leaves_torch_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(machine, "_owner", [False])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        torch.set_num_threads(3)
        made = prepare("cpu")
        assert torch.get_num_threads() == made.threads == 3
        assert made.threads_reason == "as torch is set"
    finally:
        torch.set_num_threads(before)


def gpus(monkeypatch: pytest.MonkeyPatch, count: int, bf16: bool = True) -> None:
    """Pretend to have GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)


@pytest.mark.parametrize(
    ("count", "bf16", "device", "dtype", "chosen"),
    [
        (0, False, "auto", "auto", ("cpu", "float32")),
        (1, True, "auto", "auto", ("cuda", "bfloat16")),
        (1, False, "auto", "auto", ("cuda", "float32")),
        (2, True, "cuda:1", "auto", ("cuda:1", "bfloat16")),
        (1, True, "cpu", "auto", ("cpu", "float32")),
        (1, True, "auto", "float16", ("cuda", "float16")),
        (0, False, "cpu", "bfloat16", ("cpu", "bfloat16")),
    ],
)
def test_device_and_number_format(
    monkeypatch: pytest.MonkeyPatch, count: int, bf16: bool, device: str, dtype: str, chosen: tuple[str, str]
) -> None:
    gpus(monkeypatch, count, bf16)
    made = prepare(device, dtype)
    assert (made.device, made.dtype) == chosen
    assert made.torch_dtype is getattr(torch, chosen[1])
    assert (made.device_reason == "asked for") is (device != "auto")
    assert (made.dtype_reason == "asked for") is (dtype != "auto")


@pytest.mark.parametrize(
    ("count", "device", "said"),
    [
        (0, "cuda", "device is cuda, but this machine has 0 CUDA devices"),
        (1, "cuda:1", "device is cuda:1, but this machine has 1 CUDA devices"),
        (1, "gpu", "device must be auto, cpu, cuda, cuda:N or mps, but got device='gpu'"),
        (1, "cuda:-1", "device must be"),
        (1, "cuda:x", "device must be"),
        (1, "meta", "device must be"),
        (1, "", "device must be"),
    ],
)
def test_a_device_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, count: int, device: str, said: str
) -> None:
    gpus(monkeypatch, count)
    with pytest.raises(InputError, match=said):
        prepare(device)


def test_mps_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="device is mps"):
        prepare("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert prepare("mps").line().startswith("mps (asked for), float32 (no bfloat16 here)")


@pytest.mark.parametrize("dtype", ["float", "int8", "float64", "nn", "", "torch.float32"])
def test_a_number_format_of_no_use_is_refused(dtype: str) -> None:
    with pytest.raises(InputError, match="dtype must be auto, float32, bfloat16, float16"):
        prepare("cpu", dtype)


@pytest.mark.parametrize(("threads", "said"), [(1, "1 thread (why)"), (4, "4 threads (why)")])
def test_the_line_names_every_choice_and_its_reason(threads: int, said: str) -> None:
    made = Machine(threads, "why", "cpu", "no CUDA device found", "float32", "exact on a CPU")
    assert made.line() == f"cpu (no CUDA device found), float32 (exact on a CPU), {said}"


def test_importing_the_module_does_not_import_torch() -> None:
    import subprocess
    import sys

    program = "import sys, recollect.core.machine, recollect.models, recollect.match; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False", machine.__file__
