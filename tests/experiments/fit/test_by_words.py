"""A base that answers nothing: what a training costs it is told by its own words."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from helpers_fit import TINY, world
from recollect.evaluate import EvaluateSettings
from recollect.experiments.fit import FitResult, FitSettings, run_fit
from recollect.experiments.search.runner import Task
from recollect.experiments.search.shared_trials import as_json, task_of
from recollect.experiments.search.validation import Knowledge
from recollect.select import SelectSettings
from recollect.train import TrainSettings

STEPS = "steps"


@pytest.fixture(scope="module", name="blind")
def _blind(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    """A fit without memory levels, on a base that has no question right in the prompt of the training."""
    settings = FitSettings.make(
        budget="2 trials", seeds=1, use_levels=False, **{**TINY, "few_shot": 0}, train={"epochs": 3}
    )
    return run_fit(settings, tmp_path_factory.mktemp("blind") / "fit", facts=world())


def shares(step: Path) -> dict[str, float]:
    return dict(pl.read_parquet(step / "expected.parquet").select("item", "probability").iter_rows())


def sure_of(step: Path) -> list[str]:
    return [name for name, share in shares(step).items() if share >= 0.9]


def test_what_the_base_is_sure_of_in_its_own_words_is_what_it_knew(blind: FitResult):
    found = blind.found
    assert found.by_words
    known = sure_of(blind.path / STEPS / "test-base")
    assert found.known_test == len(known) > 0
    tested = set(pl.read_parquet(blind.path / STEPS / "test-base" / "words.parquet")["fact_id"])
    assert tested <= set(pl.read_parquet(blind.path / STEPS / "test-base" / "outputs.parquet")["fact_id"])
    for name in ("plain", "ours"):
        one = found.contender(name)
        assert one is not None and one.forgot is not None
        step = next((blind.path / STEPS).glob(f"test-{name}*"), blind.path / STEPS / "test-plain")
        now = shares(step)
        assert one.forgot.value == pytest.approx(sum(now[item] < 0.5 for item in known) / len(known))
    base = found.contender("base")
    assert base is not None and base.forgot is None, "untouched weights have forgotten nothing"


def test_every_choice_is_charged_for_it(blind: FitResult):
    steps, found = blind.path / STEPS, blind.found
    known = set(sure_of(steps / "validate-base"))
    plain = next(one for one in found.candidates if one.kind == "plain")
    now = shares(steps / "evaluate-plain")
    assert plain.forgot == pytest.approx(100 * sum(now[item] < 0.5 for item in known) / len(known))
    assert plain.forgot > 0
    for one in found.candidates:
        assert one.value == pytest.approx(one.score - found.charge * one.forgot)
    for trial in steps.glob("search/trials/*/validation-*"):
        assert known <= set(shares(trial)), "trials are asked for the same words"


def test_the_page_and_the_advice_say_that_tokens_are_counted(blind: FitResult):
    line = next(one for one in blind.found.advice if "own words" in one)
    assert f"{blind.found.known_test:,} tokens" in line
    assert "tokens" in blind.report.read_text()


def test_workers_who_mounted_the_folder_elsewhere_find_the_words(tmp_path: Path):
    fit = tmp_path / "here" / "fit"
    words = fit / STEPS / "validate-base"
    (fit / STEPS / "search").mkdir(parents=True)
    task = Task(
        folder=str(fit / STEPS / "search"),
        facts="facts.parquet",
        facts_fingerprint="v2",
        levels=None,
        train=TrainSettings.make(model="pocket"),
        select=SelectSettings.make(level="random"),
        evaluate=EvaluateSettings.make(model="pocket", limit=7, words_of=words),
        in_json=True,
        knowledge=Knowledge(frozenset({"a 0"}), 0.5),
    )
    there = tmp_path / "there" / "fit"
    found = task_of(json.loads(json.dumps(as_json(task))), there / STEPS / "search", there / "facts.parquet", None)
    assert found.evaluate.words_of == there / STEPS / "validate-base"
    assert (found.evaluate.limit, found.knowledge) == (7, task.knowledge)
    without = replace(task, evaluate=EvaluateSettings.make(model="pocket"))
    assert task_of(as_json(without), there, there / "facts.parquet", None).evaluate.words_of is None
