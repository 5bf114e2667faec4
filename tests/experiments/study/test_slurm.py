"""A study on Slurm: its script, and the same tables from workers that Slurm, or submitit in its place, has started."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
import yaml

import recollect
from helpers_slurm import one_node
from helpers_study import settings
from helpers_world import Command, World, flags, tables
from recollect.errors import InputError, RecollectError
from recollect.experiments.study import StudyResult, StudySettings, run_study
from recollect.experiments.study.slurm import sbatch_script

LOCAL = {"executor": "slurm", "workers": 2, "slurm": {"cluster": "local"}}


@pytest.fixture(autouse=True)
def _workers_run_this_code(monkeypatch: pytest.MonkeyPatch) -> None:
    source = str(Path(recollect.__file__).resolve().parents[1])
    monkeypatch.setenv("PYTHONPATH", source)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def _same(study: StudyResult, whole: StudyResult) -> None:
    assert tables(study.path) == tables(whole.path)
    names = sorted(path.name for path in (whole.path / "steps").iterdir())
    assert sorted(path.name for path in (study.path / "steps").iterdir()) == names
    for name in names:
        assert tables(study.path / "steps" / name) == tables(whole.path / "steps" / name), name


def test_the_script_holds_the_study_and_not_where_it_is_asked_for(world: World, tmp_path: Path) -> None:
    asked = settings(world, executor="slurm", workers=3, slurm={"partition": "gpu"})
    text = sbatch_script(asked, tmp_path / "out")
    assert "#SBATCH --array=0-2%3" in text and "#SBATCH --partition=gpu" in text
    held = text.partition("<<'END_OF_STUDY'\n")[2].partition("END_OF_STUDY")[0]
    assert StudySettings.make(**yaml.safe_load(held)) == settings(world)
    assert f"--out {tmp_path / 'out'} &" in text


def test_where_it_runs_is_no_part_of_what_it_is(world: World) -> None:
    assert settings(world, **LOCAL).fingerprint_values() == settings(world).fingerprint_values()


def test_a_folder_that_all_nodes_see_must_be_named(world: World) -> None:
    with pytest.raises(InputError, match="executor slurm wants --out"):
        run_study(settings(world, **LOCAL))


@pytest.mark.slow
class TestLocal:
    """submitit's processes on this machine."""

    @pytest.fixture(autouse=True)
    def _submitit(self) -> None:
        pytest.importorskip("submitit")

    def test_its_workers_make_the_same_study(self, whole: StudyResult, world: World, tmp_path: Path) -> None:
        said: list[str] = []
        study = run_study(settings(world, **LOCAL), tmp_path / "study", say=said.append)
        _same(study, whole)
        assert said[0].startswith("submitted 2 workers")
        assert (study.before, study.reused) == (False, 0)
        again = run_study(settings(world, **LOCAL), study.path)
        assert again.found == study.found and again.before, "a second time nobody is asked"

    def test_workers_that_all_fail_are_told_of(self, world: World, tmp_path: Path) -> None:
        gone = settings(world, **LOCAL, model=str(tmp_path / "nowhere"))
        with pytest.raises(RecollectError, match=r"all workers ended before .*2 failed.*nowhere"):
            run_study(gone, tmp_path / "study")


@pytest.mark.slow
def test_on_a_real_slurm_one_worker_of_two_is_cancelled(whole: StudyResult, world: World, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    (tmp_path / "slurm").mkdir()
    with one_node(tmp_path / "slurm"):
        asked = settings(world, executor="slurm", workers=2, slurm={"mem": "400M", "time": "30"})
        steps, killed = tmp_path / "study.partial" / "steps", threading.Event()

        def kill() -> None:
            end = time.monotonic() + 300
            while time.monotonic() < end and not list(steps.glob("train-*")):
                time.sleep(0.1)
            array = yaml.safe_load((tmp_path / "study.slurm" / "array.json").read_text())[0]
            os.system(f"scancel --signal=KILL {array}")
            killed.set()

        threading.Thread(target=kill).start()
        study = run_study(asked, tmp_path / "study")
    assert killed.is_set()
    _same(study, whole)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def test_a_dry_run_prints_the_script(world: World, tmp_path: Path, command: Command) -> None:
    values = {"model": world.model, "facts": world.facts, "executor": "slurm", "out": tmp_path / "out", "sizes": "4"}
    asked = ("--dry-run", "--no-calibrate", "--slurm.partition", "gpu", "--choices", "random")
    answer = command("study", *flags(values), *asked)
    assert answer.code == 0, answer.err
    assert "#SBATCH --partition=gpu" in answer.out and not (tmp_path / "out").exists()
