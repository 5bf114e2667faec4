"""Jobs given out by a list to workers who come by a folder: the suite of executors, and others who come and go."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from recollect.core.workspace.lease import Leases
from recollect.core.workspace.shared import LEASES, WORKER, WORKERS, write_about
from recollect.errors import StepBusy, StepError
from recollect.experiments.executors import Ended, Place
from recollect.experiments.executors.conformance import (
    CHECKS,
    Answer,
    Check,
    Chore,
    Chores,
    a_job_whose_workers_all_die_has_failed,
    every_job_ends_once,
)
from recollect.experiments.executors.queue import Hand, Hands, JobList, LocalHands, QueueExecutor, run_listed, take_back

OTHER = """
    import sys
    from pathlib import Path
    from recollect.experiments.executors.conformance import Chore, Chores
    from recollect.experiments.executors.queue import JobList, run_listed

    folder = Path(sys.argv[1])
    sys.exit(0 if run_listed(JobList(folder / "queue", Chore), Chores(str(folder)), 60) else 1)
"""

QUICK = (every_job_ends_once, a_job_whose_workers_all_die_has_failed)


class NoHands:
    """The leading process starts none."""

    count = 0

    def look(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        pass


def _made(folder: Path, work: Chores, hands: Hands | None = None) -> QueueExecutor[Chore, Answer]:
    jobs = JobList(folder / "queue", Chore)
    hands = hands or LocalHands(Hand(jobs, work, retries=1), 2)
    return QueueExecutor(work, Place(workers=2, retries=1), jobs, hands, {})


def _other(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(OTHER), str(folder)])


def _until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "check",
    [pytest.param(one, id=one.__name__, marks=[] if one in QUICK else pytest.mark.slow) for one in CHECKS],
)
def test_it_conforms(check: Check, tmp_path: Path) -> None:
    check(lambda work: _made(tmp_path, work), tmp_path)  # type: ignore[arg-type]
    assert not (tmp_path / "queue").exists()


def test_one_who_comes_by_the_folder_does_what_is_given_out_and_one_that_is_killed_is_replaced(tmp_path: Path) -> None:
    work = Chores(str(tmp_path))
    with _made(tmp_path, work, NoHands()) as executor:
        others = [_other(tmp_path), _other(tmp_path)]
        present = Leases(tmp_path / "queue" / WORKERS)
        _until(lambda: len(present.alive(WORKER)) == 2)
        for name in range(2):
            executor.submit(Chore(name, "sleep", seconds=1.5))
        _until(lambda: len(list(tmp_path.glob("runs-*"))) == 2)
        others[0].send_signal(signal.SIGKILL)
        others[0].wait()
        found = _drained(executor, 2)
    assert sorted(ended.job.name for ended in found) == [0, 1]
    assert sorted(ended.found.runs for ended in found if ended.found) == [1, 2]
    assert others[1].wait(60) == 0, "it leaves, since there is no list any more"


def _drained(executor: QueueExecutor[Chore, Answer], count: int) -> list[Ended[Chore, Answer]]:
    found: list[Ended[Chore, Answer]] = []
    while len(found) < count:
        found += executor.wait(20)
    return found


def test_there_is_room_for_as_many_jobs_as_workers_and_who_comes_is_given_one(tmp_path: Path) -> None:
    with _made(tmp_path, Chores(str(tmp_path)), NoHands()) as executor:
        assert executor.slots == 1
        executor.submit(Chore(0))
        with pytest.raises(RuntimeError, match="busy"):
            executor.submit(Chore(1))
        first, second = (Leases(tmp_path / "queue" / WORKERS) for _ in range(2))
        with first, second:
            first.take(f"{WORKER}one")
            second.take(f"{WORKER}two")
            assert executor.wait() == [], "no job has ended, and there is room for another"
            assert executor.slots == 2


def test_a_worker_waits_for_no_longer_than_it_was_told(tmp_path: Path) -> None:
    with _made(tmp_path, Chores(str(tmp_path)), NoHands()):
        assert not run_listed(JobList(tmp_path / "queue", Chore), Chores(str(tmp_path)), idle=0)


def test_whoever_is_at_a_job_loses_it_when_the_list_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recollect.experiments.executors.queue.LET_GO", 0.2)
    jobs = JobList(tmp_path / "queue", Chore)
    (jobs.folder / LEASES).mkdir(parents=True)
    jobs.give([Chore(0)])
    lease = Leases(jobs.folder / LEASES).take("chore 0")
    assert lease is not None
    lease.refuse_lost()
    take_back(jobs.folder)
    assert jobs.read() is None
    with pytest.raises(StepBusy, match="was taken over"):
        lease.refuse_lost()


def test_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = JobList(tmp_path, Chore)
    assert jobs.about() is None
    write_about(tmp_path, {"model": "pocket"})
    assert jobs.about() == {"model": "pocket", "version": jobs.about()["version"]}  # type: ignore[index]
    monkeypatch.setattr("recollect.experiments.executors.queue.__version__", "0.0")
    with pytest.raises(StepError, match=r"and this is 0\.0"):
        jobs.about()
