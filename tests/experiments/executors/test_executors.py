"""Executors: the conformance suite, which every one passes, and what is special to each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from helpers_executors import ThreadExecutor
from helpers_ray import two_nodes
from recollect.errors import InputError, MissingExtra
from recollect.experiments.executors import EXECUTORS, Place, WorkersExecutor, executor_class, make_executor, run_all
from recollect.experiments.executors import ray as ray_module
from recollect.experiments.executors.conformance import CHECKS, Answer, Check, Chore, Chores
from recollect.experiments.executors.processes import ProcessExecutor, worker_environment
from recollect.experiments.executors.ray import RayExecutor, _room

TWO = Place(workers=2, retries=1)
HERE = {"here": Place(retries=1), "processes": TWO, "threads": TWO, "workers": TWO}


@pytest.fixture(autouse=True)
def _one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own executor is one line."""
    monkeypatch.setitem(EXECUTORS, "threads", ThreadExecutor)
    monkeypatch.setitem(EXECUTORS, "workers", WorkersExecutor)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", HERE)
def test_it_conforms(name: str, check: Check, tmp_path: Path) -> None:
    check(lambda work: make_executor(name, work, replace(HERE[name], folder=tmp_path)), tmp_path)


def test_here_with_several_workers_is_processes() -> None:
    assert executor_class("here", Place(workers=2)) is ProcessExecutor
    assert executor_class("here", Place(workers=1)) is executor_class("here", Place()) is EXECUTORS["here"]


class TestProcesses:
    @pytest.fixture
    def executor(self, tmp_path: Path) -> Iterator[ProcessExecutor[Chore, Answer]]:
        with ProcessExecutor(Chores(str(tmp_path)), Place(workers=2, retries=1)) as made:
            yield made

    def test_jobs_run_side_by_side(self, executor: ProcessExecutor[Chore, Answer]) -> None:
        list(run_all(executor, [Chore(0), Chore(1)]))  # both processes are there
        executor.submit(Chore(2, "sleep", seconds=20))
        executor.submit(Chore(3))
        (ended,) = executor.wait(15)
        assert ended.job.name == 3

    def test_threads_are_shared_out(
        self, executor: ProcessExecutor[Chore, Answer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        (ended,) = run_all(executor, [Chore(0, "environment", "OMP_NUM_THREADS")])
        assert ended.found is not None and ended.found.value == "3"
        assert os.environ["OMP_NUM_THREADS"] == "7"

    def test_a_place_may_say_how_many_threads(self) -> None:
        assert worker_environment(0, 2, threads=5)["OMP_NUM_THREADS"] == "5"

    def test_each_worker_has_a_gpu_of_those_there_are(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
        assert [worker_environment(at, 4)["CUDA_VISIBLE_DEVICES"] for at in range(4)] == ["4", "6", "7", "4"]
        assert ProcessExecutor(Chores(str(tmp_path)), Place()).slots == 3, "one per GPU unless the place says otherwise"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert "CUDA_VISIBLE_DEVICES" not in worker_environment(0, 1)

    def test_workers_end_with_a_parent_that_is_killed(self, tmp_path: Path) -> None:
        script = f"""
            from recollect.experiments.executors import Place, make_executor
            from recollect.experiments.executors.conformance import Chore, Chores
            if __name__ == "__main__":
                executor = make_executor("processes", Chores({str(tmp_path)!r}), Place(workers=1))
                executor.submit(Chore(0, "sleep", seconds=60))
                executor.wait()
        """
        file = tmp_path / "parent.py"
        file.write_text(textwrap.dedent(script))
        parent = subprocess.Popen([sys.executable, str(file)])
        runs = tmp_path / "runs-0"
        _until(lambda: runs.is_dir() and any(runs.iterdir()), 60)
        worker = int(next(runs.iterdir()).name.split("-")[0])
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        _until(lambda: not _alive(worker), 20)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    pytest.importorskip("ray")
    with two_nodes() as address:
        yield address


@pytest.mark.slow
class TestRay:
    """On two nodes of a real cluster on this machine."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_it_conforms(self, check: Check, cluster: str, tmp_path: Path) -> None:
        place = Place(retries=1, address=cluster, folder=tmp_path)
        check(lambda work: make_executor("ray", work, place), tmp_path)

    def test_both_nodes_are_used(self, cluster: str, tmp_path: Path) -> None:
        with make_executor("ray", Chores(str(tmp_path)), Place(address=cluster, folder=tmp_path)) as executor:
            assert executor.slots == 2
            jobs = [Chore(n, "environment", "RECOLLECT_TEST_NODE") for n in range(4)]
            found = {ended.found.value for ended in run_all(executor, jobs) if ended.found}
        assert found == {"first", "second"}


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"recollect\[ray\]"):
        RayExecutor(Chores(str(tmp_path)), Place())
    with pytest.raises(MissingExtra, match=r"recollect\[ray\]"):
        executor_class("ray", Place()).check(Place())


def test_a_head_that_does_not_answer_is_one_line_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process tries to join, and is killed when its time is up; here it hangs, as Ray does for minutes."""
    monkeypatch.setattr(ray_module, "_TRY", "import time; time.sleep(60)")
    started = time.monotonic()
    with pytest.raises(InputError, match=r"at 10\.0\.0\.1:6379: its head did not answer within 1 seconds"):
        ray_module._reach("10.0.0.1:6379", seconds=1)
    assert time.monotonic() - started < 20
    assert ray_module.JOIN_SECONDS <= 30


def test_what_ray_says_of_a_head_is_told_without_the_secrets_of_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "import json, sys; raise ConnectionError('nobody at ' + json.load(sys.stdin)[0])"
    monkeypatch.setattr(ray_module, "_TRY", said)
    with pytest.raises(InputError) as plain:
        ray_module._reach("10.0.0.1:6379")
    assert "no Ray cluster at 10.0.0.1:6379: ConnectionError: nobody at 10.0.0.1:6379." in str(plain.value)
    with pytest.raises(InputError) as secret:
        ray_module._reach("ray://sesame@10.0.0.1:6379")
    assert "ray://***@10.0.0.1:6379" in str(secret.value) and "sesame" not in str(secret.value)
    monkeypatch.setattr(ray_module, "_TRY", "pass")
    ray_module._reach("10.0.0.1:6379")


@pytest.mark.parametrize(
    ("cpus", "gpus", "each", "share", "room"),
    [(8, 0, 1, 0, 8), (8, 2, 1, 0.5, 4), (3, 8, 1, 1, 3), (8, 1, 1, 0.3, 3), (8, 0, 1, 1, 0), (2, 1, 0, 0.1, 10)],
)
def test_room_in_a_cluster(cpus: float, gpus: float, each: float, share: float, room: int) -> None:
    assert _room(cpus, gpus, each, share) == room


def _until(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
