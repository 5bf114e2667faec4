"""Which tensor of the base is which of the tuned model, when the two checkpoints are laid out differently.

Notable choices
- Buffers that code computes (rotary frequencies, GPT-2's masks) are no weights: one side may hold them alone.
- A model without an output head of its own uses its embedding as one, so that is what the other side's head is held
  against; a tuned model that ties what the base keeps apart cannot hold the base's values and is refused.
- Prefixes (`transformer.`, `model.`) are put on and taken off by transformers' own rules, with both models built on the
  meta device. Only then is torch needed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recollect.errors import ModelError
from recollect.models.files import parameter_of
from recollect.models.whole import HARMLESS, bare_model
from recollect.weights.safetensors import Checkpoint

_HEADS = ("lm_head.weight", "embed_out.weight")
_TABLES = ("embed_tokens.weight", "wte.weight", "embed_in.weight")
_CHUNK = 1 << 24


@dataclass(frozen=True)
class Places:
    """Where each tuned tensor has its base values: stored name to stored name. `alone`: buffers without a partner."""

    base: Mapping[str, str]
    alone: frozenset[str]


def is_buffer(name: str) -> bool:
    """Whether a stored tensor is a buffer that code computes, not a weight."""
    return bool(HARMLESS.search(name))


def match(base: Checkpoint, tuned: Checkpoint) -> Places:
    """Match the tensors of two checkpoints. Raises ModelError that names what has no partner, and the way out."""
    found = _match({name: name for name in base.entries}, {name: name for name in tuned.entries}, base)
    if isinstance(found, Places):
        return found
    ours, theirs = (parameter_names(side.folder, side.entries) for side in (base, tuned))
    again = _match(ours, theirs, base) if ours and theirs else found
    if isinstance(again, Places):
        return again
    missing, extra = found
    tied = ""
    if any(name.endswith(_HEADS) for name in [*missing, *extra]):
        tied = " One side ties its output head to its embeddings, the other does not: save both in the same way."
    raise ModelError(
        f"base and tuned must hold the same tensors, but the tuned model lacks {len(missing)} "
        f"({', '.join(missing[:3]) or '-'}) and adds {len(extra)} ({', '.join(extra[:3]) or '-'}).{tied} If they are "
        "one model in two layouts, load each with transformers and save it again."
    )


def _match(
    ours: Mapping[str, str], theirs: Mapping[str, str], base: Checkpoint
) -> Places | tuple[list[str], list[str]]:
    """Match by common names; each side maps them to its stored ones. What has no partner, when there is such."""
    places = {stored: ours[name] for name, stored in theirs.items() if name in ours}
    alone = {stored for name, stored in theirs.items() if name not in ours and is_buffer(name)}
    head, table = one_of(ours, _HEADS), one_of(ours, _TABLES)
    extra = [name for name, stored in theirs.items() if stored not in places and stored not in alone]
    if head is None and table is not None and len(extra) == 1 and extra[0].endswith(_HEADS):
        places[theirs[extra[0]]] = ours[table]
        extra = []
    missing = [name for name in ours if name not in theirs and not is_buffer(name)]
    if head is not None and table is not None and missing == [head] and same_values(base, ours[head], ours[table]):
        missing = []
    if missing or extra:
        return sorted(missing), sorted(extra)
    return Places(places, frozenset(alone))


def parameter_names(folder: Path, stored: Iterable[str]) -> dict[str, str]:
    """The names that tensors have in the model, mapped to those they are stored by; empty where that is not known."""
    try:
        model = bare_model(folder)
    except ModelError:
        return {}
    return names_in(model, stored)


def names_in(model: Any, stored: Iterable[str]) -> dict[str, str]:
    """The names that tensors have in a model, mapped to those they are stored by."""
    known = {*model.state_dict(), *(name for name, _ in model.named_parameters(remove_duplicate=False))}
    return {parameter_of(name, known, model.base_model_prefix) or name: name for name in stored}


def tied_copies(config: Mapping[str, object], base: Checkpoint, tuned: Checkpoint, places: Places) -> dict[str, str]:
    """Copies of tied token matrices in a file that holds both: the head's name to the embedding's.

    Only where both really are one matrix, on both sides: of two that differ, the loaded model keeps both.
    """
    head, table = one_of(tuned.entries, _HEADS), one_of(tuned.entries, _TABLES)
    if not config.get("tie_word_embeddings") or head is None or table is None:
        return {}
    ours = places.base.get(head), places.base.get(table)
    one = same_values(tuned, head, table)
    if one and ours[0] is not None and ours[1] is not None:
        one = same_values(base, ours[0], ours[1])
    return {head: table} if one else {}


def one_of(names: Collection[str], endings: tuple[str, ...]) -> str | None:
    """The one name with such an ending; None when there is none, or several."""
    found = [name for name in names if name.endswith(endings)]
    return found[0] if len(found) == 1 else None


def same_values(weights: Checkpoint, one: str, other: str) -> bool:
    """Whether two tensors of a checkpoint hold the same bytes."""
    if one == other:
        return True
    first, second = weights.entries[one], weights.entries[other]
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    return all(
        weights.bytes(one, at, min(at + _CHUNK, first.nbytes))
        == weights.bytes(other, at, min(at + _CHUNK, first.nbytes))
        for at in range(0, first.nbytes, _CHUNK)
    )
