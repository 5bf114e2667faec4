"""What a finished rung leaves in its trial's folder, and whose folder that is.

Notable choices
- `rung-N.json` holds the settings and the outcome. The same job again reads it and trains nothing, so a ledger that was
  cut costs no training.
- A ledger that was cut may decide otherwise than before where several workers raced. A folder of other settings is then
  set aside under another name, never mixed and never deleted.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from recollect.core.workspace import write_json
from recollect.experiments.search.trial import Job, Outcome, Trial, TrialValues

ASIDE = ".aside-"
_VALUES = "values.json"


class _Stored(BaseModel):
    """A rung's file; also `values.json`, which has no outcome."""

    model_config = ConfigDict(strict=False, extra="ignore")

    values: dict[str, object]
    share: float = 0.0
    outcome: Outcome | None = None


class Disagreement(NamedTuple):
    """A score in the ledger and another one in a rung's file; in points."""

    path: Path
    ledger: float
    file: float


def claim(folder: Path, job: Job) -> None:
    """Make a trial's folder, or find it; one of other settings is set aside."""
    stored = [_read(file) for file in (folder / _VALUES, *folder.glob("rung-*.json"))]
    if any(one is not None and one.values != _plain(job.values) for one in stored):
        folder.rename(next(place for n in range(1, 10_000) if not (place := _aside(folder, n)).exists()))
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _VALUES).is_file():
        write_json(folder / _VALUES, {"values": dict(job.values)})


def write_outcome(folder: Path, job: Job, outcome: Outcome) -> None:
    """Store the outcome of a job."""
    stored = {"values": dict(job.values), "share": job.share, "outcome": asdict(outcome)}
    write_json(_file(folder, job.rung), stored)


def read_outcome(folder: Path, job: Job) -> Outcome | None:
    """The outcome of the very same job, done before; None where there is none, or its file is damaged."""
    stored = _read(_file(folder, job.rung))
    if stored is None or stored.values != _plain(job.values) or stored.share != job.share:
        return None
    return stored.outcome


def stored_rungs(folder: Path) -> tuple[TrialValues, dict[float, Outcome]]:
    """A trial's settings, and the outcomes so far by the share of the training, ascending; for whoever looks on."""
    files = [one for one in (_read(folder / _VALUES), *map(_read, sorted(folder.glob("rung-*.json")))) if one]
    values = next((one.values for one in files), {})
    outcomes = {one.share: one.outcome for one in files if one.outcome is not None}
    return cast(TrialValues, values), dict(sorted(outcomes.items()))


def updates_told(folder: Path, rung: int) -> int:
    """Updates made for the rungs before this one."""
    outcomes = (_outcome(_file(folder, before)) for before in range(rung))
    return sum(outcome.steps for outcome in outcomes if outcome is not None)


def last_losses(folder: Path) -> tuple[tuple[int, float], ...]:
    """Losses by update, as far as the trial came."""
    files = sorted(folder.glob("rung-*.json"), key=lambda path: int(path.stem.partition("-")[2]))
    last = _outcome(files[-1]) if files else None
    return () if last is None else last.losses


def damaged(folder: Path) -> Path | None:
    """A rung's file that cannot be read, if there is one."""
    return next((file for file in sorted(folder.glob("rung-*.json")) if _outcome(file) is None), None)


def disagreement(folder: Path, trial: Trial) -> Disagreement | None:
    """Where the ledger's score of a rung is not that of its file; None where all agree or a file is missing."""
    for rung, score in trial.scores.items():
        there = _outcome(_file(folder, rung))
        if there is not None and there.score is not None and there.score != score:
            return Disagreement(_file(folder, rung), score, there.score)
    return None


def _outcome(file: Path) -> Outcome | None:
    stored = _read(file)
    return None if stored is None else stored.outcome


def _file(folder: Path, rung: int) -> Path:
    return folder / f"rung-{rung}.json"


def _aside(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}{ASIDE}{number}")


def _plain(values: TrialValues) -> object:
    """As JSON gives them back: tuples as lists."""
    return json.loads(json.dumps(dict(values)))


def _read(file: Path) -> _Stored | None:
    try:
        return _Stored.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError, RecursionError):
        return None
