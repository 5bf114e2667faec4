"""The model of a fit, ready to be used: `model/` in its folder, whole, with a card; the best so far at any time.

Notable choices
- The files are hard links to those of the training where the disk has such, else copies; nothing is ever written into a
  finished weights file. The folder is made beside, with its card, and renamed; from then on it takes the place of the
  one before, if need be in the fit's next life (`settle`), so that a kill loses neither and no name is wrong.
- An adapter is merged into its base, so the folder is a whole model whatever the method was.
- A base that nothing beat is there too, with the examples of its best prompt beside it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recollect.core.workspace import write_json
from recollect.core.workspace.fit import FitFound
from recollect.evaluate.shots import draw_examples
from recollect.experiments.fit.stages import STEPS, Ground
from recollect.models import find_model
from recollect.models.find import is_adapter
from recollect.models.origin import CARD, origin_of
from recollect.restore import RestoreSettings, run_between
from recollect.train.card import CardContent, Score, write_card
from recollect.train.step_card import card_of_step

MODEL, EXAMPLES = "model", "few-shot.json"
BEST = "best.json"
"""What lies in `model/`, in a fit that is not finished."""
_WORLD = ("facts.parquet", "heldout.txt")
"""Beside the weights of a base that comes with the package."""
_NEW, _WHOLE, _OLD = "model.new", "model.next", "model.old"
"""A model that is being written, one that is whole and takes the place of `model/`, and what was there."""
_BEST_NEXT = "best.next.json"


def merged(ground: Ground, step: Path) -> Path:
    """The step itself; of an adapter one with the same model, whole."""
    if not is_adapter(step / MODEL):
        return step
    out = ground.steps / f"merged-{step.parent.name}-{step.name}"
    return run_between(RestoreSettings(), ground.base.name, step, 1.0, out=out).path


def keep(ground: Ground, model: Path | None, what: str, value: float | None = None) -> None:
    """Make `model/` hold this step's model, or the untouched base. value: what it is worth on validation."""
    folder = ground.step.folder
    base = find_model(ground.base.name, ground.parts.train.revision)
    source = base if model is None else merged(ground, model) / MODEL
    shutil.rmtree(folder / _NEW, ignore_errors=True)
    (folder / _NEW).mkdir()
    for file in sorted(source.iterdir()):
        if file.is_file() and not file.name.startswith(".") and file.name not in _WORLD:
            _link(file.resolve(), folder / _NEW / file.name)
    _card(ground, folder / _NEW, model, ())
    write_json(ground.steps / _BEST_NEXT, {"what": what, "value": value})
    (folder / _NEW).rename(folder / _WHOLE)
    settle(folder)


def settle(folder: Path) -> None:
    """Let a model that is whole take the place of `model/`; also what a kill has left in the middle of that."""
    best = folder / STEPS / _BEST_NEXT
    if (folder / _WHOLE).exists():
        if best.exists():
            best.replace(folder / STEPS / BEST)
        shutil.rmtree(folder / _OLD, ignore_errors=True)
        if (folder / MODEL).exists():
            (folder / MODEL).rename(folder / _OLD)
        (folder / _WHOLE).rename(folder / MODEL)
    best.unlink(missing_ok=True)
    for left in (_NEW, _OLD):
        shutil.rmtree(folder / left, ignore_errors=True)


def kept(folder: Path) -> str:
    """What lies in `model/` of an unfinished fit; "" for nothing."""
    try:
        return str(json.loads((folder / STEPS / BEST).read_text(encoding="utf-8"))["what"])
    except (OSError, ValueError, KeyError):
        return ""


def kept_value(folder: Path) -> float:
    """What that is worth on validation; minus infinity for nothing, or nothing that was said."""
    try:
        return float(json.loads((folder / STEPS / BEST).read_text(encoding="utf-8"))["value"])
    except (OSError, ValueError, KeyError, TypeError):
        return -math.inf


def _link(file: Path, target: Path) -> None:
    try:
        if file.suffix == ".safetensors":
            os.link(file, target)
            return
    except OSError:  # another disk, or one without links
        pass
    shutil.copyfile(file, target)


def _card(ground: Ground, folder: Path, model: Path | None, scores: Sequence[Score], *lines: str) -> None:
    content = card_of_step(model / MODEL) if model is not None else None
    if content is None:
        base = find_model(ground.base.name, ground.parts.train.revision)
        origin = origin_of(ground.settings.model, base)
        name = origin.name.rpartition("/")[2]
        told = "" if ground.parts.train.prompt == "chat" else ground.parts.train.prompt_template
        content = CardContent(f"{name}, as it was", origin, adapter=False, prompt=told, data=(), settings={})
    else:
        content = replace(content, adapter=False)
    (folder / CARD).unlink(missing_ok=True)  # a link to the training's own
    write_card(folder, replace(content, scores=scores, changed=[*content.changed, *lines]))


def finish_model(ground: Ground, found: FitFound, model: Path | None) -> None:
    """The chosen model with its scores on its card; beside the base the examples that it does best with."""
    best = found.best
    keep(ground, model, found.chosen)
    scores = []
    for name, value in (("test questions", best.test), ("questions of other kinds", best.kept)):
        if value is not None:
            scores.append(Score(f"{found.scored}, {name}", value, ground.data.final.name, "test"))
    _card(ground, ground.step.folder / MODEL, model, scores, f"Chosen by `recollect fit`: {found.chosen_by}")
    if found.chosen == "few-shot":
        write_examples(ground)


def write_examples(ground: Ground) -> None:
    """The examples of the base's best prompt, beside the model."""
    asked = ground.data.final.part("test").facts[:1]
    settings = ground.evaluation(shots=ground.settings.few_shot)
    [shown] = draw_examples(ground.data.final, asked, settings.shots, settings.seed)
    examples = [{"question": question, "answer": answer} for question, answer in shown]
    write_json(ground.step.folder / EXAMPLES, {"examples": examples})
