"""The studies of a grid, done by several workers: each goes where something is free, first to a model it has loaded.

Notable choices
- A part is entered when its turn comes first, and stays open; it is left for another where what is left of it is held.
- What is finished but for something is opened again by the first worker before any other work, so nobody takes a part
  for done that is being repaired.
- The grid is finished by whoever finds all parts finished; a part that failed here may be another's work still.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from recollect.core.workspace import Step, drop_leftovers, is_finished, write_json
from recollect.core.workspace.experiment import STUDIES, Failed, StudyFound
from recollect.core.workspace.lease import Leases
from recollect.core.workspace.shared import WORKER, leases_in
from recollect.errors import StepBusy
from recollect.experiments.attempts import ends_all, reason_of
from recollect.experiments.executors import HeldByOthers
from recollect.experiments.found import Stage, write_page
from recollect.experiments.study.pieces import NothingToDo, Worker, piece
from recollect.experiments.study.run import StudyResult
from recollect.experiments.study.shared import SharedStudy

_START = "start.json"


class Finish(Protocol):
    """Stores what a grid found."""

    def __call__(self, results: dict[str, StudyResult], failed: list[Failed]) -> None:
        """Called with the studies by part, and the parts that failed."""
        ...


@dataclass
class SharedParts:
    """A grid at work by several workers, of which this is one."""

    step: Step
    models: dict[str, str]
    """By part, in their order."""
    worker: Worker
    stage: Stage
    opened: Callable[[Worker, str], AbstractContextManager[SharedStudy]]
    """Opens a part for work."""
    finish: Finish
    begun: bool = False
    failed: dict[str, Failed] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    _open: dict[str, SharedStudy] = field(default_factory=dict)
    _watching: dict[str, Leases] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def leases(self) -> Leases:
        """Who does what of the grid itself."""
        assert self.step.leases is not None
        return self.step.leases

    @property
    def studies(self) -> Path:
        """The folder of the parts."""
        return self.step.folder / STUDIES

    def pieces(self) -> int:
        """How many this worker has done."""
        return self.leases.ended + sum(study.leases.ended for study in self._open.values() if study.step.leases)

    def close(self) -> None:
        """Leave the parts."""
        self._stack.close()

    def advance(self) -> bool:
        """Do all that is free; whether the grid is finished. Raises HeldByOthers where what is left is others'."""
        if self.step.path.exists():
            return True
        if not self.begun:
            self._begin()
        held = [why for name in self._mine() if (why := self._advance(name))]
        if held:
            raise HeldByOthers(held[0])
        if others := [name for name in self.models if name not in self.done and name not in self.failed]:
            raise NothingToDo(f"all is done of the models that this worker takes on; {len(others)} parts are left.")
        self._finish()
        return True

    def _begin(self) -> None:
        """Before any work: what is half there goes, and what is to be repaired is opened again."""
        with piece(self.leases, "begin") as mine:
            if mine:
                self.studies.mkdir(exist_ok=True)
                drop_leftovers(self.studies)
                for name in self.models if self.worker.repairs else ():
                    if is_finished(self.studies / name):
                        with self.opened(self.worker, name):
                            pass
                whole = [name for name in self.models if is_finished(self.studies / name)]
                write_json(self.leases.folder / _START, whole)
        self.begun = True

    def _mine(self) -> list[str]:
        """The parts that this worker takes on and that are not done; those whose base it has loaded first."""
        left = [name for name in self.models if name not in self.done and name not in self.failed]
        at_hand = self.worker.loaded.name if self.worker.loaded else ""
        left = [name for name in left if self.worker.takes(self.models[name])]
        return sorted(left, key=lambda name: self.models[name] != at_hand)

    def _advance(self, name: str) -> str:
        """Do what is free of a part; why it is not done."""
        try:
            if name not in self._open:
                inner = replace(self.worker, repairs=False, grid=self.leases)
                self._open[name] = self._stack.enter_context(self.opened(inner, name))
            study = self._open[name]
            if study.step.done or study.advance():
                self.done.add(name)
                with piece(self.leases, f"page {name}", (self.studies / name / "report.html").is_file):
                    write_page(self.studies / name, self.stage)
        except StepBusy as held:
            return "" if name in self.done else str(held)
        except BaseException as error:
            if ends_all(error):
                raise
            reason = reason_of(error)
            if reason not in {one.reason for one in self.failed.values()}:
                self.worker.say(f"failed: {name}: {reason}")
            self.failed[name] = Failed(name=name, reason=reason)
        return ""

    def _watched(self, name: str) -> Leases:
        """Those of a part, the same at every look: that a holder on another machine died is seen by several alone."""
        ours = self.leases
        mine = Leases(leases_in(self.studies / name), ours.every, ours.patience, ours.clock)
        return self._watching.setdefault(name, mine)

    def _finish(self) -> None:
        for name in self.failed:
            if any(not held.startswith(WORKER) and seen.alive for held, seen in self._watched(name).survey().items()):
                raise HeldByOthers(f"{name}, which failed here, is being worked on by another worker.")
        with piece(self.leases, "finish"):
            for name in self.done:
                with piece(self.leases, f"page {name}", (self.studies / name / "report.html").is_file):
                    write_page(self.studies / name, self.stage)
            whole = json.loads((self.leases.folder / _START).read_text(encoding="utf-8"))
            results = {name: self._result(name, whole) for name in self.models if name in self.done}
            self.finish(results, list(self.failed.values()))

    def _result(self, name: str, whole: list[str]) -> StudyResult:
        path = self.studies / name
        found = StudyFound.read(path)
        return StudyResult(path, found, found.steps if name in whole else found.reused)
