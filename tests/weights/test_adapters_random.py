"""Adapters with settings drawn at random: our reader and PEFT come to the same weights, or one of them refuses by name.

The truth is PEFT's own: the unmerged model for what it answers, and `merge_and_unload` for each weight, in float32.
Where factors lie beside tied embeddings PEFT's merge adds to the one matrix twice, and only the unmerged model counts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from peft import PeftModel
from transformers import AutoModelForCausalLM

from helpers_adapters import PROMPT, merged_by_peft, tiny_adapter, tiny_base
from recollect.core.machine import Machine
from recollect.errors import ModelError
from recollect.models import ModelRef, load_weights
from recollect.weights import open_pair

LINEAR = {
    "llama": ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"],
    "gpt2": ["c_attn", "c_proj", "c_fc", "mlp.c_proj"],
}
STARTS = [True, True, "gaussian", "pissa", "olora", "eva", "orthogonal"]
ENDS = {"llama": ["embed_tokens", "lm_head"], "gpt2": ["wte", "lm_head"]}
NORMS = {"llama": ["norm", "input_layernorm"], "gpt2": ["ln_f", "ln_1"]}
LAYERS = {"llama": "layers", "gpt2": "h"}


@st.composite
def adapters(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    """A base's layout and format, and the settings of an adapter on it."""
    layout = draw(st.sampled_from(["llama", "tied", "bias", "gpt2"]))
    dtype = draw(st.sampled_from(["float32", "float32", "bfloat16", "float16"]))
    kind = "gpt2" if layout == "gpt2" else "llama"
    names = draw(st.lists(st.sampled_from(LINEAR[kind]), min_size=1, max_size=3, unique=True))
    part = draw(st.sampled_from([*names, f"{LAYERS[kind]}.1.*", rf"{LAYERS[kind]}\.[01]\..*"]))
    ends = draw(st.lists(st.sampled_from(ENDS[kind]), max_size=1)) if draw(st.booleans()) else []
    saved = draw(st.lists(st.sampled_from([*NORMS[kind], *ENDS[kind]]), max_size=2, unique=True))
    config: dict[str, Any] = {
        "target_modules": [*names, *ends],
        "init_lora_weights": draw(st.sampled_from(STARTS)),
        "use_rslora": draw(st.booleans()),
        "use_dora": draw(st.booleans()),
        "rank_pattern": draw(st.sampled_from([{}, {part: 2}])),
        "alpha_pattern": draw(st.sampled_from([{}, {part: 3}])),
        "bias": draw(st.sampled_from(["none", "none", "all", "lora_only"])),
        "modules_to_save": [name for name in saved if name not in ends] if draw(st.booleans()) else None,
        "layers_to_transform": draw(st.sampled_from([None, None, [1]])),
        "lora_bias": draw(st.sampled_from([False, False, False, True])),
        "ensure_weight_tying": draw(st.booleans()),
    }
    if not config["modules_to_save"]:
        config["modules_to_save"] = None
    return layout, dtype, config


@cache
def base_of(layout: str, dtype: str) -> Path:
    """A base; nobody changes it."""
    return tiny_base(Path(mkdtemp()) / layout, layout, dtype)


def machine(dtype: str = "float32") -> Machine:
    return Machine(1, "test", "cpu", "test", dtype, "test")


def unmerged(folder: Path, base: Path) -> Any:
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder)
        return model.eval()(input_ids=torch.tensor(PROMPT)).logits


def by_peft(folder: Path, base: Path) -> tuple[Any, dict[str, Any]] | None:
    """What PEFT answers and merges, or None where it can do neither."""
    try:
        return unmerged(folder, base), merged_by_peft(folder, base)
    except Exception:
        return None


def refused(work: Callable[[], Any]) -> tuple[Any, str]:
    """What comes out of some work, and by which words it was refused."""
    try:
        return work(), ""
    except ModelError as error:
        event(f"refused: {str(error).partition(' ')[2][:50]}")
        return None, str(error)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(adapters())
def test_a_random_adapter_has_the_weights_that_peft_gives_it(drawn: tuple[str, str, dict[str, Any]]) -> None:
    layout, dtype, config = drawn
    base, folder = base_of(layout, dtype), Path(mkdtemp())
    try:
        tiny_adapter(folder, base, **config)
    except Exception:  # PEFT makes no such adapter
        assume(False)
    truth = by_peft(folder, base)
    loaded, why = refused(lambda: load_weights(ModelRef.at(folder), machine())[0])
    if loaded is None:
        assert truth is None or "not supported" in why, f"{why} {drawn}"
        return
    assert truth is not None, drawn
    with torch.inference_mode():
        said = loaded(input_ids=torch.tensor(PROMPT)).logits
    torch.testing.assert_close(said, truth[0], rtol=1e-3, atol=1e-4)
    ours, factors_at_ends = loaded.state_dict(), {*config["target_modules"]} & {"embed_tokens", "lm_head", "wte"}
    if layout not in ("tied", "gpt2") or not factors_at_ends:
        event("every weight compared")
        for name, value in truth[1].items():
            assert torch.equal(ours[name], value), (name, drawn)
    if dtype != "float32":
        rounded = load_weights(ModelRef.at(folder), machine(dtype))[0].state_dict()
        for name, value in ours.items():
            assert torch.equal(rounded[name], value.to(getattr(torch, dtype))), (name, drawn)
    pair, why = refused(lambda: open_pair(base, folder))
    if pair is None:
        assert "ties its output head" in why and not loaded.config.tie_word_embeddings, f"{why} {drawn}"
        return
    with pair:
        event("measured")
        for name, size in pair.sizes.items():
            read = torch.from_numpy(pair.read(name, 0, size)[1].copy())
            assert torch.equal(read, ours[name].flatten()), (name, drawn)


def test_peft_adds_factors_beside_tied_embeddings_to_the_one_matrix(tmp_path: Path) -> None:
    """Why the unmerged model counts there; once PEFT's merge agrees with it, this test fails and the page is wrong."""
    base = base_of("tied", "float32")
    tiny_adapter(tmp_path, base, target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True)
    merged = AutoModelForCausalLM.from_pretrained(base)
    merged.load_state_dict(merged_by_peft(tmp_path, base))
    with torch.inference_mode():
        away = (merged(input_ids=torch.tensor(PROMPT)).logits - unmerged(tmp_path, base)).abs().max()
    ours, _ = load_weights(ModelRef.at(tmp_path), machine())
    with torch.inference_mode():
        near = (ours(input_ids=torch.tensor(PROMPT)).logits - unmerged(tmp_path, base)).abs().max()
    assert near < 1e-5 < 1e-2 < away
    assert ours.lm_head.weight is ours.model.embed_tokens.weight and ours.config.tie_word_embeddings
    with open_pair(base, tmp_path) as pair:
        read = pair.read("model.embed_tokens.weight", 0, 100)[1]
    assert torch.equal(torch.from_numpy(read.copy()), ours.model.embed_tokens.weight.flatten()[:100])


pytestmark = pytest.mark.filterwarnings("ignore")
