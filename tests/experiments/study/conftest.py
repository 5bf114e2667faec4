"""A small study that several tests look at, and what it is made of."""

from __future__ import annotations

import pytest

from helpers_study import settings
from helpers_world import World, make_world
from recollect.experiments.study import StudyResult, run_study


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """An uninterrupted study."""
    return run_study(settings(world), tmp_path_factory.mktemp("whole") / "study")
