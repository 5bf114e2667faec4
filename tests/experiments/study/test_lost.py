"""A number that a record refuses costs its own part, with a line, and never the study after minutes of work."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from helpers_study import settings, trained
from helpers_world import World
from recollect.experiments import cell as cell_module
from recollect.experiments.study import run_study
from recollect.report.chapters.drift.record import Drift
from recollect.report.page.record import Gain, Rate, Share
from recollect.restore import Rung


@pytest.mark.parametrize("kind", [Share, Rate, Gain])
def test_a_sum_of_shares_may_exceed_one_by_rounding_and_no_more(kind: Any) -> None:
    check = TypeAdapter(kind).validate_python
    assert check(1.0000000000000013) == 1.0
    with pytest.raises(ValidationError):
        check(1.001)


def test_a_comparison_that_its_record_refuses_is_a_note_and_the_scores_stand(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        Rung(order="relative", percent=100.0000001)

    monkeypatch.setattr(cell_module, "run_drift", refused)
    study = run_study(settings(world, sizes=[4], choices=["random"], repair=[]), tmp_path / "study")
    assert len(trained(study).cells) == 1 and study.report.is_file()
    [note] = [note for note in study.results.notes if "comparing with the base is left out" in note]
    assert note.startswith("random-4-seed0") and "less than or equal to 100" in note
    assert list((tmp_path / "study").rglob("train-*/model/*.safetensors")), "kept, so that it can be compared later"


def test_a_chapter_that_its_record_refuses_is_a_note_and_the_page_stands(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect = importlib.import_module("recollect.report.chapters.drift.collect")

    def refused(*_: object, **__: object) -> Drift:
        return Drift.model_validate({"region": 3})

    monkeypatch.setattr(collect, "Drift", refused)
    study = run_study(settings(world, sizes=[4], choices=["random"], repair=[]), tmp_path / "study")
    assert "drift" not in study.results.chapters and trained(study).cells
    assert any("chapter 'drift' is left out" in note for note in study.results.notes)
    assert "chapter" in study.report.read_text(encoding="utf-8")
