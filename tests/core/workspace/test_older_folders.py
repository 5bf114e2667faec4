"""A folder that another version made is the same step's, or is refused: new settings, changed defaults, gone ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
import pytest

from recollect.core.settings import Fixed, Settings
from recollect.core.workspace import Step, open_step, read_manifest
from recollect.core.workspace import step as _step
from recollect.errors import StepError

INPUTS = {"facts": "f"}
TABLE = pl.DataFrame({"n": [1, 2, 3]})


class Old(Settings):
    """The settings when the folder was made."""

    samples: int = 4
    seed: int = 0


class New(Old):
    """A version later: one more setting, whose default is what was done before."""

    runtime_only: ClassVar[set[str]] = {"workers"}
    method: str = "sampled"
    workers: int = 1


class Changed(New):
    """Its default number of samples is another."""

    samples: int = 8


class Gone(Settings):
    """A version that has no samples any more."""

    seed: int = 0


def make(settings: Settings, out: Path | None, root: Path, *, finish: bool = True) -> Step:
    with open_step("probe", settings, INPUTS, out, root) as step:
        if not step.done:
            if not step.has_part(0):
                step.write_part(0, TABLE)
            step.pin(batch=7)
            if finish:
                step.write_table("t.parquet", step.read_parts(1))
                step.finish({"rows": 3})
    return step


@pytest.mark.parametrize("named", [True, False])
def test_a_new_setting_at_its_default_does_not_orphan_a_finished_folder(tmp_path: Path, named: bool) -> None:
    out = tmp_path / "run" if named else None
    first = make(Old(), out, tmp_path)
    for settings in (New(), New(method="sampled"), New(workers=3)):
        again = make(settings, out, tmp_path)
        assert (again.path, again.fingerprint, again.plan) == (first.path, first.fingerprint, {"batch": 7})
    assert [path.name for path in tmp_path.iterdir()] == [first.path.name]


@pytest.mark.parametrize("named", [True, False])
def test_an_unfinished_folder_of_an_earlier_version_is_resumed_with_its_parts_and_plan(
    tmp_path: Path, named: bool
) -> None:
    out = tmp_path / "run" if named else None
    make(Old(), out, tmp_path, finish=False)
    with open_step("probe", New(), INPUTS, out, tmp_path) as step:
        assert step.resumed and step.plan == {"batch": 7}
        assert step.has_part(0)
        step.write_table("t.parquet", step.read_parts(1))
        step.finish({"rows": 3})
    assert read_manifest(step.path).fingerprint == step.fingerprint
    assert len(list(tmp_path.iterdir())) == 1


def test_a_new_setting_with_another_value_is_another_step(tmp_path: Path) -> None:
    make(Old(), tmp_path / "run", tmp_path)
    with pytest.raises(StepError, match="setting method was None, now 'exact'"):
        make(New(method="exact"), tmp_path / "run", tmp_path)
    assert make(New(method="exact"), None, tmp_path).path != make(New(), None, tmp_path).path


def test_a_changed_default_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    make(Old(), tmp_path / "run", tmp_path)
    with pytest.raises(StepError, match="setting samples was 4, now 8"):
        make(Changed(), tmp_path / "run", tmp_path)
    assert make(Changed(samples=4), tmp_path / "run", tmp_path).done
    first = make(Old(), None, tmp_path)
    assert make(Changed(), None, tmp_path).path != first.path


@pytest.mark.parametrize("settings", [Old(), Old(samples=3)])
def test_a_setting_this_version_has_not_is_refused_and_named(tmp_path: Path, settings: Old) -> None:
    make(settings, tmp_path / "run", tmp_path)
    with pytest.raises(StepError, match="this version has no setting samples"):
        make(Gone(), tmp_path / "run", tmp_path)


def test_other_inputs_and_another_format_are_refused_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(Old(), tmp_path / "run", tmp_path)
    with (
        pytest.raises(StepError, match="input facts was 'f', now 'g'"),
        open_step("probe", New(), {"facts": "g"}, tmp_path / "run"),
    ):
        pytest.fail("opened")
    monkeypatch.setattr(_step, "FORMAT", _step.FORMAT + 1)
    with pytest.raises(StepError, match="another format version"):
        make(New(), tmp_path / "run", tmp_path)


class Inner(Settings):
    """A section."""

    model: str = ""
    rate: float = 0.1


class InnerLater(Inner):
    """A version later, with one more field of its own."""

    schedule: str = "cosine"


class Outer(Settings):
    """A step with a section."""

    train: Annotated[Inner, Fixed("model")] = Inner()


class OuterLater(Settings):
    """A version later."""

    train: Annotated[InnerLater, Fixed("model")] = InnerLater()


def test_a_section_counts_by_what_was_given_so_a_new_field_in_it_changes_nothing(tmp_path: Path) -> None:
    first = make(Outer.make(train={"rate": 0.2}), None, tmp_path)
    assert make(OuterLater.make(train={"rate": 0.2}), None, tmp_path).path == first.path
    assert make(OuterLater.make(train={"rate": 0.2, "schedule": "linear"}), None, tmp_path).path != first.path


@pytest.mark.parametrize("named", [True, False])
def test_a_whole_number_that_a_section_kept_as_it_was_given_is_the_same_number(tmp_path: Path, named: bool) -> None:
    """Earlier versions stored, and fingerprinted, what a user wrote in a section, not what it was read as."""
    out = tmp_path / "run" if named else None
    with open_step("probe", {"train": {"rate": 1}}, INPUTS, out, tmp_path) as first:
        first.finish({"rows": 3})
    for values in (Outer.make(train={"rate": 1}), {"train": {"rate": 1.0}}):
        with open_step("probe", values, INPUTS, out, tmp_path) as again:
            assert again.done and again.path == first.path
    with pytest.raises(StepError, match="setting train was"), open_step("probe", Outer(), INPUTS, first.path):
        pytest.fail("opened")


class Untitled(Old):
    """A version for which the number of samples decides no result."""

    runtime_only: ClassVar[set[str]] = {"samples"}
    samples: int = 9


@pytest.mark.parametrize("named", [True, False])
def test_a_setting_that_decides_no_result_any_more_may_be_any(tmp_path: Path, named: bool) -> None:
    out = tmp_path / "run" if named else None
    first = make(Old(), out, tmp_path)
    assert make(Untitled(), out, tmp_path).path == first.path
    assert make(Untitled(seed=1), None, tmp_path).path != first.path


def test_the_manifest_keeps_its_form(tmp_path: Path) -> None:
    """Key by key as version 0.1 wrote it, and names that this version does not know are kept."""
    make(Old(), tmp_path / "run", tmp_path)
    names = list(json.loads((tmp_path / "run/manifest.json").read_text()))
    state = ["step", "fingerprint", "settings", "inputs", "plan", "started"]
    assert names == [*state, "metrics", "finished", "versions", "files", "checksum"]
    with open_step("probe", Old(), INPUTS, tmp_path / "other") as step:
        step.pin(batch=7)
        stored: dict[str, Any] = json.loads((step.folder / "step.json").read_text())
    assert list(stored) == [*state, "checksum"]
