"""Which steps of a plan are there already: finished step folders by kind and settings, in an experiment and beside it.

Manifests are read and nothing is hashed or opened: a damaged file is found when the step is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from recollect.core.json_object import JsonObject
from recollect.core.settings import Settings
from recollect.core.workspace import MANIFEST
from recollect.core.workspace.experiment import STUDIES
from recollect.core.workspace.manifest import PARTIAL, Manifest, read_state
from recollect.errors import RecollectError
from recollect.probe.settings import Choice

STEPS = "steps"


@dataclass(frozen=True)
class There:
    """The step folders of experiments whose inputs are those of the plan."""

    folders: tuple[Path, ...] = ()
    """Each holds the steps of one experiment; the plan's own come first."""
    base: str = ""
    """Fingerprint of the base."""
    own: int = 0
    """How many of them are the plan's own."""
    _read: dict[Path, Manifest | None] = field(default_factory=dict)

    def find(self, name: str, settings: Settings) -> Path | None:
        """A folder that has this step, by its name and settings."""
        return next((folder for folder in self.folders if self._fits(folder / name, settings)), None)

    def with_step(self, name: str, settings: Settings) -> There:
        """The folders alone that have this step, such as the probe by which all the others were made."""
        fitting = [self._fits(folder / name, settings) for folder in self.folders]
        folders = tuple(one for one, fits in zip(self.folders, fitting, strict=True) if fits)
        return There(folders, self.base, sum(fitting[: self.own]), self._read)

    def cell(self, steps: Mapping[str, Settings]) -> set[str]:
        """The steps of a cell that are there; they are named "select-…", "train-…" and so on, in order.

        As running would take them: beside the plan's own those of one other folder, if they are of the same trained
        model; a training whose weights are gone does not count while something is still to be asked of it.
        """
        own = [(folder, self._of_cell(folder, steps, own=True)) for folder in self.folders[: self.own]]
        here, mine = max(own, key=lambda one: len(one[1]), default=(Path(), set[str]()))
        best = self._useful(dict.fromkeys(mine, here), steps)
        begun = any((folder / f"{name}{PARTIAL}").exists() for folder, _ in own for name in steps)
        asked = self._asked(here, mine)
        if begun or (not asked and any(name.startswith("train-") for name in mine)):
            return best
        for folder in self.folders[self.own :]:
            found = self._of_cell(folder, steps, own=False)
            if asked and not self._asked(folder, found) <= asked:
                continue
            places = dict.fromkeys(found, folder) | dict.fromkeys(mine, here)
            best = max(best, self._useful(places, steps), key=len)
        return best

    def _of_cell(self, folder: Path, steps: Mapping[str, Settings], *, own: bool) -> set[str]:
        found = set()
        for name, settings in steps.items():
            if self._fits(folder / name, settings):
                found.add(name)
            elif name.startswith(("select-", "train-")) and not own:  # what was asked is of another training
                break
        return found

    def _asked(self, folder: Path, names: Iterable[str]) -> set[str]:
        """Fingerprints of the trained models that these steps have asked."""
        asked = [name for name in names if not name.startswith(("select-", "train-"))]
        found = [self._manifest(folder / name) for name in asked]
        return {str(one.inputs.get("tuned", one.inputs.get("model"))) for one in found if one is not None}

    def _useful(self, places: Mapping[str, Path], steps: Mapping[str, Settings]) -> set[str]:
        """The steps, less a training whose weights are needed and gone."""
        trained = next((name for name in places if name.startswith("train-")), None)
        if (
            trained
            and len(places) < len(steps)
            and not any((places[trained] / trained / "model").glob("*.safetensors"))
        ):
            return set(places) - {trained}
        return set(places)

    def _fits(self, step: Path, settings: Settings) -> bool:
        """Whether a folder is a finished step with these settings, of this base."""
        found = self._manifest(step)
        if found is None or found.settings != json.loads(json.dumps(settings.fingerprint_values())):
            return False
        known = found.inputs.get("base" if found.step == "ladder" else "model", self.base)
        return known == self.base or found.step not in ("train", "probe", "ladder")

    def _manifest(self, step: Path) -> Manifest | None:
        if step not in self._read:
            self._read[step] = _manifest_of(step / MANIFEST)
        return self._read[step]


def there_for(out: Path | None, root: Path, kind: str, inputs: Mapping[str, object]) -> There:
    """Of the experiments of a kind at OUT and around it, finished or not, whose inputs are the same as far as given."""
    own = _own(out)
    fitting = [
        folder
        for folder in around(out, root)
        if (state := _state_of(folder)).get("step") == kind and _same(state.get("inputs"), inputs)
    ]
    folders = tuple(folder / STEPS for folder in fitting)
    return There(folders, str(inputs.get("model", "")), sum(folder in own for folder in fitting))


def steps_in(folders: Iterable[Path], name: str) -> list[Path]:
    """Where an experiment lies that is a step of a study, finished or not; folders: of the study's steps."""
    return [folder / place for folder in folders for place in (name, f"{name}{PARTIAL}")]


def there_in(folders: Iterable[Path], name: str, inputs: Mapping[str, object]) -> There:
    """Of an experiment that is a step of a study."""
    fitting = [one for one in steps_in(folders, name) if _same(_state_of(one).get("inputs"), inputs)]
    return There(tuple(one / STEPS for one in fitting), str(inputs.get("model", "")), len(fitting))


def earlier_choice(probes: Iterable[Path], base: str) -> Choice | None:
    """What `auto` chose for a base in one of these probe folders."""
    for folder in probes:
        found = _manifest_of(folder / MANIFEST)
        if found is None or found.step != "probe" or found.inputs.get("model") != base:
            continue
        if isinstance(choice := found.metrics.get("choice"), dict):
            return Choice.model_validate(choice)
    return None


def experiment_for(
    experiments: Iterable[Path], kind: str, inputs: Mapping[str, object], settings: Settings
) -> Path | None:
    """The experiment of a kind with these very settings and inputs among the folders, begun or finished."""
    values = json.loads(json.dumps(settings.fingerprint_values()))
    for folder in experiments:
        state = _state_of(folder)
        if state.get("step") == kind and _same(state.get("inputs"), inputs) and state.get("settings") == values:
            return folder
    return None


def single_there(kind: str, settings: Settings, inputs: Mapping[str, object], out: Path | None, root: Path) -> bool:
    """Whether one step of its own is finished: at OUT, or by its name in the root."""
    values = json.loads(json.dumps(settings.fingerprint_values()))
    folders = [out] if out is not None else sorted(root.glob(f"{kind}-*"))
    for folder in folders:
        found = _manifest_of(folder / MANIFEST)
        if found is not None and found.step == kind and found.settings == values and _same(found.inputs, inputs):
            return True
    return False


def around(out: Path | None, root: Path) -> list[Path]:
    """The folders in which earlier work may lie: OUT, finished or not, what lies beside it or in the root, and the
    parts of grids there; of a grid's part also the other parts, and what lies beside the grid."""
    own = _own(out)
    places = [root] if out is None else [out.absolute().parent]
    places += [place.parent.parent for place in places if place.name == STUDIES]
    found = [*own]
    for place in places:
        for study in sorted(path.parent for name in (MANIFEST, "step.json") for path in place.glob(f"*/{name}")):
            found += [study, *sorted((study / STUDIES).glob("*"))]
    return list(dict.fromkeys(found))


def _own(out: Path | None) -> list[Path]:
    """Where a finished experiment lies, and an unfinished one; in a grid that is unfinished itself too."""
    if out is None:
        return []
    whole = out.absolute()
    grid = whole.parent.parent
    places = [whole.parent]
    if whole.parent.name == STUDIES:
        places.append(grid.with_name(f"{grid.name}{PARTIAL}") / STUDIES)
    return [place / name for place in places for name in (whole.name, f"{whole.name}{PARTIAL}")]


def _same(found: object, inputs: Mapping[str, object]) -> bool:
    return isinstance(found, Mapping) and all(found.get(name) == value for name, value in inputs.items())


def _state_of(folder: Path) -> JsonObject:
    for name in (MANIFEST, "step.json"):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return found if isinstance(found, dict) else {}
    return {}


def _manifest_of(file: Path) -> Manifest | None:
    try:
        return read_state(file, Manifest) if file.is_file() else None
    except RecollectError:  # damaged, or of another program
        return None
