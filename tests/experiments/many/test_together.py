"""LoRA cells that are trained in one pass and asked together: the same tables as one after the other."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from helpers_tiny import tiny_levels
from helpers_world import EVALUATE, TRAIN, World, make_world
from recollect.core.progress import Progress
from recollect.core.workspace import Manifest, is_finished, read_manifest
from recollect.drift import DriftSettings
from recollect.errors import RecollectWarning
from recollect.evaluate import EvaluateSettings
from recollect.experiments.attempts import Attempts, FailedCell, Outcome, attempt_cells
from recollect.experiments.base import Base
from recollect.experiments.cell import Cell, Context, ScoredCell, watch_cells
from recollect.experiments.executors import Place
from recollect.experiments.many import CellExecutor, cell_executor
from recollect.experiments.many import measure as measure_module
from recollect.experiments.many import together as together_module
from recollect.experiments.many.measure import UPDATES, WORTH, Gain, Pays, updates_to_come
from recollect.experiments.many.together import adapters_that_fit
from recollect.facts import load_facts
from recollect.models import ModelSettings
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings
from recollect.train.stack import TrainJob, run_trains
from recollect.train.stack import passing as passing_module

LORA = {**TRAIN, "method": "lora", "lora_r": 4, "learning_rate": 5e-3, "lora_dropout": 0.1}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def cells(world: World, sizes: tuple[int, ...] = (4, 6, 8), **train: object) -> list[Cell]:
    return [
        Cell(
            name=f"{{step}}-{size}",
            select=SelectSettings.make(level="random", size=size, facts=str(world.facts)),
            train=TrainSettings.make(**{**LORA, **train}, model=str(world.model)),
            evaluate=EvaluateSettings.make(**EVALUATE, facts=str(world.facts)),
        )
        for size in sizes
    ]


def run(
    world: World, folder: Path, wanted: list[Cell], *, one_by_one: bool = False, progress: Progress | None = None
) -> tuple[list[Outcome], list[str]]:
    said: list[str] = []
    folder = folder.resolve()
    base = Base(ModelSettings.make(model=str(world.model)))
    context = Context(folder, base, world.fact_set, tiny_levels(world.fact_set), told=folder / "under-way")
    with (
        cell_executor("here", Attempts(context), Place(), one_by_one, said.append) as executor,
        watch_cells(context, wanted, lambda: executor.slots, 0.1) as remaining,
    ):
        if isinstance(executor, CellExecutor):
            executor.expect(wanted, remaining)
        return attempt_cells(executor, wanted, progress), said


@pytest.fixture
def pays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A pass is found to pay without a measurement; gives the numbers of trainings of the passes."""
    passes: list[int] = []
    real = together_module.run_trains

    def counted(jobs: list[object], **given: object) -> object:
        passes.append(len(jobs))
        return real(jobs, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(together_module, "run_trains", counted)
    monkeypatch.setattr(measure_module, "measured", lambda *_: Gain(4, 1.0, 2.0))
    monkeypatch.setattr(measure_module, "WORTH", 0)
    return passes


def losses(folder: Path, size: int) -> list[float]:
    return pl.read_parquet(folder / f"train-{size}" / "log.parquet")["loss"].to_list()


def test_the_tables_are_those_of_one_after_the_other(world: World, tmp_path: Path, pays: list[int]) -> None:
    wanted = [replace(one, drift=DriftSettings.make(tokens=False)) for one in cells(world)]
    together, said = run(world, tmp_path / "together", wanted)
    assert pays == [3]
    assert said == [
        "3 trainings in one pass: an update of 4 adapters took 1 s in one pass, 2 s one after the other: 2.0 times as "
        "fast (--one-by-one: one after the other)"
    ]
    alone, said = run(world, tmp_path / "alone", wanted, one_by_one=True)
    assert (pays, said) == ([3], [])
    for size, one, other in zip((4, 6, 8), together, alone, strict=True):
        assert isinstance(one, ScoredCell) and isinstance(other, ScoredCell)
        assert losses(tmp_path / "together", size) == pytest.approx(losses(tmp_path / "alone", size), rel=1e-4)
        assert one.evaluation.outputs().equals(other.evaluation.outputs())
        assert one.drift is not None and one.trained is not None
    assert not list((tmp_path / "together").rglob("*.safetensors"))  # dropped as ever


def test_one_that_fails_leaves_the_others_and_is_told_as_alone(world: World, tmp_path: Path, pays: list[int]) -> None:
    good, bad, other = cells(world, (4, 5, 6))
    bad = replace(bad, train=bad.train.model_copy(update={"learning_rate": 1e30}))
    missing = replace(other, name="{step}-many", select=other.select.model_copy(update={"size": 5_000}))
    found, _ = run(world, tmp_path, [good, bad, missing, other])
    assert pays == [3]
    assert isinstance(found[0], ScoredCell) and isinstance(found[3], ScoredCell)
    assert isinstance(found[1], FailedCell) and "diverged" in found[1].reason
    assert isinstance(found[2], FailedCell) and "5,000" in found[2].reason


def test_what_is_there_is_not_made_again(world: World, tmp_path: Path, pays: list[int]) -> None:
    first, *rest = cells(world, (4, 6, 8))
    run(world, tmp_path, [first])
    before = (tmp_path / "train-4" / "log.parquet").stat().st_mtime_ns
    found, _ = run(world, tmp_path, [first, *rest])
    assert pays == [2] and all(isinstance(one, ScoredCell) for one in found)
    assert (tmp_path / "train-4" / "log.parquet").stat().st_mtime_ns == before
    assert all(is_finished(tmp_path / f"evaluate-{size}") for size in (4, 6, 8))


def test_where_it_brings_nothing_they_run_one_after_the_other(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pays: list[int]
) -> None:
    monkeypatch.setattr(measure_module, "measured", lambda *_: Gain(2, 2.0, 2.0))
    found, said = run(world, tmp_path, cells(world, (4, 6)))
    assert pays == [] and all(isinstance(one, ScoredCell) for one in found)
    assert said[0].startswith("adapters are trained one after the other: an update of 2 adapters took 2 s")


def test_what_cannot_pass_is_told_once_by_its_reason(world: World, tmp_path: Path, pays: list[int]) -> None:
    found, said = run(world, tmp_path, cells(world, (4, 6), lora_dora=True))
    assert pays == [] and all(isinstance(one, ScoredCell) for one in found)
    assert said == [
        "adapters are trained one after the other: lora_dora trains the length of each weight row beside its direction"
    ]


def test_the_measurement_leaves_nothing_and_counts_updates(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure_module, "WORTH", 0)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", RecollectWarning)
        found, said = run(world, tmp_path, cells(world, (4, 6), learning_rate=1e-5))
    assert [str(one.message).split(" at ")[0] for one in heard] == ["1 update", "2 updates"]  # of the trainings alone
    assert all(isinstance(one, ScoredCell) for one in found)
    assert len(said) == 1 and "an update of 2 adapters took" in said[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{step}-{size}" for step in ("evaluate", "select", "train") for size in (4, 6)
    ]


def test_work_that_is_short_beside_its_measurement_is_not_measured(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [
        TrainJob(one.train, run_select(one.select, world.fact_set, out=tmp_path / str(at)).path)
        for at, one in enumerate(cells(world, (4, 6), epochs=4, batch_size=2))
    ]
    assert updates_to_come(few) == 8 + 12  # 2 and 3 an epoch
    assert updates_to_come([replace(one, share=0.5) for one in few]) == 10
    asked: list[int] = []
    monkeypatch.setattr(measure_module, "measured", lambda jobs, _: asked.append(len(jobs)) or Gain(2, 1.0, 2.0))
    said: list[str] = []
    pays, base = Pays(said.append), Base(ModelSettings.make(model=str(world.model))).load()
    least = math.ceil(WORTH * UPDATES * 3 / 10)  # trainings like these whose updates are worth it
    assert not pays.ask(few, base) and not pays.ask(few, base, among=2) and asked == []
    assert said == [
        "adapters are trained one after the other: measuring whether a pass is faster would take longer than "
        "it could save"
    ]
    assert not pays.ask(few, base, among=least - 1) and pays.ask(few, base, among=least)
    assert pays.ask(few, base) and asked == [2]  # and not measured again


def test_alone_goes_one_of_each_kind(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, alone, batches = [0.0], list[int](), (8, 4, 8)
    monkeypatch.setattr(measure_module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def train(settings: TrainSettings, *_: Any, progress: Progress, **__: Any) -> None:
        alone.append(settings.batch_size)
        for done in range(1, UPDATES + 1):
            now[0] += settings.batch_size
            progress(done, UPDATES)

    def trains(jobs: list[TrainJob], *, progress: Progress, **_: Any) -> list[object]:
        for done in range(1, UPDATES + 1):
            now[0] += 5
            progress(len(jobs) * done, len(jobs) * UPDATES)
        return []

    monkeypatch.setattr(measure_module, "run_train", train)
    monkeypatch.setattr(measure_module, "run_trains", trains)
    train_of = [TrainSettings.make(**{**LORA, "batch_size": one}) for one in batches]
    jobs = [TrainJob(one.model_copy(update={"seed": at}), tmp_path) for at, one in enumerate(train_of)]
    found = measure_module.measured(jobs, Base(ModelSettings.make(model=str(world.model))).load())
    assert (found.alone, found.together, alone) == (8 + 4 + 8, 5, [8, 4])


def test_each_cell_of_a_pass_is_told_when_it_ends(world: World, tmp_path: Path, pays: list[int]) -> None:
    wanted, there = cells(world, (4, 6, 8)), []

    def progress(done: int, _: int) -> None:
        there.append(
            [done, *(is_finished(tmp_path / f"{step}-{size}") for step in ("train", "evaluate") for size in (4, 6, 8))]
        )

    run(world, tmp_path, wanted, progress=progress)
    assert pays == [3]
    assert there == [
        [0, *6 * [False]],
        [1, True, True, True, True, False, False],
        [2, True, True, True, True, True, False],
        [3, *6 * [True]],
    ]


def test_killed_after_the_pass_nothing_stays_that_was_measured_of_other_weights(
    world: World, tmp_path: Path, pays: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = cells(world, (4, 6))
    run(world, tmp_path, wanted)
    right = [(tmp_path / f"evaluate-{size}" / "manifest.json").read_text() for size in (4, 6)]
    for size, other in ((4, tmp_path / "evaluate-6"), (6, None)):
        shutil.rmtree(tmp_path / f"train-{size}")
        if other:  # an evaluation of other weights than the training gives
            shutil.rmtree(tmp_path / f"evaluate-{size}")
            shutil.copytree(other, tmp_path / f"evaluate-{size}")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(together_module, "drop_of_others", killed)
        with pytest.raises(KeyboardInterrupt):
            run(world, tmp_path, wanted)
    assert all(is_finished(tmp_path / f"{step}-{size}") for step in ("train", "evaluate") for size in (4, 6))
    kept = (tmp_path / "evaluate-6" / "manifest.json").stat().st_mtime_ns
    run(world, tmp_path, wanted)
    found = [read_manifest(tmp_path / f"evaluate-{size}").inputs for size in (4, 6)]
    assert found == [Manifest.model_validate_json(text).inputs for text in right]
    assert (tmp_path / "evaluate-6" / "manifest.json").stat().st_mtime_ns == kept  # of the very weights that came again
    assert not list(tmp_path.glob(".*"))


@pytest.mark.filterwarnings("ignore::recollect.errors.RecollectWarning")
def test_no_more_pass_than_half_of_the_free_memory_holds(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the factors of a pass really take: padded, of the adapted modules alone, with their gradients, two
    moments, and the first factors beside them."""
    real, taken = passing_module.put_together, list[int]()

    def weighed(model: Any, adapters: Any, **given: Any) -> Any:
        stacked = real(model, adapters, **given)
        first = sum(product.a.nbytes + product.b.nbytes for one in adapters for product in one.values())
        trained = sum(group.values.nbytes + group.gradients.nbytes for group in stacked.groups)
        taken.append(2 * trained + first)  # the moments are as large as both
        return stacked

    monkeypatch.setattr(passing_module, "put_together", weighed)
    base = Base(ModelSettings.make(model=str(world.model))).load()
    select = run_select(cells(world, (4,))[0].select, world.fact_set, out=tmp_path / "select").path
    plain = TrainSettings.make(**{**LORA, "max_steps": 1, "lora_r": 5}, model=str(world.model))
    kinds: list[dict[str, Any]] = [
        {"lora_r": 4},
        {},
        {"lora_targets": "q_proj,down_proj"},
        {"lora_rank_pattern": {"layers.0": 3, "down_proj": 33}},
        {"lora_layers": (1,)},
    ]
    trainings = [plain.model_copy(update=kind) for kind in kinds]
    for at, one in enumerate(trainings):
        job = TrainJob(one, select, out=tmp_path / str(at))
        run_trains([job], base=base)
    assert taken[1] > taken[4] and taken[3] > taken[0]
    for one, each in zip(trainings, taken, strict=True):
        monkeypatch.setattr(together_module, "free_memory", lambda _, each=each: 2 * 5 * each)
        assert adapters_that_fit(base, [one]) == 5
        monkeypatch.setattr(together_module, "free_memory", lambda _, each=each: 2 * 5 * each - 1)
        assert adapters_that_fit(base, [one]) == 4
    monkeypatch.setattr(together_module, "free_memory", lambda _: 2 * 7 * max(taken))
    lost = plain.model_copy(update={"lora_targets": "nowhere"})
    assert adapters_that_fit(base, [lost, *trainings]) == 7
    alone = sum(taken)
    run_trains([TrainJob(one, select, out=tmp_path / f"all-{at}") for at, one in enumerate(trainings)], base=base)
    assert taken[-1] == alone  # each padded to its own


def test_a_pass_that_breaks_costs_no_cell(
    world: World, tmp_path: Path, pays: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("kernel launch")

    monkeypatch.setattr(together_module, "run_trains", broken)
    found, said = run(world, tmp_path / "pass", cells(world, (4, 6)))
    assert all(isinstance(one, ScoredCell) for one in found)
    assert "cells run one after the other from here on: the pass ended with RuntimeError: kernel launch" in said[-1]
    monkeypatch.setattr(measure_module, "measured", broken)
    found, said = run(world, tmp_path / "measurement", cells(world, (4, 6)))
    assert all(isinstance(one, ScoredCell) for one in found)
    assert len(said) == 1 and "measuring a pass failed: RuntimeError: kernel launch" in said[0]


def to_kill(world: World) -> list[Cell]:
    """3, 6 and 6 updates, with a checkpoint after every second."""
    return cells(world, epochs=3, save_every=2)


def die_in_the_pass(model: str, facts: str, folder: str) -> None:
    """Run the cells in a process that is killed after 8 of their 15 updates."""

    def die(done: int, _: int) -> None:
        if done >= 8:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together_module, "run_trains", lambda jobs, **given: run_trains(jobs, **given, progress=die))
        patch.setattr(measure_module, "measured", lambda *_: Gain(4, 1.0, 2.0))
        patch.setattr(measure_module, "WORTH", 0)
        world = World(Path(model), Path(facts), load_facts(facts))
        run(world, Path(folder), to_kill(world))


def test_killed_in_the_middle_of_a_pass_it_ends_in_the_same_tables(
    world: World, tmp_path: Path, pays: list[int]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    expected, _ = run(world, whole, to_kill(world))
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2]), *sys.path]
    order = f"from {Path(__file__).stem} import die_in_the_pass; die_in_the_pass(*__import__('sys').argv[1:])"
    child = subprocess.run(
        [sys.executable, "-c", order, str(world.model), str(world.facts), str(killed)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    there = {path.relative_to(killed).as_posix() for path in killed.rglob("*") if path.parent.name == "parts"}
    assert {path for path in there if "checkpoint" in path} >= {
        f"train-{size}.partial/parts/checkpoint-2" for size in (6, 8)
    }
    assert not list(killed.glob("evaluate-*"))
    first = (killed / "train-4" / "manifest.json").read_bytes()
    found, _ = run(world, killed, to_kill(world))
    assert pays == [3, 3]
    assert (killed / "train-4" / "manifest.json").read_bytes() == first
    for size, one, other in zip((4, 6, 8), found, expected, strict=True):
        assert isinstance(one, ScoredCell) and isinstance(other, ScoredCell)
        assert losses(killed, size) == pytest.approx(losses(whole, size), rel=1e-5)
        assert one.evaluation.outputs().equals(other.evaluation.outputs())
    names = [sorted(path.name for path in folder.iterdir()) for folder in (killed, whole)]
    assert names[0] == names[1]
