"""Damaged, foreign and planted files: one line that names the file, and never another result."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from helpers_world import PROBE, World, contents, make_world
from recollect.core.workspace import (
    Manifest,
    Step,
    open_step,
    read_manifest,
    step_input,
    update_checksums,
    write_atomic,
)
from recollect.core.workspace import (
    manifest as _checksums,
)
from recollect.errors import RecollectError, RecollectWarning, StepError
from recollect.models import find_model
from recollect.probe import ProbeSettings, run_probe
from recollect.select import read_levels

SETTINGS: dict[str, Any] = {"samples": 4}
INPUTS = {"facts": "f"}
TABLE = pl.DataFrame({"n": [1, 2, 3]})


@pytest.fixture(autouse=True)
def nothing_was_checked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_checksums, "_checked", set())


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail, rather than hang, when reading blocks."""

    def late(*_: object) -> None:
        raise AssertionError(f"still waiting after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def make(out: Path, name: str = "probe", settings: dict[str, Any] = SETTINGS, parts: int = 3) -> Step:
    """A finished step of three parts, a table and a file in a folder; resumes what it finds."""
    with open_step(name, settings, INPUTS, out) as step:
        if not step.done:
            begin(step, range(parts))
            step.write_table("t.parquet", step.read_parts(parts))
            (step.folder / "model").mkdir()
            (step.folder / "model/config.json").write_text("{}")
            (step.folder / "model/model.safetensors").write_bytes(bytes(range(256)) * 8)
            step.finish({"rows": 9})
    return step


def begin(step: Step, indices: range) -> list[int]:
    """Compute the parts that are missing; which ones those were."""
    missing = [index for index in indices if not step.has_part(index)]
    for index in missing:
        step.write_part(index, TABLE.with_columns(part=index))
    return missing


def flip(file: Path, bit: int) -> None:
    """Change one bit, as a failing disk does: the time of the file stays."""
    times = file.stat()
    data = bytearray(file.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


# -- a finished step ------------------------------------------------------------------------------------


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def grow(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


def middle(file: Path) -> None:
    flip(file, 4 * file.stat().st_size)


def remove(file: Path) -> None:
    file.unlink()


def to_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def to_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("how", [cut, grow, middle, remove, to_a_pipe, to_a_folder])
@pytest.mark.parametrize("name", ["t.parquet", "model/config.json"])
def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path, name: str, how: Callable[[Path], None]) -> None:
    out = make(tmp_path / "run").path
    how(out / name)
    with within(10):
        for attempt in (lambda: make(out), lambda: step_input(out, "probe"), lambda: read_manifest(out)):
            with pytest.raises(StepError) as refusal:
                attempt()
            said = str(refusal.value)
            assert str(out / name) in said
            assert f"delete {out} and run its command again" in said
            assert len(said.splitlines()) == 1


@pytest.mark.parametrize("how", [cut, middle, remove])
def test_weights_are_checked_byte_by_byte_where_a_model_is_loaded_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(_checksums, "HASH_ALWAYS", 1000)  # the weights have 2,048 bytes
    out = make(tmp_path / "run").path
    assert find_model(str(out)) == out / "model"
    how(out / "model/model.safetensors")
    _checksums._checked.clear()  # another process
    if how is not cut:
        assert read_manifest(out).step == "probe"  # cheap checks alone; weights may have been dropped
    monkeypatch.chdir(out / "model")
    for place in (out, out / "model", Path()):
        with pytest.raises(StepError, match=r"model/model\.safetensors is (damaged|missing)"):
            find_model(str(place))


def test_a_file_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    one, other = make(tmp_path / "one").path, make(tmp_path / "other", settings={"samples": 5}, parts=2).path
    shutil.copy(other / "t.parquet", one / "t.parquet")
    with pytest.raises(StepError, match=r"one/t\.parquet is damaged"):
        read_manifest(one)


def test_a_step_inside_a_step_is_vouched_for_by_its_manifest(tmp_path: Path) -> None:
    with open_step("study", SETTINGS, INPUTS, tmp_path / "study") as step:
        (step.folder / "steps").mkdir()
        make(step.folder / "steps/probe")
        step.finish()
    out = tmp_path / "study"
    assert set(read_manifest(out).files) == {"steps/probe/manifest.json"}
    (out / "steps/probe/manifest.json").write_text(
        (out / "steps/probe/manifest.json").read_text().replace('"rows": 9', '"rows": 8')
    )
    with pytest.raises(StepError, match=r"steps/probe/manifest\.json is damaged"):
        read_manifest(out)


def test_a_number_changed_in_a_manifest_is_no_result(tmp_path: Path) -> None:
    file = make(tmp_path / "run").path / "manifest.json"
    file.write_text(file.read_text().replace('"rows": 9', '"rows": 8'))
    for attempt in (lambda: make(tmp_path / "run"), lambda: read_manifest(tmp_path / "run")):
        with pytest.raises(StepError, match=r"manifest\.json is damaged"):
            attempt()


def test_a_folder_of_an_earlier_version_is_read_with_a_note(tmp_path: Path) -> None:
    out = make(tmp_path / "run").path
    manifest = json.loads((out / "manifest.json").read_text())
    old = {key: value for key, value in manifest.items() if key not in ("files", "checksum")}
    (out / "manifest.json").write_text(json.dumps(old))
    with pytest.warns(RecollectWarning, match="carry no checksums"):
        assert read_manifest(out).metrics == {"rows": 9}
    with pytest.warns(RecollectWarning, match="carry no checksums"):
        assert make(out).done


def test_a_page_made_anew_gets_its_checksum(tmp_path: Path) -> None:
    out = make(tmp_path / "run").path
    (out / "report.html").write_text("new")
    (out / "t.parquet").write_bytes(b"made anew")
    update_checksums(out)
    assert {"report.html", "t.parquet"} <= set(read_manifest(out).files)


def test_two_hundred_flipped_bits_in_a_finished_probe_never_give_another_result(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    world: World = make_world(tmp_path / "world")
    settings = ProbeSettings.make(model=str(world.model), facts=str(world.facts), batch_size=8, **PROBE)
    out = run_probe(settings, world.fact_set, tmp_path / "probe").path
    whole, files = read_levels(out), sorted(file for file in out.rglob("*") if file.is_file())
    draw, refused = random.Random(13), 0
    for number in range(200):
        file = draw.choice(files)
        data = file.read_bytes()
        flip(file, draw.randrange(8 * len(data)))
        _checksums._checked.clear()
        try:
            manifest = read_manifest(out)
            if file.name == "manifest.json":  # a blank of it changed, say, or the name of its checksum
                stored = Manifest.model_validate_json(data)
                assert all(getattr(manifest, name) == getattr(stored, name) for name in Manifest.model_fields)
            assert read_levels(out).equals(whole)
            if number % 10 == 0:
                assert run_probe(settings, world.fact_set, out).levels.equals(whole)
        except RecollectError as error:
            assert file.name in str(error)  # noqa: PT017  # which file is named is the point, and most flips are refused
            refused += 1
        file.write_bytes(data)
    assert refused > 150


# -- an unfinished one ----------------------------------------------------------------------------------


def part_file(step: Step, index: int) -> Path:
    path = step.part_path(index)
    assert path is not None
    return path


@pytest.mark.parametrize("how", [cut, grow, middle])
def test_a_damaged_part_is_made_anew(tmp_path: Path, how: Callable[[Path], None]) -> None:
    whole = make(tmp_path / "whole").path
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        begin(step, range(2))
        how(part_file(step, 1))
    with (
        pytest.warns(RecollectWarning, match=r"parts/000001-.* was damaged"),
        open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step,
    ):
        assert begin(step, range(3)) == [1, 2]
    assert contents(make(tmp_path / "run").path)["t.parquet"] == contents(whole)["t.parquet"]


def test_a_part_of_another_step_or_batch_is_made_anew(tmp_path: Path) -> None:
    with open_step("probe", {"samples": 5}, INPUTS, tmp_path / "other") as step:
        begin(step, range(1))
        foreign = part_file(step, 0)
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        begin(step, range(2))
        parts = part_file(step, 0).parent
        shutil.copy(part_file(step, 0), parts / part_file(step, 0).name.replace("000000", "000002"))
        part_file(step, 0).unlink()
        shutil.copy(foreign, parts)
    with (
        pytest.warns(RecollectWarning, match="of another step"),
        open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step,
    ):
        assert begin(step, range(3)) == [0, 2]


def test_a_part_damaged_while_the_step_is_open_is_an_error_and_the_next_run_makes_it_anew(tmp_path: Path) -> None:
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        begin(step, range(3))
        middle(part_file(step, 2))
        with pytest.raises(StepError, match="Run the same command again"):
            step.read_parts(3)
    with pytest.warns(RecollectWarning):
        assert make(tmp_path / "run").done


def test_a_plan_changed_in_step_json_is_refused(tmp_path: Path) -> None:
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        step.pin(batch=64)
    file = tmp_path / "run.partial/step.json"
    file.write_text(file.read_text().replace('"batch": 64', '"batch": 65'))
    with pytest.raises(StepError, match=r"step\.json is damaged"):
        make(tmp_path / "run")


# -- planted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [".lock", "step.json", "manifest.json", "parts", "model", "t.parquet", "queue.json", "trials/000/x"]
)
@pytest.mark.parametrize("kind", ["file", "folder", "nowhere", "pipe"])
def test_what_is_planted_in_an_unfinished_folder_is_not_followed(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/data").write_text("years of work")
    place = tmp_path / "run.partial" / name
    place.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(tmp_path / {"file": "victim/data", "folder": "victim", "nowhere": "victim/new"}[kind])
    before = contents(tmp_path / "victim")
    with within(10), pytest.raises(StepError) as refusal:
        make(tmp_path / "run")
    assert str(place) in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
    assert contents(tmp_path / "victim") == before
    assert not (tmp_path / "run").exists()


def test_a_link_for_the_unfinished_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run.partial").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StepError, match=r"run\.partial is a link"):
        make(tmp_path / "run")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_at_a_name_that_an_earlier_version_wrote_to_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("years of work")
    (tmp_path / "step.json.tmp").symlink_to(tmp_path / "victim")
    write_atomic(tmp_path / "step.json", lambda file: file.write(b"new"))
    assert (tmp_path / "victim").read_text() == "years of work"
    (tmp_path / "target").symlink_to(tmp_path / "victim")
    write_atomic(tmp_path / "target", lambda file: file.write(b"new"))  # the link itself is replaced
    assert (tmp_path / "victim").read_text() == "years of work"
    assert not (tmp_path / "target").is_symlink()


def test_what_a_killed_process_had_half_written_is_removed(tmp_path: Path) -> None:
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        begin(step, range(1))
        for place in (step.folder, step.folder / "parts"):
            (place / "t.parquet.0a1b2c3d.tmp").write_text("half")
    assert not [name for name in contents(make(tmp_path / "run").path) if name.endswith(".tmp")]
