"""Jobs shared with other processes: each is run once, by whoever comes first; the dead are replaced."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from helpers_executors import Deadly
from recollect.core.workspace.lease import Holder, Leases, Record
from recollect.errors import InputError
from recollect.experiments.executors import HeldByOthers, Place, WorkersExecutor, run_all
from recollect.experiments.executors.conformance import Chore, Chores

OTHER = """
    import sys
    from recollect.experiments.executors import Place, WorkersExecutor, run_all
    from recollect.experiments.executors.conformance import Chore, Chores
    from pathlib import Path

    folder, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with WorkersExecutor(Chores(folder), Place(folder=Path(folder))) as executor:
        jobs = [Chore(n, "sleep", seconds=seconds) for n in range(count)]
        found = {ended.found.name for ended in run_all(executor, jobs)}
    assert found == set(range(count)), found
"""


def _other(folder: Path, count: int, seconds: float) -> subprocess.Popen[bytes]:
    arguments = [str(folder), str(count), str(seconds)]
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(OTHER), *arguments])


def _executor(folder: Path, **more: object) -> WorkersExecutor[Chore, object]:
    place = replace(Place(folder=folder, retries=1), **more)  # type: ignore[arg-type]
    return WorkersExecutor(Chores(str(folder)), place)


def _runs(folder: Path) -> list[int]:
    return sorted(len(list(one.iterdir())) for one in folder.glob("runs-*"))


def _hold(folder: Path, name: str, holder: Holder, generation: int = 1) -> None:
    (folder / "leases").mkdir(exist_ok=True)
    (folder / "leases" / f"{name.replace(' ', '%20')}.{generation:04d}").write_bytes(Record(holder).write())


DEAD = replace(Holder.me(), start="0")
ELSEWHERE = Holder("node7", "another start", 1, "5")


def test_two_processes_share_the_jobs_and_both_have_every_answer(tmp_path: Path) -> None:
    both = [_other(tmp_path, 40, 0.02) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    assert _runs(tmp_path) == [1] * 40
    holders = {seen.record.holder.pid for seen in Leases(tmp_path / "leases").survey().values() if seen.record}
    assert holders == {one.pid for one in both}


def test_one_is_killed_and_the_other_does_the_rest_and_the_one_it_was_at(tmp_path: Path) -> None:
    killed, other = (_other(tmp_path, 30, 0.1) for _ in range(2))
    end = time.monotonic() + 30
    while len(_runs(tmp_path)) < 6:
        assert time.monotonic() < end
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert other.wait(60) == 0
    assert _runs(tmp_path)[:-1] == [1] * 29, "only the one it was at may have run twice"
    assert len(list(tmp_path.glob("answer-*.json"))) == 30


def test_a_job_that_another_holds_is_passed_over_and_waited_for_at_last(tmp_path: Path) -> None:
    _hold(tmp_path, "chore 0", ELSEWHERE)
    with _executor(tmp_path) as executor:
        for n in range(3):
            executor.submit(Chore(n))
        assert [executor.wait()[0].job.name for _ in range(2)] == [1, 2]
        assert executor.wait(0.1) == []
        Chores(str(tmp_path)).run(Chore(0))  # as the other does
        record = Record(ELSEWHERE, "done")
        (tmp_path / "leases" / "chore%200.0001").write_bytes(record.write())
        (ended,) = executor.wait(10)
        assert (ended.job.name, ended.failure) == (0, "") and ended.found is not None
    assert _runs(tmp_path) == [1, 1, 1]


def test_an_impatient_one_says_so_where_nothing_is_free(tmp_path: Path) -> None:
    _hold(tmp_path, "chore 0", ELSEWHERE)
    with _executor(tmp_path, patient=False) as executor:
        executor.submit(Chore(0))
        with pytest.raises(HeldByOthers, match="1 pieces of work are held"):
            executor.wait()


def test_a_job_of_which_too_many_died_has_failed_for_all(tmp_path: Path) -> None:
    for generation in (1, 2):
        _hold(tmp_path, "chore 0", DEAD, generation)
    with _executor(tmp_path) as executor:
        ended = {one.job.name: one for one in run_all(executor, [Chore(0), Chore(1)])}
    assert (ended[0].found, ended[0].failure) == (None, "the worker died 2 times")
    assert ended[1].found is not None


def test_what_is_there_already_is_read_and_not_run(tmp_path: Path) -> None:
    Chores(str(tmp_path)).run(Chore(0))
    with _executor(tmp_path) as executor:
        (ended,) = run_all(executor, [Chore(0)])
    assert ended.found is not None and _runs(tmp_path) == [1]


def test_a_job_that_raises_is_free_for_others(tmp_path: Path) -> None:
    with _executor(tmp_path) as executor:
        executor.submit(Chore(0, "fill the disk"))
        with pytest.raises(OSError, match="No space left"):
            executor.wait()
        assert Leases(tmp_path / "leases").look("chore 0").state == "free"


def test_work_that_leaves_no_files_and_a_place_without_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can share a study alone"):
        WorkersExecutor(Deadly(), Place(folder=tmp_path))
    with pytest.raises(InputError, match="wants a folder that all workers share"):
        WorkersExecutor(Chores(str(tmp_path)), Place())
