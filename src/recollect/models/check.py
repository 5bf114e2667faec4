"""What is in a model's folder: refuse what is unsafe, unsupported or not whole, before anything is built.

No torch here: it costs milliseconds, so every command asks it first. What only transformers can tell (every tensor's
name and shape) is asked in `whole`. A model's JSON files are read as an attacker's.

Notable choices
- safetensors only; a folder with nothing but pickled weights is refused, not converted in silence.
- Code that comes with a model does not run unless the user asks for it *and* pins its revision.
- Counts that no checkpoint of this size could fill (a billion layers) are refused, since building them would not end.
- Quantised weights are let pass here where config.json says so; what can be done with them is in `quantised`.
- A pad_token_id of -1 is the old way of saying "none" and is let pass.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from recollect.core.json_object import JsonObject
from recollect.errors import ModelError
from recollect.models.adapter_config import read_adapter_config
from recollect.models.files import FORMATS, INDEX, SINGLE, TensorInfo, read_json, stored_tensors
from recollect.models.find import DECIDING, adapter_base, add_file, is_adapter

_CODE_EXTENSIONS = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_MOST_CONFIG = 1 << 24  # bytes of config.json
_FEW = 1024  # layers, heads, experts or labels that are built in a moment whatever the weights say
_MOST_POSITIONS = 1 << 25  # tables over positions may be computed for all of them
_COUNT = re.compile(r"(?!.*_(size|dim)$)(?:.*_|^)(layers?|heads?|experts?|blocks?|groups?|streams?|labels?)(_|$)")
_POSITIONS = re.compile(r"(^|_)(positions?|position_embeddings)$")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_STACK = re.compile(
    r"^(?:model\.|transformer\.|gpt_neox\.|backbone\.|model\.decoder\.|model\.language_model\.)?"
    r"(?:layers|h|blocks)\.(\d+)\."
)
_WHOLE = {"BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64"}

_SUPPORTED = (
    "Supported are decoder-only models with attention: Llama, Mistral, Qwen, Gemma, OLMo, Phi, GPT-2, GPT-NeoX and "
    "their relatives, mixtures of experts, hybrids such as Qwen3.5, LFM2, Granite 4 or Falcon-H1, and the text of "
    "models that also see (Gemma 3, Qwen3-VL, Llava)."
)
_STATE_SPACE = "keeps a recurrent state instead of the keys and values of attention"
_OWN_CACHE = "keeps a cache of its own, whose rows cannot be read again"
_ENCODER = "reads in both directions and cannot continue a text"
_BOTH = "is an encoder-decoder, which answers instead of continuing the prompt"
_KINDS = {
    _STATE_SPACE: "falcon_mamba mamba mamba2 recurrent_gemma rwkv xlstm",
    _OWN_CACHE: "minimax openai-gpt reformer xlm xlnet",
    _ENCODER: (
        "albert bert bert-generation big_bird camembert data2vec-text deberta deberta-v2 distilbert electra ernie "
        "eurobert megatron-bert modernbert mpnet rembert roberta roberta-prelayernorm roc_bert roformer xlm-roberta "
        "xlm-roberta-xl xmod"
    ),
    _BOTH: (
        "bart bigbird_pegasus blenderbot blenderbot-small encoder-decoder florence2 fsmt led longt5 m2m_100 marian "
        "mbart mt5 musicgen mvp nllb-moe pegasus pegasus_x pix2struct plbart prophetnet switch_transformers t5 t5gemma "
        "t5gemma2 trocr udop umt5 vision-encoder-decoder whisper"
    ),
}
_UNSUPPORTED = {kind: why for why, kinds in _KINDS.items() for kind in kinds.split()}


def check_folder(folder: Path, *, trust_remote_code: bool = False, revision: str | None = None) -> None:
    """Refuse a folder that is not a safe, whole model; the error says what is wrong and how to fix it."""
    _check_kinds(folder)
    config = folder / "config.json"
    adapter = is_adapter(folder)
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
        raise ModelError(
            f"{folder} holds no {weights} weights. Where they are a GGUF file, fetch and name that: --model FILE.gguf."
        )
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
        if not file.is_file() and any(fnmatch(file.name, pattern) for pattern in DECIDING):
            what = "a link to nothing" if not file.exists() else "a folder" if file.is_dir() else "a pipe or a device"
            raise ModelError(f"{file} must be a file, but is {what}. Fetch or copy the model's folder again.")


def _check_config(folder: Path, config: JsonObject) -> None:
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
        add_file(digest, file.relative_to(folder).as_posix(), file)
    return digest.hexdigest()


def read_model_config(folder: Path) -> JsonObject:
    """The folder's config.json. Raises ModelError."""
    return read_json(folder / "config.json", _MOST_CONFIG)


def unsupported(kind: object, why: str, folder: Path) -> ModelError:
    """The refusal of an architecture by name."""
    return ModelError(f"{folder} is a {kind!r} model, which {why}; this architecture is not supported. {_SUPPORTED}")


def check_architecture(folder: Path, config: JsonObject) -> None:
    """Refuse models that do not continue a text with a cache of keys and values, by name."""
    kind = config.get("model_type")
    if kind is not None and not isinstance(kind, str):
        raise ModelError(f"{folder}: config.json must have a name as model_type, but has {kind!r:.100}.")
    if kind in _UNSUPPORTED:
        raise unsupported(kind, _UNSUPPORTED[kind], folder)
    for part in _parts(config):
        if part.get("is_encoder_decoder") is True:
            raise unsupported(kind, _BOTH, folder)
        if (inner := str(part.get("model_type"))) in _UNSUPPORTED:
            raise unsupported(inner, _UNSUPPORTED[inner], folder)


def check_sizes(folder: Path, config: JsonObject, stored: Mapping[str, TensorInfo]) -> None:
    """Refuse formats that hold no plain numbers, counts that the weights cannot fill, and ids outside the vocabulary.

    Raises ModelError with both numbers.
    """
    said = any(part.get("quantization_config") for part in _parts(config))
    for name, tensor in () if said else stored.items():
        quantised = tensor.dtype not in FORMATS and not (tensor.dtype in _WHOLE and not name.endswith(".weight"))
        if quantised:
            raise ModelError(
                f"{folder}: the tensor {name} has the format {tensor.dtype}, but config.json says nothing of a "
                "quantisation (quantization_config), so its values cannot be known. Take the model in bfloat16."
            )
    most = max([_FEW, len(stored), *(max(tensor.shape, default=0) for tensor in stored.values())])
    for key, value in _numbers(config):
        name = key.rsplit(".", 1)[-1]
        if _COUNT.match(name) and value > most:
            raise ModelError(
                f"{folder}: config.json says {key} = {value:,.0f}, but its weights are {len(stored):,} tensors of at "
                f"most {most:,} rows. The configuration is broken."
            )
        if _POSITIONS.search(name) and value > _MOST_POSITIONS:
            raise ModelError(
                f"{folder}: config.json says {key} = {value:,.0f}, more positions than any model has "
                f"({_MOST_POSITIONS:,} are accepted). The configuration is broken."
            )
    _check_layers(folder, config, stored)
    _check_ids(folder, "config.json", config, config.get("vocab_size"))
    if (folder / "generation_config.json").is_file():
        _check_ids(
            folder, "generation_config.json", read_json(folder / "generation_config.json"), config.get("vocab_size")
        )


def _check_layers(folder: Path, config: JsonObject, stored: Mapping[str, TensorInfo]) -> None:
    said = next((config[key] for key in _LAYERS if type(config.get(key)) is int), None)
    held = {int(found[1]) for name in stored if (found := _STACK.match(name))}
    if said is None or not held:
        return
    extra = config.get("num_nextn_predict_layers")  # stored behind the others, and not loaded
    most = said + (extra if type(extra) is int else 0)
    if not said <= max(held) + 1 <= most:
        raise ModelError(
            f"{folder}: config.json says {said} layers, but the checkpoint holds {max(held) + 1}. One of them belongs "
            "to another model."
        )


def _check_ids(folder: Path, file: str, values: JsonObject, vocabulary: object) -> None:
    if type(vocabulary) is not int:
        return
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        given = values.get(key)
        for value in given if isinstance(given, list) else [given]:
            if value is None or (key == "pad_token_id" and value == -1):
                continue
            if type(value) is not int or not 0 <= value < vocabulary:
                raise ModelError(
                    f"{folder}: {file} has {key} = {value!r}, but the vocabulary has {vocabulary:,} entries (0 to "
                    f"{vocabulary - 1:,}). Correct the id."
                )


def _parts(config: JsonObject) -> Iterator[JsonObject]:
    """The configuration, and the one of its text part where it has one."""
    yield config
    if isinstance(config.get("text_config"), dict):
        yield config["text_config"]


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a configuration, with the keys that lead to it."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _numbers(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for part in value[:10_000]:
            yield from _numbers(part, key)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, value
