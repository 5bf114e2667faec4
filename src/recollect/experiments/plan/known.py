"""What a plan knows of its model and its facts, and how: found here, in the hub's cache, by name, or as it was told.

Notable choices
- A model that is not here can still be counted with: the hub's config.json, where it is in the cache, gives its exact
  number of parameters (the model is built without values); else what `--parameters` says; else the "8B" of its name.
- What is not known stays unknown: memory and time are then null, and a note says why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from recollect.errors import InputError, ModelError, RecollectError
from recollect.facts import FactSet, load_facts
from recollect.models import ModelRef, ModelSettings, resolve
from recollect.models.find import can_be_found, in_cache
from recollect.models.known import FETCHABLE
from recollect.models.whole import bare_model
from recollect.shipped import SHIPPED
from recollect.weights import in_region

_IN_NAME = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*([bm])(?![a-z0-9])", re.IGNORECASE)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_UNIT = {"b": 1e9, "m": 1e6}
PARTS = ("train", "test", "ood")


@dataclass(frozen=True)
class KnownModel:
    """A model as far as it is known without its weights in memory."""

    name: str
    ref: ModelRef | None
    """None where it is not here."""
    parameters: int | None
    vocabulary: int | None = None
    cached: int | None = None
    """Numbers that attention keeps of a token."""
    layers: int | None = None
    width: int | None = None
    stored: int | None = None
    """Bytes of its weights on disk."""
    said: str = ""
    """What is to be said of how it is known; empty where it is here."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Of its tensors by name, as far as they are known."""

    def weights(self, region: str) -> float:
        """How many weights a region has; all parameters where the tensors are not known.

        Raises InputError for a region that holds none, as running would.
        """
        if not self.sizes:
            return float(self.parameters or 0)
        return float(sum(self.sizes[name] for name in in_region(self.sizes, region)))


def know_model(settings: ModelSettings, parameters: float | None = None) -> KnownModel:
    """Of the model that settings name.

    Raises ModelError, as running would, for a broken or unsafe model that is here, and for a name that no model can
    have, unless `parameters` say how large it is.
    """
    name = settings.model
    if _to_fetch(name, settings.revision):
        return _elsewhere(name, settings.revision, parameters, "its weights are not in the hub's cache")
    try:
        ref = resolve(settings)
    except ModelError as error:
        if Path(name).exists() or (parameters is None and not can_be_found(name, settings.revision)):
            raise
        return _elsewhere(name, settings.revision, parameters, str(error))
    stored = sum(file.stat().st_size for file in ref.whole.glob("*.safetensors"))
    return _described(name, ref, ref.whole, stored, ref.runs_code, "")


def _elsewhere(name: str, revision: str | None, parameters: float | None, why: str) -> KnownModel:
    here = f"{name} is not here ({why.partition('. ')[0].rstrip('.')})"
    if (folder := in_cache(name, revision)) is not None and parameters is None:
        try:
            return _described(name, None, folder, None, False, f"{here}; its size is that of the hub's config.json")
        except RecollectError:
            pass
    count, how = parameters, "as given"
    if count is None and name in FETCHABLE:
        count, how = FETCHABLE[name].parameters, "as this version knows it"
    if count is None and (found := _IN_NAME.search(name.rpartition("/")[2])):
        count, how = float(found[1]) * _UNIT[found[2].lower()], "by its name (--parameters says it better)"
    if count is None:
        return KnownModel(
            name, None, None, said=f"{here}, so memory and time are not known: fetch it, or give --parameters"
        )
    text = f"{here}; it is planned with {count / 1e9:.3g} billion parameters, {how}"
    return KnownModel(name, None, round(count), said=text)


def _to_fetch(name: str, revision: str | None) -> bool:
    """Whether finding the model would fetch it from the hub, which a plan does not."""
    if name in SHIPPED or name in FETCHABLE or Path(name).exists() or not _HUB_NAME.fullmatch(name):
        return False
    config = in_cache(name, revision)
    return config is None or not any(config.glob("*.safetensors"))


def _described(name: str, ref: ModelRef | None, folder: Path, stored: int | None, trust: bool, said: str) -> KnownModel:
    model = bare_model(folder, trust)
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", 1)
    per_head = getattr(config, "head_dim", None) or config.hidden_size // heads
    cached = 2 * config.num_hidden_layers * (getattr(config, "num_key_value_heads", None) or heads) * per_head
    return KnownModel(
        name,
        ref,
        model.num_parameters(),
        vocabulary=int(config.vocab_size),
        cached=int(cached),
        layers=int(config.num_hidden_layers),
        width=int(config.hidden_size),
        stored=stored,
        said=said,
        sizes={name: one.numel() for name, one in model.named_parameters()},
    )


@dataclass(frozen=True)
class KnownFacts:
    """The facts, or how many there are said to be."""

    facts: FactSet | None
    counts: dict[str, int]
    said: str = ""


def know_facts(name: str, given: str | None) -> KnownFacts:
    """Of the facts that settings name; `given` counts them where they are not here. InputError where neither is."""
    try:
        facts = load_facts(name)
    except InputError as error:
        if given is None:
            if Path(name).exists():
                raise
            raise InputError(
                f"{str(error).rstrip('.')}. To plan without them say how many there are: --facts-count 97112, or "
                "train=75944,test=9555,ood=11613."
            ) from None
        counts = read_counts(given)
        number = ", ".join(f"{count:,} {part}" for part, count in counts.items())
        return KnownFacts(None, counts, f"the facts {name} are not here; it is planned with {number}, as given")
    return KnownFacts(facts, facts.counts())


def read_counts(text: str) -> dict[str, int]:
    """ "train=60,test=20,ood=20", or one number, which is split as EntityQuestions is. Raises InputError.

    Examples:
        >>> read_counts("100")
        {'train': 78, 'test': 10, 'ood': 12}
    """
    try:
        if "=" not in text:
            whole = _count(text)
            test, ood = round(whole * 9_555 / 97_112), round(whole * 11_613 / 97_112)
            return {"train": whole - test - ood, "test": test, "ood": ood}
        pairs = [entry.split("=") for entry in text.split(",")]
        found = {name.strip(): _count(value) for name, value in pairs}
    except ValueError:
        found = {"": 0}
    if not found.keys() <= set(PARTS) or text.count("=") > len(found):  # a part twice
        raise InputError(
            f"facts-count must be a number, or counts by part such as train=60,test=20,ood=20, but got {text!r}."
        )
    return {part: found.get(part, 0) for part in PARTS}


def _count(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 0:
        raise ValueError("negative")
    return number
