"""A base / tuned pair: any layout is read alike; what does not fit together is refused, and says why."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pairs
from helpers_adapters import tiny_base
from recollect.drift import change
from recollect.errors import InputError, ModelError
from recollect.weights import open_pair, rank
from recollect.weights.read import from_float32, to_float32


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """A good pair on disk, bfloat16."""
    base, tuned = pairs.weights()
    return pairs.write(tmp_path / "base", base, dtype="bfloat16"), pairs.write(
        tmp_path / "tuned", tuned, dtype="bfloat16"
    )


def said(base: Path | str, tuned: Path | str) -> str:
    """What the refusal of a pair says."""
    with pytest.raises(ModelError) as refusal:
        open_pair(base, tuned).close()
    return str(refusal.value)


# -- reading ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shards", [0, 3])
def test_values_are_those_of_torch_in_every_format_and_layout(tmp_path: Path, dtype: str, shards: int) -> None:
    base, tuned = pairs.weights()
    ours = pairs.write(tmp_path / "base", base, dtype=dtype, shards=shards)
    theirs = pairs.write(tmp_path / "tuned", tuned, dtype=dtype, shards=5 - shards, order=-1)
    wanted = pairs.read(ours), pairs.read(theirs)
    with open_pair(ours, theirs) as pair:
        assert list(pair.sizes) == sorted(base)
        assert pair.warnings == ()
        for name in pair.sizes:
            for start, stop in ((0, pair.sizes[name]), (3, 11), (5, 5)):
                for got, side in zip(pair.read(name, start, stop), wanted, strict=True):
                    assert np.array_equal(got, side[name].float().flatten()[start:stop].numpy())


def test_rounding_to_each_format_is_torchs() -> None:
    bits = torch.randint(-(2**31), 2**31 - 1, (20_000,), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    values = bits.view(torch.float32)
    values = values[torch.isfinite(values)]
    edges = torch.tensor([0.0, -0.0, 1e-45, 65504.0, 65519.9, 65520.0, 3.4e38, 1.00390625, 1.01171875])
    values = torch.cat([values, edges, torch.randn(1000)])
    for dtype, kind in (("BF16", torch.bfloat16), ("F16", torch.float16), ("F32", torch.float32)):
        signed = torch.int32 if dtype == "F32" else torch.int16
        wanted = values.to(kind)
        got = from_float32(values.numpy(), dtype)
        assert np.array_equal(got.view(got.dtype.str.replace("u", "i")), wanted.view(signed).numpy())
        assert np.array_equal(to_float32(got, dtype), wanted.float().numpy())


def test_other_number_formats_are_compared_in_float32_and_told(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    ours, theirs = pairs.write(tmp_path / "b", base), pairs.write(tmp_path / "t", tuned, dtype="bfloat16")
    with open_pair(ours, theirs) as pair:
        assert "another number format in the base" in pair.warnings[0]
        assert "F32, tuned BF16" in pair.warnings[0]
        name = pairs.NAMES[0]
        assert np.array_equal(pair.read(name, 0, 50)[0], base[name].flatten()[:50])


def test_step_directories_stand_for_their_models(sides: tuple[Path, Path], tmp_path: Path) -> None:
    step = tmp_path / "step"
    shutil.copytree(sides[1], step / "model")
    (step / "manifest.json").write_text("{}")
    with open_pair(sides[0], step) as pair:
        assert pair.tuned_folder == step / "model"


# -- refused ------------------------------------------------------------------------------------------------


def test_models_of_other_architectures_are_refused(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    text = said(pairs.write(tmp_path / "b", base), pairs.write(tmp_path / "t", tuned, model_type="qwen3"))
    assert "one architecture" in text and "'llama'" in text and "'qwen3'" in text


def test_other_shapes_are_refused_by_name(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    tuned[pairs.NAMES[0]] = tuned[pairs.NAMES[0]][:5]
    text = said(pairs.write(tmp_path / "b", base), pairs.write(tmp_path / "t", tuned))
    assert f"{pairs.NAMES[0]} is (24, 16) in the base, but (5, 16)" in text


def test_missing_and_extra_tensors_are_named(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    del tuned["model.norm.weight"]
    tuned["model.layers.0.extra.weight"] = np.zeros(3, np.float32)
    text = said(pairs.write(tmp_path / "b", base), pairs.write(tmp_path / "t", tuned))
    assert "lacks 1 (model.norm.weight) and adds 1 (model.layers.0.extra.weight)" in text
    assert "ties" not in text


def test_a_head_on_one_side_alone_is_told_as_tied_embeddings(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    del tuned["lm_head.weight"]
    text = said(pairs.write(tmp_path / "b", base), pairs.write(tmp_path / "t", tuned, tie_word_embeddings=True))
    assert "One side ties its output head" in text


def test_a_resized_vocabulary_is_left_out_and_told(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    more = np.zeros((2, 16), np.float32)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tuned[name] = np.concatenate([tuned[name], more])
    with open_pair(pairs.write(tmp_path / "b", base), pairs.write(tmp_path / "t", tuned)) as pair:
        assert set(pair.unrankable) == {"model.embed_tokens.weight", "lm_head.weight"}
        assert "resized from 24 to 26 rows" in pair.warnings[0]
        assert rank(pair).of == 4 * 3 * 24 * 16
        for region in ("all", "embedding", "*head*"):
            with pytest.raises(InputError, match="resized from 24 to 26 rows"):
                rank(pair, region=region)


def test_tied_embeddings_stored_twice_are_counted_once(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    for side in (base, tuned):
        side["lm_head.weight"] = side["model.embed_tokens.weight"].copy()
    folders = [pairs.write(tmp_path / n, side, tie_word_embeddings=True) for n, side in (("b", base), ("t", tuned))]
    with open_pair(*folders) as pair:
        assert "lm_head.weight" not in pair.sizes
        assert rank(pair, region="embedding").of == 24 * 16


@pytest.mark.parametrize("side", ["base", "tuned"])
@pytest.mark.parametrize("measure", [rank, change])
def test_nan_is_refused_by_side_and_name(tmp_path: Path, side: str, measure: Any) -> None:
    both = dict(zip(("base", "tuned"), pairs.weights(), strict=True))
    both[side][pairs.NAMES[2]][3, 3] = np.nan
    folders = [pairs.write(tmp_path / name, tensors) for name, tensors in both.items()]
    with open_pair(*folders) as pair, pytest.raises(ModelError) as refusal:
        measure(pair)
    assert f"the {side} model's weight {pairs.NAMES[2]} holds NaN" in str(refusal.value)


def test_weights_in_formats_that_cannot_be_compared_are_refused(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    _, tuned = pairs.weights()
    odd = {name: torch.from_numpy(value).to(torch.float8_e4m3fn) for name, value in tuned.items()}
    from safetensors.torch import save_file

    save_file(odd, sides[1] / "model.safetensors")
    assert "has the format F8_E4M3, but config.json says nothing of a quantisation" in said(*sides)


def test_whole_numbers_are_kept_and_not_ranked(tmp_path: Path) -> None:
    base, tuned = pairs.weights()
    for side in (base, tuned):
        side["model.layers.0.self_attn.positions"] = np.arange(5)
    with open_pair(pairs.write(tmp_path / "b", base), pairs.write(tmp_path / "t", tuned)) as pair:
        assert pair.unrankable == {"model.layers.0.self_attn.positions": "whole numbers"}
        assert rank(pair).of == 4 * 3 * 24 * 16


# -- broken files -------------------------------------------------------------------------------------------


def header(**tensors: Any) -> bytes:
    """A safetensors header with its length before it."""
    text = json.dumps(tensors).encode()
    return len(text).to_bytes(8, "little") + text


BROKEN = {
    "empty": b"",
    "short": b"\x01\x02",
    "header longer than the file": (10**6).to_bytes(8, "little") + b"{}",
    "huge header": (2**62).to_bytes(8, "little") + b"{}",
    "no JSON": (5).to_bytes(8, "little") + b"{{{{{",
    "not UTF-8": (4).to_bytes(8, "little") + b"\xff\xfe\xfd\xfc",
    "data cut off": header(a={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}) + bytes(15),
    "data left over": header(a={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}) + bytes(17),
    "shape too large": header(a={"dtype": "F32", "shape": [5], "data_offsets": [0, 16]}) + bytes(16),
    "shape overflows": header(a={"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 16]}) + bytes(16),
    "negative shape": header(a={"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}) + bytes(16),
    "unknown format": header(a={"dtype": "F31", "shape": [4], "data_offsets": [0, 16]}) + bytes(16),
    "offsets reversed": header(a={"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}) + bytes(16),
    "overlap": header(
        a={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
        b={"dtype": "F32", "shape": [4], "data_offsets": [8, 24]},
    )
    + bytes(24),
    "gap": header(
        a={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
        b={"dtype": "F32", "shape": [4], "data_offsets": [20, 36]},
    )
    + bytes(36),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_malformed_file_is_refused_by_name(sides: tuple[Path, Path], kind: str) -> None:
    (sides[1] / "model.safetensors").write_bytes(BROKEN[kind])
    text = said(*sides)
    assert f"{sides[1] / 'model.safetensors'} is not a whole safetensors file" in text


def test_a_truncated_checkpoint_is_refused_at_any_length(sides: tuple[Path, Path]) -> None:
    file = sides[1] / "model.safetensors"
    whole = file.read_bytes()
    for length in range(0, len(whole), 997):
        file.write_bytes(whole[:length])
        assert "not a whole safetensors file" in said(*sides)


@pytest.mark.parametrize("shard", ["../base/model.safetensors", "/etc/passwd", "a\\b.safetensors", "none.safetensors"])
def test_index_entries_out_of_the_folder_are_refused(tmp_path: Path, sides: tuple[Path, Path], shard: str) -> None:
    tuned = pairs.write(tmp_path / "sharded", pairs.weights()[1], dtype="bfloat16", shards=2)
    index = tuned / "model.safetensors.index.json"
    loaded = json.loads(index.read_text())
    loaded["weight_map"][pairs.NAMES[0]] = shard
    index.write_text(json.dumps(loaded))
    assert repr(shard) in said(sides[0], tuned)


def test_an_index_that_does_not_fit_its_shards_is_refused(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    tuned = pairs.write(tmp_path / "sharded", pairs.weights()[1], dtype="bfloat16", shards=2)
    index = tuned / "model.safetensors.index.json"
    whole = json.loads(index.read_text())
    files = sorted(set(whole["weight_map"].values()))
    changes = {"swapped": {pairs.NAMES[0]: files[0]}, "added": {"model.layers.7.ghost": files[0]}}
    changes["swapped"][pairs.NAMES[0]] = files[1 - files.index(whole["weight_map"][pairs.NAMES[0]])]
    for change_ in changes.values():
        index.write_text(json.dumps({"weight_map": whole["weight_map"] | change_}))
        assert f"disagree on 1 tensors: {next(iter(change_))}" in said(sides[0], tuned)
    del whole["weight_map"][pairs.NAMES[0]]
    index.write_text(json.dumps(whole))
    assert "should be in no file" in said(sides[0], tuned)


def test_a_folder_without_model_file_or_index_is_refused(sides: tuple[Path, Path]) -> None:
    (sides[1] / "model.safetensors").rename(sides[1] / "consolidated.safetensors")
    assert "holds neither model.safetensors nor model.safetensors.index.json" in said(*sides)


def test_a_missing_model_and_a_pickled_one_are_refused(sides: tuple[Path, Path], tmp_path: Path) -> None:
    assert "no such model folder" in said(sides[0], tmp_path / "nothing")
    (sides[1] / "model.safetensors").unlink()
    (sides[1] / "pytorch_model.bin").write_bytes(b"x")
    assert "pickled" in said(*sides)


def test_a_file_that_shrinks_while_read_is_an_error_not_a_wrong_number(sides: tuple[Path, Path]) -> None:
    with open_pair(*sides) as pair:
        with (sides[1] / "model.safetensors").open("rb+") as file:
            file.truncate(3000)
        with pytest.raises(ModelError, match="became shorter while it was read"):
            rank(pair)


# -- adapters (every kind: test_adapters.py) ----------------------------------------------------------------


def adapter(folder: Path, base: Path, tensors: dict[str, Any], **config: Any) -> Path:
    """A LoRA adapter folder made by hand."""
    from safetensors.torch import save_file

    folder.mkdir()
    settings = {
        "peft_type": "LORA", "base_model_name_or_path": str(base), "r": 2, "lora_alpha": 6, "bias": "none",
        "task_type": "CAUSAL_LM", "target_modules": [PLACE],
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(settings | config))
    save_file(
        {f"base_model.model.{name}.weight": value for name, value in tensors.items()},
        folder / "adapter_model.safetensors",
    )
    return folder


def low(name: str, rows: int = 32, columns: int = 32, rank: int = 2) -> dict[str, Any]:
    """The two factors of one change."""
    generator = torch.Generator().manual_seed(len(name))
    return {
        f"{name}.lora_A": torch.randn(rank, columns, generator=generator) * 0.02,
        f"{name}.lora_B": torch.randn(rows, rank, generator=generator) * 0.02,
    }


PLACE = "model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that holds all that its configuration asks for, as an adapter needs it; nobody changes it."""
    return tiny_base(tmp_path_factory.mktemp("whole") / "base", "llama")


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 6 / 2),
        ({"use_rslora": True}, 6 / 2**0.5),
        ({"alpha_pattern": {"q_proj": 10}}, 5.0),
        ({"alpha_pattern": {"o_proj": 10}}, 3.0),
    ],
)
def test_an_adapter_is_its_base_plus_the_scaled_product(
    tmp_path: Path, whole: Path, config: dict[str, Any], scale: float
) -> None:
    factors = low(PLACE)
    with open_pair(whole, adapter(tmp_path / "lora", whole, factors, **config)) as pair:
        assert pair.adapter
        assert "LoRA adapter" in pair.warnings[0]
        p = pairs.read(whole)[f"{PLACE}.weight"].numpy()
        wanted = p + scale * (factors[f"{PLACE}.lora_B"] @ factors[f"{PLACE}.lora_A"]).numpy()
        for start, stop in ((0, 1024), (5, 37), (1020, 1024), (17, 18), (9, 9)):
            got = pair.read(f"{PLACE}.weight", start, stop)
            assert np.array_equal(got[0], p.flatten()[start:stop])
            np.testing.assert_allclose(got[1], wanted.flatten()[start:stop], rtol=1e-5, atol=1e-9)
        other = pair.read("model.norm.weight", 0, 16)
        assert np.array_equal(*other)


@pytest.mark.parametrize(
    ("tensors", "config", "said_"),
    [
        (low(PLACE), {"use_dora": True}, "lacks 1 weights"),
        (low(PLACE), {"modules_to_save": ["lm_head"]}, "lacks the weight"),
        (low(PLACE) | {"model.norm": torch.ones(16)}, {}, "size mismatch"),
        (low(PLACE) | {"model.elsewhere": torch.ones(16)}, {}, "have no place in its base"),
        (low("model.layers.9.self_attn.q_proj"), {}, "lacks 2 weights"),
        (low(PLACE, rows=23), {}, "size mismatch"),
        ({f"{PLACE}.lora_A": torch.ones(2, 32)}, {}, "lacks 1 weights"),
        (low(PLACE), {"peft_type": "IA3"}, "only plain LoRA adapters"),
        (low(PLACE), {"target_parameters": ["mlp.up_proj.weight"]}, "lacks|no single weight"),
    ],
)
def test_adapters_that_are_not_whole_or_do_not_fit_are_refused(
    tmp_path: Path, whole: Path, tensors: dict[str, Any], config: dict[str, Any], said_: str
) -> None:
    text = said(whole, adapter(tmp_path / "lora", whole, tensors, **config))
    assert re.search(said_, text), text


def test_an_adapter_of_another_base_is_told_and_one_as_base_refused(tmp_path: Path, whole: Path) -> None:
    other = Path(shutil.copytree(whole, tmp_path / "other"))
    lora = adapter(tmp_path / "lora", other, low(PLACE))
    with open_pair(whole, lora) as pair:
        assert f"trained on {other}" in pair.warnings[-1]
    assert "must be a whole model" in said(lora, whole)
