"""The configuration of a LoRA adapter, read as an attacker's: bounded, and free of regular expressions.

PEFT matches `target_modules` (when it is a text), `exclude_modules` and the keys of `rank_pattern` and `alpha_pattern`
as regular expressions, and an expression can take for ever. So those are matched here, in a process of their own with
a deadline, and PEFT is given the names that came out. It also puts `layers_pattern` and the names of `modules_to_save`
into expressions of its own; there nothing but plain names is let in.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recollect.core.json_object import JsonObject
from recollect.errors import ModelError
from recollect.models.files import read_json

Changed = dict[str, set[str] | dict[str, float]]
"""Settings of an adapter that held expressions, with what these match: names of modules, or a number for each."""
SECONDS = 5.0
"""How long the patterns of one adapter may take over all names of a model."""
STARTS_BESIDE = ("gaussian", "eva", "orthogonal")
"""Named starts of factors that leave the base as it was."""
_MOST = 1 << 22  # bytes of adapter_config.json
_LONGEST = 50_000  # entries of a list: more than any model has modules
_PLAIN = re.compile(r"[\w.\-]*")
_MERGE = "Merge the adapter with peft (merge_and_unload), save the model, and give that folder."
_NO_MERGE = {
    "layer_replication": "repeats layers of its base",
    "alora_invocation_tokens": "acts from certain tokens on, and cannot be merged",
    "arrow_config": "routes between adapters, and cannot be merged",
    "monteclora_config": "samples its weights",
    "kasa_config": "cuts its base's weights",
    "use_qalora": "is made for a quantised base",
    "use_bdlora": "is cut in blocks",
    "velora_config": "compresses its activations",
}
_INITS = {
    "loftq": "its base was quantised while it was made, and the rest is not stored",
    "corda": "its base was changed by data that is not stored",
    "pissa_niter": "its base was changed by a random decomposition that is not stored",
}

_MATCH = """
import json, re, sys
given = json.load(sys.stdin)
json.dump([[name for name in given["names"] if re.fullmatch(p, name)] for p in given["patterns"]], sys.stdout)
"""


def first_layer(config: JsonObject) -> int:
    """The lowest layer that an adapter changes, where its configuration says so by numbers; else 0.

    Examples:
        >>> first_layer({"target_modules": ["model.layers.20.mlp.up_proj", "model.layers.21.self_attn.q_proj"]})
        20
        >>> first_layer({"target_modules": ["q_proj"], "layers_to_transform": [5, 3]})
        3
        >>> first_layer({"target_modules": "all-linear"})
        0
    """
    given, targets = config.get("layers_to_transform"), config.get("target_modules")
    if isinstance(given, int):
        return given
    if isinstance(given, list):
        return min((one for one in given if isinstance(one, int)), default=0)
    names = targets if isinstance(targets, list) else []
    numbers = [next((int(part) for part in str(name).split(".") if part.isdigit()), 0) for name in names]
    return min(numbers, default=0)


def read_adapter_config(folder: Path) -> JsonObject:
    """The folder's adapter_config.json, once it is known to be one that can be merged. Raises ModelError."""
    config = read_json(folder / "adapter_config.json", _MOST)
    kind, megatron = config.get("peft_type"), config.get("megatron_config")
    if kind != "LORA" or megatron:
        raise ModelError(
            f"{folder}: only plain LoRA adapters are loaded, but adapter_config.json has peft_type={kind!r}"
            f"{' and a megatron_config' if megatron else ''}."
        )
    for key, why in _NO_MERGE.items():
        if config.get(key):
            raise ModelError(f"{folder} uses {key}: it {why}. Such an adapter is not loaded.")
    start = config.get("init_lora_weights")
    if isinstance(start, str):
        for name, why in _INITS.items():
            if start.lower().startswith(name):
                raise ModelError(
                    f"{folder} was started by {start!r}: {why}. Save it with peft's "
                    "path_initial_model_for_weight_conversion, which makes it a plain adapter of the untouched base."
                )
    _check_values(folder, config)
    return config


def _check_values(folder: Path, config: JsonObject) -> None:
    for key, value in config.items():
        if isinstance(value, list | dict) and len(value) > _LONGEST:
            raise ModelError(f"{folder}: {key} must have at most {_LONGEST:,} entries, but has {len(value):,}.")
    ranks = {"r": config.get("r", 8)}
    for key in ("rank_pattern", "alpha_pattern"):
        patterns = config.get(key) or {}
        if not isinstance(patterns, dict):
            raise ModelError(f"{folder}: {key} must map names to numbers, but is {type(patterns).__name__}.")
        if key == "rank_pattern":
            ranks |= {f"rank_pattern[{name}]": value for name, value in patterns.items()}
    for key, value in ranks.items():
        if type(value) is not int or not 0 < value <= 1 << 16:
            raise ModelError(f"{folder}: {key} must be a whole number from 1 to 65,536, but is {value!r}.")
    for key in ("layers_pattern", "modules_to_save"):  # PEFT matches both as expressions, each in a place of its own
        for name in _listed(config.get(key)):
            if not _PLAIN.fullmatch(name):
                raise ModelError(
                    f"{folder}: {key} must be a plain name, but is {name!r:.200}. Write the names of the modules."
                )


def explicit(folder: Path, config: JsonObject, names: Sequence[str]) -> Changed:
    """The settings that hold regular expressions, with the module names that they match in their place.

    `names`: all modules of the base. Raises ModelError for patterns that are none, match nothing or do not end.
    """
    targets, excluded = config.get("target_modules"), config.get("exclude_modules")
    patterns = {key: dict(config.get(key) or {}) for key in ("rank_pattern", "alpha_pattern")}
    asked: dict[str, str] = {}
    if isinstance(targets, str) and targets != "all-linear":
        asked["target_modules"] = targets
    if isinstance(excluded, str):
        asked["exclude_modules"] = excluded
    for key, found in patterns.items():
        asked |= {f"{key}/{name}": rf"(?:.*\.)?(?:{name})" for name in found if not _PLAIN.fullmatch(name)}
    matched = _match(folder, asked, names)
    changed: Changed = {}
    for key in ("target_modules", "exclude_modules"):
        if key in matched:
            changed[key] = set(matched[key])
            if key == "target_modules" and not changed[key]:
                raise ModelError(f"{folder}: target_modules {targets!r} matches no module of the base.")
    for key, found in patterns.items():
        if any(name.startswith(f"{key}/") for name in matched):
            changed[key] = {
                place: value
                for name, value in reversed(found.items())  # of several patterns the first counts
                for place in (
                    [re.escape(at) for at in matched[f"{key}/{name}"]] if f"{key}/{name}" in matched else [name]
                )
            }
    return changed


def _match(folder: Path, asked: Mapping[str, str], names: Sequence[str]) -> dict[str, list[str]]:
    """The names that each pattern matches whole."""
    if not asked:
        return {}
    for key, pattern in asked.items():
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise ModelError(f"{folder}: {key} is no regular expression: {error}.") from None
    text = json.dumps({"names": list(names), "patterns": list(asked.values())})
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _MATCH], input=text, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"{folder}: the regular expressions of adapter_config.json ({', '.join(asked)}) did not come to an end "
            f"within {SECONDS:.0f} seconds. Refused; list the modules by name instead."
        ) from None
    if done.returncode:
        raise ModelError(f"{folder}: the regular expressions of adapter_config.json could not be matched.")
    return dict(zip(asked, json.loads(done.stdout), strict=True))


def _listed(value: Any) -> list[str]:
    return [str(part) for part in value] if isinstance(value, list) else [] if value is None else [str(value)]
