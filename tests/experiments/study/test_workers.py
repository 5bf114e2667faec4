"""Several workers on one study: each piece once, and the same bytes as by one alone, whoever is killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers_study import settings, values
from helpers_world import World, tables
from recollect.core.workspace import open_step, write_json
from recollect.core.workspace.experiment import Failed
from recollect.core.workspace.lease import Holder, Lease, Leases, Record
from recollect.core.workspace.shared import leases_in
from recollect.errors import InputError, StepError
from recollect.experiments import cell
from recollect.experiments.curve import CurveSettings
from recollect.experiments.executors import HeldByOthers
from recollect.experiments.found import no_stage
from recollect.experiments.study import (
    GridFound,
    GridResult,
    StudyResult,
    StudySettings,
    WorkSettings,
    run_grid,
    run_study,
    run_work,
    together,
)
from recollect.experiments.study.pieces import Worker
from recollect.experiments.study.shared_parts import SharedParts

_WORKER = """
import json, sys
from pathlib import Path
from recollect.experiments.study import StudySettings, run_study
values, out = json.loads(sys.argv[1])
run_study(StudySettings.make(**values), Path(out), say=lambda text: print(text, flush=True))
"""


def _start(values: dict[str, Any], out: Path, log: Path) -> subprocess.Popen[bytes]:
    order = json.dumps([values | {"executor": "workers"}, str(out)])
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        return subprocess.Popen([sys.executable, "-c", _WORKER, order], stdout=file, stderr=file, env=environment)


def same(one: Path, other: StudyResult) -> None:
    """The same steps with the same tables, and nothing else."""
    assert tables(one) == tables(other.path)
    names = sorted(path.name for path in (other.path / "steps").iterdir())
    assert sorted(path.name for path in (one / "steps").iterdir()) == names
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in other.path.iterdir())
    for name in names:
        assert tables(one / "steps" / name) == tables(other.path / "steps" / name), name


def test_one_worker_makes_the_study_of_one_alone(whole: StudyResult, world: World, tmp_path: Path) -> None:
    said: list[str] = []
    study = run_study(settings(world, executor="workers"), tmp_path / "study", say=said.append)
    same(study.path, whole)
    ours, theirs = (one.found.model_dump(exclude={"seconds", "given"}) for one in (study, whole))
    assert ours == theirs
    assert len(re.findall(r"^did \S+-seed0 ", "\n".join(said), re.MULTILINE)) == 4
    assert run_study(settings(world), study.path).found == study.found, "where it runs is no part of what it is"


def test_a_worker_that_was_taken_for_dead_leaves_the_training_to_the_other(
    whole: StudyResult, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at the training's start for so long that another process of another machine holds it when it wakes."""
    said: list[str] = []
    other = Leases(leases_in(tmp_path / "study"), patience=0)
    taken: list[Lease] = []
    plain = cell.run_train_until

    def train(*given: Any, **named: Any) -> Any:
        if not taken:
            lease = other.take(random := "random-4-seed0")
            assert lease is not None and str(named["out"]).endswith(f"train-{random}")
            taken.append(lease)
        return plain(*given, **named)

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("waiting"):
            assert not (tmp_path / "study.partial" / "steps" / "train-random-4-seed0").exists()
            taken[0].end("free")

    monkeypatch.setattr(cell, "run_train_until", train)
    asked = settings(world, executor="workers", choices=["random"], sizes=[4], repair=[])
    study = run_study(asked, tmp_path / "study", say=say)
    other.close()
    told = [text for text in said if "random-4-seed0" in text]
    assert [text.partition(" in ")[0].partition(",")[0] for text in told] == [
        "takes random-4-seed0",
        "left: random-4-seed0 was taken over by another worker",
        "takes random-4-seed0",
        "did random-4-seed0",
    ]
    assert study.failed == ()
    for step in ("train", "evaluate", "drift"):
        name = f"{step}-random-4-seed0"
        assert tables(study.path / "steps" / name) == tables(whole.path / "steps" / name)


def test_a_worker_that_repairs_a_study_says_what_is_gone(whole: StudyResult, world: World, tmp_path: Path) -> None:
    for name in ("whole", "torn"):
        shutil.copytree(whole.path, tmp_path / name)
    shutil.rmtree(tmp_path / "torn" / "steps" / "select-0-4-seed0")
    said: list[str] = []
    study = run_study(settings(world, executor="workers"), tmp_path / "torn", say=said.append)
    assert said[0].startswith("missing: select-0-4-seed0; taken from a study beside this one")
    same(study.path, whole)


def test_a_part_that_failed_does_not_wait_for_a_dead_holder_on_another_machine(tmp_path: Path) -> None:
    """Of whom nothing is known but that the file does not change, which takes several looks."""
    stored: list[Failed] = []
    with open_step("grid", {}, {}, tmp_path / "grid", shared={}) as step:
        assert step.leases is not None
        step.leases.every, step.leases.patience = 0.05, 0.4
        write_json(step.leases.folder / "start.json", [])
        held = leases_in(step.folder / "studies" / "part")
        held.mkdir(parents=True)
        (held / "probe.0001").write_bytes(Record(Holder("node7", "another start", 1, "5")).write())
        failed = Failed(name="part", reason="no memory")
        parts = SharedParts(
            step,
            {"part": "model"},
            Worker(print),
            no_stage,
            lambda *_: pytest.fail("opened"),
            lambda results, failed: stored.extend(failed),
            begun=True,
            failed={"part": failed},
        )
        looks, end = 0, time.monotonic() + 20
        while not stored and time.monotonic() < end:
            with suppress(HeldByOthers):
                parts.advance()
            looks += 1
            time.sleep(0.05)
    assert stored == [failed] and looks > 2


@pytest.mark.slow
def test_two_workers_share_a_study(whole: StudyResult, world: World, tmp_path: Path) -> None:
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    both = [_start(values(world), tmp_path / "study", log) for log in logs]
    assert [one.wait(180) for one in both] == [0, 0], [log.read_text() for log in logs]
    same(tmp_path / "study", whole)
    did = Counter(re.findall(r"^did (\S+-seed0) ", "\n".join(log.read_text() for log in logs), re.MULTILINE))
    assert did == Counter(dict.fromkeys(["0-4-seed0", "0-8-seed0", "random-4-seed0", "random-8-seed0"], 1))


_COMMAND = "import sys; sys.argv[0] = 'recollect'; from recollect.cli.main import main; main()"


@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_gives_its_work_back(world: World, tmp_path: Path) -> None:
    """As Slurm, Kubernetes and the rest end a job; also where a script's background ignores Ctrl-C."""
    study, out, log = tmp_path / "study.yaml", tmp_path / "study", tmp_path / "log"
    study.write_text(yaml.safe_dump(values(world, **SMALL | {"sizes": [4, 8, 12]})))
    words = [sys.executable, "-c", _COMMAND, "work", str(study), "--out", str(out)]
    with log.open("wb") as file:
        ignoring = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
        worker = subprocess.Popen(words, stderr=file, stdout=file, preexec_fn=ignoring)
    end = time.monotonic() + 300
    while "takes random" not in log.read_text():
        assert worker.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.02)
    worker.terminate()
    assert worker.wait(60) == 130, log.read_text()
    with Leases(out.with_name("study.partial") / "parts" / "leases") as leases:
        seen = leases.survey()
    assert not any(one.alive for one in seen.values()) and sum(one.deaths for one in seen.values()) == 0, seen


@pytest.mark.slow
def test_two_workers_share_a_grid(world: World, tmp_path: Path) -> None:
    """Whatever each of them does, the parts are those of one process alone."""
    asked = values(world, methods=["full", "lora"], **SMALL | {"sizes": [4, 8]})
    alone = run_grid(StudySettings.make(**asked), tmp_path / "alone" / "grid")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(asked))
    logs, both = [tmp_path / "one.log", tmp_path / "two.log"], []
    for log in logs:
        words = [sys.executable, "-c", _COMMAND, "work", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "grid")]
        with log.open("wb") as file:
            both.append(subprocess.Popen(words, stderr=file, stdout=file))
    assert [one.wait(300) for one in both] == [0, 0], [log.read_text() for log in logs]
    for name, part in alone.parts.items():
        for step in sorted(path.name for path in (part / "steps").iterdir()):
            shared = tmp_path / "grid" / "studies" / name
            assert tables(shared / "steps" / step) == tables(part / "steps" / step), (name, step)
    found = GridFound.read(tmp_path / "grid")
    assert (found.cells, found.steps, found.failed) == (4, alone.found.steps, ())
    assert found.reused >= 2, "one probe and one base for both parts, whoever made them"


# -- one worker at a time ----------------------------------------------------------------------------------------

SMALL = {"choices": ["random"], "sizes": [4], "few_shot": 0, "measure_drift": False, "repair": []}


@pytest.fixture
def small(world: World, tmp_path: Path) -> Path:
    """The file of a study of one model."""
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(values(world, **SMALL)))
    return file


def _work(study: Path, out: Path | None = None, **more: Any) -> tuple[StudyResult | GridResult | None, list[str]]:
    said: list[str] = []
    return run_work(WorkSettings.make(study=str(study), **more), out, say=said.append), said


@pytest.fixture
def left(small: Path, tmp_path: Path) -> Path:
    """The folder of a study that a worker has left, since another held the probe."""
    plain = Leases.take

    def take(self: Leases, name: str, *arguments: Any, **named: Any) -> Lease | None:
        return None if name == "probe" else plain(self, name, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Leases, "take", take)
        result, said = _work(small, tmp_path / "study", idle="0s")
    assert result is None
    assert said[-2:] == [
        "waiting: probe is held by another worker.",
        "left: nothing to do for 0:00: probe is held by another worker.",
    ]
    return tmp_path / "study"


def test_the_next_worker_goes_on_by_the_folder_alone(
    left: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result, said = _work(Path("..") / "study")
    assert result is not None and result.path == left and result.found.cells == 1
    pieces = ("begin", "probe", "base", "copies", "random-4-seed0", "finish")
    assert [text for text in said if text.startswith("takes")] == [f"takes {name}" for name in pieces]
    assert Path.cwd() == tmp_path / "elsewhere"
    with pytest.raises(StepError, match="is finished: there is nothing to do"):
        _work(left)


def test_others_may_not_come_in(left: Path, small: Path, world: World, tmp_path: Path) -> None:
    """With other settings, at a folder of one process alone, at none."""
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(values(world, **SMALL | {"sizes": [5]})))
    with pytest.raises(StepError, match=r"setting sizes was \[4\], now \[5\]"):
        _work(other, left)
    with open_step("study", {}, {}, tmp_path / "alone"), pytest.raises(StepError, match="of one process alone, or was"):
        _work(tmp_path / "alone")
    with pytest.raises(InputError, match=r"no such study or fit: .*nowhere\. Give a study's file"):
        _work(tmp_path / "nowhere")
    with pytest.raises(InputError, match="--out goes with a study's file"):
        _work(left, tmp_path / "another")


def test_a_worker_takes_on_the_models_and_gpus_it_is_told(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, said = _work(small, tmp_path / "study", match="*360M")
    assert result is None and "this worker takes on *360M alone" in said[-1]
    assert not (tmp_path / "study.partial").exists()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with pytest.raises(InputError, match="gpus must be at most 2"):
        _work(small, tmp_path / "study", gpus=3)
    with together._gpus(1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,5"


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("0s", 0)])
def test_a_time_to_wait(text: str, seconds: float) -> None:
    assert together.seconds_of(text) == seconds


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(InputError, match="idle: .*must be a time such as 90s, 10m or 2h"):
        WorkSettings.make(study="x", idle="soon")


def test_a_curve_has_no_workers() -> None:
    with pytest.raises(InputError, match="workers share a study"):
        CurveSettings.make(executor="workers")
