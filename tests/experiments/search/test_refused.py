"""What a search refuses before any work, and what it says where nothing works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import recollect.experiments.cell as cell_module
import recollect.experiments.executors.ray as ray_module
from helpers_search_run import values
from helpers_world import World
from recollect.errors import InputError, RecollectError
from recollect.experiments.search import SearchSettings, run_search
from recollect.facts import FactSet


def test_a_search_where_nothing_works_says_why(
    world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise OSError("the disk was unplugged")

    monkeypatch.setattr(cell_module, "run_train_until", broken)
    with pytest.raises(RecollectError, match=r"3 trials failed and none worked.*the disk was unplugged"):
        run_search(SearchSettings.make(**values(world, levels)), tmp_path / "search")


def test_a_budget_too_small_is_refused_before_anything_is_trained(world: World, levels: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="budget_steps must be at least"):
        run_search(SearchSettings.make(**values(world, levels, budget_steps=2)), tmp_path / "search")
    assert not list(tmp_path.glob("search*/trials/*"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"space": {}}, "at least one setting"),
        ({"space": {"learning_rat": [1e-3]}}, "Did you mean learning_rate"),
        ({"space": {"learning_rate": {"low": 1e-2, "high": 1e-3}}}, "low must be at most high"),
        ({"train": {"learning_rate": 1e-3}}, "learning_rate is in the space and in the section train"),
        ({"train": {"epochs": 0}}, "train.epochs"),
        ({"evaluate": {"max_new_tokens": 0}}, "evaluate.max_new_tokens"),
        ({"levels": "none", "space": {"level": ["1", "2"]}, "select": {}}, "levels must be known"),
        ({"levels": "probe", "probe": {"parts": "train"}}, "none of the .* facts that would be asked .*--levels none"),
        ({"validation_share": 0.1}, "at least 4 facts to validate on"),
        ({"space": "no-such-file.yaml"}, "no such file"),
        ({"space": {1: [2]}}, "^space: must be a YAML file or its text, or a mapping of settings' names"),
        ({"space": [1]}, "^space: must be a YAML file or its text, or a mapping of settings' names"),
        ({"space": "a: &a [x]\nb: [*a]\n" + "# more than a file's name may have\n" * 200}, "aliases"),
        ({"space": "[" * 50_000}, "nested too deeply"),
        ({"space": "x" * 50_000}, "the space must hold one mapping"),
        ({"space": "{learning_rate: [1e-3], learning_rate: [1e-4]}"}, "'learning_rate' is given twice"),
        ({"model": "/no/such/model"}, "no such"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(
    world: World, levels: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecollectError, match=words):
        run_search(SearchSettings.make(**values(world, levels, **change)), tmp_path / "search")
    assert not list(tmp_path.glob("search*/trials"))


def test_facts_that_are_too_few_leave_no_folder(world: World, levels: Path, tmp_path: Path) -> None:
    """So the same command with more facts is no other search in a place that is taken."""
    few = FactSet(world.fact_set.part("train").facts + world.fact_set.part("test").facts[:5], "few")
    with pytest.raises(InputError, match="at least 4 facts to validate on"):
        run_search(SearchSettings.make(**values(world, levels)), tmp_path / "search", facts=few)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"storage": "postgresql+psycopg://nobody@nowhere/nothing"}, "needs psycopg"),
        ({"storage": "/dev/null"}, "a pipe or a device"),
        ({"storage": "/"}, "a folder"),
        ({"storage": "/dev/null/search.journal"}, "/dev/null is no folder"),
        ({"executor": "ray", "address": "10.0.0.1:6379"}, "no Ray cluster at|executor ray needs ray"),
    ],
)
def test_a_door_that_is_shut_is_found_before_the_base_is_asked(
    world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(ray_module, "_TRY", "raise ConnectionError('nobody there')")
    asked: list[str] = []

    @contextmanager
    def stage(what: str, unit: str, detail: object = None) -> Iterator[None]:
        asked.append(what)
        yield

    with pytest.raises(RecollectError, match=words):
        run_search(SearchSettings.make(**values(world, levels, **change)), tmp_path / "search", stage=stage)
    assert not asked


@pytest.mark.parametrize(
    "change",
    [
        {"rungs": [0.5]},
        {"rungs": [0.5, 0.2, 1]},
        {"address": "auto"},
        {"repeats": 2, "storage": "sqlite:///x"},
        {"train": {"seed": 3}},
        {"evaluate": {"parts": "train"}},
        {"trials": 0},
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        SearchSettings.make(**change)
