"""Which steps of a plan are there already: finished step folders by kind and settings, in an experiment and beside it.

Manifests are read and nothing is hashed or opened: a damaged file is found when the step is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recollect.core.settings import Settings
from recollect.core.workspace import MANIFEST
from recollect.core.workspace.manifest import Manifest, read_state
from recollect.errors import RecollectError

STEPS = "steps"


@dataclass(frozen=True)
class There:
    """The step folders of experiments whose inputs are those of the plan."""

    folders: tuple[Path, ...] = ()
    """Each holds the steps of one experiment."""
    base: str = ""
    """Fingerprint of the base."""
    _read: dict[Path, Manifest | None] = field(default_factory=dict)

    def find(self, wanted: Mapping[str, Settings]) -> Path | None:
        """The folder that has all of these steps, by their names and settings."""
        for folder in self.folders:
            if all(self.fits(folder / name, settings) for name, settings in wanted.items()):
                return folder
        return None

    def count(self, wanted: Mapping[str, Settings]) -> list[str]:
        """The names of those that are there, wherever."""
        return [name for name, settings in wanted.items() if self.find({name: settings}) is not None]

    def fits(self, step: Path, settings: Settings) -> bool:
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


def there_for(experiments: Iterable[Path], kind: str, inputs: Mapping[str, Any]) -> There:
    """Of the experiments of a kind among these folders, finished or not, whose inputs are the same as far as given."""
    folders = []
    for folder in experiments:
        state = _state_of(folder)
        if state.get("step") == kind and _same(state.get("inputs"), inputs):
            folders.append(folder / STEPS)
    return There(tuple(folders), str(inputs.get("model", "")))


def experiment_for(
    experiments: Iterable[Path], kind: str, inputs: Mapping[str, Any], settings: Settings
) -> Path | None:
    """The experiment of a kind with these very settings and inputs among the folders, begun or finished."""
    values = json.loads(json.dumps(settings.fingerprint_values()))
    for folder in experiments:
        state = _state_of(folder)
        if state.get("step") == kind and _same(state.get("inputs"), inputs) and state.get("settings") == values:
            return folder
    return None


def single_there(kind: str, settings: Settings, inputs: Mapping[str, Any], out: Path | None, root: Path) -> bool:
    """Whether one step of its own is finished: at OUT, or by its name in the root."""
    values = json.loads(json.dumps(settings.fingerprint_values()))
    folders = [out] if out is not None else sorted(root.glob(f"{kind}-*"))
    for folder in folders:
        found = _manifest_of(folder / MANIFEST)
        if found is not None and found.step == kind and found.settings == values and _same(found.inputs, inputs):
            return True
    return False


def around(out: Path | None, root: Path) -> list[Path]:
    """The folders in which earlier work may lie: OUT, finished or not, and what lies beside it or in the root."""
    own = [] if out is None else [out, out.with_name(f"{out.name}.partial")]
    beside = root if out is None else out.absolute().parent
    others = sorted(path.parent for name in (MANIFEST, "step.json") for path in beside.glob(f"*/{name}"))
    return list(dict.fromkeys([*own, *others]))


def _same(found: object, inputs: Mapping[str, Any]) -> bool:
    return isinstance(found, Mapping) and all(found.get(name) == value for name, value in inputs.items())


def _state_of(folder: Path) -> dict[str, Any]:
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
