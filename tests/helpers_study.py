"""The small study of the tests in tests/experiments/study."""

from __future__ import annotations

from typing import Any

from helpers_world import EVALUATE, PROBE, TRAIN, World
from recollect.experiments.study import StudyResult, StudySettings
from recollect.report import Trained


def values(world: World, **changed: Any) -> dict[str, Any]:
    """A study of level 0 (and random, which comes by itself) at two sizes."""
    sections = {"probe": PROBE, "train": TRAIN, "evaluate": EVALUATE}
    return {
        "model": str(world.model),
        "facts": str(world.facts),
        "choices": [0],
        "sizes": [4, 8],
        "repeats": 1,
        **sections,
    } | changed


def trained(study: StudyResult) -> Trained:
    found = study.results.of(Trained)
    assert found is not None
    return found


def settings(world: World, **changed: Any) -> StudySettings:
    return StudySettings.make(**values(world, **changed))
