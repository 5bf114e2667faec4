"""All that the page shows of an experiment at one moment, read from its folder; nothing is remembered between looks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from recollect._version import __version__
from recollect.core.said import Now, read_log, read_now
from recollect.core.workspace import Manifest
from recollect.core.workspace.curve import CurveFound
from recollect.core.workspace.experiment import ExperimentFound, Failed, GridFound, StudyFound
from recollect.core.workspace.fit import FitFound
from recollect.core.workspace.lease import Leases
from recollect.core.workspace.manifest import PARTIAL
from recollect.core.workspace.result import Result, result_from
from recollect.core.workspace.shared import leases_in
from recollect.errors import StepError
from recollect.experiments.under_way import Told, read_told
from recollect.watch.models import Model, Point, by_macro, points, read_models
from recollect.watch.process import AtWork, at_work
from recollect.watch.samples import Samples, samples
from recollect.watch.steps import Folder, Step, final_path, folder_of, read_steps, signature, survey, under_way_in

Status = Literal["running", "finished", "ended early", "stopped"]
REPORT = "report.html"
_FOUND: dict[str, type[Result]] = {"study": StudyFound, "grid": GridFound, "curve": CurveFound, "fit": FitFound}
LINES = 60
"""Of the log."""


@dataclass(frozen=True)
class Ended:
    """A step that is finished."""

    name: str
    when: str
    """ISO 8601."""
    seconds: float


@dataclass(frozen=True)
class Watched:
    """An experiment as it is now."""

    path: Path
    kind: str
    title: str
    status: Status
    workers: tuple[AtWork, ...]
    started: str
    finished: str
    now: tuple[Now, ...]
    """How far the processes at work are; of a run that was killed, how far it was."""
    told: tuple[Told, ...]
    """How far the cells at work are."""
    half: tuple[Step, ...]
    """The steps that are half written."""
    ended: tuple[Ended, ...]
    """The finished ones, the last first."""
    models: tuple[Model, ...]
    macro: bool
    """Whether scores are means over memory levels or attributes."""
    curve: tuple[Point, ...]
    samples: Samples | None
    log: tuple[tuple[str, str], ...]
    failed: tuple[Failed, ...]
    faults: tuple[str, ...]
    """What could not be read, and why."""
    lines: tuple[str, ...]
    """What a finished curve or fit says."""
    seconds: float | None = None
    """What the whole took, as it says itself."""
    last_sign: float = 0.0
    """When anything in the folder changed last, in seconds since 1970."""

    @property
    def report(self) -> Path | None:
        """The page of a finished experiment."""
        file = self.path / REPORT
        return file if self.over and file.is_file() else None

    @property
    def over(self) -> bool:
        """Whether there is a result."""
        return self.status in ("finished", "ended early")


class Watcher:
    """Looks at one experiment, again and again."""

    def __init__(self, given: Path) -> None:
        """Raises InputError where no step is, StepError where it is damaged or of another version."""
        self.path = final_path(given)
        self._leases: Leases | None = None
        self.check()

    def check(self) -> None:
        """Raises StepError where the experiment itself cannot be read."""
        root = self._steps()[1][0]
        if root.state is None:
            raise StepError(root.fault)
        if root.finished is not None and root.kind in _FOUND:
            result_from(_FOUND[root.kind], root.finished.metrics, self.path)

    def _steps(self) -> tuple[list[Folder], list[Step]]:
        for _ in range(3):  # a folder that is renamed between two looks
            if steps := read_steps(folders := survey(self.path)):
                return folders, steps
        raise StepError(f"{self.path} is gone: neither a finished step nor an unfinished one lies there any more.")

    def workers(self) -> list[AtWork]:
        """Who is at work."""
        folder = leases_in(self.path)
        if self._leases is None and folder.is_dir():
            self._leases = Leases(folder)
        elif not folder.is_dir():
            self._leases = None
        return at_work(self.path, self._leases)

    def mark(self) -> str:
        """Changes whenever what the page shows does."""
        seen = [*signature(survey(self.path)), *((one.name, one.can_stop) for one in self.workers()), __version__]
        return hashlib.blake2b(repr(seen).encode(), digest_size=16).hexdigest()

    def look(self) -> Watched:
        """As it is now. Raises StepError where the folder is gone."""
        folders, steps = self._steps()
        root, folder = steps[0], folder_of(self.path)
        if root.state is None:
            raise StepError(root.fault)
        told = {(name, one.name): one for name, place in under_way_in(folders) for one in read_told(place)}
        workers, models = self.workers(), read_models(steps, told)
        macro = by_macro(models)
        found, faults = _found(root)
        whole: Status = "ended early" if isinstance(found, FitFound) and found.stopped else "finished"
        status: Status = whole if root.finished else "running" if workers else "stopped"
        return Watched(
            path=self.path,
            kind=root.kind,
            title=_title(root),
            status=status,
            workers=tuple(workers),
            started=root.state.started,
            finished=root.finished.finished if root.finished else "",
            now=tuple(_of_living(read_now(folder), workers)),
            told=tuple(one for one in told.values() if not one.ended),
            half=tuple(one for one in steps[1:] if not one.finished and one.state),
            ended=tuple(sorted(_ended(steps[1:]), key=lambda one: one.when, reverse=True)),
            models=tuple(models),
            macro=macro,
            curve=tuple(points(models, macro)),
            samples=samples(models, macro),
            log=tuple(read_log(folder, LINES)),
            failed=found.failed if isinstance(found, StudyFound | GridFound) else (),
            faults=(*faults, *(one.fault for one in steps[1:] if one.fault)),
            lines=_lines(found),
            seconds=found.seconds if found else None,
            last_sign=max(time for _, time, _ in signature(folders)) / 1e9,
        )


def _found(root: Step) -> tuple[ExperimentFound | None, tuple[str, ...]]:
    """What the experiment found, as far as every experiment says it alike."""
    if root.finished is None:
        return None, ()
    kind = _FOUND.get(root.kind, ExperimentFound)
    try:
        found = result_from(kind, root.finished.metrics, root.folder)
    except StepError as error:
        return None, (str(error),)
    assert isinstance(found, ExperimentFound)
    return found, ()


def _lines(found: ExperimentFound | None) -> tuple[str, ...]:
    """The answer in words, of those that give one."""
    if isinstance(found, CurveFound):
        return found.parts[found.main].lines
    return found.advice if isinstance(found, FitFound) else ()


def _title(root: Step) -> str:
    """The same while it runs and after."""
    assert root.state is not None
    named = root.state.settings.get("title")
    return str(named) if named else f"{root.kind.capitalize()}: {root.folder.name.removesuffix(PARTIAL)}"


def _of_living(told: Sequence[Now], workers: Sequence[AtWork]) -> list[Now]:
    """What the living tell; where nobody lives, what the dead told last."""
    living = {one.pid for one in workers}
    return [one for one in told if one.pid in living] if living else list(told)


def _ended(steps: Sequence[Step]) -> list[Ended]:
    return [_one_ended(step, step.finished) for step in steps if step.finished is not None]


def _one_ended(step: Step, manifest: Manifest) -> Ended:
    seconds = manifest.metrics.get("seconds")
    if not isinstance(seconds, int | float):
        try:
            begun, ended = (datetime.fromisoformat(one) for one in (manifest.started, manifest.finished))
            seconds = (ended - begun).total_seconds()
        except (ValueError, TypeError):
            seconds = 0.0
    return Ended(step.name, manifest.finished, float(seconds))
