"""What a restored model holds, bit by bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pairs
from helpers_adapters import tiny_base
from pairs import restore
from recollect.errors import ModelError
from recollect.weights import ORDERS, rank_tensors

DTYPES = ["float32", "float16", "bfloat16"]


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """A good pair on disk, bfloat16, tuned in three shards."""
    base, tuned = pairs.weights()
    return (
        pairs.write(tmp_path / "base", base, dtype="bfloat16"),
        pairs.write(tmp_path / "tuned", tuned, dtype="bfloat16", shards=3, metadata={"who": "tuned"}),
    )


def equal(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Same names, formats and bits."""
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype
        and torch.equal(left[name].view(torch.uint8), right[name].view(torch.uint8))
        for name in left
    )


# -- two models -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shards", [0, 3])
def test_0_percent_is_the_tuned_model_and_100_percent_of_all_the_base_byte_for_byte(
    tmp_path: Path, dtype: str, shards: int
) -> None:
    base, tuned = pairs.weights()
    base[pairs.NAMES[0]][0, :4] = [0.0, -0.0, 1e-45, -1e-40]
    folders = [pairs.write(tmp_path / n, side, dtype=dtype, shards=shards) for n, side in (("b", base), ("t", tuned))]
    before = [pairs.contents(folder) for folder in folders]
    for percent, wanted in ((0, before[1]), (100, before[0])):
        result = restore(*folders, percent, region="all", out=tmp_path / f"out{percent}")
        found = pairs.contents(result.model)
        assert found | {"tokenizer.json": b""} == wanted | {"tokenizer.json": b""}
        assert found["tokenizer.json"] == before[1]["tokenizer.json"]
        assert result.found.restored == result.found.of * percent // 100
    assert [pairs.contents(folder) for folder in folders] == before


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("per_tensor", [False, True])
def test_the_file_holds_what_the_ranking_says(
    tmp_path: Path, sides: tuple[Path, Path], order: str, per_tensor: bool
) -> None:
    result = restore(*sides, 30, order=order, per_tensor=per_tensor, seed=4, out=tmp_path / "out")
    base, tuned = (pairs.read(side) for side in sides)
    cut = rank_tensors(base, tuned, order, percents=[30], per_tensor=per_tensor, seed=4).cut(30)
    wanted, changed = {}, 0
    for name in base:
        mask = torch.from_numpy(cut.mask(name, base[name], tuned[name])).view_as(base[name])
        wanted[name] = torch.where(mask, base[name], tuned[name])
        changed += int((mask & (base[name] != tuned[name])).sum())
    assert equal(pairs.read(result.model), wanted)
    found = result.found
    assert (found.restored, found.of, found.changed) == (cut.restored, cut.of, changed)
    norms = [name for name in base if "norm" in name or "embed" in name or "head" in name]
    assert all(torch.equal(wanted[name], tuned[name]) for name in norms)


def test_the_layout_of_the_shards_does_not_matter(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    found = []
    for number, (ours, theirs, order) in enumerate([(0, 0, 1), (3, 0, -1), (0, 4, 1), (2, 5, -1)]):
        folders = (
            pairs.write(tmp_path / f"b{number}", base, dtype="bfloat16", shards=ours, order=order),
            pairs.write(tmp_path / f"t{number}", tuned, dtype="bfloat16", shards=theirs, order=-order),
        )
        for order_ in ("relative", "random"):
            result = restore(*folders, 20, order=order_, out=tmp_path / f"out{number}-{order_}")
            found.append(pairs.read(result.model))
    assert all(equal(model, found[number % 2]) for number, model in enumerate(found))
    assert not equal(found[0], found[1])


def test_pieces_do_not_show(tmp_path: Path, sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = restore(*sides, 20, out=tmp_path / "whole")
    monkeypatch.setattr("recollect.weights.read.CHUNK", 50)
    monkeypatch.setattr("recollect.weights.write.CHUNK", 50)
    monkeypatch.setattr("recollect.weights.read.BLOCK", 7)
    pieces = restore(*sides, 20, out=tmp_path / "pieces")
    assert pairs.contents(whole.model) == pairs.contents(pieces.model)


def test_shards_metadata_and_companions_are_the_tuned_models(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    (sides[1] / "LICENSE").write_text("free")
    for name in ("optimizer.pt", "training_args.bin", "consolidated.safetensors", "other.gguf", ".hidden", "run.sh"):
        (sides[1] / name).write_bytes(b"x")
    (sides[1] / "modeling_own.py").write_text("# code that config.json may name")
    (sides[1] / "checkpoint-7").mkdir()
    model = restore(*sides, 20, out=tmp_path / "out").model
    names = {file.name for file in model.iterdir()}
    shards = {f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)}
    assert names == shards | {
        "LICENSE",
        "config.json",
        "modeling_own.py",
        "tokenizer.json",
        "model.safetensors.index.json",
    }
    from safetensors import safe_open

    for file in shards:
        with safe_open(model / file, "pt") as got, safe_open(sides[1] / file, "pt") as wanted:
            assert got.metadata() == wanted.metadata() == {"format": "pt", "who": "tuned"}
    assert (model / "tokenizer.json").read_text() == '{"of": "tuned"}'


def test_base_values_are_rounded_to_the_tuned_models_format(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    folders = pairs.write(tmp_path / "b", base), pairs.write(tmp_path / "t", tuned, dtype="bfloat16")
    result = restore(*folders, 100, region="all", out=tmp_path / "out")
    assert equal(pairs.read(result.model), {n: torch.from_numpy(v).bfloat16() for n, v in sorted(base.items())})
    assert "another number format" in result.found.warnings[0]


def test_base_values_too_large_for_the_format_are_refused(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    base[pairs.NAMES[1]][0, 0] = 1e6
    folders = pairs.write(tmp_path / "b", base), pairs.write(tmp_path / "t", tuned, dtype="float16")
    with pytest.raises(ModelError, match="too large for F16"):
        restore(*folders, 20, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tied_embeddings_stored_twice_stay_equal(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    for side in (base, tuned):
        side["lm_head.weight"] = side["model.embed_tokens.weight"].copy()
    folders = [pairs.write(tmp_path / n, side, tie_word_embeddings=True) for n, side in (("b", base), ("t", tuned))]
    result = restore(*folders, 40, region="embedding", out=tmp_path / "out")
    found = pairs.read(result.model)
    assert torch.equal(found["lm_head.weight"], found["model.embed_tokens.weight"])
    assert result.found.of == 24 * 16
    assert not torch.equal(found["lm_head.weight"], torch.from_numpy(tuned["lm_head.weight"]))


def test_a_resized_vocabulary_and_whole_numbers_stay_as_tuned(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    tuned["lm_head.weight"] = np.concatenate([tuned["lm_head.weight"], np.ones((3, 16), np.float32)])
    for number, side in enumerate((base, tuned)):
        side["model.layers.0.self_attn.positions"] = np.arange(5) + number
    folders = pairs.write(tmp_path / "b", base), pairs.write(tmp_path / "t", tuned)
    found = pairs.read(restore(*folders, 100, out=tmp_path / "out").model)
    for name in ("lm_head.weight", "model.layers.0.self_attn.positions"):
        assert np.array_equal(found[name].numpy(), tuned[name])


# -- adapters -----------------------------------------------------------------------------------------------


def test_an_adapter_is_restored_on_its_merged_change_as_peft_merges_it(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    small = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=False,
    )  # fmt: skip
    LlamaForCausalLM(small).save_pretrained(tmp_path / "base")
    base_model = LlamaForCausalLM.from_pretrained(tmp_path / "base")
    config = LoraConfig(
        r=4, lora_alpha=12, target_modules="all-linear", use_rslora=True, rank_pattern={"o_proj": 2},
        alpha_pattern={"layers.1.mlp.up_proj": 7}, task_type="CAUSAL_LM",
    )  # fmt: skip
    lora = get_peft_model(base_model, config)
    for name, parameter in lora.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    lora.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    lora.save_pretrained(tmp_path / "lora")
    merged = lora.merge_and_unload().state_dict()
    base = pairs.read(tmp_path / "base")

    untouched = restore(tmp_path / "base", tmp_path / "lora", 0, out=tmp_path / "out0")
    found = pairs.read(untouched.model)
    assert found.keys() == base.keys()
    for name in found:
        torch.testing.assert_close(found[name], merged[name], rtol=1e-5, atol=1e-7)
    assert any("LoRA adapter" in text for text in untouched.found.warnings)

    result = restore(tmp_path / "base", tmp_path / "lora", 20, out=tmp_path / "out20")
    mine = pairs.read(result.model)
    cut = rank_tensors(base, found, percents=[20]).cut(20)
    for name in base:
        mask = torch.from_numpy(cut.mask(name, base[name], found[name])).view_as(base[name])
        assert torch.equal(mine[name], torch.where(mask, base[name], found[name]))
    assert result.found.restored == result.found.of // 5
    whole = pairs.read(restore(tmp_path / "base", tmp_path / "lora", 100, region="all", out=tmp_path / "out100").model)
    assert equal(whole, base)
    LlamaForCausalLM.from_pretrained(result.model)


def test_an_adapter_on_bf16_is_ranked_before_it_is_rounded(tmp_path: Path) -> None:
    """Many changes are too small for bf16. They have their rank all the same; the model holds the rounded sum."""
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    place = "model.layers.0.mlp.down_proj"
    base = tiny_base(tmp_path / "base", "llama", "bfloat16")
    p = pairs.read(base)[f"{place}.weight"].float()
    a, b = torch.randn(1, 64, generator=generator), torch.randn(32, 1, generator=generator) * 1e-4
    (tmp_path / "lora").mkdir()
    save_file(
        {f"base_model.model.{place}.lora_A.weight": a, f"base_model.model.{place}.lora_B.weight": b},
        tmp_path / "lora" / "adapter_model.safetensors",
    )
    settings = {
        "peft_type": "LORA", "base_model_name_or_path": str(base), "r": 1, "lora_alpha": 1, "bias": "none",
        "task_type": "CAUSAL_LM", "target_modules": [place],
    }  # fmt: skip
    (tmp_path / "lora" / "adapter_config.json").write_text(json.dumps(settings))

    def made(percent: float) -> torch.Tensor:
        out = restore(base, tmp_path / "lora", percent, region=f"{place}.weight", out=tmp_path / f"out{percent}")
        found: torch.Tensor = pairs.read(out.model)[f"{place}.weight"]
        return found

    merged = p + b @ a
    assert (merged.bfloat16() == p.bfloat16()).float().mean() > 0.2
    assert torch.equal(made(0), merged.bfloat16())
    assert torch.equal(made(100), p.bfloat16())
    score = ((merged - p).abs() / (p.abs() + 1e-8)).flatten()
    chosen = torch.topk(score, len(score) // 4).indices
    wanted = merged.bfloat16().flatten()
    wanted[chosen] = p.bfloat16().flatten()[chosen]
    assert torch.equal(made(25).flatten(), wanted)
