"""The small study that the tests of studies, grids and plans look at."""

from __future__ import annotations

import pytest

from helpers_study import settings
from helpers_world import World
from recollect.experiments.study import StudyResult, run_study


@pytest.fixture(scope="session")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """An uninterrupted study, in a folder of its own."""
    return run_study(settings(world), tmp_path_factory.mktemp("whole") / "study")
