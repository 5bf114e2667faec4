"""What is read from folders as they lie there: which model a step is of, what is half written, damaged or another's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers_watch import at_work, evaluation, model, search, study
from helpers_world import Command
from recollect.core.workspace import open_step
from recollect.errors import InputError, StepError
from recollect.watch import write_once
from recollect.watch.models import Model
from recollect.watch.process import at_work as processes
from recollect.watch.process import lock_holders, stop
from recollect.watch.secret import key_file, token_of
from recollect.watch.state import Watched, Watcher
from recollect.watch.steps import final_path, wait_for


def look(folder: Path) -> Watched:
    return Watcher(folder).look()


def named(seen: Watched) -> dict[str, Model]:
    return {one.name: one for one in seen.models}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return look(study(tmp_path_factory.mktemp("seen") / "study"))


def test_the_curve_has_a_point_for_each_size_with_the_trainings_spread(seen: Watched) -> None:
    assert [(one.choice, one.size, one.models) for one in seen.curve] == [("random", 8, 2), ("random", 32, 1)]
    first = seen.curve[0].score
    assert first.value == pytest.approx(0.4) and first.low < 0.3 < 0.5 < first.high
    assert first.method == "questions and trainings"


def test_a_model_at_work_and_the_base_are_told_apart(seen: Watched) -> None:
    models = named(seen)
    assert 0 <= time.time() - seen.last_sign < 600
    assert seen.status == "stopped" and [one.name for one in seen.models if one.base] == ["base"]
    at = models["random-32-seed1"].at
    assert at is not None and (at.part, at.done, at.total) == ("training", 3, 12)
    assert models["random-8-seed0"].seed == 0 and models["random-8-seed0"].scores is not None


def test_answers_are_the_best_models_beside_the_bases(seen: Watched) -> None:
    found = seen.samples
    assert found is not None and (found.model, found.base) == ("random-32-seed0", "base")
    assert (found.asked, found.gained, found.lost) == (20, 13, 0)
    assert {(row.base_right, row.model_right) for row in found.rows} == {(False, True), (True, True), (False, False)}


def test_trials_and_names_as_a_fit_gives_them_are_known_alike(tmp_path: Path) -> None:
    with open_step("fit", {}, {}, tmp_path / "fit") as step:
        steps = step.folder / "steps"
        for name, right in (("validate-base", 1), ("test-base", 2), ("test-few-shot", 3), ("test-plain", 9)):
            evaluation(steps / name, right)
        model(steps, "plain", 8, 0, 12)
        (steps / "train-plain-8-seed0").rename(steps / "train-plain")
        (steps / "select-plain-8-seed0").rename(steps / "select-plain")
        (steps / "evaluate-plain-8-seed0").rename(steps / "evaluate-plain")
        (search(steps / "search").with_name("search.partial")).rename(steps / "search")
    found = look(tmp_path / "fit")
    models = named(found)
    assert {one.name for one in found.models if one.base} == {"base", "few-shot"}
    plain = models["plain"]
    assert plain.scores and plain.tested and plain.scores.micro and plain.tested.micro
    assert (plain.scores.micro.value, plain.tested.micro.value) == (0.6, 0.45)
    assert [one.name for one in found.models if one.trial] == ["000", "001", "002"]


def test_the_parts_of_a_grid_are_kept_apart(tmp_path: Path) -> None:
    with open_step("grid", {}, {}, tmp_path / "grid") as step:
        for part in ("one", "two"):
            study(step.folder / "studies" / part, finish=True, title=part)
    found = look(tmp_path / "grid")
    assert {one.of for one in found.models} == {"one", "two"} and len(found.curve) == 4


def test_a_damaged_step_costs_no_more_than_itself(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    manifest = tmp_path / "study.partial" / "steps" / "evaluate-random-8-seed0" / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("0.35", "0.95"), encoding="utf-8")
    found = look(folder)
    (fault,) = found.faults
    assert "evaluate-random-8-seed0" in fault and "checksum" in fault
    assert len([one for one in found.models if one.scores]) == 3


def test_a_step_of_another_version_is_one_line(tmp_path: Path) -> None:
    with open_step("curve", {}, {}, tmp_path / "curve") as step:
        step.finish({"parts": "none that this version knows"})
    with pytest.raises(StepError, match="may be of another version") as raised:
        Watcher(tmp_path / "curve")
    assert "\n" not in str(raised.value)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.json").write_text(json.dumps({"name": "an extension"}), encoding="utf-8")
    with pytest.raises(StepError, match="not the manifest.json of a step"):
        Watcher(tmp_path / "other")


@pytest.mark.parametrize("name", ["none", "empty", "file.txt"])
def test_what_is_no_step_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    with pytest.raises(InputError, match="--out of a study, curve, search or fit") as raised:
        Watcher(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_a_run_that_has_not_begun_is_waited_for_and_said_in_one_line(tmp_path: Path) -> None:
    said: list[str] = []

    def begins(text: str) -> None:
        said.append(text)
        study(tmp_path / "later")

    assert wait_for(tmp_path / "later", begins, every=0.01) == (tmp_path / "later").resolve()
    assert len(said) == 1 and "does not exist yet: waiting" in said[0] and "\n" not in said[0]
    assert wait_for(tmp_path / "later", said.append) and len(said) == 1
    (tmp_path / "empty").mkdir()
    for wrong in ("empty", "no-such-folder/later"):
        with pytest.raises(InputError, match="Give what was --out"):
            wait_for(tmp_path / wrong, said.append)
    assert len(said) == 1


def test_the_unfinished_folder_may_be_named_itself(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    assert final_path(tmp_path / "study.partial") == final_path(folder) == folder.resolve()


def test_the_lock_tells_who_is_at_work_and_only_they_are_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with at_work(folder) as process:
            assert lock_holders(tmp_path / "study.partial" / ".lock") == [process.pid]
            (one,) = processes(folder)
            assert one.pid == process.pid and one.ours and one.can_stop
            with pytest.raises(InputError, match="not at work in"):
                stop(folder, sleeper.pid)
            with pytest.raises(InputError, match="not at work in"):
                stop(folder, os.getpid())
            assert sleeper.poll() is None and process.poll() is None
            assert "Asked" in stop(folder, process.pid) and process.wait(20) != 0
        assert processes(folder) == [] and lock_holders(tmp_path / "none") == []
        with pytest.raises(InputError, match="ended already|not at work"):
            stop(folder, process.pid)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_the_token_is_this_users_and_this_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = token_of(tmp_path / "a")
    assert len(first) >= 32 and first == token_of(tmp_path / "a") != token_of(tmp_path / "b")
    assert key_file().stat().st_mode & 0o077 == 0
    key_file().chmod(0o644)  # others can read it: it is no secret any more
    assert token_of(tmp_path / "a") not in (first, token_of(tmp_path / "a"))
    key_file().unlink()
    assert token_of(tmp_path / "a") != first


def test_once_writes_one_file_that_loads_nothing(tmp_path: Path) -> None:
    page = write_once(study(tmp_path / "study", finish=True), tmp_path / "sub" / "page.html")
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text and "<script" not in text and "<link" not in text and "<style>" in text
    assert 'href="../study/report.html"' in text and "random-32-seed0" in text
    with pytest.raises(InputError, match="is a folder"):
        write_once(tmp_path / "study", tmp_path)


def test_the_command_says_in_one_line_what_is_wrong(recollect: Command, tmp_path: Path) -> None:
    nothing = recollect("watch", tmp_path / "none", "--once")
    assert nothing.code == 2 and "does not exist" in nothing.err and nothing.err.count("\n") == 1
    done = recollect("watch", study(tmp_path / "study"), "--once", "--out", tmp_path / "page.html", "--json")
    assert done.json == {"page": str(tmp_path / "page.html")}
    without = recollect("watch", tmp_path / "study", "--out", tmp_path / "page.html")
    assert without.code == 2 and "--once" in without.err
