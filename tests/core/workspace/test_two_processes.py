"""Two processes never work in one step directory."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from helpers_step import INPUTS, SETTINGS, contents, make
from recollect.core.workspace import (
    Step,
    open_step,
)
from recollect.core.workspace import (
    open as _open,
)
from recollect.errors import StepBusy, StepError

HOLDER = """
import sys
from pathlib import Path
from recollect.core.workspace import open_step
with open_step("probe", {"samples": 4}, {"facts": "f"}, Path(sys.argv[1])) as step:
    print("working", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_the_lock_is_freed_when_its_holder_dies(tmp_path: Path) -> None:
    out = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "working\n"
            before = contents(tmp_path)
            with (
                pytest.raises(StepBusy, match="another process is working in"),
                open_step("probe", SETTINGS, INPUTS, out),
            ):
                pytest.fail("opened")
            assert contents(tmp_path) == before
        finally:
            holder.send_signal(signal.SIGKILL)
    with open_step("probe", SETTINGS, INPUTS, out) as step:
        assert step.resumed
        step.finish()
    assert (out / "manifest.json").is_file()


def test_the_lock_is_freed_by_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_step("probe", SETTINGS, INPUTS, tmp_path / "run"):
        raise ZeroDivisionError
    assert make(tmp_path / "run").resumed


def test_a_lock_that_is_won_after_the_other_process_finished_is_not_worked_under(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = fcntl.flock

    def slow_flock(handle: IO[str], how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", plain)
        make(tmp_path / "run")  # what the other process does between our open and our lock
        plain(handle, how)

    monkeypatch.setattr(fcntl, "flock", slow_flock)
    with (
        pytest.raises(StepError, match="Run the command again"),
        open_step("probe", SETTINGS, INPUTS, tmp_path / "run"),
    ):
        pytest.fail("opened a folder that is no more")
    assert make(tmp_path / "run").done
    assert sorted(contents(tmp_path)) == ["run/manifest.json", "run/t.parquet"]


def test_a_step_finished_between_the_look_and_the_lock_is_found_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = _open._make_folder

    def slow_make(step: Step) -> bool:
        monkeypatch.setattr(_open, "_make_folder", plain)
        make(tmp_path / "run")
        step.folder.mkdir()
        return True

    monkeypatch.setattr(_open, "_make_folder", slow_make)
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.done
    assert sorted(contents(tmp_path)) == ["run/manifest.json", "run/t.parquet"]
    assert not (tmp_path / "run.partial").exists()
