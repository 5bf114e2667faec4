"""The findings of a real small study, and of a grid of two: read from their step folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from helpers_study import settings, trained
from helpers_world import World
from recollect.cli.study import study_answer
from recollect.core.workspace import open_step
from recollect.core.workspace.experiment import GridFound, GridPart
from recollect.evaluate import EvaluateResult
from recollect.experiments.study import StudyResult, run_study
from recollect.report.chapters.findings.checks.studied import BASE, FEW_SHOT, Studied
from recollect.report.chapters.findings.collect import collect
from recollect.report.chapters.findings.read import read
from recollect.report.page.chapter import Source
from recollect.report.scores.findings import Findings
from recollect.report.scores.parts import Part
from recollect.restore import LadderFound


@pytest.fixture(scope="module")
def study(whole: StudyResult) -> Studied:
    found = read(Part("", "base", "facts", "full", Source(whole.path, "study")), "base")
    assert found is not None
    return found


def test_every_cell_is_read_with_the_verdicts_of_its_answers(study: Studied, whole: StudyResult) -> None:
    assert sorted(study.cells) == [("0", 4), ("0", 8), ("random", 4), ("random", 8)]
    assert study.sizes == [4, 8]
    for cell, rows in study.test.scores.items():
        folder = {BASE: "base", FEW_SHOT: "base-few-shot"}.get(cell, f"evaluate-{cell[0]}-{cell[1]}-seed0")
        accuracy = EvaluateResult(whole.path / "steps" / folder).found.accuracy["test"]
        assert rows.shape == (1, 20) and rows.mean() == pytest.approx(accuracy.micro.value)  # type: ignore[union-attr]
    assert study.ood is not None and study.ood.scores[BASE].shape == (1, 8)
    levels = EvaluateResult(whole.path / "steps" / "base").outputs().filter(part="test").sort("fact_id")["level"]
    assert study.test.levels.tolist() == levels.to_list()
    assert study.graded is not None and len(study.graded.facts) == 68


def test_drift_and_ladders_are_read(study: Studied, whole: StudyResult) -> None:
    assert set(study.drifted) == set(study.cells)
    assert all(one.change > 0 and 0 < one.share_top <= 1 for (one,) in study.drifted.values())  # type: ignore[operator]
    ladders = study.ladders
    assert ladders is not None and list(ladders.cells) == [("random", 8)] and ladders.main == "relative"
    rungs = ladders.cells["random", 8].rungs
    found = LadderFound.read(whole.path / "steps" / "ladder-random-8-seed0").rungs
    assert {(rung.order, rung.percent) for rung in found} == set(rungs)
    for rung in found:
        assert rung.micro is not None
        assert rungs[rung.order, rung.percent].mean() == pytest.approx(rung.micro.value)
    assert rungs["tuned", 0.0].mean() == study.test.scores["random", 8].mean()
    assert 0 < np.asarray(ladders.choosing).sum() <= 10


def test_with_one_training_each_the_page_has_the_chapter_and_no_verdict(whole: StudyResult) -> None:
    found = whole.results.of(Findings)
    assert found is not None and found.tested == 0
    assert [one.id for one in found.findings] == [1, 2, 3, 4, 7, 8, 9, 10, 11, 12]
    assert all(one.verdict == "not decided here" and one.deciding.needs for one in found.findings)
    assert "findings, tested here" in whole.report.read_text(encoding="utf-8")
    assert all(one["low"] is None for one in found.answer())
    assert study_answer(whole, trained(whole))["findings"] == found.answer()


def test_a_second_seed_and_a_second_model_are_tested(world: World, whole: StudyResult, tmp_path: Path) -> None:
    cheap = settings(world, repeats=2, sizes=[4], measure_drift=False, repair=())
    second = run_study(cheap, tmp_path / "second")
    parts = []
    with open_step("grid", {"title": "two"}, {}, tmp_path / "grid") as step:
        for name, model, path in (
            ("one-full", "runs/one/model", whole.path),
            ("two-full", "runs/two/model", second.path),
        ):
            part = GridPart(name=name, model=model, data="facts", method="full")
            shutil.copytree(path, step.folder / part.folder)
            parts.append(part)
        step.finish(GridFound(parts=tuple(parts), cells=6))
    found = collect(Source(tmp_path / "grid", "grid"))
    assert found is not None
    named = {(one.id, one.part) for one in found.findings}
    assert {(1, "one-full"), (1, "two-full"), (5, ""), (6, "")} <= named
    shares = next(one for one in found.findings if one.id == 5).checks[0]
    assert shares.effect is not None and shares.effect.value < 0  # one and the same probe, and what its draws show
    assert shares.rows[0].value == 0.0 and shares.rows[1].value == pytest.approx(-shares.effect.value)
    assert shares.effect.n == 68
    tables = [pl.read_parquet(path / "steps" / "probe" / "levels.parquet") for path in (whole.path, second.path)]
    assert tables[0]["level"].to_list() == tables[1]["level"].to_list()
