"""The card of a model that a step made, from what the step stored: for those who write it again, with more in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recollect.core.workspace import read_manifest
from recollect.core.workspace.manifest import MANIFEST, is_finished
from recollect.errors import InputError, ModelError, StepError
from recollect.models.find import adapter_base, find_model, is_adapter
from recollect.train.card import CardContent, restored_card, training_card
from recollect.train.found import TrainFound
from recollect.train.settings import TrainSettings


def card_of_step(folder: Path) -> CardContent | None:
    """The content of the card of a model that a step made: a training, or a restoration of one.

    None for any other folder, and where a training is of a version whose settings are not read any more.
    """
    folder = folder.resolve()
    if folder.name != "model" or not (folder.parent / MANIFEST).is_file():
        return None
    step = read_manifest(folder.parent)
    if step.step == "restore":
        before = Path(str(step.metrics.get("tuned")))
        content = card_of_step(before)
        return content and restored_card(content, step.metrics)
    if step.step != "train":
        return None
    sources = step.metrics.get("sources") or {}
    given = {name: value for name, value in step.settings.items() if name in TrainSettings.model_fields}
    try:
        settings = TrainSettings.make(**{**given, "model": str(sources.get("model", given.get("model", "")))})
        base = adapter_base(folder) if is_adapter(folder) else find_model(settings.model, settings.revision)
    except ModelError:
        base = folder  # the base is gone: what is known of it is its name
    except InputError:
        return None
    return training_card(settings, TrainFound.read(folder.parent), base, _source(sources))


def _source(sources: Mapping[str, str]) -> Path | None:
    """What a training learned, where it is still there."""
    if "data" in sources:
        return Path(str(sources["data"]))
    selection = Path(str(sources.get("selection", "")))
    try:
        return selection if is_finished(selection) else None
    except StepError:
        return None
