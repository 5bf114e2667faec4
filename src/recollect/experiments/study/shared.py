"""A study that several workers do together: each does the next piece that is free, and none does what another holds.

Notable choices
- The pieces: to look at what is there, the probe, the base's answers, other looks at the base, to copy what other
  studies have, each cell, and the finish. What hangs on a piece that another holds is not begun; what does not, is.
- What several parts of a grid want alike, as full and lora want one probe, is made by one of them.
- Nothing waits here. Where all that is left is held, `HeldByOthers` says so, and the loop around does other work, or
  waits: see `workers`.
- Only results lie in the step folders, so the study is the same, byte by byte, whoever did which piece.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from recollect.core.json_object import JsonObject
from recollect.core.progress import duration
from recollect.core.workspace import fingerprint, is_finished, lending, write_json
from recollect.core.workspace.experiment import Failed
from recollect.core.workspace.lease import Leases
from recollect.errors import RecollectError, StepBusy
from recollect.experiments.attempts import Attempts, FailedCell, Outcome, as_failed
from recollect.experiments.cell import Cell, Context
from recollect.experiments.executors import HeldByOthers, Place, WorkersExecutor
from recollect.experiments.found import known
from recollect.experiments.probed import Probed
from recollect.experiments.study.extras import run_extra, sections_of
from recollect.experiments.study.missing import drop_damaged
from recollect.experiments.study.pieces import piece
from recollect.experiments.study.settings import Choice, StudyParts
from recollect.experiments.study.work import Counted, Study, failure_notes, note_left_out
from recollect.experiments.under_way import UNDER_WAY

_START = "start.json"


@dataclass
class _Progress:
    """What this worker knows of the study so far."""

    started: float = field(default_factory=time.monotonic)
    begun: bool = False
    probe: Probed | None = None
    parts: StudyParts | None = None
    asked: bool = False
    not_shown: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Why a look at the base was left out, by its step; empty where it was not."""
    cells: list[Cell] | None = None
    skipped: dict[Choice, list[int]] = field(default_factory=dict)
    extras: dict[str, tuple[Failed, ...]] = field(default_factory=dict)
    """Curve and search, where they are done; how they failed, if they did."""
    executor: WorkersExecutor[Cell, Outcome] | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)


@dataclass(frozen=True)
class _Told(Attempts):
    """The work of cells that says what this worker does."""

    say: Callable[[str], None]

    def start(self) -> Callable[[Cell], Outcome]:
        run = super().start()

        def told(cell: Cell) -> Outcome:
            name, started = self.name(cell), time.monotonic()
            self.say(f"takes {name}")
            try:
                outcome = run(cell)
            except StepBusy as held:
                self.say(f"left: {held}")
                raise
            how = f"failed: {outcome.reason}" if isinstance(outcome, FailedCell) else "did"
            self.say(f"{how} {name} in {duration(time.monotonic() - started)}")
            return outcome

        return told


@dataclass(frozen=True)
class SharedStudy(Study):
    """A study at work by several workers, of which this is one."""

    now: _Progress = field(default_factory=_Progress)
    grid: Leases | None = None
    """Of the grid that it is a part of."""

    @property
    def leases(self) -> Leases:
        """Who does what."""
        assert self.step.leases is not None
        return self.step.leases

    def advance(self) -> bool:
        """Do all that is free; whether the study is finished. Raises HeldByOthers where what is left is others'."""
        try:
            if not self.step.path.exists():
                self._advance()
        except StepBusy:
            if not self.step.path.exists():
                raise
        except (OSError, RecollectError):
            if self.step.folder.exists() or not self.step.path.exists():
                raise  # else another worker has finished it meanwhile, and its folder has another name
        return self.step.path.exists()

    def _advance(self) -> None:
        now = self.now
        if not now.begun:
            self._begin()
        with lending(self.shelf.lend):
            if now.probe is None:
                now.probe = self._probe()
                now.parts = self.parts.about(self.sources["facts"], now.probe.path)
            assert now.parts is not None
            if not now.asked:
                with self._once("base"), self.piece("base", lambda: is_finished(self.steps / "base")):
                    self.ask_base(now.parts, now.probe)
                now.asked = True
            looks = self._look_at_base(now.parts, now.probe)
        if now.cells is None:
            cells, now.skipped = self.cells(now.parts, now.probe)
            with self.piece("copies") as mine:
                if mine:
                    self.take(cells)
            now.cells = cells
        extras = self._run_extras(now.probe)
        self._run(now.cells, now.probe)
        if not (looks and extras):
            raise HeldByOthers("the base, the curve or the search is another worker's.")
        with self.piece("finish"):
            self._finish(now.cells)

    def _begin(self) -> None:
        """Look once, before any work, at what is there and what is damaged."""
        with self.piece("begin") as mine:
            if mine:
                self.steps.mkdir(exist_ok=True)
                drop_damaged(self.steps, self.say)
                shutil.rmtree(self.steps / UNDER_WAY, ignore_errors=True)
                there = [folder.name for folder in sorted(self.steps.iterdir()) if is_finished(folder)]
                write_json(self.leases.folder / _START, there)
        self.now.begun = True

    def _probe(self) -> Probed:
        if self.pages:
            return self.probe_base()
        with self._once("probe"), self.piece("probe", lambda: is_finished(self.steps / "probe")):
            return self.probe_base()

    def _look_at_base(self, parts: StudyParts, probe: Probed) -> bool:
        """What no cell waits for, where it is asked for: whether it is done, by this worker or another."""
        looks: dict[str, Callable[[], tuple[str, ...]]] = {}
        if self.settings.measure_hidden:
            looks["hidden"] = lambda: self.split_level_0(probe)
        if self.settings.few_shot:
            looks["base-few-shot"] = lambda: self.ask_with_examples(parts, probe)
        for name, look in looks.items():
            if name not in self.now.not_shown:
                with suppress(HeldByOthers), self._once(name), self.piece(name):
                    self.now.not_shown[name] = look()
        return len(self.now.not_shown) == len(looks)

    def _run_extras(self, probe: Probed) -> bool:
        """Curve and search, each by one worker; whether they are done, by this one or another."""
        wanted = sections_of(self.settings)
        for name, values in wanted.items():
            if name not in self.now.extras:
                with suppress(HeldByOthers):
                    self.now.extras[name] = self._run_extra(probe, name, values)
        return len(self.now.extras) == len(wanted)

    def _run_extra(self, probe: Probed, name: str, values: JsonObject) -> tuple[Failed, ...]:
        failed: list[Failed] = []
        with piece(self.leases, name, note=lambda: _extra_note(failed, self.shelf.lent)) as mine:
            if mine:
                self.say(f"takes {name}")
                one = run_extra(self, probe, name, values)
                failed += [one] if one else []
                self.say(f"did {name}")
        record = self.leases.look(name).record
        said = json.loads(record.note)["failed"] if record is not None and record.note else []
        return tuple(Failed(name=name, reason=reason) for reason in said)

    def _run(self, cells: list[Cell], probe: Probed) -> None:
        now = self.now
        if now.executor is None:
            steps, keep = self.steps, self.settings.keep_models
            context = Context(steps, self.base, self.facts, probe.levels, keep_models=keep, told=steps / UNDER_WAY)
            place = Place(leases=self.leases, patient=False)
            now.executor = WorkersExecutor(_Told(context, self.say), place)
            for cell in cells:
                now.executor.submit(cell)
        if now.executor.stuck():
            raise HeldByOthers("the trainings that are left are held by other workers.")
        if len(now.outcomes) == len(cells):
            return
        with self.stage("training and asking", "models") as progress:
            while ended := now.executor.wait():
                for one in ended:
                    now.outcomes[one.job.name] = one.found or FailedCell(one.job, one.failure)
                if progress:
                    progress(len(now.outcomes), len(cells))

    def _finish(self, cells: list[Cell]) -> None:
        now = self.now
        assert now.probe is not None
        shutil.rmtree(self.steps / UNDER_WAY, ignore_errors=True)
        counted = self._counted(cells)
        self.counted.wanted, self.counted.reused = counted.wanted, counted.reused
        outcomes = [now.outcomes[cell.name] for cell in cells]
        failed = [as_failed(one, self.steps) for one in outcomes if isinstance(one, FailedCell)]
        failed += [one for extra in now.extras.values() for one in extra]
        notes = [note_left_out(*one, now.probe, self.facts) for one in now.skipped.items()]
        notes += [line for name in ("hidden", "base-few-shot") for line in now.not_shown.get(name, ())]
        notes += failure_notes(failed)
        notes += [line for one in outcomes if not isinstance(one, FailedCell) for line in one.lost]
        ground = known(self.settings, self.base, self.facts)
        self.finish(ground, failed, tuple(notes), len(outcomes), now.started)

    def _counted(self, cells: list[Cell]) -> Counted:
        """What was there before any worker came, or was copied by one of them, of all that is wanted."""
        wanted = [name for name in ("probe", "base", "hidden", "base-few-shot") if is_finished(self.steps / name)]
        wanted += [cell.path(self.steps, step).name for cell in cells for step in cell.steps]
        wanted += sections_of(self.settings)
        reused = set(json.loads((self.leases.folder / _START).read_text(encoding="utf-8")))
        for seen in self.leases.survey().values():
            note = seen.record.note if seen.record is not None else ""
            if note.startswith("["):
                reused |= set(json.loads(note))
            elif '"lent"' in note:
                reused |= set(json.loads(note)["lent"])
        return Counted(len(wanted), sum(name in reused for name in wanted))

    def _once(self, name: str) -> AbstractContextManager[object]:
        """For what other parts of a grid want too: one makes it, and the others wait, and copy it."""
        if self.grid is None or is_finished(self.steps / name):
            return nullcontext()
        same = {key: self.step.inputs.get(key) for key in ("model", "facts", "templates")}
        print_ = fingerprint({**same, "probe": self.parts.probe.fingerprint_values()})
        return piece(self.grid, f"{name} {print_[:12]}")

    @contextmanager
    def piece(self, name: str, finished: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        """See `pieces.piece`; says what this worker does, and notes what was copied from other studies."""
        started = time.monotonic()
        with piece(self.leases, name, finished, lambda: json.dumps(self.shelf.lent)) as mine:
            if mine:
                self.say(f"takes {name}")
            yield mine
        if mine:
            self.say(f"did {name} in {duration(time.monotonic() - started)}")


def _extra_note(failed: list[Failed], lent: list[str]) -> str:
    return json.dumps({"failed": [one.reason for one in failed], "lent": lent})
