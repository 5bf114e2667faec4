"""A small world, the study of it, and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers_study import settings
from helpers_world import Command, World, make_world
from recollect.experiments.study import StudyResult, run_study


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def finished(world: World, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """A finished study, in a folder of its own."""
    return run_study(settings(world), tmp_path_factory.mktemp("studies") / "study")


@pytest.fixture
def recollect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, world: World
) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsys)
