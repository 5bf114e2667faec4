"""A grid: a study for each model, data set and method, with what they have in common done once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import recollect.experiments.study.work as study_work
from helpers_study import settings, values
from helpers_tiny import tiny_model
from helpers_world import Command, World, contents, tables
from recollect.core.workspace import read_manifest
from recollect.errors import InputError, ModelError, StepError
from recollect.experiments.study import GridResult, StudySettings, grid_parts, run_grid, run_study
from recollect.report import Parts

SMALL: dict[str, Any] = {"choices": ["random"], "sizes": [4], "measure_drift": False, "repair": [], "few_shot": 0}
LORA = {"method": "lora", "train": {"learning_rate": 1e-2}}
STEPS = 5  # of such a study: probe, base, select, train, evaluate
COMMON = 3  # of these, what does not hang on the training


def wanted(world: World, **changed: Any) -> StudySettings:
    given = {**values(world, **SMALL), **changed}
    return StudySettings.make(**{name: value for name, value in given.items() if value is not None})


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "other", seed=1)


def axes(world: World, other: Path, missing: Path) -> dict[str, Any]:
    models = [
        str(world.model),
        {"model": str(other), "train": {"batch_size": 2}},
        {"model": str(missing), "name": "late"},
    ]
    return {"model": None, "models": models, "methods": ["full", LORA]}


@pytest.fixture(scope="module")
def first(world: World, other: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[GridResult, StudySettings]:
    """A grid whose third model is not there."""
    place = tmp_path_factory.mktemp("grids")
    asked = wanted(world, **axes(world, other, place / "missing"))
    return run_grid(asked, place / "first"), asked


def test_one_probe_serves_both_methods_and_a_missing_model_costs_its_own_parts(
    first: tuple[GridResult, StudySettings],
) -> None:
    grid, _ = first
    assert list(grid.parts) == ["model-full", "model-lora", "other-full", "other-lora"]
    assert (grid.found.steps, grid.found.reused, grid.found.cells) == (4 * STEPS, 2 * COMMON, 4)
    assert [one.name for one in grid.failed] == ["late-full", "late-lora"]
    assert all("no such model folder" in one.reason for one in grid.failed)
    page = grid.report.read_text(encoding="utf-8")
    assert page.count("no such model folder") == 1 and "late-full, late-lora failed" in page
    assert "The same command tries that again" in page
    used = [read_manifest(path / "steps/train-random-4-seed0").settings for path in grid.parts.values()]
    assert [(one["method"], one["batch_size"]) for one in used] == [("full", 4), ("lora", 4), ("full", 2), ("lora", 2)]
    found = grid.results.of(Parts)
    assert found is not None and [part.name for part in found.parts] == list(grid.parts)
    page = grid.report.read_text(encoding="utf-8")
    for part in found.parts:
        assert f'href="{part.report}"' in page and (grid.path / part.report).is_file()
    assert "no such model folder" in page


def test_a_missing_model_is_told_once_and_before_any_work(first: tuple[GridResult, StudySettings]) -> None:
    grid, asked = first
    told, said = list[str](), list[str]()
    run_grid(asked, grid.path.parent / "told", say=said.append, warn=lambda text: told.append(f"{len(said)} {text}"))
    assert len(told) == 1 and told[0].startswith("0 CANNOT BE DONE: late-full, late-lora (2 of 6 parts): no such model")
    assert not any("no such model" in text for text in said)
    assert sum("no such model" in note for note in grid.found.notes) == 1


def test_the_same_command_repairs_what_failed_and_what_is_gone(
    first: tuple[GridResult, StudySettings], world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    grid, asked = first
    place = shutil.copytree(grid.path, tmp_path / "grid")
    late = tiny_model(grid.path.parent / "missing", seed=2)
    try:
        repaired = run_grid(asked, place)
        assert not repaired.failed and repaired.found.steps == 6 * STEPS
        assert repaired.reused == 4 * STEPS + COMMON, "only the model that has come, its probe once"
        before = {name: tables(path) for name, path in repaired.parts.items()}
        shutil.rmtree(place / "studies/model-lora")
        shutil.rmtree(place / "studies/other-full/steps/evaluate-random-4-seed0")  # whose weights are gone
        again = run_grid(asked, place)
        assert again.reused == 6 * STEPS - (STEPS - COMMON) - 2
        assert {name: tables(path) for name, path in again.parts.items()} == before
        whole = contents(place)
        monkeypatch.setattr(study_work, "run_probe", lambda *_, **__: pytest.fail("a finished grid was worked on"))
        assert run_grid(asked, place).reused == 6 * STEPS
        assert contents(place) == whole
    finally:
        shutil.rmtree(late)


def test_a_grid_beside_it_takes_all_but_what_is_new(
    first: tuple[GridResult, StudySettings], world: World, other: Path
) -> None:
    grid, _ = first
    more = {**axes(world, other, other), "models": [str(world.model)], "methods": [LORA], "sizes": [4, 8]}
    second = run_grid(wanted(world, **more), grid.path.parent / "second")
    assert (second.found.steps, second.found.reused) == (STEPS + 3, STEPS)
    single = run_study(settings(world, **SMALL), grid.path.parent / "single")
    assert single.found.reused == single.found.steps == STEPS, "a study takes from a grid's"
    assert tables(single.path) == tables(grid.parts["model-full"])


def test_what_a_file_calls_a_model_is_stored_and_changes_no_fingerprint() -> None:
    plain, named = (
        grid_parts(StudySettings.make(models=[one], data=[{"facts": "pocket", "name": "world"}], methods=["full"]))[0]
        for one in ("runs/tuned", {"model": "runs/tuned", "name": "sixty"})
    )
    assert (named.name, named.stored().model_called, named.stored().data_called) == (
        "sixty-world-full",
        "sixty",
        "world",
    )
    assert plain.stored().model_called == "" and plain.trained() == named.trained()


def test_names_of_parts_do_not_change_when_an_axis_grows() -> None:
    def names(**given: Any) -> list[str]:
        return [part.name for part in grid_parts(StudySettings.make(**given))]

    assert names(models=["org/Some-1.5B"], methods="full,lora") == ["Some-1.5B-full", "Some-1.5B-lora"]
    few = names(models=["a/x"], data=["d/facts.csv"])
    assert few == ["x-facts"]
    more = names(models=["a/x", "b/X", {"model": "c/x", "name": "mine"}], data=["d/facts.csv", "e/facts.parquet"])
    assert more[0] == few[0] and len({name.lower() for name in more}) == 6 and "mine-facts" in more
    assert names(models=["a/x", "z", "b/X"], data=["d/facts.csv"])[2] == more[2]
    assert names(models=["../we ird/ü:x", "..", "a/.hidden"]) == ["--x", "-", "hidden"]


def test_parts_of_one_name_are_refused() -> None:
    """Where a model ends as the data begin."""
    with pytest.raises(InputError, match=r"called a-b-c: model a with facts b-c, and model a-b with facts c\. Give"):
        grid_parts(StudySettings.make(models=["a", "a-b"], data=["b-c", "c"]))
    named = StudySettings.make(models=["a", {"model": "a-b", "name": "ab"}], data=["b-c", "c"])
    assert len({part.name for part in grid_parts(named)}) == 4


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"models": []}, "models: .*must not be empty"),
        ({"methods": ["full", "full"]}, "methods: .*must not repeat an entry, but full is there twice"),
        ({"methods": ["qlora"]}, "methods, entry 1, method"),
        ({"models": ["pocket"], "model": "pocket"}, "model must not be given beside models"),
        ({"data": ["pocket"], "facts": "pocket"}, "facts must not be given beside data"),
        ({"methods": ["lora"], "train": {"method": "full"}}, "train.method must not be given beside methods"),
        ({"models": [{"model": "pocket", "learning_rate": 1}]}, "unknown setting 'models, entry 1, learning_rate'"),
        ({"models": [{"model": "pocket", "name": "../x"}]}, "models, entry 1, name"),
        ({"models": [{"model": "pocket", "train": {"seed": 1}}]}, "train must not set seed"),
        ({"modells": ["pocket"]}, "unknown setting 'modells'"),
    ],
)
def test_a_bad_axis_is_one_clear_line(changed: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        StudySettings.make(**changed)


def test_two_names_of_one_model_are_refused_before_any_work(world: World, tmp_path: Path) -> None:
    twin = shutil.copytree(world.model, tmp_path / "twin")
    asked = wanted(world, model=None, models=[str(world.model), str(twin)])
    with pytest.raises(InputError, match="are one model by its content"):
        run_grid(asked, tmp_path / "grid")
    assert not (tmp_path / "grid").exists() and not (tmp_path / "grid.partial").exists()
    with pytest.raises(ModelError, match="no such model folder"):
        run_grid(wanted(world, model=None, models=["./none"]), tmp_path / "grid")
    with pytest.raises(InputError, match="run_grid"):
        run_study(asked, tmp_path / "grid")


def test_a_grid_of_workers_tells_what_was_there_before(world: World, tmp_path: Path) -> None:
    asked = wanted(world, methods=["full"], executor="workers")
    grid = run_grid(asked, tmp_path / "grid")
    assert (grid.found.steps, grid.reused, grid.before) == (STEPS, 0, False)
    again = run_grid(asked, tmp_path / "grid")
    assert (again.reused, again.before) == (STEPS, True)


def test_another_grid_in_the_same_place_is_refused(first: tuple[GridResult, StudySettings], world: World) -> None:
    grid, _ = first
    with pytest.raises(StepError, match="made from other settings"):
        run_grid(wanted(world, methods=["full"]), grid.path)


def test_axes_that_are_not_given_are_in_no_fingerprint() -> None:
    assert not {"models", "data", "methods"} & StudySettings.make().fingerprint_values().keys()
    made = StudySettings.make(models=["pocket", {"model": "b", "train": {"learning_rate": 1e-3}}])
    assert made.fingerprint_values()["models"] == ["pocket", {"model": "b", "train": {"learning_rate": 1e-3}}]


def test_the_command_runs_a_file_and_its_exit_code_tells_of_a_failure(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    recollect = Command(monkeypatch, capsys)
    grid = {**values(world, **SMALL, methods=["full"], too_few="error"), "sizes": [4, 400]}
    Path("grid.yaml").write_text(yaml.safe_dump(grid), encoding="utf-8")
    done = recollect("study", "grid.yaml", "--out", "g", "--json")
    answer = json.loads(done.out)
    assert done.code == 7
    assert (answer["steps"], answer["reused"], answer["failed"]) == (STEPS + 3, 0, 1)
    assert Path(answer["report"]).is_file() and list(answer["parts"]) == ["full"]
    twice = recollect("study", "grid.yaml", "--config", "grid.yaml")
    assert twice.code == 2 and "given twice" in twice.err
