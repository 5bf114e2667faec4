"""What every executor must do, as checks for its tests.

    @pytest.mark.parametrize("check", CHECKS)
    def test_it_conforms(check: Check, tmp_path: Path) -> None:
        check(lambda work: MyExecutor(work, Place(workers=2, retries=1)), tmp_path)

Each check makes its executors with `retries=1`. What only another process can do is left out for one whose jobs run in
this process.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil

from recollect.core.workspace import write_json
from recollect.experiments.executors.base import Executor, Work, run_all


@dataclass(frozen=True)
class Chore:
    """A job without any training: what it does, and what it answers."""

    name: int
    do: Literal["answer", "sleep", "fill the disk", "die once", "always die", "environment"] = "answer"
    variable: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What came of a chore."""

    name: int
    runs: int
    """The runs it took, deaths included."""
    process: int
    value: str = ""


@dataclass(frozen=True)
class Chores:
    """Does chores, in a folder that keeps count of the starts and of the runs."""

    folder: str

    def start(self) -> Callable[[Chore], Answer]:
        """Leave a mark, and give the function."""
        _mark(Path(self.folder) / "starts")
        return self.run

    def run(self, chore: Chore) -> Answer:
        """Do as the chore says."""
        runs = _mark(Path(self.folder) / f"runs-{chore.name}")
        if chore.do == "always die" or (chore.do == "die once" and runs == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if chore.do == "fill the disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        time.sleep(chore.seconds)
        answer = Answer(chore.name, runs, os.getpid(), os.environ.get(chore.variable, ""))
        write_json(Path(self.folder) / f"answer-{chore.name}.json", asdict(answer))
        return answer

    def name(self, chore: Chore) -> str:
        """For processes that share the chores."""
        return f"chore {chore.name}"

    def word(self, chore: Chore, answer: Answer) -> str:
        """Nothing: the file tells all."""
        return ""

    def found(self, chore: Chore, word: str) -> Answer | None:
        """The answer, whoever gave it."""
        file = Path(self.folder) / f"answer-{chore.name}.json"
        return Answer(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


Made = Executor[Chore, Answer]
Make = Callable[[Work[Chore, Answer]], Made]
Check = Callable[[Make, Path], None]


def every_job_ends_once(make: Make, folder: Path) -> None:
    """Also when there are more jobs than slots."""
    with make(Chores(str(folder))) as executor:
        found = _answers(executor, [Chore(name) for name in range(7)])
    assert sorted(found) == list(range(7)), found
    assert all(found[name].name == name and found[name].runs == 1 for name in found), found


def found_together_means_in_order(make: Make, folder: Path) -> None:
    """Jobs that have all ended come in the order in which they were submitted."""
    with make(Chores(str(folder))) as executor:
        names = range(executor.slots)
        for name in names:
            executor.submit(Chore(name))
        found: list[int] = []
        while len(found) < len(names):
            time.sleep(0.5)
            together = [ended.job.name for ended in executor.wait()]
            assert together == sorted(together), together
            found += together


def more_jobs_than_slots_are_refused(make: Make, folder: Path) -> None:
    """By RuntimeError; who submits keeps count."""
    with make(Chores(str(folder))) as executor:
        for name in range(executor.slots):
            executor.submit(Chore(name, "sleep", seconds=1))
        _raises(RuntimeError, "busy", lambda: executor.submit(Chore(99)))


def work_starts_once_per_worker(make: Make, folder: Path) -> None:
    """At most: a model is loaded once."""
    with make(Chores(str(folder))) as executor:
        _answers(executor, [Chore(name) for name in range(6)])
        assert 1 <= len(list((folder / "starts").iterdir())) <= executor.slots


def waiting_for_nothing_ends_at_once(make: Make, folder: Path) -> None:
    """Without a job under way there is nothing to wait for."""
    with make(Chores(str(folder))) as executor:
        started = time.monotonic()
        assert executor.wait(30) == []
        assert time.monotonic() - started < 5


def what_the_work_raises_is_raised_here(make: Make, folder: Path) -> None:
    """With its own type and text."""
    with make(Chores(str(folder))) as executor:
        executor.submit(Chore(0, "fill the disk"))
        _raises(OSError, "No space left", lambda: executor.wait(60))


def closing_leaves_no_process(make: Make, folder: Path) -> None:
    """Nor does closing twice harm, or closing in the middle of a job."""
    executor = make(Chores(str(folder)))
    workers = {one.process for one in _answers(executor, [Chore(name) for name in range(4)]).values()} - {os.getpid()}
    if not executor.in_process:
        executor.submit(Chore(9, "sleep", seconds=60))
        assert executor.wait(1) == []
    executor.close()
    executor.close()
    _until(lambda: not any(psutil.pid_exists(one) for one in workers), 20)


def a_worker_that_dies_is_replaced(make: Make, folder: Path) -> None:
    """And its job runs again."""
    with make(Chores(str(folder))) as executor:
        if executor.in_process:
            return
        found = _answers(executor, [Chore(0, "die once"), Chore(1), Chore(2)])
    assert {name: answer.runs for name, answer in found.items()} == {0: 2, 1: 1, 2: 1}, found


def a_job_whose_workers_all_die_has_failed(make: Make, folder: Path) -> None:
    """It ends with a reason and no answer; the others go on."""
    with make(Chores(str(folder))) as executor:
        if executor.in_process:
            return
        ended = {one.job.name: one for one in run_all(executor, [Chore(0, "always die"), Chore(1)])}
    assert ended[0].found is None, ended[0]
    assert "died 2 times" in ended[0].failure, ended[0]
    assert (ended[1].found is not None, ended[1].failure) == (True, ""), ended[1]


CHECKS: tuple[Check, ...] = (
    every_job_ends_once,
    found_together_means_in_order,
    more_jobs_than_slots_are_refused,
    work_starts_once_per_worker,
    waiting_for_nothing_ends_at_once,
    what_the_work_raises_is_raised_here,
    closing_leaves_no_process,
    a_worker_that_dies_is_replaced,
    a_job_whose_workers_all_die_has_failed,
)


def _answers(executor: Made, chores: Sequence[Chore]) -> dict[int, Answer]:
    found: dict[int, Answer] = {}
    for ended in run_all(executor, chores):
        assert ended.found is not None, ended.failure
        assert ended.job.name not in found, f"{ended.job} ended twice"
        found[ended.job.name] = ended.found
    return found


def _raises(kind: type[Exception], words: str, call: Callable[[], object]) -> None:
    try:
        call()
    except kind as error:
        raised = str(error)
    else:
        raise AssertionError(f"no {kind.__name__} was raised")
    assert words in raised, raised


def _until(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def _mark(folder: Path) -> int:
    """Add a file; returns how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()
    return len(list(folder.iterdir()))
