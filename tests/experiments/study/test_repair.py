"""A cell that fails is told and the others go on; the same command makes what is missing, and nothing else."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_executors import Deadly
from helpers_study import settings, trained
from helpers_world import World, contents, tables
from recollect.core.workspace import open_step
from recollect.errors import ModelError, StepBusy, StepError
from recollect.evaluate import EvaluateSettings
from recollect.experiments import cell as cell_module
from recollect.experiments.attempts import FailedCell, attempt_cells, reason_of
from recollect.experiments.cell import Cell
from recollect.experiments.executors import Place, make_executor
from recollect.experiments.study import StudyResult, run_study
from recollect.experiments.study.missing import lacks
from recollect.select import SelectSettings
from recollect.train import TrainSettings

SMALL: dict[str, Any] = {"choices": ["random"], "few_shot": 0, "repair": []}


@pytest.fixture(scope="module")
def study(world: World, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """Two cells, each compared with the base."""
    return run_study(settings(world, **SMALL), tmp_path_factory.mktemp("repair") / "study")


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the trainings that begin from now on."""
    names: list[str] = []
    plain = cell_module.run_train_until

    def told(*given: Any, **named: Any) -> Any:
        names.append(named["out"].name)
        return plain(*given, **named)

    monkeypatch.setattr(cell_module, "run_train_until", told)
    return names


def failing(error: BaseException, at: str) -> Callable[..., Any]:
    plain = cell_module.run_train_until

    def run(*given: Any, **named: Any) -> Any:
        if named["out"].name == at:
            raise error
        return plain(*given, **named)

    return run


def test_a_training_that_fails_is_told_and_tried_again(
    study: StudyResult, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(study.path / "steps", tmp_path / "other/steps")  # steps of no study, of which one cell is gone
    for name in ("select", "train", "evaluate", "drift"):
        shutil.rmtree(tmp_path / "other/steps" / f"{name}-random-8-seed0")
    with monkeypatch.context() as patch:
        error = ModelError("the loss is no longer a number.")
        patch.setattr(cell_module, "run_train_until", failing(error, "train-random-8-seed0"))
        half = run_study(settings(world, **SMALL), tmp_path / "study")
    assert [(one.name, one.reason) for one in half.failed] == [("random-8-seed0", str(error))]
    assert (half.found.steps, half.found.reused, half.found.cells) == (10, 6, 1)
    assert half.report.is_file() and [cell.size for cell in trained(half).cells] == [4]
    names, said = counted(monkeypatch), list[str]()
    again = run_study(settings(world, **SMALL), half.path, say=said.append)
    assert names == ["train-random-8-seed0"] and not again.failed
    assert any(text.startswith("1 training to come") for text in said), "of the two cells one was there"
    assert again.reused == 7, "all but training, answers and comparison; the selection was made"
    assert tables(again.path) == tables(study.path)


def test_a_reason_is_one_line_and_of_a_bug_says_where() -> None:
    with pytest.raises(KeyError) as caught:
        raise KeyError("oops")
    assert reason_of(caught.value).startswith("KeyError: 'oops' (test_repair.py, line ")
    assert reason_of(RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB")).startswith("the memory ran out")
    assert reason_of(ModelError("two\nlines")) == "two lines"


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device"), StepBusy("x")]
)
def test_what_the_next_cell_would_meet_too_ends_the_study(
    study: StudyResult, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    shutil.copytree(study.path / "steps/probe", tmp_path / "near/steps/probe")
    monkeypatch.setattr(cell_module, "run_train_until", failing(error, "train-random-4-seed0"))
    with pytest.raises(type(error)):
        run_study(settings(world, **SMALL, measure_drift=False), tmp_path / "study")
    assert (tmp_path / "study.partial").is_dir() and not (tmp_path / "study").exists()


def test_a_cell_whose_workers_all_die_is_one_that_failed(world: World) -> None:
    cell = Cell("{step}-8", SelectSettings(level="random", size=8), TrainSettings(), EvaluateSettings())
    with make_executor("processes", Deadly(), Place(workers=1, retries=0)) as executor:  # type: ignore[var-annotated]
        [failed] = attempt_cells(executor, [cell])
    assert isinstance(failed, FailedCell) and "killed by SIGKILL" in failed.reason


@pytest.mark.parametrize(
    ("gone", "made", "trainings"),
    [
        (["evaluate-random-8-seed0"], 2, ["train-random-8-seed0"]),  # the weights are gone too
        (["select-random-4-seed0", "train-random-4-seed0"], 2, ["train-random-4-seed0"]),
        (["base"], 1, []),
        (["probe", "drift-random-4-seed0"], 3, ["train-random-4-seed0"]),
    ],
)
def test_a_step_that_is_gone_from_a_finished_study_is_made_again_to_the_same_bytes(
    study: StudyResult, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    gone: list[str], made: int, trainings: list[str],
) -> None:  # fmt: skip
    out = shutil.copytree(study.path, tmp_path / "study")
    for name in gone:
        shutil.rmtree(out / "steps" / name)
    names = counted(monkeypatch)
    again = run_study(settings(world, **SMALL), out)
    assert names == trainings and again.reused == 10 - made
    assert not list(tmp_path.glob("*.partial")) and not list(out.rglob("*.removed"))
    for name in ["", *(f"steps/{path.name}" for path in (study.path / "steps").iterdir())]:
        assert tables(out / name) == tables(study.path / name), name


def test_a_damaged_step_and_a_damaged_page_are_made_again(study: StudyResult, world: World, tmp_path: Path) -> None:
    out = shutil.copytree(study.path, tmp_path / "study")
    for file in (out / "steps/evaluate-random-4-seed0/outputs.parquet", out / "report.html"):
        file.write_bytes(file.read_bytes()[:-8] + b"8 bytes!")
    (out / "cells.parquet").unlink()
    said: list[str] = []
    again = run_study(settings(world, **SMALL), out, say=said.append)
    assert any(line.startswith("made again: evaluate-random-4-seed0.") and "is damaged" in line for line in said)
    assert tables(again.path) == tables(study.path)
    assert again.report.read_text(encoding="utf-8").endswith("</html>\n") or "8 bytes!" not in again.report.read_text()


def test_killed_while_it_is_reopened_it_is_the_finished_study_or_one_to_resume(
    study: StudyResult, world: World, tmp_path: Path
) -> None:
    out = shutil.copytree(study.path, tmp_path / "study")
    shutil.rmtree(out / "steps/base")
    (out / "step.json").write_text((out / "manifest.json").read_text())  # the state is written first
    out.rename(tmp_path / "study.partial")  # then it is renamed, and the manifest goes
    again = run_study(settings(world, **SMALL), out)
    assert again.reused == 9 and tables(again.path) == tables(study.path)


def test_two_repairs_at_once_are_kept_apart(study: StudyResult, world: World, tmp_path: Path) -> None:
    out = shutil.copytree(study.path, tmp_path / "study")
    shutil.rmtree(out / "steps/base")
    from recollect.core.workspace.lock import locked

    before = contents(out)
    with locked(out / ".lock", lambda: "busy"), pytest.raises(StepBusy):
        run_study(settings(world, **SMALL), out)
    assert contents(out).keys() - {".lock"} == before.keys()


def test_a_finished_step_is_reopened_without_its_own_files_and_with_the_steps_inside(tmp_path: Path) -> None:
    out = tmp_path / "outer"

    def work(lost: bool) -> bool:
        with open_step("outer", {"a": 1}, {}, out, lacks=lambda path, found: lost) as step:
            if step.done:
                return False
            with open_step("inner", {}, {}, step.folder / "inner") as inner:
                if not inner.done:
                    inner.finish()
            (step.folder / "table.txt").write_text("made")
            step.finish({"a": 2})
            return True

    assert work(False) and not work(False)
    (out / "page.html").write_text("x")
    assert work(True)
    assert not (out / "page.html").exists() and (out / "inner/manifest.json").is_file()
    with pytest.raises(StepError, match="other settings"), open_step("outer", {"a": 2}, {}, out, lacks=lambda *_: True):
        pass
    assert (out / "manifest.json").is_file()


def test_nothing_is_lacking_in_a_whole_study(study: StudyResult) -> None:
    from recollect.core.workspace import read_manifest

    assert not lacks(study.path, read_manifest(study.path))


@pytest.mark.parametrize(
    ("changed", "steps", "reused"),
    [
        ({"repeats": 2}, 18, 10),
        ({"sizes": [4, 8, 12]}, 14, 10),
        ({"train": {"learning_rate": 2e-3, "batch_size": 4}, "sizes": [4]}, 6, 3),
        ({"measure_drift": False}, 8, 8),
        ({"repair": ["random"], "sizes": [4]}, 7, 5),  # trained again for its ladder; answers and comparison are taken
    ],
)
def test_a_study_beside_it_makes_only_what_hangs_on_the_change(
    study: StudyResult, world: World, changed: dict[str, Any], steps: int, reused: int, tmp_path: Path
) -> None:
    shutil.copytree(study.path, tmp_path / "study")
    found = run_study(settings(world, **(SMALL | changed)), tmp_path / "other").found
    assert (found.steps, found.reused) == (steps, reused)
