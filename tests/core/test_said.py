"""What a command says is kept in the folder it fills, and nowhere else, and never in its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from recollect.core.said import SAID, Now, keep_line, keep_now, me, read_log, read_now
from recollect.core.workspace import open_step
from recollect.errors import InputError


def texts(folder: Path) -> list[str]:
    return [text for _, text in read_log(folder)]


def work_and_raise(out: Path, error: BaseException, work: bool = True) -> None:
    with open_step("study", {}, {}, out) as step:
        keep_line("a line")
        if work:
            (step.folder / "work").touch()
        raise error


def test_the_outermost_step_hears_what_is_said_before_and_inside(tmp_path: Path) -> None:
    keep_line("settings: few")
    with open_step("study", {"a": 1}, {}, tmp_path / "outer") as outer:
        with open_step("train", {"b": 1}, {}, outer.folder / "inner") as inner:
            keep_line("training:\n 3/8")
            keep_now(Now(*me(), "training", "updates", 3, 8, 1.5, 2.5, "x"))
            assert not (inner.folder / SAID).exists()
            inner.finish({})
        keep_line("after it")
        assert texts(outer.folder)[-3:] == ["settings: few", "training: 3/8", "after it"]
        (now,) = read_now(outer.folder)
        assert (now.what, now.done, now.total, now.seconds_left, now.at_work) == ("training", 3, 8, 2.5, "x")
        outer.finish({})
        keep_line("too late")
        keep_now(Now(*me(), "writing the report"))
    assert sorted(path.name for path in (tmp_path / "outer").iterdir()) == ["inner", "manifest.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outer"]


def test_a_step_after_a_finished_one_is_heard_again(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with open_step("train", {"name": name}, {}, tmp_path / name) as step:
            keep_line(f"in {name}")
            assert texts(step.folder)[-1] == f"in {name}"
            step.finish({})


def test_how_it_ended_early_is_kept_with_secrets_masked(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        work_and_raise(tmp_path / "one", KeyboardInterrupt())
    partial = tmp_path / "one.partial"
    assert texts(partial)[-1] == "stopped by Ctrl-C" and not read_now(partial)
    with pytest.raises(ValueError, match="hunter2"):
        work_and_raise(tmp_path / "one", ValueError("postgresql://me:hunter2@host/db is away\nand more"))
    assert texts(partial)[-1].startswith("ended by an error") and "hunter2" not in "".join(texts(partial))


def test_a_refused_step_leaves_its_place_free(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        work_and_raise(tmp_path / "one", InputError("no such setting"), work=False)
    assert not list(tmp_path.iterdir())


def test_only_the_end_of_a_long_log_is_read_and_a_damaged_file_is_left_out(tmp_path: Path) -> None:
    (tmp_path / SAID).mkdir()
    lines = "".join(f"2026-01-01T00:00:00+00:00 line {at}\n" for at in range(20_000))
    (tmp_path / SAID / "log.txt").write_text(lines, encoding="utf-8")
    (tmp_path / SAID / "now-host-1.json").write_text('{"host": "ho', encoding="utf-8")
    (tmp_path / SAID / "now-host-2.json").write_text('{"colour": 1}', encoding="utf-8")
    assert texts(tmp_path) == [f"line {at}" for at in range(19_800, 20_000)] and read_now(tmp_path) == []
    assert read_log(tmp_path / "none") == []
