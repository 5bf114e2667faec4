"""A study on a Slurm cluster: an array of workers is submitted, and this process waits for them.

Notable choices
- Nothing is computed here, where people log in: not even the model is loaded before the study is finished.
- Ctrl-C ends the waiting, not the workers; the same command waits on for those that are at it, and submits no others.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from recollect.core.workspace import MANIFEST, write_atomic
from recollect.core.workspace.manifest import PARTIAL
from recollect.errors import InputError, RecollectError
from recollect.experiments.executors.slurm import MAIN, WORKERS, Array, all_ended, sbatch_text, submitted
from recollect.experiments.found import Stage
from recollect.experiments.study.settings import StudySettings

EVERY = 5.0
"""Seconds between two looks at the workers."""


def sbatch_script(settings: StudySettings, out: Path) -> str:
    """The script that starts the workers of a study, for `sbatch`: what `--executor slurm` does, without submitit."""
    return sbatch_text(settings.slurm, settings.workers or WORKERS, study_text(settings), out.absolute())


def study_text(settings: StudySettings) -> str:
    """The settings as they were given, as YAML."""
    values = {name: value for name, value in settings.given().items() if name not in ("executor", "workers", "slurm")}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def study_folder(out: Path | None) -> Path:
    """Where the study is to be, for all nodes. Raises InputError where that is not said."""
    if out is None:
        raise InputError("executor slurm wants --out: a folder that all nodes see.")
    return out.absolute()


def work_on_slurm(
    settings: StudySettings, out: Path | None, stage: Stage, say: Callable[[str], None], every: float = EVERY
) -> bool:
    """Submit the workers, and wait until the study is finished; whether it was not finished before.

    Raises InputError without a folder and where Slurm refuses, RecollectError where all workers end before that.
    """
    out = study_folder(out)
    if (out / MANIFEST).is_file():
        return False
    logs = out.with_name(f"{out.name}.slurm")
    array = _submitted(settings, out, logs, say)
    with stage(f"workers on Slurm ({array.name})", "models") as progress:
        try:
            while not (out / MANIFEST).is_file():
                if array.ended and not (out / MANIFEST).is_file():
                    raise RecollectError(all_ended(array, "the study was finished"))
                if progress is not None:
                    progress(_scored(out), max(_scored(out), _planned(settings)))
                time.sleep(every)
            array.settle()
        except KeyboardInterrupt:
            say(f"the workers go on: `scancel {array.name}` stops them, the same command waits for them again.")
            raise
    return True


def _submitted(settings: StudySettings, out: Path, logs: Path, say: Callable[[str], None]) -> Array:
    logs.mkdir(parents=True, exist_ok=True)
    study = logs / "study.yaml"
    write_atomic(study, lambda file: file.write(study_text(settings).encode()))
    words = (sys.executable, "-c", MAIN, "work", str(study), "--out", str(out))
    return submitted(words, settings.slurm, settings.workers or WORKERS, logs, say)


def _scored(out: Path) -> int:
    """Trained models whose answers are there."""
    partial = out.with_name(out.name + PARTIAL)
    return sum(1 for _ in partial.glob(f"**/steps/evaluate-*/{MANIFEST}"))


def _planned(settings: StudySettings) -> int:
    parts = max(1, len(settings.models)) * max(1, len(settings.data)) * max(1, len(settings.methods))
    return parts * len(settings.seeds) * len(settings.sizes) * len(settings.trained_choices)
