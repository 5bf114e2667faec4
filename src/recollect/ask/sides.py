"""Which models a folder tells of: the base, what was trained of it, and what was restored.

A train step names its base, a restore step both that it was made from, an adapter its base; a folder with a whole model
knows of no other. What an older manifest names may have moved: that is told, with how to name the base.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from recollect.core.workspace import MANIFEST, Manifest, read_manifest
from recollect.errors import InputError, ModelError
from recollect.models import ModelRef, find_model, resolve_name
from recollect.prompt import DEFAULT_TEMPLATE
from recollect.restore import RestoreFound

_EXPERIMENTS = ("study", "curve", "search")


@dataclass(frozen=True)
class Sides:
    """Models by what they are to each other, in the order base, tuned, restored."""

    models: dict[str, str]
    """Name, folder or step directory of each side: "base", "tuned", "restored"; "model" where nothing else is known."""
    template: str = DEFAULT_TEMPLATE
    """The plain prompt of the training."""
    notes: tuple[str, ...] = ()
    """What is not there any more."""

    @property
    def asked_as(self) -> str:
        """The side whose prompt all are asked in: the tuned model's, where there is one."""
        return "tuned" if "tuned" in self.models else next(iter(self.models))


def find_sides(where: str, base: str = "") -> Sides:
    """The sides that a place tells of: a train or restore step, an evaluation of one, a model folder, or a name.

    base: the untouched model, in place of the one that the place names. Raises InputError for a step of another kind,
    and ModelError for a model that is not there.
    """
    place = Path(where).expanduser()
    step = next((one for one in (place, place.parent) if (one / MANIFEST).is_file() and _holds(one, place)), None)
    if step is None:
        return _of_model(where, base)
    manifest = read_manifest(step)
    if manifest.step == "train":
        return _of_training(step, manifest, base)
    if manifest.step == "restore":
        return _of_restoration(step, base)
    if manifest.step == "evaluate":
        return find_sides(str(manifest.metrics.get("sources", {}).get("model") or ""), base)
    if (step / "model").is_dir():
        named = str(manifest.metrics.get("sources", {}).get("model") or "") if manifest.step == "fit" else ""
        return _of_model(str(step), base or named)
    raise InputError(f"{step} is a {manifest.step} step, which holds no model to ask. {_instead(step, manifest.step)}")


def _holds(step: Path, place: Path) -> bool:
    return step == place or place.name == "model"


def _instead(step: Path, kind: str) -> str:
    cells = sorted(path.name for path in (step / "steps").glob("train-*")) if kind in _EXPERIMENTS else []
    if cells:
        return f"Give one of its trainings, such as {step / 'steps' / cells[0]}."
    return "Give a train or restore step, or a model folder."


def _of_training(step: Path, manifest: Manifest, base: str) -> Sides:
    model = step / "model"
    if not any(model.glob("*.safetensors")):
        raise InputError(
            f"the weights of {step} were not kept, so it cannot be asked. Run its study, curve or search with "
            "--keep-models."
        )
    named = base or str(manifest.metrics.get("sources", {}).get("model") or "")
    if not named:
        raise InputError(f"the manifest of {step} does not name its base. Give it with --base.")
    sides = Sides({"base": named, "tuned": str(step)}, str(manifest.settings.get("prompt_template", DEFAULT_TEMPLATE)))
    changed = not base and _fingerprint(named, step) != manifest.inputs.get("model")
    note = f"the base {named} holds other weights now than {step.name} was trained from"
    return replace(sides, notes=(note,)) if changed else sides


def _of_restoration(step: Path, base: str) -> Sides:
    found = RestoreFound.read(step)
    tuned = Path(found.tuned)
    models = {"base": base or found.base, "tuned": found.tuned, "restored": str(step)}
    _fingerprint(models["base"], step)
    if not any(tuned.glob("*.safetensors")):
        del models["tuned"]
        return Sides(models, notes=(f"the tuned model is no longer at {tuned}, so it is not asked",))
    if tuned.name == "model" and (tuned.parent / MANIFEST).is_file():
        settings = read_manifest(tuned.parent).settings
        return Sides(models, str(settings.get("prompt_template", DEFAULT_TEMPLATE)))
    return Sides(models)


def _of_model(where: str, base: str) -> Sides:
    if not where:
        raise InputError("there is no model to ask: give a train or restore step, a model folder, or a model's name.")
    folder = find_model(where)
    ref = ModelRef.at(folder)
    if base:
        return Sides({"base": base, "tuned": where})
    if ref.base is not None:
        return Sides({"base": str(ref.base.folder), "tuned": where})
    return Sides({"model": where}, notes=(f"{where} does not say what it was made from; --base names it",))


def _fingerprint(base: str, step: Path) -> str:
    try:
        return resolve_name(base).fingerprint
    except ModelError as error:
        raise ModelError(f"the base that {step} names is not there: {error} --base gives it another name.") from None
