"""Attribute Extraction's findings: verdicts on invented curves and searches, what is missing, and what is read."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from helpers_extracted import Pages, Trials, curve, exact_curve, search
from helpers_script import load_script
from recollect.core.estimates import Estimate, TopOverlap, Trainings
from recollect.experiments.search.held_out_test import Finalist, HeldOut
from recollect.experiments.search.results import rungs_table, trials_table
from recollect.experiments.search.results import test_table as finalists_table
from recollect.experiments.search.settings import Plan
from recollect.experiments.search.space import Space
from recollect.experiments.search.trial import Trial
from recollect.experiments.search.validation import Points
from recollect.report import make_results, render
from recollect.report.chapters.findings.checks.extracted import Curved, Extracted, Searched, Tried
from recollect.report.chapters.findings.checks.studied import BASE, UNTRAINED
from recollect.report.chapters.findings.judge import judge
from recollect.report.chapters.findings.literature import literature
from recollect.report.chapters.findings.read_extras import read_extras
from recollect.report.page.chapter import Source
from recollect.report.scores.findings import FindingFound, Findings
from recollect.report.scores.parts import Part

PAGES = range(13, 20)


def by_id(*studies: Extracted) -> dict[int, FindingFound]:
    return {one.id: one for one in judge([], studies).findings}


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_script("benchmarks/findings_pages.py")


@pytest.fixture(scope="module")
def published(bench: ModuleType) -> Findings:
    """Clearly as the paper says: many pages and trials, little noise."""
    _, trials, _ = bench.WORLDS["as published"]
    pages = Pages(score=bench.as_published, pages=600, spread=0.005, alike=0.3, seeds=4)
    random = np.random.default_rng(0)
    clear = Trials(trials.score, trials.broken, noise=1.5, early=0.95, gain=0.2, trials=60, searches=6)
    return judge([], [Extracted("", curve(pages, random), search(clear, random))])


def test_where_all_is_as_published_every_finding_is_confirmed(published: Findings) -> None:
    assert {one.id: one.verdict for one in published.findings} == dict.fromkeys(PAGES, "confirmed")
    assert published.tested == 10


def test_where_all_is_the_other_way_round_they_are_refuted(bench: ModuleType) -> None:
    _, trials, _ = bench.WORLDS["the opposite"]
    pages = Pages(score=bench.turned_round, pages=400, spread=0.005, seeds=4)
    clear = Trials(trials.score, trials.broken, noise=1.5, early=-0.95, gain=-0.2, trials=80, searches=6)
    random = np.random.default_rng(1)
    found = by_id(Extracted("", curve(pages, random), search(clear, random)))
    assert {number: found[number].verdict for number in range(13, 19)} == dict.fromkeys(range(13, 19), "refuted")
    by_alpha = Trials(trials.score, noise=1.5, early=0.95, trials=60)
    assert by_id(Extracted("", None, search(by_alpha, random)))[19].verdict == "refuted"


def test_the_exact_curve_has_the_numbers_by_hand(bench: ModuleType) -> None:
    found = by_id(Extracted("", exact_curve(Pages(score=bench.as_published))))
    score = {size: np.mean([bench.as_published(size, at) for at in range(6)]) for size in (0, 200, 1000, 6500, 10000)}
    assert [check.value for check in found[13].checks] == pytest.approx(
        [score[200] - score[0], score[200] - score[0] / 2 - score[6500] / 2]
    )
    assert [check.value for check in found[14].checks] == pytest.approx([score[6500] - score[1000], 0], abs=1e-12)
    assert found[15].checks[0].value == pytest.approx((0.85 - 0.55) - (0.96 - 0.93))
    assert {one.verdict for one in found.values()} == {"not decided here"}
    assert "repeats in the section curve" in found[13].deciding.needs  # each trained once


def test_without_any_effect_few_studies_have_a_false_verdict(bench: ModuleType) -> None:
    """Of 10 studies more than 3 are wrong in 1 of 900 cases where 5 % may be; alone at 95 % any check in at most 3."""
    alone, _, _, any_wrong = bench.simulate("no effect, two seeds and searches", 10, seed=2)
    assert any_wrong <= 3 and max(alone[0.95].values(), default=0) <= 3


@pytest.mark.slow
def test_no_world_has_a_false_verdict_in_more_than_one_of_twenty_studies(bench: ModuleType) -> None:
    """60 studies of every world; where 5 % may be wrong, more than 8 are in 1 of 250 cases."""
    for world in bench.WORLDS:
        alone, _, _, any_wrong = bench.simulate(world, 60, seed=4)
        assert any_wrong <= 8 and max(alone[0.95].values(), default=0) <= 8, world


def test_what_is_missing_is_named() -> None:
    bare = by_id(Extracted("a"))
    assert sorted(bare) == list(PAGES) and all(one.part == "a" for one in bare.values())
    for number, one in bare.items():
        section = "curve" if number < 16 else "search"
        assert all(f"add a section {section}" in check.needs for check in one.checks)
    small = curve(Pages(sizes=(15, 30), seeds=2), np.random.default_rng(0))
    few = Searched(0.5, [Tried({"learning_rate": 1e-3}, 50.0, 50.0)] * 3, [])
    needs = {one.id: one.deciding.needs for one in by_id(Extracted("", small, few)).values()}
    assert "add 200" in needs[13] and "add 6500" in needs[14] and "add 1000" in needs[15]
    assert "50 % of their training: set rungs to 0.2,1" in needs[16] and "baseline" in needs[17]
    assert "lora_alpha" in needs[18] and "learning rate" in needs[19]
    whole = curve(Pages(sizes=(60, 200), seeds=2), np.random.default_rng(0))
    assert "add 0 to the sizes" in by_id(Extracted("", whole))[13].deciding.needs


def test_on_facts_no_attribute_is_rare() -> None:
    levels = np.repeat([0, 4], 30)
    scores = {cell: np.ones((2, 60)) for cell in [BASE, ("trained", 1000), ("trained", 4000)]}
    found = by_id(Extracted("", Curved(Trainings(scores, levels, UNTRAINED, shared=4.0))))
    assert "product pages" in found[15].deciding.needs and found[14].checks[0].value == 0


def test_the_overlap_of_the_best_is_exact_without_any_relation() -> None:
    """4 of 5 among 20 by a blind guess: 76 ways of 15,504."""
    pairs = [(float(-at), float(-at if at < 4 else 20 if at == 19 else -30)) for at in range(20)]
    top = TopOverlap(pairs)
    assert (top.k, top.shared, top.value, top.by_chance) == (5, 4, 0.8, 0.25)
    chance = 2 * 76 / 15_504
    assert top.at(1 - 1.01 * chance).low > 0.25 > top.at(1 - 0.99 * chance).low
    assert top.at(0.95).high > 0.8 and TopOverlap([(at, at) for at in range(10)]).at(0.95).high == pytest.approx(1)


def test_the_chapter_shows_them_with_the_papers_figures(published: Findings) -> None:
    frame = {"title": "x", "created": "2026-01-01", "version": "0"}
    html = render(make_results({**frame, "chapters": {"findings": published.model_dump(mode="json")}}))
    for number in PAGES:
        assert literature()[number].title in html
    assert "70 % right with no example, 88 % with 200" in html and "arXiv 2407.13906" in html
    assert "+18.0 points" in html and "80.0 %" in html


# -- what is read ----------------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path: Path) -> Part:
    """A folder with a search by the search's own tables."""
    space = Space.of({"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}, "schedule": ["cosine", "linear"]})
    trials = [
        Trial(0, {"learning_rate": 1e-4, "schedule": "cosine"}, "finished", 1, {0: 40.0, 1: 55.0}, start=True),
        Trial(1, {"learning_rate": 5e-4, "schedule": "linear"}, "paused", 0, {0: 20.0}),
        Trial(2, {"learning_rate": 9e-4, "schedule": "linear"}, "degenerate", 0, {}),
        Trial(3, {"learning_rate": 2e-4, "schedule": "linear"}, "failed", 0, {}),
    ]
    plan = Plan(trials=4)
    points = Points(value=4.0, low=1.0, high=7.0, n=90)
    best = Finalist(trials[0], points, points, None, points, None)
    ended = HeldOut((best,), best, best, points, points, points, None, None, ("", ""), ())
    for at in ("0", "1"):
        folder = tmp_path / "steps/search/seeds" / at
        folder.mkdir(parents=True)
        trials_table(trials, space, plan, folder).write_parquet(folder / "trials.parquet")
        rungs_table(trials, plan).write_parquet(folder / "rungs.parquet")
        finalists_table(ended).write_parquet(folder / "test.parquet")
    (tmp_path / "steps/search/manifest.json").write_text("{}")
    return Part("", "m", "d", "", Source(tmp_path, "study"))


def test_a_search_is_read_from_its_tables(study: Part) -> None:
    found = read_extras(study)
    assert found is not None and found.curve is None and found.search is not None
    assert found.search.share == 0.2
    assert list(found.search.trials) == [
        Tried({"learning_rate": 1e-4, "schedule": "cosine"}, 40.0, 55.0),
        Tried({"learning_rate": 5e-4, "schedule": "linear"}, 20.0),
        Tried({"learning_rate": 9e-4, "schedule": "linear"}, None, None, True),
    ]
    assert list(found.search.gains) == [Estimate(0.04, 0.01, 0.07, 90, "questions")] * 2


def test_a_study_of_facts_without_curve_and_search_has_none(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    assert read_extras(Part("", "m", "d", "", Source(tmp_path, "study"))) is None


def test_a_curve_is_read_by_attribute_and_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "steps/curve"
    rows = [
        (f"p{page}:{name}", f"p{page}", name)
        for page in range(4)
        for name in ("price", "rating")
        if page or name == "price"
    ]
    for name in ("base", "evaluate-60-seed0", "evaluate-60-seed1", "evaluate-90-seed0"):
        place = folder / "steps" / name
        place.mkdir(parents=True)
        (place / "manifest.json").write_text("{}")
        table = pl.DataFrame(rows, schema=["item", "unit", "group"], orient="row")
        right = pl.lit(name != "base").alias("right")
        table.with_columns(right, pl.lit("test").alias("part")).write_parquet(place / "items.parquet")
    (folder / "manifest.json").write_text(json.dumps({}))
    sizes = type("V", (), {"sizes": (0, 60)})
    monkeypatch.setattr(
        "recollect.report.chapters.findings.read_extras.CurveFound.read", lambda _: type("F", (), {"verdict": sizes})
    )
    found = read_extras(Part("", "m", "d", "", Source(tmp_path, "study")))
    assert found is not None and found.curve is not None
    asked = found.curve.asked
    assert {cell: rows.shape for cell, rows in asked.scores.items()} == {BASE: (1, 7), ("trained", 60): (2, 7)}
    assert found.curve.names == {0: "price", 1: "rating"} and found.curve.shares == {0: 1.0, 1: 0.75}
    assert not asked.scores[BASE].any() and asked.scores["trained", 60].all()
    assert sorted(asked.units) == ["p0", "p1", "p1", "p2", "p2", "p3", "p3"]
