"""A study that is killed, dies, or runs elsewhere ends in the same tables."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import recollect.experiments.cell as cell_module
from helpers_executors import ThreadExecutor
from helpers_study import settings, trained, values
from helpers_world import World, tables
from recollect.errors import StepBusy
from recollect.experiments.executors import EXECUTORS
from recollect.experiments.study import StudyResult, run_study
from recollect.report.chapters.examples.record import Answers


def same(one: StudyResult, other: StudyResult) -> None:
    """The same tables, in the study and in its steps."""
    assert tables(one.path) == tables(other.path)
    steps = sorted(path.name for path in (other.path / "steps").iterdir())
    assert sorted(path.name for path in (one.path / "steps").iterdir()) == steps
    for step in steps:
        assert tables(one.path / "steps" / step) == tables(other.path / "steps" / step), step


_PLAIN = """
import json, sys
from recollect.experiments.study import StudySettings, run_study
if __name__ == "__main__":
    values, out = json.loads(sys.argv[1])
    run_study(StudySettings.make(**values), __import__("pathlib").Path(out))
"""


_KILLED = """
import json, os, signal, sys
import recollect.experiments.cell as cell
import recollect.report as report
from recollect.experiments.study import StudySettings, run_study
values, out, name, count = json.loads(sys.argv[1])
module = report if name == "write_report" else cell
plain, seen = getattr(module, name), 0
def dying(*arguments, **named):
    global seen
    result = plain(*arguments, **named)
    seen += 1
    if seen == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(module, name, dying)
run_study(StudySettings.make(**values), __import__("pathlib").Path(out))
"""


def test_several_processes_give_the_same_study(whole: StudyResult, world: World, tmp_path: Path) -> None:
    other = run_study(settings(world, executor="processes", workers=2), tmp_path / "study")
    same(other, whole)
    prints = [json.loads((one.path / "manifest.json").read_text())["fingerprint"] for one in (whole, other)]
    assert prints[0] == prints[1], "where it runs is no part of what it is"
    assert run_study(settings(world), other.path).found == other.found


def test_a_user_s_own_executor_runs_a_study(
    whole: StudyResult, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXECUTORS, "threads", ThreadExecutor)
    same(run_study(settings(world, executor="threads"), tmp_path / "study"), whole)


def test_a_study_in_processes_killed_ends_in_the_same_tables_here(
    whole: StudyResult, world: World, tmp_path: Path
) -> None:
    """Its workers, in the middle of their cells, end with it."""
    out = tmp_path / "study"
    order = json.dumps([values(world, executor="processes", workers=2), str(out)])
    child = subprocess.Popen([sys.executable, "-c", _PLAIN, order], stderr=subprocess.PIPE)
    steps = tmp_path / "study.partial" / "steps"
    until = time.monotonic() + 120
    while not (steps / "train-0-4-seed0" / "manifest.json").is_file():
        assert child.poll() is None and time.monotonic() < until, child.stderr and child.stderr.read().decode()
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not out.exists()
    same(_patiently(lambda: run_study(settings(world), out)), whole)


def _patiently(run: Callable[[], StudyResult]) -> StudyResult:
    """Workers of a killed study may need a moment to end."""
    until = time.monotonic() + 30
    while True:
        try:
            return run()
        except StepBusy:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def test_a_study_killed_again_and_again_ends_in_the_same_tables(
    whole: StudyResult, world: World, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    # after the first training, after its evaluation (the next training is the second), when the page is drawn
    for name, count in (("run_train_until", 1), ("run_evaluate", 2), ("write_report", 1)):
        order = json.dumps([values(world), str(out), name, count])
        child = subprocess.run([sys.executable, "-c", _KILLED, order], capture_output=True, timeout=120, check=False)
        assert child.returncode == -signal.SIGKILL, child.stderr.decode()
        assert out.exists() == (name == "write_report")
        where = out if out.exists() else tmp_path / "study.partial"
        assert (where / "steps" / "train-0-4-seed0" / "manifest.json").is_file()
    again = run_study(settings(world), out)
    same(again, whole)
    assert again.results.of(Answers) == whole.results.of(Answers)
    assert not (tmp_path / "study.partial").exists()


def test_a_study_that_dies_at_its_end_has_its_results_and_resumes_at_the_report(
    world: World, whole: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    trains = []
    train = cell_module.run_train_until
    monkeypatch.setattr(cell_module, "run_train_until", lambda *a, **k: trains.append(1) or train(*a, **k))
    with monkeypatch.context() as patch:
        patch.setattr("recollect.report.write_report", broken)
        with pytest.raises(ZeroDivisionError):
            run_study(settings(world), tmp_path / "study")
    assert len(trains) == len(trained(whole).cells)
    monkeypatch.setattr("recollect.train.run._train", broken)
    again = run_study(settings(world), tmp_path / "study")
    assert again.report.is_file()
    assert [cell.test for cell in trained(again).cells] == [cell.test for cell in trained(whole).cells]
