"""A trained folder is complete: what others need to load it lies in it, and decides nothing of what it is to us."""

import json
import shutil

import polars as pl
import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from helpers_tiny import tiny_model
from recollect.models import ModelSettings, load, resolve_name
from recollect.models.find import model_fingerprint
from recollect.train import TrainSettings, run_train

CHAT = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"


@pytest.fixture(scope="module")
def chat_base(tmp_path_factory):
    """A base with a chat template, end tokens of its own, a licence and a model card, as people have them."""
    base = tiny_model(tmp_path_factory.mktemp("chat") / "base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(base)
    GenerationConfig(eos_token_id=[2, 5], pad_token_id=0).save_pretrained(base)
    (base / "LICENSE").write_text("the terms")
    (base / "README.md").write_text("---\nlicense: mit\nlanguage: [en, de]\ntags: [x]\n---\n# A base\n")
    return base


def trained(base, selection, root, method, **values):
    settings = TrainSettings(model=str(base), learning_rate=5e-3, batch_size=8, method=method, max_steps=2, **values)
    return run_train(settings, selection, root=root)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_trained_folder_has_all_that_others_load(chat_base, selection, tmp_path, method):
    folder = trained(chat_base, selection, tmp_path, method).model_folder
    names = {file.name for file in folder.iterdir()}
    assert {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"} <= names
    assert {"README.md", "LICENSE"} <= names
    assert AutoTokenizer.from_pretrained(folder).chat_template == CHAT
    assert GenerationConfig.from_pretrained(folder).eos_token_id == [2, 5]


def test_a_full_training_is_loaded_by_plain_transformers_in_the_bases_format(chat_base, selection, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(chat_base, half)
    AutoModelForCausalLM.from_pretrained(chat_base, dtype=torch.bfloat16).save_pretrained(half)
    folder = trained(half, selection, tmp_path, "full").model_folder
    assert AutoModelForCausalLM.from_pretrained(folder).dtype == torch.bfloat16


def test_an_adapter_copied_away_is_loaded_by_plain_peft(chat_base, selection, tmp_path):
    result = trained(chat_base, selection, tmp_path / "runs", "lora")
    moved = tmp_path / "elsewhere" / "adapter"
    shutil.copytree(result.model_folder, moved)
    shutil.rmtree(tmp_path / "runs")
    base = AutoModelForCausalLM.from_pretrained(chat_base)
    ids = torch.tensor([AutoTokenizer.from_pretrained(moved)("Which city?")["input_ids"]])
    before = base(ids).logits
    after = PeftModel.from_pretrained(base, moved)(ids).logits
    assert not torch.allclose(before, after, atol=1e-4)
    ours = load(ModelSettings(model=str(moved))).model(ids).logits  # its base lay elsewhere, and is named by its path
    assert torch.allclose(after, ours, atol=1e-4)
    assert torch.allclose(AutoPeftModelForCausalLM.from_pretrained(moved)(ids).logits, after, atol=1e-6)


def test_an_adapter_beside_its_base_names_it_by_a_relative_path_and_moves_with_it(chat_base, selection, tmp_path):
    shutil.copytree(chat_base, tmp_path / "project" / "base")
    result = trained(tmp_path / "project" / "base", selection, tmp_path / "project", "lora")
    named = json.loads((result.model_folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == "../../base"
    (tmp_path / "project").rename(tmp_path / "moved")
    ref = resolve_name(tmp_path / "moved" / result.path.name)
    assert ref.base is not None and ref.base.folder.resolve() == (tmp_path / "moved" / "base").resolve()


def test_an_adapter_of_a_hub_model_names_it_by_its_id_and_commit(chat_base, selection, tmp_path):
    cached = tmp_path / "hub" / "models--some-org--Base-1" / "snapshots" / "0123abc"
    shutil.copytree(chat_base, cached)
    folder = trained(cached, selection, tmp_path / "runs", "lora").model_folder
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("some-org/Base-1", "0123abc")


def test_what_lies_beside_an_adapter_of_ours_decides_nothing(chat_base, selection, tmp_path):
    folder = trained(chat_base, selection, tmp_path, "lora").model_folder
    bare = tmp_path / "as-earlier-versions-wrote-it"
    bare.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors", "base_fingerprint.json"):
        shutil.copyfile(folder / name, bare / name)
    assert model_fingerprint(folder) == model_fingerprint(bare)
    foreign = tmp_path / "foreign"  # another program's adapter keeps the fingerprint it has always had
    shutil.copytree(folder, foreign)
    (foreign / "base_fingerprint.json").unlink()
    assert model_fingerprint(foreign) != model_fingerprint(bare)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_card_decides_nothing(chat_base, selection, tmp_path, method):
    folder = tmp_path / "copy"
    shutil.copytree(trained(chat_base, selection, tmp_path, method).model_folder, folder)
    before = model_fingerprint(folder)
    (folder / "README.md").write_text("another")
    assert model_fingerprint(folder) == before


def test_what_dashboards_read_lies_beside_the_log(chat_base, selection, tmp_path):
    result = trained(chat_base, selection, tmp_path, "full")
    state = json.loads((result.path / "trainer_state.json").read_text())
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    assert losses == pl.read_parquet(result.path / "log.parquet")["loss"].to_list() and len(losses) == 2
    found = json.loads((result.path / "all_results.json").read_text())
    assert found == json.loads((result.path / "train_results.json").read_text())
    assert found["train_loss"] == pytest.approx(sum(losses) / 2) and found["train_samples"] == 40


def test_a_training_of_no_step_has_them_too(chat_base, selection, tmp_path):
    result = run_train(TrainSettings(model=str(chat_base), max_steps=0), selection, root=tmp_path)
    assert json.loads((result.path / "trainer_state.json").read_text())["global_step"] == 0
    assert "No update was made" in (result.model_folder / "README.md").read_text()
