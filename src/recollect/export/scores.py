"""What steps found of a model, evaluations and drift, as its card tells them. Of a step the manifest alone is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from recollect.core.estimates import Estimate
from recollect.core.json_object import JsonObject
from recollect.core.workspace import read_manifest
from recollect.core.workspace.manifest import MANIFEST, Manifest
from recollect.errors import InputError, StepError
from recollect.train.card import Score

_PARTS = {"test": "in-domain test", "ood": "out-of-domain", "train": "train"}
_ESTIMATE = TypeAdapter(Estimate)
_MOST = 2000  # folders beside a step that are looked into


@dataclass(frozen=True)
class Known:
    """What is known of a model."""

    scores: tuple[Score, ...] = ()
    drift: tuple[str, ...] = ()


def known_of(fingerprint: str, folder: Path, named: str) -> Known:
    """The evaluations and drift steps of the model with this fingerprint.

    folder: the model's; steps beside its own are looked at. named: steps instead, separated by commas; InputError for
    one that is none, or is another model's.
    """
    steps = list(_named(named, fingerprint)) if named else list(_beside(folder, fingerprint))
    scores = [score for step in steps if step.step == "evaluate" for score in _scores(step)]
    drift = [line for step in steps if step.step == "drift" for line in _drift(step)]
    return Known(tuple(dict.fromkeys(scores)), tuple(dict.fromkeys(drift)))


def _named(text: str, fingerprint: str) -> Iterator[Manifest]:
    for name in (part.strip() for part in text.split(",")):
        step = read_manifest(Path(name))
        if step.step not in ("evaluate", "drift"):
            raise InputError(f"scores must be evaluate or drift steps, but {name} is a {step.step!r} step.")
        if not _is_of(step, fingerprint):
            raise InputError(f"{name} is of another model than the one that is exported. Evaluate this one.")
        yield step


def _beside(folder: Path, fingerprint: str) -> Iterator[Manifest]:
    own = folder.resolve().parent
    if folder.resolve().name != "model" or not (own / MANIFEST).is_file():
        return
    for place in sorted(own.parent.iterdir())[:_MOST]:
        if place == own or not (place / MANIFEST).is_file():
            continue
        try:
            step = read_manifest(place)
        except StepError:
            continue  # another's damage is not this model's
        if step.step in ("evaluate", "drift") and _is_of(step, fingerprint):
            yield step


def _is_of(step: Manifest, fingerprint: str) -> bool:
    return step.inputs.get("tuned" if step.step == "drift" else "model") == fingerprint


def _scores(step: Manifest) -> Iterator[Score]:
    accuracy = step.metrics.get("accuracy")
    facts = Path(str((step.metrics.get("sources") or {}).get("facts") or "facts")).name
    for part, found in (accuracy if isinstance(accuracy, dict) else {}).items():
        for mean, name in (("micro", "over all facts"), ("macro", "mean of the memory levels")):
            value = _estimate(found, mean)
            if value is not None:
                yield Score(f"accuracy, {_PARTS.get(part, part)} questions, {name}", value, facts, str(part))


def _estimate(found: JsonObject, name: str) -> Estimate | None:
    try:
        return _ESTIMATE.validate_python(found.get(name)) if found.get(name) else None
    except ValidationError:
        return None  # of an earlier version


def _drift(step: Manifest) -> Iterator[str]:
    found = step.metrics
    if isinstance(found.get("kl_full"), int | float):
        yield f"- mean KL(tuned, base) over the vocabulary on answer tokens: {found['kl_full']:.4g} nats"
    general = (found.get("tokens") or {}).get("general")
    if isinstance(general, dict) and isinstance(general.get("forward"), dict):
        mean = general["forward"].get("mean")
        if isinstance(mean, int | float):
            yield f"- the same on general text: {mean:.4g} nats ({general['forward'].get('n', 0):,} tokens)"
    if isinstance(found.get("unchanged"), int | float):
        yield f"- weights of the measured region that did not change: {100 * found['unchanged']:.1f} %"
