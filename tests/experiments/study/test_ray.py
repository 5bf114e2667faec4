"""A study on two nodes of a real Ray cluster, one of which is killed: the same tables."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from helpers_ray import mortal_nodes
from helpers_study import settings
from helpers_world import World, tables
from recollect.experiments.study import StudyResult, run_study


@pytest.mark.slow
def test_a_node_that_is_killed_costs_no_table(whole: StudyResult, world: World, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    steps = tmp_path / "study.partial" / "steps"
    killed: list[int] = []

    def at_the_second_training(kill: object) -> None:
        end = time.monotonic() + 300
        while time.monotonic() < end and len(found := list(steps.glob("train-*"))) < 2:
            time.sleep(0.05)
        assert callable(kill)
        kill()
        killed.append(len(found))

    with mortal_nodes() as (address, kill):
        watcher = threading.Thread(target=at_the_second_training, args=(kill,))
        watcher.start()
        study = run_study(settings(world, executor="ray", address=address), tmp_path / "study")
        watcher.join()
    assert killed and killed[0] < 4, "in the middle of the work"
    assert tables(study.path) == tables(whole.path)
    names = sorted(path.name for path in (whole.path / "steps").iterdir())
    assert sorted(path.name for path in (study.path / "steps").iterdir()) == names
    for name in names:
        assert tables(study.path / "steps" / name) == tables(whole.path / "steps" / name), name
