"""A name, resolved once: the folder it stands for, checked, what it is, and its fingerprint.

An adapter knows the base it was trained on: our training leaves the base's fingerprint and the hash of its weights
beside the adapter; the manifest of its step holds the former too. Other weights are refused. Adapters made elsewhere
have neither, and nothing is said of them but what their shapes say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from recollect.core.json_object import JsonObject
from recollect.errors import ModelError
from recollect.models.check import check_folder, wants_code
from recollect.models.files import read_json
from recollect.models.find import NOTED as _FILE
from recollect.models.find import adapter_base, find_model, is_adapter, model_fingerprint, weights_fingerprint
from recollect.models.quantised import Quantize, described

if TYPE_CHECKING:
    from recollect.models.load import ModelSettings


@dataclass(frozen=True)
class ModelRef:
    """A model that was found and is safe to load; make it with `resolve` or `resolve_name`."""

    folder: Path
    base: ModelRef | None = None
    """What this is an adapter of; None for a whole model."""
    revision: str | None = None
    trust_remote_code: bool = False
    quantize: Quantize = "none"
    """To what the weights are quantised while they are loaded; one that is stored quantised is so anyway."""

    @classmethod
    def at(
        cls,
        folder: Path,
        revision: str | None = None,
        trust_remote_code: bool = False,
        quantize: Quantize = "none",
    ) -> ModelRef:
        """Of a folder that `check_folder` has passed. Raises ModelError for an adapter without its base."""
        base = cls(adapter_base(folder), None, revision, trust_remote_code, quantize) if is_adapter(folder) else None
        return cls(folder, base, revision, trust_remote_code, quantize)

    @property
    def whole(self) -> Path:
        """The folder of a whole model: the base's, or this one."""
        return (self.base or self).folder

    @property
    def quantised(self) -> str:
        """How the weights are quantised in memory, for people; empty for plain numbers."""
        return described(self.whole, self.quantize)

    @property
    def runs_code(self) -> bool:
        """Whether code of the folder runs: it is trusted, and there is some. Else nothing was pinned."""
        return self.trust_remote_code and wants_code(self.whole)

    @cached_property
    def fingerprint(self) -> str:
        """`model_fingerprint` of the folder; reads every weight, once."""
        return model_fingerprint(self.folder, self.base.fingerprint if self.base else None)


def begin_input(folder: Path) -> dict[str, str]:
    """What a step's inputs say of a model with a chat template: its prompts once began with its begin token always.

    So an older step that put prompts to such a model is another one, also where its tokenizer puts that token itself:
    that is known only once it is loaded. {} for models without a chat template, whose prompts begin as they did.
    """
    settings = folder / "tokenizer_config.json"
    templated = any(folder.glob("chat_template*")) or (
        settings.is_file() and '"chat_template"' in settings.read_text(encoding="utf-8", errors="replace")
    )
    return {"begin": "the tokenizer's own"} if templated else {}


def base_changed(adapter: ModelRef, base: ModelRef) -> str:
    """A warning when `base` is not what the adapter was trained on, though its weights are; "" when it is, or when
    nobody knows.

    Where our training noted the hash of the weights, other weights are a ModelError. Adapters of an earlier version
    noted only a hash of everything; for them other weights are a warning too.
    """
    known = _noted(adapter.folder, "base_fingerprint") or _of_step(adapter.folder)
    if known is None or known == base.fingerprint:
        return ""
    weights = _noted(adapter.folder, "base_weights")
    if weights is None:
        return (
            f"The adapter {adapter.folder} was trained on other weights than {base.folder} holds now (fingerprint "
            f"{known[:12]}): the base has changed since, and what it answers now is another model's."
        )
    if weights == weights_fingerprint(base.folder):
        return (
            f"The adapter {adapter.folder} was trained on the weights that {base.folder} holds, but its configuration "
            "or tokenizer has changed since: what it answers may differ."
        )
    raise ModelError(
        f"The adapter {adapter.folder} was trained on other weights (hash {weights[:12]}) than {base.folder} holds: on "
        "these it is another model. Give the base it was trained on; to use it here all the same, delete "
        f"{_FILE} beside the adapter."
    )


def resolve(settings: ModelSettings) -> ModelRef:
    """Find and check the model that settings name. Raises ModelError, and StepError for a damaged step."""
    return resolve_name(settings.model, settings.revision, settings.trust_remote_code, settings.quantize)


def resolve_name(
    name: str | Path,
    revision: str | None = None,
    trust_remote_code: bool = False,
    quantize: Quantize = "none",
) -> ModelRef:
    """Find and check the model of a name: shipped, a folder, a step directory, or of the hub. As `resolve`."""
    folder = find_model(name, revision)
    check_folder(folder, trust_remote_code=trust_remote_code, revision=revision)
    return ModelRef.at(folder, revision, trust_remote_code, quantize)


def write_base_fingerprint(adapter: Path, fingerprint: str, *, weights: str = "", name: str = "") -> None:
    """Leave beside an adapter's weights which base it is of.

    fingerprint: the base's `model_fingerprint`. weights: its `weights_fingerprint`. name: its name among Recollect's
    own models, where it has one.
    """
    noted = {"base_fingerprint": fingerprint, "base_weights": weights, "base": name}
    text = json.dumps({key: value for key, value in noted.items() if value}, indent=2)
    (adapter / _FILE).write_text(text + "\n", encoding="utf-8")


def _noted(adapter: Path, key: str) -> str | None:
    """What our training left beside the adapter."""
    value = _read(adapter / _FILE).get(key)
    return value if isinstance(value, str) else None


def _of_step(adapter: Path) -> str | None:
    """What the manifest of the adapter's train step says."""
    manifest = _read(adapter.parent / "manifest.json") if adapter.name == "model" else {}
    inputs = manifest.get("inputs") if manifest.get("step") == "train" else None
    value = inputs.get("model") if isinstance(inputs, dict) else None
    return value if isinstance(value, str) else None


def _read(file: Path) -> JsonObject:
    try:
        return read_json(file) if file.is_file() else {}
    except ModelError:
        return {}
