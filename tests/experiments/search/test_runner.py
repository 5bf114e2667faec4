"""One job for real: pausing and going on, what is kept, what counts as degenerate, failed or out of memory."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

import recollect.experiments.cell as cell_module
import recollect.experiments.search.runner as runner_module
from helpers_world import World
from recollect.errors import InputError
from recollect.experiments.search import Choice, Int, Space
from recollect.experiments.search.runner import Task, TrialRunner
from recollect.experiments.search.trial import Job
from recollect.experiments.search.validation import score_of
from recollect.facts import load_facts
from recollect.select import SelectSettings, available, run_select
from recollect.train import run_train


def files(path: Path) -> dict[str, bytes]:
    """Weights and tables below a folder."""
    return {file.name: file.read_bytes() for file in path.rglob("*") if file.suffix in (".safetensors", ".parquet")}


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_trial_resumed_by_the_search_equals_an_uninterrupted_training(
    world: World, task: Task, levels: Path, tmp_path: Path, method: str
) -> None:
    values = {"method": method, "epochs": 2, "warmup_ratio": 0.1, "size": 16}
    trials = TrialRunner(task)
    rungs = [trials.run(Job(3, rung, share, values)) for rung, share in enumerate((0.2, 0.5, 1.0))]
    assert [(outcome.steps, outcome.total_steps) for outcome in rungs] == [(2, 8), (2, 8), (4, 8)]
    chosen = SelectSettings(size=16, level="random")
    selection = run_select(chosen, world.fact_set, pl.read_parquet(levels), out=tmp_path / "alone")
    whole = run_train(trials.settings(values), selection.path, out=tmp_path / "whole")
    assert files(tmp_path / "trials/003/train") == files(whole.path)
    assert [step for step, _ in rungs[-1].losses] == list(range(1, 9))


def test_a_finished_rung_is_not_trained_again(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    first = TrialRunner(task).run(Job(0, 0, 0.2, {"size": 12}))
    monkeypatch.setattr(cell_module, "run_train_until", lambda *_, **__: pytest.fail("trained again"))
    assert TrialRunner(task).run(Job(0, 0, 0.2, {"size": 12})) == first


def test_a_job_killed_after_its_training_does_not_train_again(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TrialRunner(task).run(Job(0, 0, 0.2, {"size": 12}))
    (Path(task.folder) / "trials/000/rung-0.json").unlink()
    updates: list[int] = []
    real = cell_module.run_train_until

    def watched(*given: Any, progress: Any, **more: Any) -> Any:
        return real(*given, progress=lambda *now: updates.append(now[0]), **more)

    monkeypatch.setattr(cell_module, "run_train_until", watched)
    again = TrialRunner(task).run(Job(0, 0, 0.2, {"size": 12}))
    assert not updates
    assert dataclasses.replace(again, seconds=0) == dataclasses.replace(whole, seconds=0)


def test_scores_are_of_the_validation_slice_alone(task: Task) -> None:
    outcome = TrialRunner(task).run(Job(0, 0, 1.0, {"size": 12}))
    assert outcome.kind == "scored" and outcome.items == "trials/000/validation-0"
    folder = Path(task.folder)
    asked = pl.read_parquet(folder / outcome.items / "outputs.parquet")
    split = pl.read_parquet(folder / "split.parquet")
    assert set(asked["fact_id"]) == set(split.filter(slice="validation")["fact_id"])
    by_level = asked.group_by("level").agg(pl.col("contains").mean())["contains"]
    assert outcome.score == pytest.approx(100 * by_level.mean()) == score_of(folder / outcome.items)


def test_examples_are_capped_at_what_a_level_has(task: Task, world: World, levels: Path) -> None:
    table = pl.read_parquet(levels)
    have = available(world.fact_set, table, "2")
    assert 0 < have < 20
    trials = TrialRunner(task)
    assert trials.selection({"size": 20, "level": "2"}).size == have
    assert trials.selection({"size": 3, "level": "2"}).size == 3
    sure = available(world.fact_set, table, "2", 0.8)
    assert trials.selection({"size": 20, "level": "2", "min_level_confidence": 0.8}).size == sure < have


def test_a_size_beyond_what_a_level_has_is_the_least_such_size(task: Task, world: World, levels: Path) -> None:
    have, trials = available(world.fact_set, pl.read_parquet(levels), "2"), TrialRunner(task)
    steps = Int(have - 5, have + 100, step=3)
    for parameter, given, wanted in (
        (Int(2, 500, log=True), 300, have),
        (Int(2, 500), have - 1, have - 1),
        (Int(have + 10, have + 500), have + 400, have + 10),
        (steps, have + 52, have + 1),
        (Choice([have - 1, have + 7, have + 50]), have + 50, have + 7),
        (Choice([have - 1, have + 7, "all"]), "all", have + 7),
        (Choice([have - 1, "all"]), "all", "all"),
    ):
        space = Space({"size": parameter, "level": Choice(["2"])})
        values = {"size": given, "level": "2"}
        assert trials.settle(values, space) == {**values, "size": wanted}
        assert space.contains(trials.settle(values, space))
        settled = trials.settle(values, space)
        assert trials.updates(values) == trials.updates(settled)
        assert "all" in (given, wanted) or trials.selection(values) == trials.selection(settled)
    assert trials.settle({"learning_rate": 0.1}, space) == {"learning_rate": 0.1}


def test_a_loss_that_is_no_number_is_degenerate(task: Task) -> None:
    outcome = TrialRunner(task).run(Job(0, 0, 1.0, {"learning_rate": 1e30}))
    assert outcome.kind == "degenerate" and outcome.score is None
    assert "not a finite number" in outcome.reason or "NaN" in outcome.reason
    assert 1 <= outcome.steps <= outcome.total_steps == 5


def test_weights_that_are_no_numbers_at_a_pause_are_degenerate(task: Task) -> None:
    values = {"learning_rate": 1e5, "epochs": 2, "schedule": "constant"}
    outcome = TrialRunner(task).run(Job(0, 0, 0.2, values))
    assert (outcome.kind, outcome.reason) == ("degenerate", "a weight is not a finite number after update 2")
    assert outcome.steps == 2


def test_a_loss_that_explodes_is_degenerate_without_asking(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_module, "run_evaluate", lambda *_, **__: pytest.fail("asked"))
    values = {"learning_rate": 1.0, "epochs": 3, "schedule": "constant"}
    outcome = TrialRunner(task).run(Job(0, 0, 0.5, values))
    assert outcome.kind == "degenerate" and "exploded" in outcome.reason


def test_a_loss_that_runs_away_is_stopped_on_the_way(task: Task) -> None:
    values = {"learning_rate": 1.0, "epochs": 12, "schedule": "constant"}
    outcome = TrialRunner(task).run(Job(0, 0, 1.0, values))
    assert outcome.kind == "degenerate" and outcome.reason.endswith(f"at update {outcome.steps}, stopped there")
    assert 7 <= outcome.steps < outcome.total_steps / 2
    assert [update for update, _ in outcome.losses] == list(range(1, outcome.steps + 1))
    assert TrialRunner(task).run(Job(0, 0, 1.0, values)) == outcome


def test_answers_all_alike_are_degenerate(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    real = runner_module.EvaluateResult.outputs
    silent = lambda self: real(self).with_columns(output=pl.lit(" "))  # noqa: E731
    monkeypatch.setattr(runner_module.EvaluateResult, "outputs", silent)
    outcome = TrialRunner(dataclasses.replace(task, base_broken=0.1)).run(Job(0, 0, 0.2, {"size": 12}))
    assert outcome.kind == "degenerate" and outcome.reason == "100 % of 10 answers are empty"
    assert outcome.score is not None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("a bad thing\nin two lines"), "failed"),
        (RuntimeError("CUDA error: out of memory"), "memory"),
        (RuntimeError("shapes do not fit"), "failed"),
        (MemoryError(), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "memory"),
        (InputError("fact X has 2,000 tokens"), "failed"),
    ],
)
def test_a_trial_that_raises_is_an_outcome(
    task: Task, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
) -> None:
    def raises(*_: Any, progress: Any, **__: Any) -> Any:
        progress(3, 5)
        raise error

    monkeypatch.setattr(cell_module, "run_train_until", raises)
    outcome = TrialRunner(task).run(Job(7, 0, 0.2, {"size": 12}))
    assert (outcome.kind, outcome.steps, outcome.total_steps) == (kind, 3, 5)
    assert outcome.reason.startswith(type(error).__name__) and "\n" not in outcome.reason
    folder = Path(task.folder) / "trials/007"
    assert "Traceback" in (folder / "error.txt").read_text()
    assert not (folder / "rung-0.json").exists(), "a trial that raised may be tried again"


def test_settings_that_no_training_takes_fail(task: Task) -> None:
    outcome = TrialRunner(task).run(Job(0, 0, 0.2, {"batch_size": 0}))
    assert outcome.kind == "failed" and "batch_size" in outcome.reason


def test_a_full_disk_is_no_outcome(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cell_module, "run_train_until", full)
    with pytest.raises(OSError, match="No space"):
        TrialRunner(task).run(Job(0, 0, 0.2, {"size": 12}))


def test_facts_that_changed_meanwhile_are_refused(task: Task) -> None:
    changed = dataclasses.replace(task, facts_fingerprint="another")
    outcome = TrialRunner(changed).run(Job(0, 0, 0.2, {"size": 12}))
    assert outcome.kind == "failed" and "have changed" in outcome.reason


def test_the_outcome_on_disk_is_plain_json(task: Task) -> None:
    TrialRunner(task).run(Job(0, 0, 0.2, {"size": 12}))
    stored = json.loads((Path(task.folder) / "trials/000/rung-0.json").read_text())
    assert stored["values"] == {"size": 12} and stored["outcome"]["kind"] == "scored"
    assert load_facts(task.facts).fingerprint() == task.facts_fingerprint
