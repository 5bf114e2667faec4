"""The trials of a search as work for other workers: what they need to know as plain JSON, and what each leaves.

Notable choices
- A trial's folder tells what came of a rung, whoever ran it. Only a rung that raised leaves nothing there, since it may
  be tried again; it goes with the worker's lease.
- Settings travel as they were given, and paths as names in the search's own folder, so machines may have mounted it at
  different places.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from recollect.core.json_object import JsonObject
from recollect.core.progress import duration
from recollect.evaluate import EvaluateSettings
from recollect.experiments.found import unheard
from recollect.experiments.search.rung_file import read_outcome
from recollect.experiments.search.runner import TRIALS, Task, TrialRunner
from recollect.experiments.search.trial import Job, Outcome, trial_name
from recollect.experiments.search.validation import Knowledge
from recollect.select import SelectSettings
from recollect.train import TrainSettings


@dataclass(frozen=True)
class SharedTrials:
    """The work of a search's trials, for workers who share its folder; can be sent to other processes."""

    task: Task
    say: Callable[[str], None] = unheard

    def start(self) -> Callable[[Job], Outcome]:
        """The function that runs jobs, and says so; the model is loaded at the first."""
        run = TrialRunner(self.task).run

        def told(job: Job) -> Outcome:
            named, started = f"trial {job.trial} to {100 * job.share:.0f} %", time.monotonic()
            self.say(f"takes {named}")
            outcome = run(job)
            how = "did" if outcome.kind == "scored" else f"{outcome.kind}: {outcome.reason}:"
            self.say(f"{how} {named} in {duration(time.monotonic() - started)}")
            return outcome

        return told

    def name(self, job: Job) -> str:
        """With the trial's values in it, since a search whose ledger was cut may decide otherwise."""
        values = json.dumps(dict(job.values), sort_keys=True)
        return f"{trial_name(job.trial)} rung {job.rung} {hashlib.blake2b(values.encode(), digest_size=4).hexdigest()}"

    def word(self, job: Job, found: Outcome) -> str:
        """What came of a rung that raised."""
        return "" if found.kind in ("scored", "degenerate") else json.dumps(asdict(found))

    def found(self, job: Job, word: str) -> Outcome | None:
        """What came of a job, whoever ran it."""
        if word:
            return TypeAdapter(Outcome).validate_python(json.loads(word))
        return read_outcome(Path(self.task.folder) / TRIALS / trial_name(job.trial), job)


class _Known(BaseModel):
    """What a worker needs to know of a search."""

    model_config = ConfigDict(extra="forbid")

    facts_fingerprint: str
    train: JsonObject
    select: JsonObject
    evaluate: JsonObject
    in_json: bool
    base_broken: float
    parts: str
    known: list[str]
    charge: float
    words_of: str | None = None
    """Where the base's own words are, from the search's folder on."""


def as_json(task: Task) -> JsonObject:
    """A task as plain JSON, without the paths of its folder, facts and levels."""
    words = task.evaluate.words_of
    return _Known(
        facts_fingerprint=task.facts_fingerprint,
        train=task.train.given(),
        select=task.select.given(),
        evaluate=task.evaluate.model_copy(update={"words_of": None}).given(),
        in_json=task.in_json,
        base_broken=task.base_broken,
        parts=task.parts,
        known=sorted(task.knowledge.items),
        charge=task.knowledge.charge,
        words_of=None if words is None else os.path.relpath(words.resolve(), Path(task.folder).resolve()),
    ).model_dump(mode="json")


def task_of(known: object, folder: Path, facts: Path, levels: Path | None) -> Task:
    """The task that `as_json` wrote, with its paths as they are on this machine."""
    one = _Known.model_validate(known)
    words = None if one.words_of is None else (folder.resolve() / one.words_of).resolve()
    return Task(
        folder=str(folder.resolve()),
        facts=str(facts.resolve()),
        facts_fingerprint=one.facts_fingerprint,
        levels=None if levels is None else str(levels.resolve()),
        train=TrainSettings.make(**one.train),
        select=SelectSettings.make(**one.select),
        evaluate=EvaluateSettings.make(**{**one.evaluate, **({"words_of": words} if words else {})}),
        in_json=one.in_json,
        base_broken=one.base_broken,
        parts=one.parts,
        knowledge=Knowledge(frozenset(one.known), one.charge),
    )
