"""What cells tell while they are under way, and the time left that follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from recollect.experiments.remaining import ASKING, CLIMBING, TRAINING, Planned, Remaining
from recollect.experiments.under_way import Telling, Told, read_told, watched


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


SMALL, LARGE = Planned("15", {TRAINING: 15.0, ASKING: 1.0}), Planned("150", {TRAINING: 150.0, ASKING: 1.0})


def test_a_cell_s_file_says_what_it_is_at_and_what_its_parts_took(tmp_path: Path) -> None:
    clock = Clock()
    telling = Telling(tmp_path / "told", "60-seed0", clock)
    with telling.part(TRAINING, "updates") as progress:
        for step in range(1, 9):
            clock.now += 3
            progress(step, 24)
        [told] = read_told(tmp_path / "told")
        assert told.line() == "60-seed0: training 8/24 updates"
        assert (told.seconds, told.spent) == (24, {})
    with telling.part(ASKING, "questions"):
        clock.now += 5
        assert [one.line() for one in read_told(tmp_path / "told")] == ["60-seed0: asking"]
    telling.end()
    [told] = read_told(tmp_path / "told")
    assert told.spent == {TRAINING: 24, ASKING: 5} and told.ended


def test_many_quick_steps_write_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, written = Clock(), 0
    telling = Telling(tmp_path, "x", clock)
    write = telling._write

    def count() -> None:
        nonlocal written
        written += 1
        write()

    monkeypatch.setattr(telling, "_write", count)
    with telling.part(TRAINING) as progress:
        for step in range(1000):
            clock.now += 0.01
            progress(step, 1000)
    assert written <= 12


def test_nobody_is_told_without_a_folder_and_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file"):
        with Telling(folder, "x").part(TRAINING) as progress:
            progress(1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_folder_is_empty_at_the_start_and_gone_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "under-way"
    Telling(folder, "of-a-killed-run").end()
    with watched(folder):
        assert not read_told(folder)
        Telling(folder, "x").end()
        assert len(read_told(folder)) == 1
    assert not folder.exists()


def test_a_large_cell_is_not_forecast_by_a_small_one(tmp_path: Path) -> None:
    done = Told("15", spent={TRAINING: 30.0, ASKING: 20.0}, ended=True)
    assert Remaining([SMALL, LARGE], tmp_path).seconds_left([done]) == 300 + 20


def test_what_is_done_of_the_part_at_work_counts_as_done(tmp_path: Path) -> None:
    half = Told("150", TRAINING, "updates", 10, 20, seconds=100.0)
    assert Remaining([LARGE], tmp_path, asking_seconds=7.0).seconds_left([half]) == pytest.approx(100 + 7)
    asking = Told("150", ASKING, "questions", 30, 40, seconds=15.0, spent={TRAINING: 100.0})
    assert Remaining([LARGE], tmp_path).seconds_left([asking]) == pytest.approx(5)


def test_nothing_is_said_of_the_time_left_before_a_training_was_seen(tmp_path: Path) -> None:
    remaining = Remaining([SMALL, LARGE], tmp_path, asking_seconds=9.0)
    assert remaining.seconds_left([]) is None
    assert remaining.seconds_left([Told("15", TRAINING, "updates", 0, 4, seconds=5.0)]) is None


def test_several_workers_share_the_work_but_no_cell_is_split(tmp_path: Path) -> None:
    told = [Told("15", spent={TRAINING: 15.0, ASKING: 10.0}, ended=True)]
    cells = [SMALL, *(Planned(name, {TRAINING: 15.0, ASKING: 1.0}) for name in "abcd")]
    assert Remaining(cells, tmp_path, slots=2).seconds_left(told) == 4 * 25 / 2
    assert Remaining(cells, tmp_path, slots=8).seconds_left(told) == 25


def test_the_ladder_is_estimated_before_it_begins_by_what_asking_the_base_took(tmp_path: Path) -> None:
    climbing = Planned("150", {**LARGE.units, CLIMBING: 30.0})
    plan = Remaining([SMALL, climbing], tmp_path, asking_seconds=20.0).plan()
    assert "2 trainings" in plan and "30 rungs" in plan and "about 10:00" in plan and "--repair none" in plan
    assert "ladder" not in Remaining([SMALL], tmp_path, asking_seconds=20.0).plan()
