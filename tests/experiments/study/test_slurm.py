"""A study on Slurm: its script, and the same tables from workers that Slurm, or submitit in its place, has started."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
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
from recollect.experiments.executors import slurm as executor
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


@pytest.mark.slow
def test_at_its_time_limit_recollect_work_gives_back_is_requeued_and_resumes(
    whole: StudyResult, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Slurm's own clock; its wait of two minutes before a requeued job starts is cut short."""
    monkeypatch.setattr(executor, "WARNING_SECONDS", 140)  # of three minutes, and Slurm tells up to one minute early
    for name in ("slurm", "tools"):
        (tmp_path / name).mkdir()
    command = tmp_path / "tools" / "recollect"
    command.write_text(f'#!/bin/bash\nexec {shlex.quote(sys.executable)} -c {shlex.quote(executor.MAIN)} "$@"\n')
    command.chmod(0o755)
    where = {"time": "3", "mem": "400M", "setup": [f"export PATH={command.parent}:$PATH"]}
    asked = settings(world, executor="slurm", workers=1, slurm=where)
    (tmp_path / "script").write_text(sbatch_script(asked, tmp_path / "study"))
    with one_node(tmp_path / "slurm"):
        job = _told("sbatch", "--parsable", str(tmp_path / "script"))
        end, again = time.monotonic() + 500, 0
        while not (tmp_path / "study" / "report.html").is_file():
            assert time.monotonic() < end, next(tmp_path.glob("study-*.log")).read_text()
            time.sleep(0.5)
            now = int(_told("scontrol", "show", "job", f"{job}_0").partition("Restarts=")[2].split()[0])
            if now > again:
                _told("scontrol", "update", f"JobId={job}_0", "StartTime=now", "TimeLimit=30")
            again = now
    log = next(tmp_path.glob("study-*.log")).read_text()
    assert again == 1 and log.count("settings: ") == 2, log
    assert "stopped. What was finished is kept" in log and "died" not in log, log
    assert [log.count(f"did {name} ") for name in ("probe", "base", "0-4-seed0", "finish")] == [1] * 4, log
    _same(StudyResult(tmp_path / "study", whole.found, 0), whole)


def _told(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def test_a_dry_run_prints_the_script(world: World, tmp_path: Path, command: Command) -> None:
    values = {"model": world.model, "facts": world.facts, "executor": "slurm", "out": tmp_path / "out", "sizes": "4"}
    asked = ("--dry-run", "--no-calibrate", "--slurm.partition", "gpu", "--choices", "random")
    answer = command("study", *flags(values), *asked)
    assert answer.code == 0, answer.err
    assert "#SBATCH --partition=gpu" in answer.out and not (tmp_path / "out").exists()
