"""A study with one changed setting repeats only what that setting decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers_study import settings, trained
from helpers_world import World
from recollect.experiments import cell as cell_module
from recollect.experiments.plan import Assume, plan_study
from recollect.experiments.study import StudyResult, run_study


@pytest.fixture(scope="module")
def first(world: World, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return run_study(settings(world, sizes=[4], repair=["random"]), tmp_path_factory.mktemp("studies") / "first")


def test_without_the_ladder_nothing_is_trained_again(
    first: StudyResult, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(cell_module, "run_train_until", never)
    said: list[str] = []
    again = run_study(settings(world, sizes=[4], repair=[]), first.path.parent / "again", say=said.append)
    assert trained(again) == trained(first)
    assert any("2 selections, 2 trainings" in text and "2 of 2 trained models" in text for text in said)
    assert not list(again.path.glob("steps/ladder-*")) and list(first.path.glob("steps/ladder-*"))


def test_what_the_probe_chose_is_said_before_the_trainings(world: World, tmp_path: Path) -> None:
    said: list[str] = []
    probe = {"method": "auto", "templates": 2, "samples": 4, "max_new_tokens": 8}
    run_study(settings(world, sizes=[4], repair=[], probe=probe), tmp_path / "study", say=said.append)
    assert said[0].startswith("the probe chose: "), said


def test_another_rate_trains_anew_and_takes_the_probe(first: StudyResult, world: World) -> None:
    said: list[str] = []
    other = run_study(
        settings(world, sizes=[4], repair=[], train={"learning_rate": 3e-3, "batch_size": 4}),
        first.path.parent / "other",
        say=said.append,
    )
    assert any("2 selections); 0 of 2 trained models" in text for text in said)
    assert other.results.chapters["knows"] == first.results.chapters["knows"]
    assert trained(other) != trained(first)


def test_another_probe_takes_nothing_and_neither_does_a_damaged_step(
    first: StudyResult, world: World, tmp_path: Path
) -> None:
    import shutil

    said: list[str] = []
    probe = {"templates": 2, "samples": 4, "max_new_tokens": 8}
    run_study(settings(world, sizes=[4], repair=[], probe=probe), first.path.parent / "probe", say=said.append)
    assert not any("found again" in text for text in said)
    shutil.copytree(first.path, tmp_path / "damaged")
    table = next((tmp_path / "damaged" / "steps").glob("evaluate-random-*/outputs.parquet"))
    table.write_bytes(table.read_bytes()[:-8] + b"8 bytes!")
    run_study(settings(world, sizes=[4], repair=[]), tmp_path / "again", say=said.append)
    assert any("1 of 2 trained models" in text for text in said)


def test_what_is_gone_is_taken_from_a_study_beside_it_and_the_plan_says_so(
    first: StudyResult, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import shutil

    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(cell_module, "run_train_until", never)
    asked, said = settings(world, sizes=[4], repair=["random"]), list[str]()
    for name in ("whole", "torn"):
        shutil.copytree(first.path, tmp_path / name)
    for step in ("train", "drift"):
        shutil.rmtree(tmp_path / "torn" / "steps" / f"{step}-0-4-seed0")
    plan = plan_study(asked, tmp_path / "torn", assume=Assume(calibrate=False))
    assert (plan.steps - plan.there, plan.training_steps) == (0, 0)
    repaired = run_study(asked, tmp_path / "torn", say=said.append)
    assert trained(repaired) == trained(first)
    assert any(text.startswith("missing: drift-0-4-seed0, train-0-4-seed0") for text in said)
    assert any("2 of 12 steps (1 training, 1 comparison)" in text for text in said), said
    assert not any("to come" in text for text in said), "nothing is left to train"
    again = run_study(asked, tmp_path / "torn")
    assert again.before and again.reused == again.found.steps


def test_what_was_asked_of_another_training_is_not_mixed_in(first: StudyResult, world: World, tmp_path: Path) -> None:
    import json
    import shutil

    asked = settings(world, sizes=[4], repair=["random"])
    for name in ("whole", "torn"):
        shutil.copytree(first.path, tmp_path / name)
    shutil.rmtree(tmp_path / "torn" / "steps" / "drift-0-4-seed0")
    other = tmp_path / "whole" / "steps" / "drift-0-4-seed0" / "manifest.json"
    manifest = json.loads(other.read_text())
    manifest["inputs"]["tuned"] = "another"
    other.write_text(json.dumps(manifest))
    plan = plan_study(asked, tmp_path / "torn", assume=Assume(calibrate=False))
    assert (plan.steps - plan.there, plan.training_steps) == (2, 1)
