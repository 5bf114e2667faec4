"""The first trials of a search in one pass: the same trials as one after the other."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

import recollect.experiments.search.first as first_module
from helpers_search_run import SPACE, values
from helpers_world import World
from recollect.experiments.many import measure as measure_module
from recollect.experiments.many.measure import Gain
from recollect.experiments.search import SearchResult, SearchSettings, run_search
from recollect.experiments.search.once import Event, Watch

_SLOW = 0.8
"""Seconds that a pass takes at least."""


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A pass is found to pay without a measurement; gives the numbers of trainings of the passes."""
    found: list[int] = []
    real = first_module.run_trains

    def counted(jobs: list[Any], **given: Any) -> Any:
        found.append(len(jobs))
        time.sleep(_SLOW)
        return real(jobs, **given)

    monkeypatch.setattr(first_module, "run_trains", counted)
    monkeypatch.setattr(measure_module, "measured", lambda *_: Gain(4, 1.0, 2.0))
    monkeypatch.setattr(measure_module, "WORTH", 0)
    return found


def search(world: World, levels: Path, out: Path, watch: Watch | None = None, **more: Any) -> SearchResult:
    lora = {"epochs": 2, "method": "lora", "lora_dropout": 0.1}
    space = {**SPACE, "lora_r": [2, 4]}
    settings = SearchSettings.make(**values(world, levels, train=lora, space=space, trials=5, **more))
    return run_search(settings, out, watch=watch)


def test_the_trials_are_those_of_one_after_the_other(
    world: World, levels: Path, tmp_path: Path, passes: list[int]
) -> None:
    seen: list[Event] = []
    together = search(world, levels, tmp_path / "together", seen.append)
    assert passes == [4]
    first = [one.told.outcome for one in seen if one.told.job.rung == 0][:4]
    stored = [json.loads((together.path / f"trials/{one.trial:03d}/rung-0.json").read_text()) for one in first]
    more = [one.seconds - own["outcome"]["seconds"] for one, own in zip(first, stored, strict=True)]
    assert min(more) > _SLOW / 4 and more == pytest.approx([more[0]] * 4, abs=0.01)  # its part of the pass
    alone = search(world, levels, tmp_path / "alone", one_by_one=True)
    assert passes == [4]
    same = ("trial", "state", "steps", "total_steps", "final", "learning_rate", "batch_size", "lora_r")
    tables = [one.trials() for one in (together, alone)]
    columns = [name for name in same if name in tables[0].columns]
    assert {"trial", "state", "steps"} <= set(columns)
    assert tables[0].select(columns).equals(tables[1].select(columns))
    losses = [one.losses().sort("trial", "update")["loss"].to_list() for one in (together, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert together.found.best_trial == alone.found.best_trial


def test_a_pass_that_breaks_costs_no_trial(
    world: World, levels: Path, tmp_path: Path, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(jobs: list[Any], **_: Any) -> None:
        passes.append(len(jobs))
        raise RuntimeError("kernel launch")

    monkeypatch.setattr(first_module, "run_trains", broken)
    found = search(world, levels, tmp_path / "search")
    assert passes == [4] and found.trials().height == 5
