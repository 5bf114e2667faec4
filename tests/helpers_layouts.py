"""The ways in which people's model folders are laid out, made from tiny models; and what each step makes of them.

`LAYOUTS` is the list that `test_layouts` runs over and that the table in the documentation is made from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers_families import FAMILIES, family_model
from helpers_gguf import write_gguf
from helpers_models import edit
from helpers_quantised import float8_folder, widened
from helpers_tiny import tiny_model, tiny_tokenizer

STEPS = ("probe", "evaluate", "full", "LoRA", "drift", "restore")
_TITLES = ("probe (closed form)", "evaluate", "train, full", "train, LoRA", "drift", "restore")


@dataclass(frozen=True)
class Layout:
    """A layout, and what is to come of it."""

    name: str
    """For the table."""
    make: Callable[[Path], Path]
    """Writes it to a folder that is not there yet; gives what is named as the model."""
    same: Callable[[Path], Path] | None = None
    """Writes the same model in the layout of today, whose numbers it must give."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """The steps that refuse it, with what their error says; the others work."""
    note: str = ""
    """For the table."""


def weights(file: Path) -> dict[str, Any]:
    """The tensors of a file."""
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(file)
    return found


def store(file: Path, tensors: Mapping[str, Any]) -> None:
    """Write tensors to a file."""
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in tensors.items()}, file, {"format": "pt"})


def changed(make: Callable[[Path], Path], change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Path], Path]:
    """A layout made from another by changing its tensors."""

    def made(folder: Path) -> Path:
        file = make(folder) / "model.safetensors"
        store(file, change(weights(file)))
        return folder

    return made


def family(name: str) -> Callable[[Path], Path]:
    """One of the families, in the layout of today."""
    found = next(one for one in FAMILIES if one.name.startswith(name))
    return lambda folder: family_model(folder, found, scale=4.0)


def tied(folder: Path) -> Path:
    """A Llama whose head is its embedding, which is stored once."""
    tiny_model(folder)
    edit(folder / "config.json", tie_word_embeddings=True)
    return changed(lambda at: at, lambda found: {n: v for n, v in found.items() if n != "lm_head.weight"})(folder)


def head_too(found: dict[str, Any]) -> dict[str, Any]:
    """A tied head stored as well."""
    return {**found, "lm_head.weight": found["model.embed_tokens.weight"].clone()}


def bare(found: dict[str, Any]) -> dict[str, Any]:
    """Names without the prefix."""
    return {name.removeprefix("model."): value for name, value in found.items()}


def rotary(found: dict[str, Any]) -> dict[str, Any]:
    """The buffers that old Llamas hold."""
    import torch

    more = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in (0, 1)}
    return {**found, **more}


def hub_gpt2(found: dict[str, Any]) -> dict[str, Any]:
    """GPT-2 as on the hub: names without a prefix, masks as weights."""
    import torch

    mask = torch.ones(256, 256, dtype=torch.uint8).tril()[None, None]
    bare = {name.removeprefix("transformer."): value for name, value in found.items() if name != "lm_head.weight"}
    return {**bare, **{f"h.{i}.attn.bias": mask.clone() for i in (0, 1)}}


def half(found: dict[str, Any]) -> dict[str, Any]:
    """Matrices in bfloat16, the rest in float32, one in float16."""
    return {
        name: value.half() if "layers.1.mlp.up" in name else value.bfloat16() if value.dim() > 1 else value
        for name, value in found.items()
    }


def shards(folder: Path) -> Path:
    """A Llama in several files with an index."""
    from transformers import AutoModelForCausalLM

    plain = tiny_model(folder.with_name(f"{folder.name}-plain"))
    tiny_tokenizer(folder)
    AutoModelForCausalLM.from_pretrained(plain).save_pretrained(folder, max_shard_size="30KB")
    assert (folder / "model.safetensors.index.json").is_file()
    return folder


def _padded(folder: Path) -> Path:
    """Tokens added, and the embedding resized with more rows than there are tokens."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tiny_model(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["Answer0", "Answer1"])
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=64)
    assert model.get_input_embeddings().weight.shape[0] == 320
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def own_llava(found: dict[str, Any]) -> dict[str, Any]:
    """The names that Llava's weights have in transformers; the hub's, which it writes too, are older."""
    renamed = {}
    for name, value in found.items():
        own = name.replace("language_model.lm_head", "lm_head").replace("language_model.model", "language_model")
        renamed[own if own.startswith(("lm_head", "model.")) else f"model.{own}"] = value
    assert renamed.keys() != found.keys()
    return renamed


def _gguf(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return write_gguf(folder / "model.gguf")


def _float8(folder: Path) -> Path:
    return float8_folder(tiny_model(folder.with_name(f"{folder.name}-plain")), folder)


def _float8_widened(folder: Path) -> Path:
    made = _float8(folder.with_name(f"{folder.name}-float8"))
    tiny_model(folder)
    store(folder / "model.safetensors", widened(made))
    return folder


def _pickled(folder: Path) -> Path:
    import torch

    tiny_model(folder)
    torch.save(weights(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def _without(*names: str) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        tiny_model(folder)
        for name in names:
            (folder / name).unlink()
        return folder

    return made


def _configured(**values: Any) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        tiny_model(folder)
        edit(folder / "config.json", **values)
        return folder

    return made


def _more_tokens(folder: Path) -> Path:
    from transformers import AutoTokenizer

    tiny_model(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["Answer0", "Answer1"])
    tokenizer.save_pretrained(folder)
    return folder


def _odd_generation(folder: Path) -> Path:
    tiny_model(folder)
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": False, "temperature": 0.6, "top_p": 0.9}))
    return folder


def _other_base(folder: Path) -> Path:
    """An adapter of a model of another width, whose base was replaced."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, LlamaConfig

    base = tiny_model(folder.with_name(f"{folder.name}-base"))
    other = AutoModelForCausalLM.from_config(
        LlamaConfig(vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    )
    get_peft_model(other, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(folder)
    edit(folder / "adapter_config.json", base_model_name_or_path=str(base), task_type="CAUSAL_LM")
    return folder


def _everywhere(text: str) -> dict[str, str]:
    return dict.fromkeys(STEPS, text)


def _asked(text: str) -> dict[str, str]:
    """Of the steps that run the model; the others read its weights alone."""
    return dict.fromkeys(STEPS[:4], text)


_QUANTISED = {
    "full": "is quantised .fp8.*a full training needs weights that are plain numbers.*--method lora",
    "drift": "is quantised .fp8.*compares or restores weights",
    "restore": "is quantised .fp8.*compares or restores weights",
}
LAYOUTS: tuple[Layout, ...] = (
    Layout("one file, as transformers 5 writes it", tiny_model),
    Layout("shards with an index", shards, same=tiny_model),
    Layout("several number formats in one file", changed(tiny_model, half), note="each weight keeps its own"),
    Layout("tied head, stored once", tied),
    Layout("tied head, stored as well", changed(tied, head_too), same=tied),
    Layout("names without `model.`", changed(tied, bare), same=tied),
    Layout("rotary buffers of old Llamas", changed(tiny_model, rotary), same=tiny_model),
    Layout("GPT-2 as on the hub", changed(family("GPT-2"), hub_gpt2), same=family("GPT-2")),
    Layout("embedding resized, padded", _padded, note="rows without a token are kept as they are"),
    Layout("a mixture, each expert apart", family("Qwen3-MoE"), note="transformers joins the experts in memory"),
    Layout("multimodal, the hub's names", family("Llava"), note="through its text part; what sees is stored as it was"),
    Layout("multimodal, transformers' names", changed(family("Llava"), own_llava), same=family("Llava")),
    Layout("generation settings of sampling without sampling", _odd_generation, same=tiny_model),
    Layout("GGUF", _gguf, note="widened once into a folder"),
    Layout(
        "float8 with scales of blocks",
        _float8,
        same=_float8_widened,
        refused=_QUANTISED,
        note="widened in memory, adapters unmerged",
    ),
    Layout("pickled weights (.bin)", _pickled, refused=_everywhere(r"holds only pickled weights.*save_pretrained")),
    Layout(
        "a weight is missing",
        changed(tiny_model, lambda found: {n: v for n, v in found.items() if "layers.1.mlp.up" not in n}),
        refused=_asked(r"lacks 1 weights \(model\.layers\.1\.mlp\.up_proj\.weight\)"),
    ),
    Layout(
        "weights are left over",
        _configured(num_hidden_layers=1),
        refused=_everywhere(r"says 1 layers, but the checkpoint holds 2"),
    ),
    Layout(
        "tokens without an embedding",
        _more_tokens,
        refused=_asked(r"tokenizer has 302 tokens, but the model's embedding has 300 rows"),
    ),
    Layout(
        "no tokenizer",
        _without("tokenizer.json", "tokenizer_config.json"),
        refused=_asked(r"has a tokenizer that could not be loaded|holds no tokenizer"),
    ),
    Layout(
        "a context shorter than the prompts",
        _configured(max_position_embeddings=8),
        refused=_asked(r"context|positions"),
    ),
    Layout(
        "an end token outside the vocabulary",
        _configured(eos_token_id=999),
        refused=_everywhere(r"eos_token_id = 999, but the vocabulary has 300 entries"),
    ),
    Layout(
        "an unknown quantisation",
        _configured(quantization_config={"quant_method": "tomorrow"}),
        refused=_everywhere(r"quantised .*tomorrow"),
    ),
    Layout(
        "an adapter of another base",
        _other_base,
        refused=_everywhere(r"could not be loaded as an adapter of its base|is an adapter"),
    ),
)


def table() -> str:
    """The table of docs/models.md."""
    rows = [f"| layout | {' | '.join(_TITLES)} | note |", f"|---{'|---' * (len(STEPS) + 1)}|"]
    for layout in LAYOUTS:
        cells = " | ".join("refused" if step in layout.refused else "yes" for step in STEPS)
        rows.append(f"| {layout.name} | {cells} | {layout.note} |")
    return "\n".join(rows)
