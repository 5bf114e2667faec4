"""What is in a model's folder: refuse what is unsafe or not whole, and fingerprint the rest.

A model's JSON files are read as an attacker's: no weights outside the folder, no code from elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from recollect.errors import ModelError
from recollect.models.adapter_config import read_adapter_config
from recollect.models.config import check_architecture, check_sizes, read_model_config
from recollect.models.find import find_model
from recollect.models.headers import INDEX, SINGLE, read_json, stored_tensors

_CODE_EXTENSIONS = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_DECIDING = (  # every file that decides what a model says
    "*.safetensors",
    "*.safetensors.index.json",
    "*.py",
    "*.tiktoken",
    "added_tokens.json",
    "chat_template.*",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
_SETS = ("exclude_modules", "layers_pattern", "modules_to_save", "target_modules", "target_parameters")
"""Lists of adapter_config.json that are sets: PEFT writes some of them in another order in every process."""


def check_folder(folder: Path, *, trust_remote_code: bool = False, revision: str | None = None) -> None:
    """Refuse a folder that is not a safe, whole model; the error says what is wrong and how to mend it."""
    _check_kinds(folder)
    config = folder / "config.json"
    adapter = (folder / "adapter_config.json").is_file()
    if not config.is_file() and not adapter:
        raise ModelError(f"{folder} holds no config.json (nor adapter_config.json); it is not a model folder.")
    weights = "adapter_model.safetensors" if adapter else "*.safetensors"
    if not any(folder.glob(weights)):
        pickled = sorted(file.name for file in folder.iterdir() if file.suffix in _CODE_EXTENSIONS)
        if pickled:
            raise ModelError(
                f"{folder} holds only pickled weights ({', '.join(pickled[:3])}), which can run code when "
                "read; only safetensors are loaded. Convert them once in a place you trust, with "
                "`model.save_pretrained(FOLDER)` of transformers."
            )
        raise ModelError(f"{folder} holds no {weights} weights.")
    if adapter:
        read_adapter_config(folder)
        check_folder(adapter_base(folder), trust_remote_code=trust_remote_code, revision=revision)
        return
    values = read_model_config(folder)
    check_architecture(folder, values)
    _check_config(folder, values)
    for index in folder.glob("*.safetensors.index.json"):
        _check_index(index)
    if wants_code(folder):
        pin = _pin(folder)
        if not trust_remote_code:
            raise ModelError(
                f"{folder} wants to run its own Python code (auto_map). Refused. If you have read that "
                f"code and trust it, add --trust-remote-code --revision {pin}."
            )
        if revision != pin:
            raise ModelError(
                f"--trust-remote-code needs the code's pinned revision: expected --revision {pin}, "
                f"but got {revision!r}. Read the code again before you change the pin."
            )
    named = values.get("transformers_weights")
    if named or (folder / SINGLE).is_file() or (folder / INDEX).is_file():  # else what loads them says what is missing
        check_sizes(folder, values, stored_tensors(folder, named))


def _check_kinds(folder: Path) -> None:
    """Every file that decides what the model says must be one that can be read: a link whose target is gone, a pipe or
    a device would be passed over in silence, and the model be another."""
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:  # glob does not see a link to nothing
        if not file.is_file() and any(fnmatch(file.name, pattern) for pattern in _DECIDING):
            what = "a link to nothing" if not file.exists() else "a folder" if file.is_dir() else "a pipe or a device"
            raise ModelError(f"{file} must be a file, but is {what}. Fetch or copy the model's folder again.")


def _check_config(folder: Path, config: dict[str, Any]) -> None:
    """Refuse what transformers would follow out of the folder: a named weights file, an attention kernel."""
    named = config.get("transformers_weights")
    if named is not None and not (_plain_name(named) and named.endswith((".safetensors", ".index.json"))):
        raise ModelError(f"{folder}: config.json names the weights {named!r}, which are no file of the folder.")
    for key in ("attn_implementation", "_attn_implementation", "experts_implementation"):
        if "/" in json.dumps(config.get(key)):
            raise ModelError(
                f"{folder}: config.json asks for code from a hub ({key}: {config[key]!r}). Take the key out."
            )


def _check_index(index: Path) -> None:
    """Every shard must be a file of the folder itself."""
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict):
        raise ModelError(f"{index} holds no weight_map.")
    for shard in sorted({str(name) for name in shards.values()}):
        if not _plain_name(shard):
            raise ModelError(f"{index} names the weights {shard!r}, which lie outside the folder. Refused.")
        if not (index.parent / shard).is_file() or not shard.endswith(".safetensors"):
            raise ModelError(f"{index} names the weights {shard!r}, which are not there as safetensors.")


def _plain_name(name: object) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and not re.search(r"[/\\\0]", name)


def wants_code(folder: Path) -> bool:
    """Whether model or tokenizer name their own classes; ModelError when those lie in another repository."""
    wanted = False
    for name in ("config.json", "tokenizer_config.json"):
        mapped = read_json(folder / name).get("auto_map") if (folder / name).is_file() else None
        for reference in _strings(mapped):
            wanted = True
            if "--" in reference:
                raise ModelError(
                    f"{folder}: {name} wants to run code of another repository ({reference}), which no "
                    "revision here can pin. Refused."
                )
    return wanted


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
    elif value is not None:
        yield str(value)


def _pin(folder: Path) -> str:
    """What the user pins when trusting code: a hub model's commit, the code's hash for any other folder."""
    from huggingface_hub.constants import HF_HUB_CACHE

    if folder.parent.name == "snapshots" and folder.parent.parent.parent.resolve() == Path(HF_HUB_CACHE).resolve():
        return folder.name
    return _code_hash(folder)


def _code_hash(folder: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(folder.rglob("*.py")):
        _add(digest, file.relative_to(folder).as_posix(), file)
    return digest.hexdigest()


def model_fingerprint(folder: Path, base: str | None = None) -> str:
    """Hash of the weights, configuration, tokenizer and code: everything that decides what the model says.

    It does not depend on the folder's name or on file times. An adapter's includes its base's, in place of
    the base's name; `base` is that fingerprint where it is known already. Raises ModelError for an adapter without its
    base.
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted({file for pattern in _DECIDING for file in folder.glob(pattern) if file.is_file()}):
        _add(digest, file.name, file)
    if (folder / "adapter_config.json").is_file():
        config = read_json(folder / "adapter_config.json")
        config["base_model_name_or_path"] = base or model_fingerprint(adapter_base(folder))
        for key in _SETS:
            if isinstance(config.get(key), list):
                config[key] = sorted(map(str, config[key]))
        digest.update(json.dumps(config, sort_keys=True).encode())
    return digest.hexdigest()


def _add(digest: hashlib.blake2b, name: str, file: Path) -> None:
    """The name, the size and the bytes of a file; the size keeps two files from passing for one."""
    with file.open("rb") as handle:
        digest.update(f"{name}\0{os.fstat(handle.fileno()).st_size}\0".encode())
        while chunk := handle.read(1 << 22):
            digest.update(chunk)


def adapter_base(folder: Path) -> Path:
    name = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    if not name:
        raise ModelError(f"{folder / 'adapter_config.json'} names no base model (base_model_name_or_path).")
    try:
        base = find_model(str(name))
    except ModelError as error:
        raise ModelError(f"{folder} is an adapter, and its base is missing: {error}") from None
    if (base / "adapter_config.json").is_file():
        raise ModelError(f"{folder} is an adapter on another adapter ({base}). Merge that one first.")
    return base
