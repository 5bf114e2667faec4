"""Cells here, or in several processes where these are measured to do more."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers_tiny import tiny_levels
from helpers_world import EVALUATE, TRAIN, World, make_world, tables
from recollect.evaluate import EvaluateSettings
from recollect.experiments.attempts import Attempts, attempt_cells
from recollect.experiments.base import Base
from recollect.experiments.cell import Cell, Context, watch_cells
from recollect.experiments.executors import Place
from recollect.experiments.executors.here import HereExecutor
from recollect.experiments.executors.processes import ProcessExecutor
from recollect.experiments.many import CellExecutor, cell_executor
from recollect.experiments.many import executor as executor_module
from recollect.experiments.many.threads import Processes, processes_for, seconds_to_read
from recollect.models import ModelSettings
from recollect.select import SelectSettings
from recollect.train import TrainSettings


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def context(world: World, folder: Path) -> Context:
    base = Base(ModelSettings.make(model=str(world.model)))
    folder = folder.resolve()
    return Context(folder, base, world.fact_set, tiny_levels(world.fact_set), told=folder / "under-way")


def cells(world: World, sizes: tuple[int, ...] = (4, 5, 6)) -> list[Cell]:
    return [
        Cell(
            name=f"{{step}}-{size}",
            select=SelectSettings.make(level="random", size=size, facts=str(world.facts)),
            train=TrainSettings.make(**TRAIN, model=str(world.model)),
            evaluate=EvaluateSettings.make(**EVALUATE, facts=str(world.facts)),
        )
        for size in sizes
    ]


@dataclass
class Ran:
    """A run of cells, and what was said of it."""

    said: list[str]
    slots: list[int]
    found: list[Any]


def run(context: Context, wanted: list[Cell], *, one_by_one: bool = False) -> Ran:
    said: list[str] = []
    slots: list[int] = []
    with (
        cell_executor("here", Attempts(context), Place(), one_by_one, said.append) as executor,
        watch_cells(context, wanted, lambda: executor.slots, 0.1) as remaining,
    ):
        if isinstance(executor, CellExecutor):
            executor.expect(wanted, remaining)
        found = attempt_cells(executor, wanted, lambda *_: slots.append(executor.slots))
    return Ran(said, slots, found)


class InTurn(ProcessExecutor[Any, Any]):
    """Two places, whose cells run in this process with a base that was sent as to another one."""

    def __init__(self, work: Any, place: Place) -> None:
        super().__init__(work, place)
        sent = pickle.loads(ForkingPickler.dumps(work))
        assert sent.context.base._loaded is not None  # the weights came along
        self._here: list[HereExecutor[Any, Any]] = []
        self._sent = sent

    def submit(self, job: Any) -> None:
        self._here.append(HereExecutor(self._sent, Place()))
        self._here[-1].submit(job)

    def wait(self, seconds: float | None = None) -> Any:
        waiting, self._here = self._here, []
        return [ended for one in waiting for ended in one.wait()]


def found_processes(found: Processes) -> Callable[..., Processes]:
    return lambda *_: found


def test_the_rest_goes_to_processes_where_they_save_enough(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "ProcessExecutor", InTurn)
    monkeypatch.setattr(executor_module, "START", 0.0)
    monkeypatch.setattr(executor_module, "_LEAST", 0.0)
    monkeypatch.setattr(executor_module, "processes_for", found_processes(Processes(2, 1.6)))
    several = run(context(world, tmp_path / "several"), cells(world))
    assert several.slots == [1, 2, 2, 2]
    [said] = several.said
    assert said.startswith("the other 2 trainings go to 2 processes: reading a batch, they do 1.6 times as much")
    alone = run(context(world, tmp_path / "alone"), cells(world), one_by_one=True)
    assert (alone.said, set(alone.slots)) == ([], {1})
    assert tables(tmp_path / "several") == tables(tmp_path / "alone")


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(Processes(1, 1.0), id="no room for two"),
        pytest.param(Processes(2, 1.0), id="two do no more than one"),
    ],
)
def test_it_stays_here_where_processes_save_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Processes
) -> None:
    monkeypatch.setattr(executor_module, "START", 0.0)
    monkeypatch.setattr(executor_module, "_LEAST", 0.001)
    monkeypatch.setattr(executor_module, "processes_for", found_processes(found))
    here = run(context(world, tmp_path), cells(world))
    assert (here.said, set(here.slots)) == ([], {1})


def test_it_stays_here_where_the_weights_cannot_be_shared(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "START", 0.0)
    monkeypatch.setattr(executor_module, "_LEAST", 0.0)
    monkeypatch.setattr(executor_module, "processes_for", found_processes(Processes(2, 1.6)))
    monkeypatch.setattr(executor_module, "shared_room", lambda: 1 << 10)
    here = run(context(world, tmp_path), cells(world))
    assert set(here.slots) == {1}
    [said] = here.said
    assert said.startswith("the other 2 trainings run here, one after the other: /dev/shm has room for 0 MiB")

    def refused(_: object) -> None:
        raise RuntimeError("unable to allocate shared memory")

    monkeypatch.setattr(executor_module, "shared_room", lambda: 1 << 40)
    monkeypatch.setattr(Base, "share", refused)
    [said] = run(context(world, tmp_path / "refused"), cells(world)).said
    assert "unable to allocate shared memory" in said


def test_short_work_is_not_measured(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Processes:
        raise AssertionError("measured")

    monkeypatch.setattr(executor_module, "processes_for", never)
    assert run(context(world, tmp_path), cells(world, (4, 5))).said == []


def test_workers_and_names_are_heeded(world: World, tmp_path: Path) -> None:
    work = Attempts(context(world, tmp_path))
    assert isinstance(cell_executor("here", work, Place()), CellExecutor)
    assert type(cell_executor("here", work, Place(), one_by_one=True)) is HereExecutor
    assert type(cell_executor("here", work, Place(workers=2))) is ProcessExecutor


def test_reading_is_timed_and_threads_are_as_they_were(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    base = Base(ModelSettings.make(model=str(world.model))).load()
    before = torch.get_num_threads()
    one, two = seconds_to_read(base, 4, (1, 2))
    assert one > 0 and two > 0 and torch.get_num_threads() == before
    monkeypatch.setattr("recollect.experiments.many.threads.choose_threads", lambda: (2, "cores"))
    monkeypatch.setattr("recollect.experiments.many.threads.seconds_to_read", lambda *_: (3.0, 2.0))
    assert processes_for(base, 9, 4) == Processes(2, 2 * 2.0 / 3.0)
    assert processes_for(base, 1, 4) == Processes(1, 1.0)
    on_gpu = replace(base, machine=replace(base.machine, device="cuda"))
    assert processes_for(on_gpu, 9, 4) == Processes(1, 1.0)


def test_a_shared_base_is_sent_as_it_is_in_memory(world: World) -> None:
    base = Base(ModelSettings.make(model=str(world.model)))
    assert pickle.loads(ForkingPickler.dumps(base))._loaded is None
    base.share()
    there = pickle.loads(ForkingPickler.dumps(base))
    mine, theirs = (next(one.load().model.parameters()) for one in (base, there))
    assert theirs.is_shared() and torch.equal(mine, theirs)
    with torch.no_grad():
        mine.fill_(7)
    assert bool((theirs == 7).all())  # one memory
    base.release()
    assert pickle.loads(ForkingPickler.dumps(base))._loaded is None
