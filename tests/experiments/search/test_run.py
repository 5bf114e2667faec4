"""A search end to end on a tiny model: what it leaves, and what the test set may not tell it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

import recollect.experiments.cell as cell_module
import recollect.experiments.search.runner as runner_module
from helpers_label import few_pages
from helpers_ray import two_nodes
from helpers_search_run import SPACE, TABLES, same_tables, values
from helpers_world import EVALUATE, World
from recollect.cli.search import rung_line
from recollect.core.interrupt import listen
from recollect.core.settings import read_yaml
from recollect.errors import RecollectError
from recollect.experiments.search import SearchFound, SearchResult, SearchSettings, run_search
from recollect.experiments.search.once import Event
from recollect.extraction.labels import LabelSettings, run_label
from recollect.facts import FactSet, load_facts
from recollect.train import TrainSettings


def test_facts_handed_over_are_searched_on_whatever_the_settings_name(
    whole: SearchResult, world: World, levels: Path, tmp_path: Path
) -> None:
    settings = SearchSettings.make(**values(world, levels, facts="pocket"))
    found = run_search(settings, tmp_path / "search", facts=load_facts(str(world.facts)))
    for name in ("split.parquet", "test.parquet"):
        assert_frame_equal(pl.read_parquet(found.path / name), pl.read_parquet(whole.path / name))
    assert found.found.trials == whole.found.trials
    assert run_search(settings, tmp_path / "search", facts=load_facts(str(world.facts))).path == found.path


def test_best_settings_name_the_facts_that_were_handed_over(world: World, levels: Path, tmp_path: Path) -> None:
    """And not those that the settings name, from which the command in best.yaml would choose other examples."""
    given = values(world, levels, trials=1, finalists=1)
    del given["facts"]
    found = run_search(SearchSettings.make(**given), tmp_path / "search", facts=world.fact_set)
    named = re.search(r"--facts (\S+)", found.best.read_text())
    assert named is not None and load_facts(named[1]).fingerprint() == world.fact_set.fingerprint()
    assert found.found.sources["facts"] == f"in memory: {world.fact_set.name}"


def test_what_a_search_leaves(whole: SearchResult) -> None:
    assert {"best.yaml", "report.html", "results.json", "ledger.journal", "split.parquet", "trials", *TABLES} <= {
        path.name for path in whole.path.iterdir()
    }
    answer = whole.answer()
    asked_for = ("best", "validation", "test", "baseline_test", "trials", "promoted", "cost_fraction")
    assert all(answer[name] is not None for name in asked_for)
    assert {"early_final_correlation", "top5_overlap", "out"} <= set(answer)
    assert answer["trials"] == 6 and 0 < answer["cost_fraction"] < 1
    json.dumps(answer, allow_nan=False)
    trials = whole.trials()
    assert trials["state"].is_in(["finished", "paused"]).all()
    assert trials.filter(trial=0).select("state", "why").row(0) == ("finished", "baseline")
    assert (trials["state"] == "finished").sum() == answer["promoted"] >= 3


def test_costs_are_the_updates_that_were_made(whole: SearchResult) -> None:
    trials, losses = whole.trials(), whole.losses()
    made = dict(losses.group_by("trial").len().rows())
    assert {row["trial"]: row["steps"] for row in trials.iter_rows(named=True)} == made
    assert whole.found.steps == losses.height
    assert whole.found.full_steps == trials["total_steps"].sum()
    assert whole.found.cost_fraction == pytest.approx(losses.height / trials["total_steps"].sum())


def test_the_search_never_saw_the_test_set(whole: SearchResult, world: World) -> None:
    cut = pl.read_parquet(whole.path / "split.parquet")
    seen, unseen = (set(cut.filter(slice=name)["fact_id"]) for name in ("validation", "test"))
    assert not seen & unseen and len(seen) == 10 and len(unseen) == 18
    for file in whole.path.glob("trials/*/validation-*/outputs.parquet"):
        assert set(pl.read_parquet(file)["fact_id"]) == seen
    tested = [pl.read_parquet(file) for file in whole.path.glob("trials/*/test/outputs.parquet")]
    assert len(tested) == len(whole.found.finalists) >= 3
    assert all(set(table["fact_id"]) == unseen for table in tested)


def test_the_best_is_chosen_by_validation_alone(whole: SearchResult) -> None:
    finished = whole.trials().filter(pl.col("final").is_not_null()).sort("final", "trial", descending=[True, False])
    assert whole.found.best_trial == finished["trial"][0]
    assert whole.found.validation == pytest.approx(finished["final"][0])
    row = whole.test().filter(trial=whole.found.best_trial, part="test")
    baseline = whole.test().filter(trial=0, part="test")
    assert row["gain"].item() == pytest.approx(row["score"].item() - baseline["score"].item())
    assert row["gain_low"].item() <= row["gain"].item() <= row["gain_high"].item()


def test_the_best_settings_are_ready_for_a_training(whole: SearchResult, world: World) -> None:
    stored = TrainSettings.make(**read_yaml(whole.best))
    best = whole.found.best
    assert (stored.learning_rate, stored.batch_size) == (best["learning_rate"], best["batch_size"])
    assert stored.epochs == 2 and stored.model == str(world.model)
    text = whole.best.read_text()
    assert "--size 20" in text and "recollect train --config best.yaml --selection selection" in text


def test_only_the_best_keeps_its_weights(whole: SearchResult) -> None:
    weights = {file.relative_to(whole.path).parts[1] for file in whole.path.rglob("*.safetensors")}
    assert weights == {f"{whole.found.best_trial:03d}"}
    assert Path(whole.found.model).is_dir() and not list(whole.path.rglob("train.partial"))


@pytest.mark.slow
def test_a_trial_equals_its_training_alone(whole: SearchResult, world: World, levels: Path, tmp_path: Path) -> None:
    """The ledger's scores are of models that a user would get by hand."""
    again = run_search(
        SearchSettings.make(**values(world, levels, rungs=[1.0], keep_models=True)), tmp_path / "one-rung"
    )
    best = whole.found.best_trial
    folders = [result.path / f"trials/{best:03d}/train" for result in (whole, again)]
    names = ("log.parquet", "model/model.safetensors")
    if whole.found.best == json.loads((again.path / f"trials/{best:03d}/rung-0.json").read_text())["values"]:
        for name in names:
            assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    else:
        pytest.fail("random proposals are addressed by trial, so both searches try the same settings")


@pytest.mark.slow
def test_a_trial_that_raises_is_told_and_the_search_goes_on(world: World, levels: Path, tmp_path: Path) -> None:
    settings = values(world, levels, space={"batch_size": [4, 6], "learning_rate": [1e-3, 3e-3, 1e-2]})
    settings |= {"train": {"gradient_accumulation": 4, "epochs": 1}, "trials": 6}
    result = run_search(SearchSettings.make(**settings), tmp_path / "search")
    trials = result.trials()
    failed = trials.filter(state="failed")
    assert 0 < failed.height == result.found.failed and set(failed["set_batch_size"]) == {6}
    assert failed["reason"].str.contains("batch_size must be a multiple").all()
    assert result.found.best["batch_size"] == 4


def test_ctrl_c_that_a_library_swallows_fails_no_trial(
    world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch, interrupted while it reads a tensor, raises a ValueError in place of the KeyboardInterrupt."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def swallowing(*given: Any, **more: Any) -> Any:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise ValueError("could not determine the shape of object type")

    try:
        listen()
        with monkeypatch.context() as patch:
            patch.setattr(cell_module, "run_train_until", swallowing)
            with pytest.raises(KeyboardInterrupt):
                run_search(SearchSettings.make(**values(world, levels, trials=2)), tmp_path / "search")
        assert not list(tmp_path.rglob("error.txt"))
        listen()
        assert run_search(SearchSettings.make(**values(world, levels, trials=2)), tmp_path / "search").found.failed == 0
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_out_of_memory_narrows_the_space_and_the_search_goes_on(
    world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = cell_module.run_train_until

    def small(settings: TrainSettings, *given: Any, **more: Any) -> Any:
        if settings.batch_size > 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return real(settings, *given, **more)

    monkeypatch.setattr(cell_module, "run_train_until", small)
    space = {"batch_size": [4, 8, 16, 32], "learning_rate": SPACE["learning_rate"]}
    result = run_search(SearchSettings.make(**values(world, levels, space=space, trials=10)), tmp_path / "search")
    trials = result.trials()
    broken = trials.filter(pl.col("reason").str.contains("out of memory"))
    assert 0 < broken.height <= 2, "16 and 32 at the most: the first narrows the space"
    first = broken["trial"].min()
    later = trials.filter(pl.col("trial") > first)["set_batch_size"]
    assert later.max() < broken["set_batch_size"][0]
    assert result.found.failed == broken.height


def test_a_budget_in_updates_is_kept(world: World, levels: Path, tmp_path: Path) -> None:
    """Without a number of trials, as many as the budget allows."""
    seen: list[Event] = []
    settings = SearchSettings.make(**values(world, levels, budget_steps=30, trials=None))
    result = run_search(settings, tmp_path / "search", watch=seen.append)
    assert 20 < result.found.steps <= 30 and result.found.trials >= 2
    assert [event.of for event in seen] == [None] * len(seen)
    shares = [event.spent for event in seen]
    assert shares == sorted(shares) and shares[-1] == result.found.steps / 30
    assert "% of the budget" in rung_line(seen[-1], 0.0)


def test_trials_are_counted_where_no_budget_is_given() -> None:
    given = [{}, {"budget_steps": 100}, {"budget_hours": 1}, {"budget_hours": 1, "trials": 5}]
    assert [SearchSettings.make(**one).most_trials for one in given] == [16, None, None, 5]


@pytest.mark.slow
def test_adapters_and_three_rungs(world: World, levels: Path, tmp_path: Path) -> None:
    space = {"learning_rate": [1e-3, 1e-2], "lora_r": [2, 4]}
    settings = values(world, levels, method="lora", space=space, rungs=[0.2, 0.5, 1], trials=4)
    result = run_search(SearchSettings.make(**settings), tmp_path / "search")
    assert result.rungs().filter(trial=0)["share"].to_list() == [0.2, 0.5, 1.0]
    assert read_yaml(result.best)["method"] == "lora"


@pytest.mark.slow
def test_pages_are_scored_by_attribute(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few_pages(tmp_path / "pages", 120)
    truth = {f"p{n}": {"brand": f"Acme{n}", "price": f"{n + 10},50 €"} for n in range(120)}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    label = LabelSettings.make(pages=tmp_path / "pages", source="table", table=tmp_path / "truth.json")
    facts = run_label(label, out=tmp_path / "label").path
    monkeypatch.setattr(runner_module, "degenerate_answers", lambda *_, **__: "")  # a random model says no JSON
    settings = {
        "model": str(world.model),
        "facts": str(facts),
        "space": {"learning_rate": [1e-3, 1e-2]},
        "trials": 2,
        "select": {"size": 8},
        "evaluate": {"max_new_tokens": 4},
    }
    result = run_search(SearchSettings.make(**settings), tmp_path / "search")
    items = pl.read_parquet(result.path / "trials/000/validation-1/items.parquet")
    assert set(items["group"]) == {"brand", "price"} and result.found.best_level == "random"
    tested = pl.read_parquet(result.path / "trials/000/test/items.parquet")
    assert not set(items["unit"]) & set(tested["unit"]) and set(tested["part"]) == {"test", "ood"}
    monkeypatch.undo()
    with pytest.raises(RecollectError, match=r"no trial was trained to its end .*unparsable"):
        run_search(SearchSettings.make(**settings), tmp_path / "honest")


def test_what_each_seed_of_several_leaves_names_places_that_are_there(world: World, tmp_path: Path) -> None:
    """Each search is made inside the folder of all, whose name changes at the end."""
    settings = {
        "model": str(world.model),
        "facts": str(world.facts),
        "space": {"learning_rate": [1e-3]},
        "repeats": 2,
        "trials": 1,
        "random_finishers": 0,
        "select": {"size": 8, "level": "0"},
        "evaluate": EVALUATE,
        "probe": {"templates": 1, "samples": 1, "max_new_tokens": 4},
    }
    result = run_search(SearchSettings.make(**settings), tmp_path / "search")
    for folder in (result.path, *(result.path / "seeds" / str(seed) for seed in (0, 1))):
        found = SearchFound.read(folder)
        named = re.search(r"--levels (\S+)", (folder / "best.yaml").read_text())
        assert named is not None and (Path(named[1]) / "levels.parquet").is_file()
        assert Path(found.model).is_dir() and Path(found.report).is_file()


@pytest.mark.slow
def test_several_seeds_give_means_with_intervals(world: World, levels: Path, tmp_path: Path) -> None:
    settings = values(world, levels, repeats=2, trials=3, random_finishers=1)
    result = run_search(SearchSettings.make(**settings), tmp_path / "search")
    over = result.found.over_seeds
    assert over is not None and over.seeds == (0, 1) and over.gain_over_baseline.n == 2
    each = [json.loads((result.path / f"seeds/{seed}/manifest.json").read_text())["metrics"] for seed in (0, 1)]
    assert over.test.value == pytest.approx(sum(one["test"] for one in each) / 2)
    assert over.test.low <= over.test.value <= over.test.high
    assert Path(result.found.model).is_dir() and result.best.is_file() and result.report.is_file()


@pytest.mark.slow
def test_two_workers_give_what_two_nodes_of_a_cluster_give(world: World, levels: Path, tmp_path: Path) -> None:
    """Jobs in the order of submission: the ledger does not depend on who trains."""
    pytest.importorskip("ray")
    settings = values(world, levels, workers=2, order="submission", sampler="gp")
    local = run_search(SearchSettings.make(**settings), tmp_path / "local")
    with two_nodes() as address:
        cluster = run_search(
            SearchSettings.make(**{**settings, "executor": "ray", "address": address}), tmp_path / "cluster"
        )
    same_tables(local, cluster)


@pytest.mark.slow
def test_two_workers_twice_give_the_same(world: World, levels: Path, tmp_path: Path) -> None:
    settings = SearchSettings.make(**values(world, levels, workers=2, order="submission"))
    same_tables(run_search(settings, tmp_path / "one"), run_search(settings, tmp_path / "two"))


def test_a_probe_is_made_where_no_levels_are_given(world: World, tmp_path: Path) -> None:
    settings = {
        "model": str(world.model),
        "facts": str(world.facts),
        "space": {"learning_rate": [1e-3, 1e-2]},
        "trials": 2,
        "select": {"size": 8, "level": "random"},
        "evaluate": EVALUATE,
        "probe": {"templates": 3, "samples": 4, "max_new_tokens": 4},
    }
    result = run_search(SearchSettings.make(**settings), tmp_path / "search")
    levels = pl.read_parquet(result.path / "probe" / "levels.parquet")
    assert levels.height == len(world.fact_set)
    outputs = pl.read_parquet(result.path / "trials/000/validation-0/outputs.parquet")
    assert outputs["level"].null_count() == 0
    shutil.rmtree(result.path)


def test_a_test_question_longer_than_the_context_is_told_before_the_search(
    world: World, levels: Path, tmp_path: Path
) -> None:
    facts = list(load_facts(str(world.facts)))
    at = next(number for number, one in enumerate(facts) if one.part == "ood")
    facts[at] = replace(facts[at], question="of " * 2000 + facts[at].question)
    settings = SearchSettings.make(**values(world, levels))
    with pytest.raises(RecollectError, match=r"1 of \d+ texts do not fit"):
        run_search(settings, tmp_path / "search", facts=FactSet(tuple(facts)))
    assert not list((tmp_path / "search.partial").glob("trials/*"))
