"""What a trial's folder says of its finished rungs, beside the ledger: one file per rung, and the settings it is of.

Notable choices
- Each rung leaves `rung-N.json` with the settings and the outcome. The same job again reads it and trains nothing, so
  a ledger that was cut costs no training.
- A ledger that was cut may decide otherwise than before where several workers raced. A folder of other settings is then
  set aside under another name, never mixed and never deleted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recollect.core.workspace import write_json
from recollect.experiments.search.trials import Trial
from recollect.experiments.search.types import Job, Outcome

ASIDE = ".aside-"
_VALUES = "values.json"


@dataclass(frozen=True)
class Disagreement:
    """A score in the ledger and another one in a rung's file; in points."""

    path: Path
    ledger: float
    file: float


def claim(folder: Path, job: Job) -> None:
    """Make a trial's folder, or find it; one of other settings is set aside."""
    stored = [_read(file) for file in (folder / _VALUES, *folder.glob("rung-*.json"))]
    if any(one and one.get("values") != _plain(job.values) for one in stored):
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
    if stored is None or stored.get("values") != _plain(job.values) or stored.get("share") != job.share:
        return None
    try:
        losses = tuple((int(step), float(loss)) for step, loss in stored["outcome"].pop("losses"))
        return Outcome(**stored["outcome"], losses=losses)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def updates_told(folder: Path, rung: int) -> int:
    """Updates made for the rungs before this one."""
    return sum(int(_outcome(_file(folder, before)).get("steps", 0)) for before in range(rung))


def last_losses(folder: Path) -> list[tuple[int, float]]:
    """Losses by update, as far as the trial came."""
    files = sorted(folder.glob("rung-*.json"), key=lambda path: int(path.stem.partition("-")[2]))
    losses = _outcome(files[-1]).get("losses", []) if files else []
    return [(int(update), float(loss)) for update, loss in losses]


def damaged(folder: Path) -> Path | None:
    """A rung's file that cannot be read, if there is one."""
    return next((file for file in sorted(folder.glob("rung-*.json")) if "kind" not in _outcome(file)), None)


def disagreement(folder: Path, trial: Trial) -> Disagreement | None:
    """Where the ledger's score of a rung is not that of its file; None where all agree or a file is missing."""
    for rung, score in trial.scores.items():
        there = _outcome(_file(folder, rung)).get("score")
        if isinstance(there, int | float) and there != score:
            return Disagreement(_file(folder, rung), score, float(there))
    return None


def _outcome(file: Path) -> dict[str, Any]:
    found = (_read(file) or {}).get("outcome")
    return found if isinstance(found, dict) else {}


def _file(folder: Path, rung: int) -> Path:
    return folder / f"rung-{rung}.json"


def _aside(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}{ASIDE}{number}")


def _plain(values: Mapping[str, Any]) -> Any:
    """As JSON gives them back: tuples as lists."""
    return json.loads(json.dumps(dict(values)))


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
