"""Several workers on one study: each piece once, and the same bytes as by one alone, whoever is killed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from helpers_study import settings, values
from helpers_world import World, tables
from recollect.experiments.study import StudyResult, run_study

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
    assert sum(text.startswith("did ") for text in said) == 4
    assert run_study(settings(world), study.path).found == study.found, "where it runs is no part of what it is"


def test_two_workers_share_a_study(whole: StudyResult, world: World, tmp_path: Path) -> None:
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    both = [_start(values(world), tmp_path / "study", log) for log in logs]
    assert [one.wait(180) for one in both] == [0, 0], [log.read_text() for log in logs]
    same(tmp_path / "study", whole)
    did = Counter(re.findall(r"^did (\S+)", "\n".join(log.read_text() for log in logs), re.MULTILINE))
    assert did == Counter(dict.fromkeys(["0-4-seed0", "0-8-seed0", "random-4-seed0", "random-8-seed0"], 1))
