"""A tiny model that learns a little, its facts and levels, and a search's folder with its slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from helpers_search_run import values
from helpers_tiny import tiny_levels
from helpers_world import EVALUATE, World
from recollect.evaluate import EvaluateSettings
from recollect.experiments.search import SearchResult, SearchSettings, run_search
from recollect.experiments.search.runner import SPLIT, Task
from recollect.experiments.search.validation import split
from recollect.select import SelectSettings
from recollect.train import TrainSettings


@pytest.fixture(scope="session")
def levels(world: World) -> Path:
    """Levels of the tiny facts."""
    path = world.facts.parent / "levels.parquet"
    tiny_levels(world.fact_set).write_parquet(path)
    return path


@pytest.fixture
def task(world: World, levels: Path, tmp_path: Path) -> Task:
    return make_task(world, levels, tmp_path)


def make_task(world: World, levels: Path, folder: Path, **train: Any) -> Task:
    """Trials in `folder`, ten validation facts; the random base says the same to everything, and may go on so."""
    slices = split(world.fact_set, None, share=0.5, most=None, seed=0)
    rows = [(fact.id, name) for name in ("validation", "test") for fact in getattr(slices, name)]
    pl.DataFrame(rows, schema=["fact_id", "slice"], orient="row").write_parquet(folder / SPLIT)
    return Task(
        folder=str(folder),
        facts=str(world.facts),
        facts_fingerprint=world.fact_set.fingerprint(),
        levels=str(levels),
        train=TrainSettings.make(
            **{"model": str(world.model), "learning_rate": 5e-3, "batch_size": 4, "seed": 0, **train}
        ),
        select=SelectSettings.make(level="random", size=20),
        evaluate=EvaluateSettings.make(**EVALUATE),
        in_json=False,
        base_broken=1.0,
    )


@pytest.fixture(scope="session")
def whole(world: World, levels: Path, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """An uninterrupted search."""
    return run_search(SearchSettings.make(**values(world, levels)), tmp_path_factory.mktemp("whole") / "search")
