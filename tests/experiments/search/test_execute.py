"""Executors: one suite that every one passes, and what is special to each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers_ray import two_nodes
from helpers_search import Chores
from recollect.errors import InputError
from recollect.experiments.search import ray as ray_module
from recollect.experiments.search.execute import HereExecutor, ProcessExecutor, worker_environment
from recollect.experiments.search.ray import RayExecutor, _room
from recollect.experiments.search.types import Executor, Job, Outcome

Make = Callable[[Chores], Executor]


def job(trial: int, **values: Any) -> Job:
    """The first rung of a trial that does what its values say."""
    return Job(trial, 0, 0.2, values)


def all_of(executor: Executor, jobs: list[Job]) -> dict[int, Outcome]:
    """Run the jobs, never more at once than there are slots; outcomes by trial."""
    waiting, under_way, found = list(jobs), 0, {}
    while waiting or under_way:
        while waiting and under_way < executor.slots:
            executor.submit(waiting.pop(0))
            under_way += 1
        for outcome in executor.wait(60):
            assert outcome.trial not in found
            found[outcome.trial] = outcome
            under_way -= 1
    return found


class Conformance:
    """What every executor does."""

    dies = True
    """Workers are processes of their own, which can be killed."""

    @pytest.fixture
    def chores(self, tmp_path: Path) -> Chores:
        return Chores(str(tmp_path))

    @pytest.fixture
    def executor(self, chores: Chores) -> Iterator[Executor]:
        made = self.make(chores)
        yield made
        made.close()

    def make(self, chores: Chores) -> Executor:
        raise NotImplementedError

    def test_every_job_has_its_own_outcome(self, executor: Executor) -> None:
        found = all_of(executor, [job(trial, score=trial) for trial in range(7)])
        assert {trial: outcome.score for trial, outcome in found.items()} == {n: float(n) for n in range(7)}

    def test_work_is_started_once_per_worker_at_most(self, executor: Executor, chores: Chores) -> None:
        all_of(executor, [job(trial) for trial in range(6)])
        assert 1 <= len(list(Path(chores.folder, "starts").iterdir())) <= executor.slots

    def test_without_jobs_waiting_ends_at_once(self, executor: Executor) -> None:
        started = time.monotonic()
        assert executor.wait(30) == []
        assert time.monotonic() - started < 5

    def test_a_full_disk_stops_the_search(self, executor: Executor) -> None:
        executor.submit(job(0, do="full"))
        with pytest.raises(OSError, match="No space left"):
            executor.wait(60)

    def test_closing_twice_is_no_error(self, executor: Executor) -> None:
        executor.submit(job(0))
        executor.wait(60)
        executor.close()
        executor.close()

    def test_a_worker_that_dies_is_replaced_and_its_job_runs_again(self, executor: Executor) -> None:
        if not self.dies:
            pytest.skip("this executor is the process itself")
        found = all_of(executor, [job(0, do="die", score=5), job(1, score=6), job(2, score=7)])
        assert {trial: outcome.score for trial, outcome in found.items()} == {0: 5.0, 1: 6.0, 2: 7.0}
        assert found[0].steps == 2, "the second run of the job counts two runs"

    def test_a_job_whose_workers_all_die_has_failed(self, executor: Executor) -> None:
        if not self.dies:
            pytest.skip("this executor is the process itself")
        found = all_of(executor, [job(0, do="always die"), job(1)])
        assert found[0].kind == "failed" and "died 2 times" in found[0].reason
        assert found[1].kind == "scored"


class TestHere(Conformance):
    dies = False

    def make(self, chores: Chores) -> Executor:
        return HereExecutor(chores)


class TestProcesses(Conformance):
    def make(self, chores: Chores) -> Executor:
        return ProcessExecutor(chores, workers=2, retries=1)

    def test_jobs_run_side_by_side(self, executor: Executor) -> None:
        all_of(executor, [job(0), job(1)])  # both processes are there
        executor.submit(job(2, do="slow", seconds=20))
        executor.submit(job(3))
        (outcome,) = executor.wait(15)
        assert outcome.trial == 3

    def test_more_jobs_than_slots_are_refused(self, executor: Executor) -> None:
        executor.submit(job(0, do="slow", seconds=5))
        executor.submit(job(1, do="slow", seconds=5))
        with pytest.raises(RuntimeError, match="all 2 workers are busy"):
            executor.submit(job(2))

    def test_threads_are_shared_out(self, executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        found = all_of(executor, [job(0, do="environment", name="OMP_NUM_THREADS")])
        assert found[0].reason == "3"
        assert os.environ["OMP_NUM_THREADS"] == "7"

    def test_each_worker_has_a_gpu_of_those_there_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
        assert [worker_environment(at, 3)["CUDA_VISIBLE_DEVICES"] for at in range(3)] == ["4", "6", "4"]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert "CUDA_VISIBLE_DEVICES" not in worker_environment(0, 1)

    def test_workers_end_with_a_parent_that_is_killed(self, tmp_path: Path) -> None:
        script = f"""
            from helpers_search import Chores
            from recollect.experiments.search.execute import ProcessExecutor
            from recollect.experiments.search.types import Job
            if __name__ == "__main__":
                executor = ProcessExecutor(Chores({str(tmp_path)!r}), workers=1)
                executor.submit(Job(0, 0, 0.2, {{"do": "slow", "seconds": 60}}))
                executor.wait()
        """
        file = tmp_path / "parent.py"
        file.write_text(textwrap.dedent(script))
        tests = str(Path(__file__).resolve().parents[2])
        parent = subprocess.Popen([sys.executable, str(file)], env={**os.environ, "PYTHONPATH": tests})
        runs = tmp_path / "runs-0-0"
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
class TestRay(Conformance):
    """On two nodes of a real cluster on this machine."""

    @pytest.fixture
    def executor(self, chores: Chores, cluster: str) -> Iterator[Executor]:
        made = RayExecutor(chores, address=cluster, retries=1, folder=Path(chores.folder))
        yield made
        made.close()

    def test_both_nodes_are_used(self, executor: Executor) -> None:
        assert executor.slots == 2
        found = all_of(executor, [job(n, do="environment", name="RECOLLECT_TEST_NODE") for n in range(4)])
        assert {outcome.reason for outcome in found.values()} == {"first", "second"}


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"recollect\[ray\]"):
        RayExecutor(Chores(str(tmp_path)))


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
