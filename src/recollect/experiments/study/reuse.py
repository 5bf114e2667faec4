"""Finished work of the studies beside this one: what was done with the same settings and inputs is not done again.

Notable choices
- A study with one changed setting is another study with a folder of its own; most of its steps are those of the first.
- Steps are copied, so either folder may go. A step is taken where its own manifest has the settings and the base that
  this study would give it, and the study it lies in has the same inputs; a damaged one is passed over.
- A cell is taken whole or not at all: without its weights, what is missing of it cannot be asked any more.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recollect.core.settings import Settings
from recollect.core.workspace import MANIFEST, Step, is_finished, read_manifest
from recollect.errors import RecollectError
from recollect.experiments.cell import Cell

_HALF = ".copied"


@dataclass(frozen=True)
class Shelf:
    """The step folders of the studies beside one, whose inputs are the same."""

    folders: Sequence[Path]
    base: str
    """Fingerprint of the base."""

    @classmethod
    def beside(cls, step: Step, inputs: Mapping[str, Any]) -> Shelf:
        """Of the studies in the folder in which `step`, a study, lies; unfinished ones too."""
        found = []
        for file in sorted([*step.path.parent.glob(f"*/{MANIFEST}"), *step.path.parent.glob("*.partial/step.json")]):
            if file.parent in (step.path, step.folder):
                continue
            try:
                state = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if state.get("step") == "study" and _same_inputs(state.get("inputs"), inputs):
                found.append(file.parent / "steps")
        return cls(found, str(inputs["model"]))

    def take(self, steps: Path, wanted: Mapping[str, Settings]) -> bool:
        """Copy the steps of these names and settings into `steps`, all of them from one study; whether they are there.

        What is there already, or begun, is left as it is, and nothing is copied then.
        """
        if any((steps / name).exists() or (steps / f"{name}.partial").exists() for name in wanted):
            return False
        for folder in self.folders:
            if not all(self._fits(folder / name, settings) for name, settings in wanted.items()):
                continue
            for name in wanted:
                shutil.rmtree(steps / _HALF, ignore_errors=True)
                shutil.copytree(folder / name, steps / _HALF)
                (steps / _HALF).rename(steps / name)
            return True
        return False

    def _fits(self, folder: Path, settings: Settings) -> bool:
        try:
            if not is_finished(folder):
                return False
            found = read_manifest(folder)  # which checks every file too
        except RecollectError:  # damaged, or of another version
            return False
        same = json.loads(json.dumps(settings.fingerprint_values())) == found.settings
        known = found.inputs.get("base" if found.step == "ladder" else "model", self.base)
        return same and (found.step not in ("train", "probe", "ladder") or known == self.base)


def _same_inputs(found: object, inputs: Mapping[str, Any]) -> bool:
    """The texts of drift and ladder are those steps' own inputs, which they check again."""
    return isinstance(found, Mapping) and all(found.get(name) == value for name, value in inputs.items())


def steps_of(cell: Cell) -> dict[str, Settings]:
    """The steps that a cell leaves, by their names, and their settings."""
    wanted: dict[str, Settings | None] = {
        "select": cell.select,
        "train": cell.train,
        cell.evaluate_as: cell.evaluate,
        "drift": cell.drift,
        "ladder": cell.ladder,
    }
    return {cell.name.format(step=step): one for step, one in wanted.items() if one is not None}
