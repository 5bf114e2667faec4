"""Adapters of every kind are trained, and what is stored is what was trained: for plain PEFT and for our reader."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from helpers_adapters import PROMPT, tiny_base
from recollect.errors import InputError
from recollect.models import ModelSettings, load
from recollect.train import TrainResult, TrainSettings, run_train, run_train_until
from recollect.train import run as _run
from recollect.weights import open_pair

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gaussian": {"lora_init": "gaussian"},
    "rank-stabilised": {"lora_rslora": True},
    "DoRA": {"lora_dora": True},
    "PiSSA": {"lora_init": "pissa"},
    "PiSSA, fast": {"lora_init": "pissa_niter_4"},
    "OLoRA": {"lora_init": "olora"},
    "EVA": {"lora_init": "eva", "lora_r": 2},
    "PiSSA, DoRA, biases and a norm": {
        "lora_init": "pissa", "lora_dora": True, "lora_bias": "all", "lora_modules_to_save": "NORM",
    },
    "PiSSA, rank-stabilised, patterns": {
        "lora_init": "pissa", "lora_rslora": True, "lora_rank_pattern": {"LAYERS.0": 2},
        "lora_alpha_pattern": {"LAYERS.1": 3},
    },
    "patterns": {"lora_rank_pattern": {"LAYERS.0": 2}, "lora_alpha_pattern": {"LAYERS.1": 3.0}},
    "one layer": {"lora_layers": "1"},
    "biases of its layers": {"lora_bias": "lora_only"},
    "all biases": {"lora_bias": "all"},
    "a norm whole": {"lora_modules_to_save": "NORM"},
    "head": {"lora_targets": "all-linear,lm_head"},
    "embeddings": {"lora_targets": "all-linear,EMBED"},
    "head whole": {"lora_modules_to_save": "lm_head"},
    "embeddings whole": {"lora_modules_to_save": "EMBED"},
}  # fmt: skip
BASES = ("llama", "tied", "bias", "gpt2")
NAMES = {"NORM": ("norm", "ln_f"), "EMBED": ("embed_tokens", "wte"), "LAYERS": ("layers", "h")}


def named(value: Any, gpt2: bool) -> Any:
    """A setting with the names that this layout has."""
    for word, names in NAMES.items():
        if isinstance(value, dict):
            value = {key.replace(word, names[gpt2]): one for key, one in value.items()}
        elif isinstance(value, str):
            value = value.replace(word, names[gpt2])
    return value


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {kind: tiny_base(root / kind, kind) for kind in BASES}


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What the trained model itself says, before it is stored."""
    seen: list[torch.Tensor] = []
    write = _run.write_model

    def watched(step: Any, model: Any, *rest: Any) -> Any:
        training = model.training
        seen.append(logits(model.eval()))
        model.train(training)
        return write(step, model, *rest)

    monkeypatch.setattr(_run, "write_model", watched)
    return seen


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.tensor(PROMPT)).logits
    return found


def by_peft(base: Path, adapter: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()


def train(base: Path, selection: Path, out: Path, **values: Any) -> TrainResult:
    gpt2 = base.name == "gpt2"
    given = {
        "lora_targets": "all-linear",
        "lora_r": 4,
        "learning_rate": 1e-2,
        "batch_size": 8,
        "max_steps": 3,
        **values,
    }
    made = {name: named(value, gpt2) for name, value in given.items()}
    return run_train(TrainSettings.make(model=str(base), method="lora", **made), selection, out=out)


def never(layout: str, kind: str) -> str:
    """Why such adapters are never made; "" for those that are."""
    if layout == "gpt2" and kind == "OLoRA":
        return "does not know transposed layers such as transformer.h.0"
    if layout in ("tied", "gpt2") and kind in ("head", "embeddings"):
        return "are one matrix in this model.*lora-modules-to-save (embed_tokens|wte)"
    return ""


@pytest.mark.parametrize("layout", BASES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_stored_is_what_was_trained(
    bases: dict[str, Path], selection: Path, tmp_path: Path, live: list[torch.Tensor], layout: str, kind: str
) -> None:
    base, out = bases[layout], tmp_path / "out"
    if refused := never(layout, kind):
        with pytest.raises(InputError, match=refused):
            train(base, selection, out, **KINDS[kind])
        return
    adapter = train(base, selection, out, **KINDS[kind]).model_folder
    [trained] = live
    moved = (trained - logits(AutoModelForCausalLM.from_pretrained(base))).abs().max()
    assert moved > 1e-4, "the training must have changed something"
    elsewhere = Path(shutil.copytree(adapter, tmp_path / "elsewhere" / "copied"))
    torch.testing.assert_close(logits(by_peft(base, elsewhere)), trained, rtol=1e-4, atol=2e-5)
    loaded = load(ModelSettings(model=str(out), device="cpu")).model
    torch.testing.assert_close(logits(loaded), trained, rtol=1e-4, atol=2e-5)
    weights = loaded.state_dict()
    with open_pair(base, out) as pair:
        for name, size in pair.sizes.items():
            read = torch.from_numpy(pair.read(name, 0, size)[1].copy())
            assert torch.equal(read, weights[name].flatten()), name


@pytest.mark.parametrize("kind", ["plain", "DoRA", "PiSSA", "OLoRA", "EVA", "head", "embeddings whole"])
def test_zero_steps_change_nothing_whatever_adapters_start_with(
    bases: dict[str, Path], selection: Path, tmp_path: Path, kind: str
) -> None:
    train(bases["llama"], selection, tmp_path / "out", **{**KINDS[kind], "max_steps": 0})
    found = load(ModelSettings(model=str(tmp_path / "out"), device="cpu")).model.state_dict()
    close = 1e-6 if kind == "DoRA" else 0  # it divides by a length and multiplies with it again
    for name, value in load_file(bases["llama"] / "model.safetensors").items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=close)


@pytest.mark.parametrize("kind", ["PiSSA", "EVA", "patterns", "head"])
def test_equal_trainings_store_equal_bytes(bases: dict[str, Path], selection: Path, tmp_path: Path, kind: str) -> None:
    first, second = (train(bases["llama"], selection, tmp_path / name, **KINDS[kind]).model_folder for name in "ab")
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        assert (first / file).read_bytes() == (second / file).read_bytes()


@pytest.mark.parametrize("kind", ["PiSSA", "OLoRA", "EVA"])
def test_a_training_that_pauses_is_asked_and_finished_as_if_it_had_not(
    bases: dict[str, Path], selection: Path, tmp_path: Path, kind: str
) -> None:
    values = {"lora_targets": "all-linear", "lora_r": 4, "learning_rate": 1e-2, "max_steps": 4, **KINDS[kind]}
    settings = TrainSettings.make(model=str(bases["llama"]), method="lora", **values)
    whole = run_train(settings, selection, out=tmp_path / "whole").model_folder
    paused = run_train_until(settings, selection, 0.5, out=tmp_path / "paused")
    asked = load(ModelSettings(model=str(paused.model_folder), device="cpu")).model
    assert not torch.equal(logits(asked), logits(by_peft(bases["llama"], whole)))
    torch.testing.assert_close(
        logits(asked), logits(by_peft(bases["llama"], paused.model_folder)), rtol=1e-4, atol=2e-5
    )
    finished = run_train(settings, selection, out=tmp_path / "paused").model_folder
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        assert (finished / file).read_bytes() == (whole / file).read_bytes()


def test_a_random_start_cannot_pause(bases: dict[str, Path], selection: Path, tmp_path: Path) -> None:
    settings = TrainSettings.make(model=str(bases["llama"]), method="lora", lora_init="pissa_niter_4")
    with pytest.raises(InputError, match="pauses cannot start by pissa_niter_4"):
        run_train_until(settings, selection, 0.5, out=tmp_path / "out")


def test_an_adapter_on_the_head_has_the_loss_of_any_other(
    bases: dict[str, Path], selection: Path, tmp_path: Path
) -> None:
    values = {"lora_dropout": 0.0, "max_steps": 1, "gradient_accumulation": 2}
    with_head = train(bases["llama"], selection, tmp_path / "a", lora_targets="all-linear,lm_head", **values)
    without = train(bases["llama"], selection, tmp_path / "b", **values)
    assert with_head.found.first_loss == pytest.approx(without.found.first_loss, rel=1e-5)
    head = load_file(with_head.model_folder / "adapter_model.safetensors")["base_model.model.lm_head.lora_B.weight"]
    assert head.abs().max() > 0


def config_of(result: TrainResult) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((result.model_folder / "adapter_config.json").read_text())
    return found


def test_a_pattern_names_modules_and_what_holds_them(bases: dict[str, Path], selection: Path, tmp_path: Path) -> None:
    found = train(
        bases["llama"], selection, tmp_path / "out", max_steps=0,
        lora_rank_pattern={"layers.0.mlp": 2, "layers.0": 8, "down_proj": 16},
    )  # fmt: skip
    weights = load_file(found.model_folder / "adapter_model.safetensors")
    ranks = {name.split(".lora_A")[0].removeprefix("base_model.model.model."): len(value)
             for name, value in weights.items() if "lora_A" in name}  # fmt: skip
    assert ranks["layers.0.mlp.down_proj"] == 2  # of several the first counts
    assert ranks["layers.0.self_attn.q_proj"] == 8
    assert ranks["layers.1.mlp.down_proj"] == 16
    assert ranks["layers.1.mlp.up_proj"] == 4
    alphas = config_of(found)["alpha_pattern"]
    assert alphas["model.layers.0.self_attn.q_proj"] == pytest.approx(8 * 8**0.5)  # auto: 8 sqrt(r) for each


def test_the_scale_is_two_at_rank_sixteen_and_falls_as_the_root_of_the_rank() -> None:
    for rank in (4, 16, 64):
        plain, stable = TrainSettings(lora_r=rank), TrainSettings(lora_r=rank, lora_rslora=True)
        assert plain.alpha / rank == pytest.approx(2 * (16 / rank) ** 0.5)
        assert stable.alpha / rank**0.5 == pytest.approx(plain.alpha / rank)
    assert TrainSettings().fingerprint_values()["lora_alpha"] == 32.0
    assert TrainSettings(lora_alpha=5).alpha == 5


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lora_init": "loftq"}, "loftq is not offered: it quantises the base"),
        ({"lora_init": "corda"}, "corda is not offered"),
        ({"lora_init": "LORA_GA"}, "not offered|lora_init"),
        ({"lora_rank_pattern": {"layers.7": 2}}, r"lora_rank_pattern names 'layers\.7'"),
        ({"lora_rank_pattern": {"layers.0": 0}}, "lora_rank_pattern"),
        ({"lora_rank_pattern": {"(a+)+": 2}}, "lora_rank_pattern"),
        ({"lora_alpha_pattern": "{q_proj: x}"}, "lora_alpha_pattern"),
        ({"lora_layers": "0-5"}, "no 2"),
        ({"lora_layers": "1-x"}, "lora_layers"),
        ({"lora_modules_to_save": "nothing"}, "must name modules of the model that hold weights"),
        ({"lora_targets": "nothing"}, "lora_targets must name linear modules"),
        ({"lora_init": "pissa", "dtype": "bfloat16"}, "needs float32 weights"),
        ({"lora_init": "eva", "lora_r": 4096}, "tokens of answers"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    bases: dict[str, Path], selection: Path, tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        train(bases["llama"], selection, tmp_path / "out", **values)
    assert not (tmp_path / "out").exists()


def test_settings_are_read_as_a_command_line_gives_them() -> None:
    read = TrainSettings.make(lora_rank_pattern="{layers.0: 4, down_proj: 32}", lora_layers="0-2,5")
    assert read.lora_rank_pattern == {"layers.0": 4, "down_proj": 32}
    assert read.lora_layers == (0, 1, 2, 5)


def test_settings_that_came_later_leave_the_fingerprint() -> None:
    values = TrainSettings(method="lora").fingerprint_values()
    assert {name for name in values if name.startswith("lora_")} == {
        "lora_r", "lora_alpha", "lora_dropout", "lora_targets",
    }  # fmt: skip
    assert TrainSettings(lora_dora=True).fingerprint_values()["lora_dora"] is True


@pytest.mark.real
@pytest.mark.parametrize("kind", ["plain", "PiSSA", "embeddings whole"])
def test_an_adapter_of_a_real_model_is_loaded_by_plain_peft_wherever_it_lies(
    real_model: Callable[[str], Path], selection: Path, tmp_path: Path, live: list[torch.Tensor], kind: str
) -> None:
    base = real_model("smollm2")
    train(base, selection, tmp_path / "out", learning_rate=1e-4, max_steps=1, **KINDS[kind])
    copied = Path(shutil.copytree(tmp_path / "out" / "model", tmp_path / "elsewhere" / "copied"))
    [trained] = live
    assert (trained - logits(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32))).abs().max() > 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), copied)
    torch.testing.assert_close(logits(plain.eval()), trained, rtol=1e-3, atol=1e-3)
    loaded = load(ModelSettings(model=str(copied), device="cpu", dtype="float32")).model
    torch.testing.assert_close(logits(loaded), trained, rtol=1e-3, atol=1e-3)
