"""A step killed at any moment resumes to the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import crashing
from helpers_step import INPUTS, SETTINGS, TABLE, contents, make, part_file
from recollect.core.workspace import (
    Step,
    open_step,
)
from recollect.errors import StepError


def tell(folder: Path, *stories: list[int]) -> list[list[dict[str, Any]]]:
    """Run `crashing` and read what it saw."""
    arguments = [",".join(map(str, story)) for story in stories]
    done = subprocess.run(
        [sys.executable, crashing.__file__, str(folder), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_killed_before_any_change_to_the_disk_a_resumed_step_ends_in_the_same_bytes(tmp_path: Path) -> None:
    [[whole]] = tell(tmp_path / "whole", [0])
    assert whole["end"] == "exit 0"
    reference = contents(tmp_path / "whole/0")
    count = len(whole["changes"])
    assert count > 20
    # killed once at every place; then, somewhere else, once more; then left alone
    stories = [[first, 1 + first * 5 % count, 0] for first in range(1, count + 1)]
    for story, (once, twice, last) in zip(stories, tell(tmp_path / "killed", *stories), strict=True):
        assert once["end"] == "killed", story
        assert last["end"] == "exit 0", story
        folder = tmp_path / "killed" / ",".join(map(str, story))
        found = contents(folder)
        assert sorted(found) == ["run/manifest.json", "run/values.parquet"], story
        assert found["run/values.parquet"] == reference["run/values.parquet"], story
        # a part that was whole on disk is never computed again
        for before, after in ((once, twice), (twice, last)):
            kept = {
                int(Path(file).stem[:6])
                for file in before["on_disk"]
                if "/parts/" in file and file.endswith(".parquet")
            }
            assert not kept & set(after["parts"]), story
        # the plan pinned first is the plan of everybody after
        plan = json.loads(found["run/manifest.json"])["plan"]
        plans = [life["plan"] for life in (once, twice, last) if life["plan"]]
        if once["plan"]:
            assert plans == [plan] * len(plans) == [{"batch": 0}] * len(plans), story
        assert plan == plans[-1], story


def test_a_folder_synced_with_half_a_state_file_is_resumed(tmp_path: Path) -> None:
    partial = tmp_path / "run.partial"
    partial.mkdir()
    (partial / ".lock").touch()
    (partial / "step.json.tmp").write_text('{"step": "pro')
    assert make(tmp_path / "run").done
    assert sorted(contents(tmp_path)) == ["run/manifest.json", "run/t.parquet"]


def test_a_half_written_part_is_not_taken_for_a_part(tmp_path: Path) -> None:
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        step.write_part(0, TABLE)
        whole = part_file(step, 0)
        whole.with_name("000001-00.parquet.0a1b2c3d.tmp").write_bytes(whole.read_bytes()[:100])
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.resumed
        assert step.has_part(0)
        assert not step.has_part(1)
        step.write_part(1, TABLE)
        assert step.read_parts(2).equals(pl.concat([TABLE, TABLE]))


def test_a_step_aborted_between_its_manifest_and_its_rename_is_found_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def abort(self: Step) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Step, "rename", abort)
        with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
            step.pin(batch=7)
            step.write_table("t.parquet", TABLE)
            with pytest.raises(KeyboardInterrupt):
                step.finish({"rows": 3})
    assert not (tmp_path / "run").exists()
    with (
        pytest.raises(StepError, match="samples was 4, now 5"),
        open_step("probe", {"samples": 5}, INPUTS, tmp_path / "run"),
    ):
        pytest.fail("opened")
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.done
        assert step.metrics == {"rows": 3}
        assert step.plan == {"batch": 7}
    assert sorted(contents(tmp_path)) == ["run/manifest.json", "run/t.parquet"]


@hypothesis_settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=4))
def test_an_exception_at_any_part_leaves_the_finished_ones(failures: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        out, computed = Path(name) / "run", []
        for failing in [*failures, 10]:
            try:
                with open_step("probe", SETTINGS, INPUTS, out) as step:
                    if step.done:
                        continue
                    for index in range(10):
                        if step.has_part(index):
                            continue
                        if index == failing:
                            raise RuntimeError
                        computed.append(index)
                        step.write_part(index, TABLE)
                    step.write_table("t.parquet", step.read_parts(10))
                    step.finish()
            except RuntimeError:
                assert (out.parent / "run.partial").is_dir()
        assert computed == list(range(10))  # each once, whatever failed
        assert pl.read_parquet(out / "t.parquet").height == 30
