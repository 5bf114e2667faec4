"""A finished or unfinished step is found again, or refused where it is not the one asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers_step import INPUTS, SETTINGS, TABLE, contents, make
from recollect.core.workspace import (
    open_step,
    read_manifest,
)
from recollect.core.workspace import (
    step as _step,
)
from recollect.errors import StepError


def test_a_finished_step_is_found_and_not_touched(tmp_path: Path) -> None:
    first = make(tmp_path / "run")
    before = contents(tmp_path)
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.done
        assert not first.resumed
        assert step.metrics == {"rows": 3}
        assert step.read_table("t.parquet").equals(TABLE)
    assert contents(tmp_path) == before
    assert sorted(before) == ["run/manifest.json", "run/t.parquet"]


def test_without_out_the_name_comes_from_the_fingerprint(tmp_path: Path) -> None:
    names = set()
    for settings, inputs in [
        (SETTINGS, INPUTS),
        ({"samples": 5}, INPUTS),
        (SETTINGS, {"facts": "g"}),
        (SETTINGS, INPUTS),
    ]:
        with open_step("probe", settings, inputs, root=tmp_path) as step:
            if not step.done:
                step.finish()
            names.add(step.path.name)
            assert step.path.name == f"probe-{step.fingerprint[:12]}"
    assert len(names) == 3


@pytest.mark.parametrize("state", ["finished", "partial"])
@pytest.mark.parametrize(
    ("name", "settings", "inputs", "said"),
    [
        ("probe", {"samples": 8}, INPUTS, "setting samples was 4, now 8"),
        ("probe", {"samples": 4, "seed": 1}, INPUTS, "setting seed was None, now 1"),
        ("probe", SETTINGS, {"facts": "g"}, "input facts was 'f', now 'g'"),
        ("train", SETTINGS, INPUTS, "it is a 'probe' step, not a 'train' step"),
    ],
)
def test_other_settings_or_inputs_are_refused_with_what_differs_and_nothing_is_touched(
    tmp_path: Path, state: str, name: str, settings: dict[str, Any], inputs: dict[str, Any], said: str
) -> None:
    out = tmp_path / "run"
    if state == "finished":
        make(out)
    else:
        with open_step("probe", SETTINGS, INPUTS, out) as step:
            step.write_part(0, TABLE)
    before = contents(tmp_path)
    with pytest.raises(StepError) as refusal, open_step(name, settings, inputs, out):
        pytest.fail("opened")
    assert said in str(refusal.value)
    assert "Nothing was changed" in str(refusal.value)
    assert contents(tmp_path) == before


def test_a_step_of_another_format_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "run")
    monkeypatch.setattr(_step, "FORMAT", _step.FORMAT + 1)
    with pytest.raises(StepError, match="another format version"):
        make(tmp_path / "run")


@pytest.mark.parametrize("folder", ["run", "run.partial"])
def test_a_folder_that_is_no_step_is_refused_and_not_touched(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "thesis.txt").write_text("years of work")
    with pytest.raises(StepError, match="exists and is not"):
        make(tmp_path / "run")
    assert (tmp_path / folder / "thesis.txt").read_text() == "years of work"


def test_the_pinned_plan_survives_resuming_and_finishing(tmp_path: Path) -> None:
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.pin(batch=8, threads=2) == {"batch": 8, "threads": 2}
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.pin(batch=64, threads=16) == {"batch": 8, "threads": 2}
        step.finish()
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.plan == {"batch": 8, "threads": 2}
    assert read_manifest(tmp_path / "run").plan == {"batch": 8, "threads": 2}
