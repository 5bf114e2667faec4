"""Quantised bases: recognised, loaded, adapters kept beside them; what needs plain numbers is refused by name.

float8 needs no package and runs here. bitsandbytes is tried where it is installed, and on a GPU where there is one
(`pytest -m gpu`); without the package the error that names it is what is tested.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers_models import edit, loaded, logits
from helpers_quantised import float8_folder, widened
from recollect.engines import EngineSettings, find_engine
from recollect.errors import InputError, MissingExtra, ModelError
from recollect.models import ModelSettings, check_whole, load, resolve
from recollect.models.load import check_held
from recollect.models.quantised import check_loadable, method_of
from recollect.train import TrainSettings
from recollect.train.model import load_base, mixed_precision, training_machine
from recollect.weights import open_pair

HAS_BNB = find_spec("bitsandbytes") is not None


@pytest.fixture
def float8(tiny: Path, tmp_path: Path) -> Path:
    return float8_folder(tiny, tmp_path / "float8")


@pytest.fixture
def beside(float8: Path, adapter: Path) -> Path:
    """The adapter of `tiny`, with the float8 folder as its base."""
    edit(adapter / "adapter_config.json", base_model_name_or_path=str(float8))
    return adapter


@pytest.mark.parametrize(
    ("config", "method"),
    [
        ({}, ""),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "gptq"),
        ({"quantization_config": {"load_in_4bit": True}}, "bitsandbytes"),
        ({"text_config": {"quantization_config": {"quant_method": "awq"}}}, "awq"),
        ({"quantization_config": {"bits": 4}}, "of an unnamed method"),
        ({"quantization_config": "int4"}, "int4"),
        ({"quantization_config": None}, ""),
    ],
)
def test_the_method_is_read_from_the_configuration(config: dict[str, Any], method: str) -> None:
    assert method_of(config) == method


def test_float8_is_widened_to_value_times_scale(float8: Path) -> None:
    held = loaded(float8)
    found, wanted = held.model.state_dict(), widened(float8)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert not getattr(held.model, "is_quantized", False)
    assert "stored as fp8, widened in memory" in held.machine.line()


def test_an_adapter_stays_beside_and_says_what_peft_says(beside: Path, float8: Path) -> None:
    from peft import PeftModel

    held = loaded(beside)
    names = [name for name, _ in held.model.named_parameters()]
    assert any("lora_A" in name for name in names), "merged"
    assert type(held.model).__name__ == "LlamaForCausalLM"
    wanted = PeftModel.from_pretrained(loaded(float8).model, beside).eval()
    assert torch.allclose(logits(held.model), logits(wanted), atol=1e-6)
    assert not torch.allclose(logits(held.model), logits(loaded(float8).model), atol=1e-3)
    assert not any(parameter.requires_grad for parameter in held.model.parameters())


@pytest.mark.parametrize("start", ["pissa", "olora", "pissa_niter_4"])
def test_an_adapter_that_changed_its_base_is_refused(beside: Path, start: str) -> None:
    edit(beside / "adapter_config.json", init_lora_weights=start)
    with pytest.raises(ModelError, match=f"was started by '{start}'"):
        loaded(beside)


def test_weights_are_not_compared_or_restored(float8: Path, tiny: Path, beside: Path) -> None:
    for base, tuned in ((float8, tiny), (tiny, float8), (float8, float8), (float8, beside), (tiny, beside)):
        with pytest.raises(ModelError, match=r"float8 is quantised \(fp8.*drift, restore.*dequantise it once and save"):
            open_pair(base, tuned)


def test_a_missing_scale_is_told_once_the_weights_are_read(float8: Path) -> None:
    from safetensors.torch import load_file, save_file

    found = load_file(float8 / "model.safetensors")
    found["model.layers.0.extra.weight"] = torch.zeros(2)
    save_file(found, float8 / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"holds 1 weights that its config\.json has no place for"):
        loaded(float8)


def test_float8_without_a_word_in_the_configuration_is_refused(float8: Path) -> None:
    edit(float8 / "config.json", quantization_config=None)
    with pytest.raises(ModelError, match="has the format F8_E4M3, but config.json says nothing of a quantisation"):
        loaded(float8)


@pytest.mark.parametrize(
    ("method", "package"),
    [("gptq", "gptqmodel and optimum"), ("awq", "gptqmodel"), ("hqq", "hqq"), ("quanto", "optimum-quanto")],
)
def test_a_package_that_is_missing_is_named(
    tiny: Path, method: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recollect.models.quantised.find_spec", lambda name: None)
    edit(tiny / "config.json", quantization_config={"quant_method": method})
    with pytest.raises(MissingExtra, match=f"quantised by {method}, which transformers loads with {package}: not inst"):
        check_whole(resolve(ModelSettings(model=str(tiny))))


@pytest.mark.parametrize("method", ["bitsandbytes", "compressed-tensors"])
def test_the_extra_is_named_for_those_it_brings(tiny: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recollect.models.quantised.find_spec", lambda name: None)
    edit(tiny / "config.json", quantization_config={"quant_method": method})
    with pytest.raises(MissingExtra, match=rf"a base quantised by {method} needs .*recollect\[quantized\]"):
        check_whole(resolve(ModelSettings(model=str(tiny))))
    with pytest.raises(MissingExtra, match=r"--quantize 4bit needs bitsandbytes, .*recollect\[quantized\]"):
        check_loadable(Path(loaded("pocket").folder), "4bit")


def test_unknown_methods_and_quantising_twice_are_refused(tiny: Path, float8: Path) -> None:
    edit(tiny / "config.json", quantization_config={"quant_method": "tomorrow"})
    with pytest.raises(
        ModelError, match="quantised by 'tomorrow', which this transformers cannot load. It knows .*awq"
    ):
        loaded(tiny)
    with pytest.raises(InputError, match="is quantised already .fp8., so quantize must be none, but is '4bit'"):
        load(ModelSettings(model=str(float8), device="cpu", quantize="4bit"))


def test_a_model_in_memory_must_be_quantised_as_the_settings_say() -> None:
    held = loaded("pocket")
    with pytest.raises(InputError, match="quantize is '8bit' in the settings, but the model in memory .* 'none'"):
        check_held(ModelSettings(model="pocket", quantize="8bit"), held)
    with pytest.raises(InputError, match=r"quantize is '8bit'"):
        find_engine(EngineSettings(model="pocket", quantize="8bit"), held)


def test_the_setting_gives_no_new_name_to_what_there_was() -> None:
    assert "quantize" not in ModelSettings().fingerprint_values()
    assert "quantize" not in TrainSettings().fingerprint_values()
    assert "quantize" not in EngineSettings().fingerprint_values()
    assert TrainSettings(quantize="4bit").fingerprint_values()["quantize"] == "4bit"


def test_a_training_beside_a_quantised_base_is_not_mixed(float8: Path) -> None:
    settings = TrainSettings.make(model=str(float8), method="lora", device="cpu", lora_targets="all-linear")
    assert not mixed_precision(settings, "cuda", "stored as fp8")
    with pytest.raises(InputError, match="precision mixed keeps float32 weights, but the base is quantised"):
        mixed_precision(settings.model_copy(update={"precision": "mixed"}), "cpu", "stored as fp8")
    assert training_machine(settings, None, "stored as fp8").dtype == "float32"  # on a CPU
    model, _, _ = load_base(settings, resolve(settings), None)
    assert not any(parameter.requires_grad for parameter in model.parameters())


# -- bitsandbytes, where it is installed ---------------------------------------------------------------------------

DEVICES = [
    pytest.param("cpu", marks=pytest.mark.skipif(not HAS_BNB, reason="bitsandbytes is not installed")),
    pytest.param("cuda", marks=pytest.mark.gpu),
]


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose layers are multiples of what bitsandbytes packs."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from helpers_tiny import tiny_tokenizer

    folder = tmp_path_factory.mktemp("blocks")
    tiny_tokenizer(folder)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=300, num_key_value_heads=2, **sizes)).save_pretrained(folder)
    return folder


def test_layers_that_cannot_be_packed_for_a_processor_are_named() -> None:
    from recollect.models.quantised import check_packable

    Linear4bit = type("Linear4bit", (torch.nn.Linear,), {})
    for rows, columns, good in ((32, 64, True), (336, 64, False), (64, 96, False)):
        model: Any = torch.nn.ModuleDict({"up_proj": Linear4bit(columns, rows)})
        check_packable(model, Path("model"), "cuda")
        if good:
            check_packable(model, Path("model"), "cpu")
            continue
        with pytest.raises(ModelError, match=rf"up_proj has {rows} rows of {columns}, but on a processor .*8bit"):
            check_packable(model, Path("model"), "cpu")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("quantize", ["4bit", "8bit"])
def test_an_adapter_is_trained_beside_and_asked_beside(
    device: str, quantize: Any, blocks: Path, tmp_path: Path
) -> None:
    from helpers_tiny import tiny_facts
    from recollect.evaluate import EvaluateSettings, run_evaluate
    from recollect.probe import ProbeSettings, run_probe
    from recollect.select import SelectSettings, run_select
    from recollect.train import run_train

    facts = tiny_facts(1, test=1)
    chosen = run_select(SelectSettings(size=8, level="random"), facts, out=tmp_path / "select").path
    held: dict[str, Any] = {"model": str(blocks), "device": device, "quantize": quantize}
    run_probe(ProbeSettings.make(**held, method="closed-form", templates=1), facts, out=tmp_path / "probe")
    with pytest.raises(InputError, match=f"method full trains all weights, but quantize is '{quantize}'"):
        run_train(TrainSettings.make(**held, method="full"), chosen, out=tmp_path / "full")
    settings = TrainSettings.make(**held, method="lora", learning_rate=1e-2, max_steps=8, batch_size=8)
    trained = run_train(settings, chosen, out=tmp_path / "train")
    assert trained.found.last_loss < trained.found.first_loss
    model = load(ModelSettings.make(**{**held, "model": str(trained.path)})).model
    assert any("lora_A" in name for name, _ in model.named_parameters())
    assert any(
        type(module).__name__.startswith("Linear4bit" if quantize == "4bit" else "Linear8bit")
        for module in model.modules()
    )
    asked = EvaluateSettings.make(**{**held, "model": str(trained.path)}, max_new_tokens=4)
    assert run_evaluate(asked, facts, out=tmp_path / "evaluate").path.is_dir()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("quantize", "bits"), [("4bit", 4), ("8bit", 8)])
def test_a_plain_base_is_quantised_while_it_is_loaded(device: str, quantize: Any, bits: int, blocks: Path) -> None:
    import bitsandbytes as bnb

    settings = ModelSettings(model=str(blocks), device=device, quantize=quantize)
    held = load(settings)
    layers = [m for m in held.model.modules() if isinstance(m, bnb.nn.Linear4bit | bnb.nn.Linear8bitLt)]
    assert layers and all((type(layer).__name__ == "Linear4bit") == (bits == 4) for layer in layers)
    assert f"{bits} bits (bitsandbytes)" in held.machine.line()
    plain = load(ModelSettings(model=str(blocks), device=device))
    assert held.model.get_memory_footprint() < plain.model.get_memory_footprint()
    said, wanted = (torch.softmax(logits(model.to(device)).float(), -1) for model in (held.model, plain.model))
    assert 0 < (said - wanted).abs().max() < 0.5
    assert held.quantize == quantize and held.fingerprint == plain.fingerprint


def test_mxfp4_is_widened_to_value_times_power_of_two(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file
    from transformers import GptOssConfig, GptOssForCausalLM

    from helpers_tiny import tiny_tokenizer

    tiny_tokenizer(tmp_path)
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    more = {"num_key_value_heads": 2, "head_dim": 32, "num_local_experts": 4, "num_experts_per_tok": 2}
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    GptOssForCausalLM(GptOssConfig(vocab_size=300, **sizes, **more, **ids)).save_pretrained(tmp_path)
    levels = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])
    stored, wanted, source = {}, {}, torch.Generator().manual_seed(0)
    for name, value in load_file(tmp_path / "model.safetensors").items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            stored[name] = value
            continue
        experts, inside, rows = value.shape
        codes = torch.randint(0, 256, (experts, rows, inside // 32, 16), generator=source, dtype=torch.uint8)
        powers = torch.randint(118, 122, (experts, rows, inside // 32), generator=source, dtype=torch.uint8)
        stored[f"{name}_blocks"], stored[f"{name}_scales"] = codes, powers
        pairs = torch.stack([levels[(codes & 15).long()], levels[(codes >> 4).long()]], -1).flatten(-2)
        wanted[name] = (pairs * torch.exp2(powers.float() - 127)[..., None]).flatten(-2).transpose(1, 2)
    save_file(stored, tmp_path / "model.safetensors", {"format": "pt"})
    edit(tmp_path / "config.json", quantization_config={"quant_method": "mxfp4"})
    found = loaded(tmp_path).model.state_dict()
    assert len(wanted) == 2 and all(torch.equal(found[name].float(), wanted[name]) for name in wanted)
