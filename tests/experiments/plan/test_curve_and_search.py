"""The plans of a curve and a search, against arithmetic by hand; and what their folders have already."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from helpers_study import settings
from helpers_world import EVALUATE, Command, World, contents
from recollect.experiments.curve import CurveSettings, run_curve
from recollect.experiments.plan import Assume, plan_curve, plan_search, plan_study
from recollect.experiments.search.settings import SearchSettings
from recollect.experiments.study import StudyResult

COUNTED = Assume(calibrate=False)
TRAIN = {"learning_rate": 1e-3, "batch_size": 4}
KEYS = ["steps", "there", "seconds", "memory_bytes", "disk_bytes", "completions", "training_steps"]


def curve(world: World, **changed: Any) -> CurveSettings:
    return CurveSettings.make(
        **{
            "model": str(world.model),
            "facts": str(world.facts),
            "sizes": (0, 4, 8),
            "repeats": 2,
            "train": TRAIN,
            "evaluate": EVALUATE,
            **changed,
        }
    )


def search(world: World, **changed: Any) -> SearchSettings:
    return SearchSettings.make(
        **{
            "model": str(world.model),
            "facts": str(world.facts),
            "space": {"learning_rate": [1e-4, 1e-3]},
            "levels": "none",
            "trials": 6,
            "rungs": (0.5, 1),
            "random_finishers": 1,
            "finalists": 2,
            "select": {"size": 16, "level": "random"},
            "train": {"batch_size": 4, "epochs": 2},
            **changed,
        }
    )


def test_a_curve_trains_every_size_with_every_seed(world: World, tmp_path: Path) -> None:
    plan = plan_curve(curve(world), tmp_path / "curve", assume=COUNTED)
    assert plan.steps == 1 + 2 * 2 * 3  # the base, and two sizes with two seeds: select, train, evaluate
    assert plan.training_steps == 2 * (1 + 2)
    assert plan.completions == 0


def test_a_curve_that_is_finished_is_there_alone_and_in_a_study(
    whole: StudyResult, world: World, tmp_path: Path
) -> None:
    study = shutil.copytree(whole.path, tmp_path / "study")
    section = {"sizes": [0, 4, 8], "repeats": 2, "train": TRAIN, "evaluate": EVALUATE}
    of_study = settings(world, curve=section)
    before = plan_study(of_study, study, assume=COUNTED)
    assert before.steps - before.there == 1 + 2 * 2 * 3
    path = run_curve(curve(world), study / "steps" / "curve").path
    done = plan_curve(curve(world), path, assume=COUNTED)
    assert (done.there, done.training_steps, done.seconds) == (done.steps, 0, 0.0)
    after = plan_study(of_study, study, assume=COUNTED)
    assert (after.there, after.training_steps, after.seconds) == (before.steps, 0, 0.0)
    shutil.rmtree(path / "steps" / "evaluate-8-seed0")
    assert plan_study(of_study, study, assume=COUNTED).training_steps == 2, "its weights are gone"


def test_a_search_finishes_the_baseline_the_random_ones_and_the_promoted(world: World, tmp_path: Path) -> None:
    plan = plan_search(search(world), tmp_path / "search", assume=COUNTED)
    whole = 2 * 16 / 4
    finish = 1 + 1 + 2  # the baseline, one at random, a third of six
    assert plan.training_steps == 6 * whole / 2 + finish * whole / 2
    assert any("of 6 trials 4 are taken to be trained to the end, each of 8.0 updates" in note for note in plan.notes)
    every = plan_search(search(world, rungs=(1,)), tmp_path / "search", assume=COUNTED)
    assert every.training_steps == 6 * whole
    twice = plan_search(search(world, repeats=2), tmp_path / "search", assume=COUNTED)
    assert twice.training_steps == 2 * plan.training_steps


def test_a_budget_in_updates_is_kept(world: World, tmp_path: Path) -> None:
    plan = plan_search(search(world, trials=None, budget_steps=64), tmp_path / "search", assume=COUNTED)
    assert 32 <= plan.training_steps <= 2 * 64


def test_their_answers_have_the_keys_of_a_study_and_nothing_is_written(
    recollect: Command, world: World, tmp_path: Path
) -> None:
    before = contents(tmp_path)
    where = ("--model", world.model, "--facts", world.facts, "--out", tmp_path / "out", "--dry-run", "--json")
    found = recollect("curve", *where, "--sizes", "0,4,8", "--train", "{learning_rate: 0.001}", "--no-calibrate")
    assert list(found.json) == KEYS
    found = recollect("search", *where, "--levels", "none", "--trials", "2", "--price-per-hour", "1", "--no-calibrate")
    assert list(found.json) == [*KEYS, "price"]
    assert contents(tmp_path) == before
