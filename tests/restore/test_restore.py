"""Restoring as a step: whole or absent, found again, and the inputs never touched."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pairs
from pairs import restore
from recollect.core.workspace import read_manifest
from recollect.errors import InputError, ModelError, StepError
from recollect.models import find_model
from recollect.weights import open_pair


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """A good pair on disk, bfloat16, tuned in three shards."""
    base, tuned = pairs.weights()
    return (
        pairs.write(tmp_path / "base", base, dtype="bfloat16"),
        pairs.write(tmp_path / "tuned", tuned, dtype="bfloat16", shards=3, metadata={"who": "tuned"}),
    )


# -- a step directory ---------------------------------------------------------------------------------------


def test_it_is_a_step_directory_found_again_and_usable_as_a_model(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    first = restore(*sides, 20, root=tmp_path / "runs")
    assert find_model(str(first.path)) == first.model
    manifest = read_manifest(first.path)
    assert manifest.step == "restore"
    assert manifest.settings == {
        "percent": 20.0, "order": "relative", "region": "decoder", "per_tensor": False, "seed": 0,
    }  # fmt: skip
    assert set(manifest.metrics["crc32"]) == {f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)}
    before = pairs.contents(first.path)
    assert restore(*sides, 20, root=tmp_path / "runs") == first
    assert pairs.contents(first.path) == before
    json_ = first.answer()
    assert set(json_) == {"restored", "of", "changed", "percent", "seconds", "peak_rss_mb", "out"}
    assert json_["peak_rss_mb"] > 10 and json_["out"] == str(first.path)
    with open_pair(sides[0], first.path) as pair:  # a restored model is a model
        assert len(pair.sizes) == len(pairs.NAMES) + 3


def test_other_inputs_or_settings_do_not_take_a_finished_place(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    restore(*sides, 20, out=tmp_path / "out")
    before = pairs.contents(tmp_path / "out")
    with pytest.raises(StepError, match=r"percent was 20.0, now 40.0"):
        restore(*sides, 40, out=tmp_path / "out")
    other = pairs.write(tmp_path / "other", pairs.weights(1)[1], dtype="bfloat16", shards=3)
    with pytest.raises(StepError, match="input tuned was"):
        restore(sides[0], other, 20, out=tmp_path / "out")
    assert pairs.contents(tmp_path / "out") == before


def test_progress_rises_to_its_total(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    told: list[tuple[int, int]] = []
    restore(*sides, 20, out=tmp_path / "out", progress=lambda *at: told.append(at))
    done = [at for at, _ in told]
    assert done == sorted(done)
    assert done[-1] == told[-1][1] and len({of for _, of in told}) == 1


# -- refused, with nothing left -----------------------------------------------------------------------------


def refused(kind: type[Exception], said: str, tmp_path: Path, *arguments: Any, **named: Any) -> None:
    """The error's text; no output and no weights are left, and the inputs are as they were."""
    before = pairs.contents(tmp_path)
    with pytest.raises(kind) as refusal:
        restore(*arguments, out=tmp_path / "out", **named)
    assert said in str(refusal.value)
    assert not (tmp_path / "out").exists()
    after = pairs.contents(tmp_path)
    assert {name for name in after if name not in before} <= {"out.partial/step.json", "out.partial/.lock"}
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"percent": 120}, "percent: input should be less than or equal to 100, but got 120"),
        ({"order": "best"}, "order: input should be 'relative'"),
        ({"region": "heads"}, "region must be"),
    ],
)
def test_bad_settings(tmp_path: Path, sides: tuple[Path, Path], settings: dict[str, Any], said: str) -> None:
    refused(InputError, said, tmp_path, *sides, **settings)
    assert restore(*sides, out=tmp_path / "out").found.restored > 0  # the place was not taken


def test_nan_outside_the_region_is_refused_too(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    tuned["model.norm.weight"][3] = np.inf
    folders = pairs.write(tmp_path / "b", base), pairs.write(tmp_path / "t", tuned)
    refused(ModelError, "the tuned model's weight model.norm.weight holds NaN or infinite", tmp_path, *folders)


def test_a_full_disk_is_told_first(tmp_path: Path, sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr("recollect.restore.run.rank", lambda *a, **k: pytest.fail("began to work"))
    refused(StepError, "no room in", tmp_path, *sides)


def test_a_disk_that_fills_up_on_the_way_gives_its_room_back(
    tmp_path: Path, sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    real, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr("recollect.weights.write.os.fsync", full)
    refused(StepError, "could not be written: No space left on device", tmp_path, *sides)
    monkeypatch.setattr("recollect.weights.write.os.fsync", real)
    assert restore(*sides, out=tmp_path / "out").found.restored > 0


def test_written_bytes_that_are_not_what_was_meant_are_found(
    tmp_path: Path, sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recollect.weights import write as _write

    real = _write._verify

    def spoil(pair: Any, cut: Any, folder: Path, written: Any) -> None:
        with (folder / "model-00002-of-00003.safetensors").open("rb+") as file:
            file.seek(-5, 2)
            file.write(b"x")
        real(pair, cut, folder, written)

    monkeypatch.setattr(_write, "_verify", spoil)
    refused(ModelError, "model-00002-of-00003.safetensors does not hold what was written", tmp_path, *sides)


def test_models_that_change_while_they_are_read_are_found(
    tmp_path: Path, sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recollect.restore import run as _restore

    real = _restore.write_model

    def changed(pair: Any, *rest: Any) -> Any:
        tuned = pairs.read(sides[1])
        other = {name: value + 1 if "q_proj" in name else value for name, value in tuned.items()}
        shutil.rmtree(sides[1])
        pairs.write(sides[1], other, dtype="bfloat16", shards=3, metadata={"who": "tuned"})
        with open_pair(*sides) as again:
            return real(again, *rest)

    monkeypatch.setattr(_restore, "write_model", changed)
    with pytest.raises(ModelError, match="changed while they were read"):
        restore(*sides, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_out_of_the_folder_is_not_copied(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    (tmp_path / "secret.json").write_text("{}")
    (sides[1] / "vocab.json").symlink_to(tmp_path / "secret.json")
    refused(ModelError, "vocab.json is a link that leads out", tmp_path, *sides)


def test_a_hub_caches_links_to_its_own_blobs_are_followed(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    cache = tmp_path / "models--a--b"
    (cache / "blobs").mkdir(parents=True)
    snapshot = cache / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sides[1].iterdir()):
        shutil.copyfile(file, cache / "blobs" / str(number))
        (snapshot / file.name).symlink_to(Path("../../blobs") / str(number))
    linked = restore(sides[0], snapshot, out=tmp_path / "linked")
    plain = restore(*sides, out=tmp_path / "plain")
    assert pairs.contents(linked.model) == pairs.contents(plain.model)
    assert not any(file.is_symlink() for file in linked.model.iterdir())


@pytest.mark.parametrize("which", [0, 1])
def test_an_output_inside_an_input_is_refused(tmp_path: Path, sides: tuple[Path, Path], which: int) -> None:
    before = pairs.contents(tmp_path)
    with pytest.raises(InputError, match="out must lie outside the models"):
        restore(*sides, out=sides[which] / "restored")
    assert pairs.contents(tmp_path) == before


# -- killed -------------------------------------------------------------------------------------------------


def test_a_kill_at_any_change_to_the_disk_leaves_no_output_or_a_whole_one(
    tmp_path: Path, sides: tuple[Path, Path]
) -> None:
    moments = [f"disk:{number}" for number in range(2, 27)] + [f"piece:{number}" for number in (1, 10, 26, 30, 40)]
    inputs = [pairs.contents(side) for side in sides]
    (tmp_path / "lives").mkdir()
    program = Path(__file__).with_name("killing.py")
    done = subprocess.run(
        [sys.executable, str(program), *map(str, sides), str(tmp_path / "lives"), *moments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lives = [json.loads(line) for line in done.stdout.splitlines()]
    whole = pairs.contents(restore(*sides, 20, out=tmp_path / "wanted").model)
    assert [life["when"] for life in lives] == moments
    assert sum(life["ended"] == "killed" for life in lives) >= 20
    for life in lives:
        assert life["ended"] in ("killed", "exit 0"), life
        assert ("out" in life["left"]) <= (life["left"] == ["out"]), life
        assert life["again"] == "exit 0", life
        folder = tmp_path / "lives" / life["when"].replace(":", "-")
        assert sorted(file.name for file in folder.iterdir()) == ["out"]
        assert pairs.contents(folder / "out" / "model") == whole
    assert {"out.partial", "out"} <= {name for life in lives if life["ended"] == "killed" for name in life["left"]}
    assert [pairs.contents(side) for side in sides] == inputs


# -- memory -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    """20 MB and 200 MB a side in processes of their own: both far below the size of the larger pair."""
    peaks = []
    for millions in (10, 100):
        rng = np.random.default_rng(0)
        shape = (millions * 1000, 1000)
        base = {"model.layers.0.mlp.up_proj.weight": rng.standard_normal(shape, np.float32)}
        tuned = {name: value + np.float32(0.01) for name, value in base.items()}
        folders = [
            pairs.write(tmp_path / f"{n}{millions}", side, dtype="bfloat16") for n, side in (("b", base), ("t", tuned))
        ]
        code = (
            "import sys; from pathlib import Path; from recollect.restore import RestoreSettings, run_restore\n"
            "print(run_restore(RestoreSettings(), sys.argv[1], sys.argv[2], out=Path(sys.argv[3])).found.peak_rss_mb)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, folders), str(tmp_path / f"out{millions}")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(float(done.stdout))
    assert peaks[1] < peaks[0] + 40
    assert peaks[1] < 300
