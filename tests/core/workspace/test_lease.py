"""Leases: each piece is done once, whoever is killed, stopped, or has a clock that jumps; without a lock or a clock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from recollect.core.workspace import Step, open_step
from recollect.core.workspace.lease import Holder, Lease, Leases, Record
from recollect.errors import StepBusy, StepError

WORKER = """
    import sys, time
    from pathlib import Path
    from recollect.core.workspace.lease import Leases, Seen

    folder, count, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    with Leases(folder, every=0.05, patience=30.0) as leases:
        names = [str(n) for n in range(count)]
        while True:
            seen = leases.survey()
            left = [name for name in names if seen.get(name, Seen()).state != "done"]
            if not left:
                break
            for n in left:
                lease = leases.take(n, seen.get(n, Seen()))
                if lease is None:
                    continue
                with lease:
                    time.sleep(seconds)
                    with (folder.parent / "log").open("a") as log:
                        log.write(f"{n}\\n")
                    lease.end("done")
                break
            else:
                time.sleep(0.02)
"""


class Clock:
    """A steady clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "leases"
    made.mkdir()
    return made


def _elsewhere(folder: Path, name: str = "piece", host: str = "node7") -> Path:
    """A lease that a process of another machine holds."""
    file = folder / f"{name}.0001"
    file.write_bytes(Record(Holder(host, "another start", 1, "5")).write())
    return file


def _beat(file: Path) -> None:
    found = Record.read(file.read_bytes())
    assert found is not None
    file.write_bytes(replace(found, beat=found.beat + 1).write())


def _worker(folder: Path, count: int, seconds: float) -> subprocess.Popen[bytes]:
    code = textwrap.dedent(WORKER)
    return subprocess.Popen([sys.executable, "-c", code, str(folder), str(count), str(seconds)])


def test_a_piece_that_is_held_is_nobody_elses(folder: Path) -> None:
    with Leases(folder) as mine, Leases(folder) as other:
        lease = mine.take("a cell/with: odd name")
        assert lease is not None
        assert other.take("a cell/with: odd name") is None
        assert other.look("a cell/with: odd name").alive
        lease.end("free")
        again = other.take("a cell/with: odd name")
        assert again is not None and again.path.name.endswith(".0002")


def test_an_end_and_its_note_are_seen_by_all(folder: Path) -> None:
    with Leases(folder) as mine, Leases(folder) as other:
        lease = mine.take("x")
        assert lease is not None
        lease.end("failed", "too few examples")
        seen = other.survey()["x"]
        assert (seen.state, seen.alive, seen.deaths) == ("failed", False, 0)
        assert seen.record is not None and seen.record.note == "too few examples"


def test_a_block_that_raises_gives_its_lease_back(folder: Path) -> None:
    with Leases(folder) as leases:
        with pytest.raises(KeyboardInterrupt), leases.take("x") or pytest.fail("taken"):
            raise KeyboardInterrupt
        assert leases.look("x").state == "free"


def test_two_processes_do_every_piece_once(folder: Path) -> None:
    both = [_worker(folder, 120, 0.005) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    done = (folder.parent / "log").read_text().split()
    assert sorted(map(int, done)) == list(range(120)), Counter(done).most_common(3)
    holders = {Record.read(file.read_bytes()).holder.pid for file in folder.iterdir()}  # type: ignore[union-attr]
    assert len(holders) == 2, "both worked"


def test_a_killed_process_loses_its_piece_to_another_at_once(folder: Path) -> None:
    both = [_worker(folder, 30, 0.05) for _ in range(2)]
    log = folder.parent / "log"
    _until(lambda: log.exists() and len(log.read_text().split()) >= 8)
    killed, other = both
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    started = time.monotonic()
    assert other.wait(60) == 0
    assert time.monotonic() - started < 25, "less than the patience with holders of other machines"
    done = log.read_text().split()
    assert sorted(map(int, done)) == list(range(30)), Counter(done).most_common(3)


def test_of_many_who_take_over_at_once_one_succeeds(folder: Path) -> None:
    for round_ in range(40):
        name, gate = f"p{round_}", threading.Barrier(6)
        file = _elsewhere(folder, name)
        dead = replace(Record.read(file.read_bytes()), holder=replace(Holder.me(), start="0"))  # type: ignore[type-var]
        file.write_bytes(dead.write())  # type: ignore[attr-defined]
        taken: list[Lease] = []

        def take(name: str = name, gate: threading.Barrier = gate, taken: list[Lease] = taken) -> None:
            leases = Leases(folder)
            seen = leases.look(name)
            assert not seen.alive
            gate.wait()
            if (lease := leases.take(name, seen)) is not None:
                taken.append(lease)

        threads = [threading.Thread(target=take) for _ in range(6)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len(taken) == 1
        taken[0].end("done")


def test_who_decided_long_ago_takes_nothing_from_a_later_holder(folder: Path) -> None:
    """Between its look and its hand the piece was taken over, given back and taken again."""
    with Leases(folder) as late, Leases(folder) as other:
        file = _elsewhere(folder)
        file.write_bytes(Record(replace(Holder.me(), start="0")).write())
        seen = late.look("piece")
        first = other.take("piece")
        assert first is not None
        first.end("free")
        second = other.take("piece")
        assert second is not None
        assert late.take("piece", seen) is None
        assert not second.lost


def test_a_holder_of_another_machine_is_dead_when_it_was_watched_without_a_beat(folder: Path) -> None:
    clock = Clock()
    leases = Leases(folder, every=3, patience=60, clock=clock)
    file = _elsewhere(folder)
    for _ in range(20):
        clock.now += 5
        assert leases.look("piece").alive, "at first, whatever its file's time says"
        _beat(file)
    watched = 0.0
    while leases.look("piece").alive:
        clock.now += 5
        watched += 5
        assert watched < 100
    assert watched >= 60
    assert leases.look("piece").deaths == 1
    assert leases.take("piece") is not None
    leases.close()


def test_no_clock_of_the_day_matters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that goes back or far ahead, here or on the server of the files."""
    clock = Clock()
    leases = Leases(folder, clock=clock)
    file = _elsewhere(folder)
    for day in (0, -10_000, 10_000):
        wrong = 1e9 + day * 86_400
        monkeypatch.setattr(time, "time", lambda wrong=wrong: wrong)
        os.utime(file, (wrong, wrong))
        clock.now += 1
        assert leases.look("piece").alive
    lease = leases.take("mine")
    assert lease is not None and leases.look("mine").alive
    clock.now -= 1e6  # not even a steady clock that is not steady makes a living holder dead
    assert leases.look("piece").alive and leases.look("mine").alive
    leases.close()


def test_a_look_after_hours_of_other_work_condemns_nobody(folder: Path) -> None:
    """Nor does a machine that slept, and wakes with its clock ahead."""
    clock = Clock()
    leases = Leases(folder, every=3, patience=60, clock=clock)
    _elsewhere(folder)
    assert leases.look("piece").alive
    clock.now += 36_000
    assert leases.look("piece").alive


def test_a_stopped_holder_learns_that_it_was_taken_over(folder: Path) -> None:
    mine = Leases(folder, every=1000)
    lease = mine.take("x")
    assert lease is not None
    (folder / "x.0002").write_bytes(Record(Holder("node7", "", 1, "5")).write())
    lease.beat()
    assert lease.lost
    lease.end("done")
    assert Leases(folder).look("x").alive, "what it says of its own holding changes nothing of the other's"


def _batch(step: Step) -> None:
    step.write_part(1, pl.DataFrame({"a": [1]}))


def _end(step: Step) -> None:
    step.finish({})


def _find_it_renamed(step: Step) -> None:
    raise FileNotFoundError("the other has given the folder its final name")


def _be_stopped(step: Step) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("then", "ends"),
    [(_batch, StepBusy), (_end, StepBusy), (_find_it_renamed, StepBusy), (_be_stopped, KeyboardInterrupt)],
)
def test_work_that_another_took_over_stores_nothing_more(
    folder: Path, tmp_path: Path, then: Callable[[Step], None], ends: type[BaseException]
) -> None:
    taken: list[Lease] = []

    def work(mine: Leases, other: Leases, step: Step) -> None:
        with mine.take("x") or pytest.fail("held"):
            step.write_part(0, pl.DataFrame({"a": [0]}))
            taken.append(other.take("x") or pytest.fail("still alive"))
            then(step)

    with Leases(folder, every=1000) as mine, Leases(folder, patience=0) as other:
        with open_step("step", {}, {}, tmp_path / "step") as step:
            with pytest.raises(ends) as raised:
                work(mine, other, step)
            assert ends is KeyboardInterrupt or str(raised.value).startswith("x was taken over by another worker")
            assert step.has_part(0) and not step.has_part(1) and not step.path.exists()
            _batch(step)  # of work that nobody took
            assert step.has_part(1)
        assert not taken[0].lost and taken[0].path.read_bytes() == taken[0].record.write()
        assert Leases(folder).look("x").deaths == 0, "who was stopped and came back has not died"


def test_a_folder_that_others_began_anew_is_not_written_into(folder: Path) -> None:
    mine = Leases(folder, every=1000)
    lease = mine.take("x")
    assert lease is not None
    Leases(folder).renew()
    theirs = _elsewhere(folder, "x")
    before = theirs.read_bytes()
    lease.beat()
    lease.end("done")
    assert lease.path == theirs and theirs.read_bytes() == before


def test_beats_come_by_themselves(folder: Path) -> None:
    with Leases(folder, every=0.02) as leases:
        lease = leases.take("x")
        assert lease is not None
        first = lease.path.read_bytes()
        _until(lambda: lease.path.read_bytes() not in (first, b""))
        assert json.loads(lease.path.read_bytes())["holder"]["pid"] == os.getpid()


def test_a_file_that_is_just_being_written_is_somebodys(folder: Path) -> None:
    clock = Clock()
    leases = Leases(folder, every=3, patience=60, clock=clock)
    (folder / "x.0001").touch()
    assert leases.take("x") is None
    for _ in range(20):
        clock.now += 5
        leases.look("x")
    assert leases.take("x") is not None, "unless it stays so"
    leases.close()


def test_a_folder_that_is_gone_takes_no_lease_and_harms_none(folder: Path, tmp_path: Path) -> None:
    with Leases(folder) as leases:
        lease = leases.take("x")
        assert lease is not None
        folder.rename(tmp_path / "finished")
        lease.beat()
        assert lease.lost and leases.take("y") is None and leases.survey() == {}


def test_a_planted_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    (folder / "x.0001").symlink_to(tmp_path / "precious")
    with pytest.raises(StepError, match="is a link"):
        Leases(folder).take("x")
    assert (tmp_path / "precious").read_text() == "keep"


def test_of_a_process_of_this_machine_a_zombie_counts_as_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    holder = replace(Holder.me(), pid=child.pid, start=_started(child.pid))
    assert not holder.gone
    child.kill()
    _until(lambda: holder.gone)
    child.wait()
    assert holder.gone
    assert not replace(holder, host="node7").gone, "of another machine's nothing is known"


def _started(pid: int) -> str:
    from recollect.core.workspace.lease import _start_of

    return _start_of(pid)


def _until(true: object, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
