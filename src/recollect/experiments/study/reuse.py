"""Finished steps of the studies around this one: what was done with the same settings and inputs is not done again.

Around a study lie those in the same folder, their parts where they are grids, and of a grid's part the other parts.

Notable choices
- Each step is matched by what it depends on itself, so a study with one more size, seed or model, another training or
  no ladder takes all the rest. Probe and base are the same by their own fingerprints, as `open_step` knows them.
- What was asked of a trained model is known by the weights, which are gone. It is taken beside a training that is ours
  by its settings, its base and its selection, in a study with our probe.
- A training whose weights are gone is taken only where nothing is left to ask them.
- Steps are copied, so either folder may go. A damaged one is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recollect.core.json_object import JsonObject
from recollect.core.settings import Settings
from recollect.core.workspace import (
    Manifest,
    Step,
    copy_step,
    fingerprint,
    is_finished,
    read_manifest,
    same_step,
)
from recollect.core.workspace.experiment import STUDIES
from recollect.core.workspace.manifest import PARTIAL
from recollect.drift.tokens import general_text
from recollect.errors import RecollectError
from recollect.experiments.cell import Cell, has_weights
from recollect.experiments.study.missing import STEPS
from recollect.train.auto import auto_input

_OF_MODEL, _COMPARED = ("model", "tuned"), ("drift", "ladder")


@dataclass
class Shelf:
    """The step folders of the studies around one."""

    folders: list[Path]
    own: Path
    """The step folder of that one."""
    lent: list[str] = field(default_factory=list)
    """Names of the steps that were taken."""

    @classmethod
    def around(cls, step: Step) -> Shelf:
        """Around an open study; unfinished studies lend too."""
        place = step.path.parent
        places = [place, place.parent.parent] if place.name == STUDIES else [place]
        own = step.folder / STEPS
        found = [steps for one in places for steps in _steps_in(one) if steps != own]
        return cls(list(dict.fromkeys(found)), own)

    def lend(self, step: Step) -> None:
        """Put the step into its place, where a study has the same; see `recollect.core.workspace.lending`.

        Not the steps within a step, such as a curve's trainings.
        """
        if step.path.parent != self.own:
            return
        for folder in self.folders:
            if same_step(folder / step.path.name, step) and copy_step(folder / step.path.name, step.path):
                self.lent.append(step.path.name)
                return

    def with_probe(self, probe: Path) -> Shelf:
        """Those alone that have the probe of ours."""
        mine = read_manifest(probe).fingerprint
        return Shelf([folder for folder in self.folders if _print_of(folder / probe.name) == mine], self.own, self.lent)

    def take(self, cell: Cell, steps: Path, known: Known, keep: bool) -> None:
        """Copy what the studies have of a cell and this one has not; nothing of a cell in which something is begun.

        Where something was asked of a trained model here, only what was asked of the same one is taken.
        keep: the weights are to be kept, so a training without them is none.
        """
        names = {kind: cell.path(steps, kind).name for kind in cell.steps}
        have = {kind for kind, name in names.items() if is_finished(steps / name)}
        begun = any((steps / f"{name}{PARTIAL}").exists() for name in names.values())
        if begun or len(have) == len(names) or have.intersection(("train", *cell.measures)) == {"train"}:
            return
        mine = _trained(cell, steps, have)
        best, place = list[str](), steps
        for folder in self.folders:
            found = known.fitting(cell, folder, keep, have)
            if mine and not _trained(cell, folder, found) <= mine:
                continue
            found = [kind for kind in found if kind not in have]
            if len(found) > len(best):
                best, place = found, folder
            if len(best) + len(have) == len(names):
                break
        for kind in best:
            if copy_step(place / names[kind], steps / names[kind]):
                self.lent.append(names[kind])


def _steps_in(place: Path) -> Iterator[Path]:
    """The folders of steps of the studies and grids in a folder."""
    for study in sorted(place.glob("*")):
        yield study / STEPS
        yield from (part / STEPS for part in sorted((study / STUDIES).glob("*")))


def _trained(cell: Cell, folder: Path, kinds: Iterable[str]) -> set[str]:
    """Fingerprints of the trained models that the finished steps of these kinds have asked."""
    found = [_manifest(cell.path(folder, kind)) for kind in kinds if kind in cell.measures]
    return {str(one.inputs.get("tuned", one.inputs.get("model"))) for one in found if one is not None}


def _print_of(folder: Path) -> str:
    found = _manifest(folder)
    return found.fingerprint if found else ""


def _manifest(folder: Path) -> Manifest | None:
    """Of a finished step whose files are as they were written."""
    try:
        return read_manifest(folder) if is_finished(folder) else None
    except RecollectError:  # damaged, or of another version
        return None


@dataclass(frozen=True)
class Known:
    """What the inputs of the cells' steps must be, but for the trained model."""

    inputs: Mapping[str, JsonObject]
    """By the step; what is not named there decides nothing, or is the trained model."""

    @classmethod
    def of(cls, cell: Cell, base: Path, model: str) -> Known:
        """Of a study's cells, which differ in nothing that matters here; base: the step that asked the base."""
        asked = read_manifest(base).inputs
        begin = {name: asked[name] for name in ("begin",) if name in asked}
        told = {"base": model, "facts": asked["facts"], "levels": asked["levels"], **begin}
        return cls(
            {
                "select": {name: asked[name] for name in ("facts", "levels")},
                "train": {"model": model, **begin, **auto_input(cell.train)},
                cell.evaluate_as: {name: value for name, value in asked.items() if name != "model"},
                "drift": {**told, "text": _text(cell.drift, cell.train.model)},
                "ladder": {**told, "text": _text(cell.ladder, cell.train.model)},
            }
        )

    def fitting(self, cell: Cell, folder: Path, keep: bool, have: Set[str] = frozenset()) -> list[str]:
        """The steps of the cell in another study's folder that are those of ours, and of use here.

        have: what is here already.
        """
        found = []
        for kind, settings in cell.steps.items():
            step = _manifest(cell.path(folder, kind))
            if step is not None and _same(step, settings, self.inputs[kind], trained=kind in cell.measures):
                found.append(kind)
            elif kind in ("select", "train"):  # what follows is of another training
                return found
        complete = len(have | set(found)) == len(cell.steps)
        if not has_weights(cell.path(folder, "train")) and (keep or not complete):
            found.remove("train")
        return found


def _text(settings: Any, model: str) -> str:
    return fingerprint(general_text(settings, model)) if settings is not None else ""


def _same(found: Manifest, settings: Settings, inputs: Mapping[str, object], *, trained: bool) -> bool:
    """Whether a step has these settings and inputs; the selection is the one beside it, and so is the trained model.

    A comparison of parameters alone has fewer inputs.
    """
    if json.loads(json.dumps(settings.fingerprint_values())) != found.settings:
        return False
    free = {"templates", *(_OF_MODEL if trained else ("selection",))}
    others = {name: value for name, value in found.inputs.items() if name not in free}
    expected = {name: value for name, value in inputs.items() if name in others or found.step not in _COMPARED}
    return others == expected
