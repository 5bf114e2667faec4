"""A study with a data curve and a search for settings among its steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers_study import settings
from helpers_world import World
from recollect.errors import InputError
from recollect.experiments.study import StudySettings, run_study
from recollect.report.scores.findings import Findings

SMALL: dict[str, Any] = {"choices": ["random"], "sizes": [4], "measure_drift": False, "repair": [], "few_shot": 0}

FEW = {"select": {"size": 4, "level": "random"}, "finalists": 1, "train": {"batch_size": 2}}


def test_a_curve_is_a_step_of_the_study_and_a_chapter_of_its_page(world: World, tmp_path: Path) -> None:
    curve = {"sizes": [4, 6, 8], "repeats": 1, "train": {"batch_size": 2}}
    asked = settings(world, **SMALL, curve=curve)
    study = run_study(asked, tmp_path / "study")
    assert study.found.steps == 6 and not study.failed and "curve" in study.results.chapters
    manifest = json.loads((study.path / "steps/curve/manifest.json").read_text())
    assert manifest["settings"]["sizes"] == [4, 6, 8] and manifest["settings"]["train"]["batch_size"] == 2
    assert manifest["settings"]["train"]["learning_rate"] == 1e-3, "the study's"
    assert manifest["metrics"]["sources"]["levels"].endswith("study/steps/probe")
    other = run_study(settings(world, **{**SMALL, "repeats": 2}, curve=curve), tmp_path / "other")
    assert (other.found.steps, other.found.reused) == (9, 6), "the curve is taken whole"


def test_a_search_that_fails_costs_no_more_than_itself(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recollect.experiments.search import run as search_run

    def broken(*_: object, **__: object) -> None:
        raise InputError("no trial could be finished.")

    asked = settings(world, **SMALL, search={"trials": 2, "space": {"learning_rate": [1e-3, 2e-3]}, **FEW})
    with monkeypatch.context() as patch:
        patch.setattr(search_run, "run_search", broken)
        half = run_study(asked, tmp_path / "study")
    assert [(one.name, one.reason) for one in half.failed] == [("search", "no trial could be finished.")]
    assert half.found.cells == 1 and half.report.is_file()
    whole = run_study(asked, tmp_path / "study")
    assert not whole.failed and whole.reused == 5 and "search" in whole.results.chapters
    findings = whole.results.of(Findings)
    needs = {one.id: one.deciding.needs for one in findings.findings} if findings else {}
    assert "section curve" in needs[13] and "trained to the end" in needs[16] and "repeats" in needs[17]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"curve": {"sizez": [1]}}, "curve: .*unknown setting 'sizez'"),
        ({"curve": {"model": "x"}}, "curve must not set model"),
        ({"search": {"probe": {}}}, "search must not set probe"),
        ({"search": {"trials": 0}}, "search: .*trials"),
    ],
)
def test_a_bad_section_is_refused_before_any_work(changed: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        StudySettings.make(**changed)
    assert not {"curve", "search"} & StudySettings.make().fingerprint_values().keys()
