"""One cell: what it leaves, what it finds again, pausing, and that another process gives the same."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from helpers_executors import Deadly
from helpers_tiny import tiny_levels
from helpers_world import EVALUATE, TRAIN, World, tables
from recollect.drift import DriftSettings
from recollect.errors import InputError, RecollectError
from recollect.evaluate import EvaluateSettings
from recollect.experiments import cell as cell_module
from recollect.experiments.base import Base
from recollect.experiments.cell import Cell, Context, ScoredCell, run_cell, run_cells, train_cell
from recollect.experiments.executors import Executor, Place, make_executor, run_all
from recollect.models import ModelSettings
from recollect.select import SelectSettings
from recollect.train import PausedTraining, TrainSettings


def context(world: World, folder: Path) -> Context:
    base = Base(ModelSettings.make(model=str(world.model)))
    return Context(folder.resolve(), base, world.fact_set, tiny_levels(world.fact_set))


def cell(world: World, size: int = 8) -> Cell:
    return Cell(
        name=f"{{step}}-{size}",
        select=SelectSettings.make(level="random", size=size, facts=str(world.facts)),
        train=TrainSettings.make(**TRAIN, model=str(world.model)),
        evaluate=EvaluateSettings.make(**EVALUATE, facts=str(world.facts)),
    )


def test_a_cell_selects_trains_asks_and_drops_the_weights(world: World, tmp_path: Path) -> None:
    scored = run_cell(context(world, tmp_path), cell(world))
    assert {path.name for path in tmp_path.iterdir()} == {"select-8", "train-8", "evaluate-8"}
    assert scored.trained is not None and (scored.trained.examples, scored.trained.steps) == (8, 2)
    assert scored.evaluation.outputs().height == 28
    assert not list(tmp_path.rglob("*.safetensors"))
    kept = replace(context(world, tmp_path / "kept"), keep_models=True)
    run_cell(kept, cell(world))
    assert list((tmp_path / "kept" / "train-8" / "model").glob("*.safetensors"))


def test_a_finished_cell_is_read_though_its_weights_are_gone(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_drift = replace(cell(world), drift=DriftSettings.make(tokens=False))
    scored = run_cell(context(world, tmp_path), with_drift)
    assert scored.drift is not None
    monkeypatch.setattr(Base, "load", lambda *_: pytest.fail("a base was loaded for nothing"))
    for name in ("run_select", "run_train_until", "run_evaluate", "run_drift"):
        monkeypatch.setattr(cell_module, name, lambda *_, **__: pytest.fail("a finished cell was run again"))
    assert run_cell(context(world, tmp_path), with_drift) == scored


def test_a_share_pauses_and_the_whole_is_what_an_uninterrupted_one_gives(world: World, tmp_path: Path) -> None:
    here, whole = context(world, tmp_path / "paused"), context(world, tmp_path / "whole")
    half = replace(cell(world), share=0.5, evaluate_as="half")
    assert isinstance(train_cell(here, half), PausedTraining)
    assert run_cell(here, half).trained is None
    scored, other = run_cell(here, cell(world)), run_cell(whole, cell(world))
    assert tables(scored.train) == tables(other.train)
    assert tables(scored.evaluation.path) == tables(other.evaluation.path)
    assert (tmp_path / "paused" / "half-8").is_dir()


def test_processes_of_a_training_read_the_base_themselves_and_get_its_memory(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    monkeypatch.setattr(cell_module, "run_train_until", lambda *_, base, **__: given.append(base))
    here = context(world, tmp_path)
    loaded = here.base.load()
    train_cell(here, cell(world))
    shared = cell(world)
    train_cell(here, replace(shared, train=shared.train.model_copy(update={"processes": 2})))
    assert given == [loaded, None]
    assert here.base.load() is not loaded


def test_the_facts_to_ask_may_be_others_than_those_to_select_from(world: World, tmp_path: Path) -> None:
    some = world.fact_set.only([fact.id for fact in world.fact_set if fact.part == "test"][:5])
    scored = run_cell(replace(context(world, tmp_path), asked=some), cell(world))
    assert set(scored.evaluation.outputs()["fact_id"]) == {fact.id for fact in some}


def test_more_examples_than_there_are_is_an_input_error(world: World, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="size must be at most 40"):
        run_cell(context(world, tmp_path), cell(world, size=400))
    assert not list(tmp_path.iterdir())


def test_two_processes_give_the_same_cells(world: World, tmp_path: Path) -> None:
    found: dict[str, list[ScoredCell]] = {}
    for name in ("here", "processes"):
        work = context(world, tmp_path / name)
        with make_executor(name, work, Place(workers=2 if name == "processes" else None)) as executor:
            ended = run_all(executor, [cell(world, size) for size in (4, 8)])
            scored = [one.found for one in ended if one.found is not None]
        found[name] = sorted(scored, key=lambda one: one.cell.name)
    for one, other in zip(found["here"], found["processes"], strict=True):
        assert one.cell == other.cell
        assert tables(one.train) == tables(other.train)
        assert tables(one.evaluation.path) == tables(other.evaluation.path)
    assert len(found["here"]) == 2


def test_a_cell_whose_workers_all_die_ends_the_run_and_says_what_to_do(world: World) -> None:
    words = (
        r"the training train-8 failed: the worker died 3 times, the last time killed by SIGKILL \(out of memory\?\)\. "
        r"What is finished is kept: run the same command again, with fewer workers where memory ran out\."
    )
    executor: Executor[Cell, ScoredCell]
    with make_executor("processes", Deadly(), Place(workers=1)) as executor, pytest.raises(RecollectError, match=words):
        run_cells(executor, [cell(world)])


def test_a_base_is_sent_without_its_weights(world: World, tmp_path: Path) -> None:
    work = context(world, tmp_path)
    small = len(pickle.dumps(work))
    work.base.load()
    assert len(pickle.dumps(work)) == small
    sent = pickle.loads(pickle.dumps(work))
    assert sent.base.settings == work.base.settings and isinstance(sent.levels, pl.DataFrame)
