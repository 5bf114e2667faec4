"""Fingerprints, and what a manifest holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_step import INPUTS, SETTINGS, TABLE, contents, make
from recollect.core.workspace import (
    fingerprint,
    open_step,
    read_manifest,
    step_input,
)
from recollect.errors import InputError, StepError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text('aé\n"{'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcé"), inner, max_size=3),
    max_leaves=8,
)


def turned(value: Any) -> Any:
    """The same value with every mapping's keys in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_the_fingerprint_does_not_depend_on_key_order(value: Any) -> None:
    assert fingerprint(turned(value)) == fingerprint(value)


@given(JSON, JSON)
def test_different_values_have_different_fingerprints(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (fingerprint(one) == fingerprint(other)) is same


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_have_no_fingerprint(tmp_path: Path, value: float) -> None:
    with pytest.raises(InputError, match="finite"):
        fingerprint({"rate": value})
    with pytest.raises(InputError, match="finite"):
        make(tmp_path / "run", {"rate": value})
    assert contents(tmp_path) == {}


def test_a_folder_without_a_manifest_is_no_finished_step(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"no manifest\.json") as plain:
        read_manifest(tmp_path)
    assert "unfinished" not in str(plain.value)
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run"):
        pass
    with pytest.raises(StepError, match="It is unfinished: run its command again"):
        read_manifest(tmp_path / "run")


def test_the_folder_one_is_in_is_no_finished_step_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StepError, match=r"\. is not a finished step directory"):
        read_manifest(Path())


@pytest.mark.parametrize("text", ["{", "[]", '"step"', '{"name": "my-app"}', "\xff", ""])
def test_a_manifest_that_is_not_ours_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/manifest.json").write_bytes(text.encode("latin-1"))
    for attempt in (lambda: read_manifest(tmp_path / "run"), lambda: make(tmp_path / "run")):
        with pytest.raises(StepError, match=r"manifest\.json"):
            attempt()
    with pytest.raises(StepError, match=r"manifest\.json"):
        step_input(tmp_path / "run", "probe")
    assert contents(tmp_path) == {"run/manifest.json": text.encode("latin-1")}


def test_a_damaged_state_file_is_refused(tmp_path: Path) -> None:
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        step.write_part(0, TABLE)
    (tmp_path / "run.partial/step.json").write_text('{"step": "probe"}')
    with pytest.raises(StepError, match=r"step\.json"):
        make(tmp_path / "run")
    assert len(list((tmp_path / "run.partial/parts").glob("000000-*.parquet"))) == 1


def test_a_step_of_the_wrong_kind_or_place_is_no_input(tmp_path: Path) -> None:
    make(tmp_path / "run")
    assert step_input(tmp_path / "run", "probe").metrics == {"rows": 3}
    with pytest.raises(InputError, match="'probe' step directory, but a 'facts' one"):
        step_input(tmp_path / "run", "facts")
    with pytest.raises(InputError, match="no such step directory"):
        step_input(tmp_path / "none", "probe")


def test_the_manifest_holds_what_made_the_step(tmp_path: Path) -> None:
    step = make(tmp_path / "run")
    manifest = read_manifest(tmp_path / "run")
    assert (manifest.step, manifest.settings, manifest.inputs) == ("probe", SETTINGS, INPUTS)
    assert (manifest.metrics, manifest.plan) == ({"rows": 3}, {})
    assert manifest.fingerprint == step.fingerprint
    assert manifest.started <= manifest.finished
    assert manifest.versions["polars"] == pl.__version__
