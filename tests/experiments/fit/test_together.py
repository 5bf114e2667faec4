"""A fit of adapters with its first trials and its seeds in one pass: the same candidates as one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

import recollect.experiments.fit.searching as searching_module
import recollect.experiments.many.together as together_module
import recollect.experiments.search.first as first_module
from helpers_fit import TINY, world
from recollect.experiments.fit import FitResult, FitSettings, run_fit
from recollect.experiments.fit.clock import FitClock
from recollect.experiments.fit.searching import Stoppable, foretold
from recollect.experiments.fit.settings import FitParts
from recollect.experiments.many import measure as measure_module
from recollect.experiments.many.measure import Gain, Pays
from recollect.experiments.search.trial import Job, Outcome
from recollect.train import TrainSettings


@dataclass
class Passes:
    """What passed, in all lives of a fit."""

    sizes: list[int] = field(default_factory=list)
    measured: list[int] = field(default_factory=list)
    """How many had passed when it was measured whether a pass pays."""
    said: list[str] = field(default_factory=list)


@contextmanager
def forced(passes: Passes, *broken: int) -> Iterator[None]:
    """A pass is found to pay without a measurement; these, counted from 0, are interrupted after three updates."""
    real = first_module.run_trains

    def counted(jobs: list[Any], **given: Any) -> Any:
        number = len(passes.sizes)
        passes.sizes.append(len(jobs))

        def stop(done: int, _: int) -> None:
            if number in broken and done >= 3:
                raise KeyboardInterrupt

        return real(jobs, **given, progress=stop)

    def measured(*_: object) -> Gain:
        passes.measured.append(len(passes.sizes))
        return Gain(4, 1.0, 2.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_module, "run_trains", counted)
        patch.setattr(together_module, "run_trains", counted)
        patch.setattr(measure_module, "measured", measured)
        patch.setattr(measure_module, "WORTH", 0)
        yield


def fit(out: Path, passes: Passes, **more: object) -> FitResult:
    given: dict[str, object] = {**TINY, "few_shot": 0, "most_kept": 0, "train": {"epochs": 2}}
    given |= {"budget": "3 trials", "most_cost": 100.0, "seeds": 3, "method": "lora", "use_levels": False, **more}
    return run_fit(FitSettings.make(**given), out, facts=world(60, 20, 0), say=passes.said.append)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    with forced(passes := Passes()):
        result = fit(tmp_path_factory.mktemp("alone") / "fit", passes, one_by_one=True)
    assert (passes.sizes, passes.measured) == ([], [])
    return result


@pytest.fixture(scope="module", name="three_lives")
def _three_lives(tmp_path_factory: pytest.TempPathFactory) -> tuple[FitResult, Passes]:
    """A fit that is ended in its first pass, and in its second; the third call ends it."""
    out, passes = tmp_path_factory.mktemp("together") / "fit", Passes()
    with forced(passes, 0, 2):
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                fit(out, passes)
        return fit(out, passes), passes


def test_the_first_trials_and_the_seeds_pass_and_what_was_measured_holds_for_both(
    three_lives: tuple[FitResult, Passes],
):
    _, passes = three_lives
    assert passes.sizes == [3, 3, 2, 2]  # each of the two again
    assert passes.measured == [0, 1, 3]  # once a life, though the second had both
    told = [line for line in passes.said if "in one pass" in line]
    assert told[0].startswith("3 trainings in one pass: an update of 4 adapters took 1 s in one pass, 2 s one after")


def test_the_candidates_are_those_of_one_after_the_other(three_lives: tuple[FitResult, Passes], alone: FitResult):
    one, other = three_lives[0].found, alone.found
    assert [trial.settings for trial in one.trials] == [trial.settings for trial in other.trials]
    for name in ("number", "state", "updates", "early", "score", "forgot"):
        mine, theirs = ([getattr(trial, name) for trial in found.trials] for found in (one, other))
        assert mine == (theirs if name == "state" else pytest.approx(theirs)), name
    assert {trial.state for trial in one.trials} >= {"finished"}
    assert {one.kind for one in one.candidates} == {"plain", "trial", "seed", "mean", "repair"}
    assert len({one.score for one in one.candidates}) > 2
    assert one.candidates == other.candidates
    assert one.contenders == other.contenders
    assert (one.chosen, one.seeds, one.updates) == (other.chosen, other.seeds, other.updates)


def test_every_training_has_the_same_losses(three_lives: tuple[FitResult, Passes], alone: FitResult):
    found = three_lives[0].path / "steps"
    logs = sorted(path.relative_to(found) for path in found.rglob("log.parquet"))
    assert len(logs) >= 1 + 2 + 1  # finished trials, seeds, plain
    for log in logs:
        mine, theirs = (pl.read_parquet(path / "steps" / log)["loss"] for path in (three_lives[0].path, alone.path))
        assert mine.to_list() == pytest.approx(theirs.to_list(), rel=1e-4), log


def test_it_is_no_other_fit(three_lives: tuple[FitResult, Passes]):
    result, passes = three_lives
    before = len(passes.sizes)
    assert fit(result.path, passes, one_by_one=True).found == result.found
    assert len(passes.sizes) == before


class Endless:
    """A scheduler that always has a new trial."""

    to_start, done, trials = 4, False, ()

    def __init__(self) -> None:
        self.given = 0

    def next(self) -> Job:
        self.given += 1
        return Job(self.given, 0, 0.2, {})

    def tell(self, outcome: Outcome) -> None:
        pass


@pytest.mark.parametrize(("in_turn", "expected"), [(True, 3), (False, 9)])
def test_as_many_are_given_out_as_the_time_has_room_for_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_turn: bool, expected: int
):
    now = [0.0]
    clock = FitClock(tmp_path, 100.0, lambda: now[0])
    ground: Any = SimpleNamespace(
        step=SimpleNamespace(folder=tmp_path),
        clock=clock,
        reserve=10.0,
        settings=FitSettings(seeds=1),
        asking=0.0,
        training=0.0,
    )
    monkeypatch.setattr(searching_module, "foretold", lambda *_: 35.0)
    scheduler = Endless()
    stoppable = Stoppable(cast(Any, scheduler), ground, cast(Any, None))
    stoppable.in_turn = in_turn
    jobs = [job for _ in range(9) if (job := stoppable.next()) is not None]
    assert len(jobs) == scheduler.given == expected  # the third may begin after 70 of the 90 seconds
    now[0] = 60.0
    for job in jobs:
        stoppable.tell(Outcome(job.trial, job.rung, "scored", 1.0))
    assert stoppable.next() is not None
    assert (stoppable.next() is None) is in_turn  # 30 seconds are left, and 35 are foretold
    now[0] = 95.0
    assert stoppable.next() is None


def test_a_job_is_foretold_by_the_examples_that_it_reads(monkeypatch: pytest.MonkeyPatch):
    parts = FitParts.of(FitSettings(), None, "facts")
    monkeypatch.setattr(searching_module, "plain_cell", lambda _: SimpleNamespace(train=parts.train))
    monkeypatch.setattr(searching_module, "plain_updates", lambda _: 10)
    batch = parts.train.batch_size
    runner: Any = SimpleNamespace(settings=lambda _: TrainSettings.make(batch_size=2 * batch), updates=lambda _: 15)
    ground: Any = SimpleNamespace(asking=5.0, training=60.0, pays=None)
    job = Job(0, 0, 0.2, {})
    assert foretold(ground, runner, job) == pytest.approx(5 + 0.2 * 3 * 60)  # 15 x 2 for 10
    ground.pays = Pays(lambda _: None)
    assert foretold(ground, runner, job) == pytest.approx(5 + 0.2 * 3 * 60 * 1.25)  # with a quarter for measuring
    ground.pays.found = True
    assert foretold(ground, runner, job) == pytest.approx(5 + 0.2 * 3 * 60)
