"""A search end to end on a tiny model: what it leaves, what the test set may not tell it, resuming, and bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import optuna
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

import recollect.experiments.cell as cell_module
import recollect.experiments.executors.ray as ray_module
import recollect.experiments.search.once as once_module
import recollect.experiments.search.runner as runner_module
from helpers_label import few_pages
from helpers_ray import two_nodes
from helpers_world import EVALUATE, World
from recollect.cli.search import rung_line
from recollect.core.settings import read_yaml
from recollect.errors import InputError, RecollectError, StepBusy, StepError
from recollect.experiments.search import SearchResult, SearchSettings, run_search
from recollect.experiments.search.once import Event
from recollect.experiments.search.runner import TrialRunner
from recollect.extraction.labels import LabelSettings, run_label
from recollect.facts import load_facts
from recollect.train import TrainSettings

SPACE = {"learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}, "batch_size": [4, 8]}
TABLES = ("trials.parquet", "rungs.parquet", "losses.parquet", "test.parquet")


def values(world: World, known: Path, **changed: Any) -> dict[str, Any]:
    """Six trials on twenty examples."""
    return {
        "model": str(world.model),
        "facts": str(world.facts),
        "levels": str(known),
        "space": SPACE,
        "trials": 6,
        "sampler": "random",
        "select": {"size": 20, "level": "random"},
        "train": {"epochs": 2},
        "evaluate": EVALUATE,
        **changed,
    }


@pytest.fixture(scope="module")
def whole(world: World, levels: Path, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """An uninterrupted search."""
    return run_search(SearchSettings.make(**values(world, levels)), tmp_path_factory.mktemp("whole") / "search")


def test_facts_handed_over_are_searched_on_whatever_the_settings_name(
    whole: SearchResult, world: World, levels: Path, tmp_path: Path
) -> None:
    settings = SearchSettings.make(**values(world, levels, facts="pocket"))
    found = run_search(settings, tmp_path / "search", facts=load_facts(str(world.facts)))
    for name in ("split.parquet", "test.parquet"):
        assert_frame_equal(pl.read_parquet(found.path / name), pl.read_parquet(whole.path / name))
    assert found.found.trials == whole.found.trials
    assert run_search(settings, tmp_path / "search", facts=load_facts(str(world.facts))).path == found.path


def rungs_on_disk(folder: Path) -> dict[str, bytes]:
    """Every finished rung's file, which holds the seconds it took."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.glob("trials/*/rung-*.json")}


def same_tables(one: SearchResult, other: SearchResult) -> None:
    """Equal bytes; of the ledger the values, for it also tells times."""
    for name in TABLES:
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name
    assert ledger(one.path) == ledger(other.path)


def ledger(folder: Path) -> list[Any]:
    """What the study says of every trial, without times."""
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "ledger.journal"))
    study = optuna.load_study(study_name="recollect", storage=optuna.storages.JournalStorage(backend))
    found = []
    for trial in study.trials:
        attributes = {name: value for name, value in trial.user_attrs.items() if name != "seconds"}
        attributes["record"] = {name: value for name, value in attributes["record"].items() if name != "seconds"}
        found.append((trial.number, trial.state, trial.params, trial.value, trial.intermediate_values, attributes))
    return found


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


def test_the_same_command_finds_the_search_done(
    whole: SearchResult, world: World, levels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recollect.experiments.search.once.run_loop", lambda *_, **__: pytest.fail("ran again"))
    again = run_search(SearchSettings.make(**values(world, levels, workers=2)), whole.path)
    assert again.found == whole.found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "setting seed was 0, now 1"),
        ({"space": {"learning_rate": [1e-3, 2e-3]}}, "input space was"),
        ({"rungs": [0.5, 1.0]}, "setting rungs"),
    ],
)
def test_another_search_is_refused_in_its_place(
    whole: SearchResult, world: World, levels: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(StepError, match=words):
        run_search(SearchSettings.make(**values(world, levels, **change)), whole.path)


class Stop(Exception):
    """Stands for a kill inside the process."""


def test_a_stop_after_the_weights_were_dropped_loses_nothing(
    whole: SearchResult, world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SearchSettings.make(**values(world, levels))
    drop = once_module._Search._drop_weights

    def stop(*given: Any) -> None:
        drop(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(once_module._Search, "_drop_weights", stop)
        with pytest.raises(KeyboardInterrupt):
            run_search(settings, tmp_path / "search")
    same_tables(run_search(settings, tmp_path / "search"), whole)


def test_a_search_that_was_trained_to_its_end_needs_no_cluster(
    world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its ending was lost: the doors are not asked for again."""
    settings = SearchSettings.make(**values(world, levels, trials=2))
    with monkeypatch.context() as stopped:
        stopped.setattr(once_module, "held_out_test", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_search(settings, tmp_path / "search")
    monkeypatch.setattr(ray_module.RayExecutor, "check", lambda *_: pytest.fail("the cluster was asked for"))
    on_ray = SearchSettings.make(**values(world, levels, trials=2, executor="ray", address="10.0.0.1:6379"))
    assert run_search(on_ray, tmp_path / "search").found.trials == 2


@pytest.mark.slow
def test_ten_stops_lose_no_finished_rung_and_change_nothing(
    whole: SearchResult, world: World, levels: Path, tmp_path: Path
) -> None:
    settings = SearchSettings.make(**values(world, levels))
    kept: dict[str, bytes] = {}
    partial = tmp_path / "search.partial"
    for _ in range(10):
        told = 0

        def watch(event: Event) -> None:
            nonlocal told
            told += 1
            raise Stop

        try:
            run_search(settings, tmp_path / "search", watch=watch)
        except Stop:
            now = rungs_on_disk(partial)
            assert len(now) == len(kept) + told
            assert kept.items() <= now.items(), "a finished rung was run again"
            kept = now
    result = run_search(settings, tmp_path / "search")
    assert kept.items() <= rungs_on_disk(result.path).items()
    same_tables(whole, result)


def test_a_stop_between_training_and_ledger_loses_nothing(
    whole: SearchResult, world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SearchSettings.make(**values(world, levels))
    real = TrialRunner.run
    with monkeypatch.context() as patch:

        def stops(self: TrialRunner, job: Any) -> Any:
            outcome = real(self, job)
            if job.trial == 2:
                raise KeyboardInterrupt
            return outcome

        patch.setattr(TrialRunner, "run", stops)
        with pytest.raises(KeyboardInterrupt):
            run_search(settings, tmp_path / "search")
    kept = rungs_on_disk(tmp_path / "search.partial")
    assert "trials/002/rung-0.json" in kept
    result = run_search(settings, tmp_path / "search")
    assert kept.items() <= rungs_on_disk(result.path).items()
    same_tables(whole, result)


def test_two_loops_on_one_search_are_refused(world: World, levels: Path, tmp_path: Path) -> None:
    settings = SearchSettings.make(**values(world, levels))

    def watch(event: Event) -> None:
        with pytest.raises(StepBusy, match="another process is working"):
            run_search(settings, tmp_path / "search")
        raise Stop

    with pytest.raises(Stop):
        run_search(settings, tmp_path / "search", watch=watch)


def test_two_loops_on_one_storage_are_refused(world: World, levels: Path, tmp_path: Path) -> None:
    settings = SearchSettings.make(**values(world, levels, storage=str(tmp_path / "shared.journal")))

    def watch(event: Event) -> None:
        with pytest.raises(StepError, match="another search is at work"):
            run_search(settings, tmp_path / "second")
        raise Stop

    with pytest.raises(Stop):
        run_search(settings, tmp_path / "first", watch=watch)
    with pytest.raises(StepError, match="trial 0, but its folder is not in"):
        run_search(settings, tmp_path / "third")
    other = settings.model_copy(update={"space": {"batch_size": [4, 8]}})
    with pytest.raises(StepError, match="of another search space"):
        run_search(other, tmp_path / "fourth")


@pytest.mark.slow
def test_a_larger_budget_goes_on_with_an_unfinished_search(world: World, levels: Path, tmp_path: Path) -> None:
    def watch(event: Event) -> None:
        raise Stop

    with pytest.raises(Stop):
        run_search(SearchSettings.make(**values(world, levels, trials=3)), tmp_path / "search", watch=watch)
    result = run_search(SearchSettings.make(**values(world, levels, trials=4)), tmp_path / "search")
    assert result.found.trials == 4


def test_resume_only_goes_on(world: World, levels: Path, tmp_path: Path) -> None:
    settings = SearchSettings.make(**values(world, levels, resume=True))
    with pytest.raises(StepError, match="no search at .* to resume"):
        run_search(settings, tmp_path / "search")
    assert not list(tmp_path.iterdir())


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


def test_a_search_where_nothing_works_says_why(
    world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise OSError("the disk was unplugged")

    monkeypatch.setattr(cell_module, "run_train_until", broken)
    with pytest.raises(RecollectError, match=r"3 trials failed and none worked.*the disk was unplugged"):
        run_search(SearchSettings.make(**values(world, levels)), tmp_path / "search")


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


def test_a_budget_too_small_is_refused_before_anything_is_trained(world: World, levels: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="budget_steps must be at least"):
        run_search(SearchSettings.make(**values(world, levels, budget_steps=2)), tmp_path / "search")
    assert not list(tmp_path.glob("search*/trials/*"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"space": {}}, "at least one setting"),
        ({"space": {"learning_rat": [1e-3]}}, "Did you mean learning_rate"),
        ({"space": {"learning_rate": {"low": 1e-2, "high": 1e-3}}}, "low must be at most high"),
        ({"train": {"learning_rate": 1e-3}}, "learning_rate is in the space and in the section train"),
        ({"train": {"epochs": 0}}, "train.epochs"),
        ({"evaluate": {"max_new_tokens": 0}}, "evaluate.max_new_tokens"),
        ({"levels": "none", "space": {"level": ["1", "2"]}, "select": {}}, "levels must be known"),
        ({"validation_share": 0.1}, "at least 4 facts to validate on"),
        ({"space": "no-such-file.yaml"}, "no such file"),
        ({"space": "a: &a [x]\nb: [*a]\n" + "# more than a file's name may have\n" * 200}, "aliases"),
        ({"space": "[" * 50_000}, "nested too deeply"),
        ({"space": "x" * 50_000}, "the space must hold one mapping"),
        ({"space": "{learning_rate: [1e-3], learning_rate: [1e-4]}"}, "'learning_rate' is given twice"),
        ({"model": "/no/such/model"}, "no such"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(
    world: World, levels: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecollectError, match=words):
        run_search(SearchSettings.make(**values(world, levels, **change)), tmp_path / "search")
    assert not list(tmp_path.glob("search*/trials"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"storage": "postgresql+psycopg://nobody@nowhere/nothing"}, "needs psycopg"),
        ({"storage": "/dev/null"}, "a pipe or a device"),
        ({"storage": "/"}, "a folder"),
        ({"executor": "ray", "address": "10.0.0.1:6379"}, "no Ray cluster at|executor ray needs ray"),
    ],
)
def test_a_door_that_is_shut_is_found_before_the_base_is_asked(
    world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(ray_module, "_TRY", "raise ConnectionError('nobody there')")
    asked: list[str] = []

    @contextmanager
    def stage(what: str, unit: str) -> Iterator[None]:
        asked.append(what)
        yield

    with pytest.raises(RecollectError, match=words):
        run_search(SearchSettings.make(**values(world, levels, **change)), tmp_path / "search", stage=stage)
    assert not asked


@pytest.mark.parametrize(
    "change",
    [
        {"rungs": [0.5]},
        {"rungs": [0.5, 0.2, 1]},
        {"address": "auto"},
        {"repeats": 2, "storage": "sqlite:///x"},
        {"train": {"seed": 3}},
        {"evaluate": {"parts": "train"}},
        {"trials": 0},
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        SearchSettings.make(**change)


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
