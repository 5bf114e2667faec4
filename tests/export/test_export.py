"""Exports: what is written is complete, loads where it should, and is checked by asking; a wrong one is caught."""

import json
import shutil
import sys

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from recollect.core.workspace import read_manifest
from recollect.errors import InputError, MissingExtra, ModelError
from recollect.export import ExportSettings, gguf, run_export
from recollect.export.exporter import Prompt
from recollect.export.formats import EXPORTERS
from recollect.export.parity import compare_answers
from recollect.export.questions import questions_for
from recollect.models import ModelSettings, load

FEW = {"questions": 6, "max_new_tokens": 8}


def export(to, model, out, **values):
    return run_export(ExportSettings.make(to=to, **{**FEW, **values}), model, out=out)


def test_a_merged_adapter_is_a_whole_model_that_answers_the_same(tuned, tmp_path):
    result = export("merged", tuned["lora"], tmp_path / "m")
    assert result.answer() == {"to": "merged", "path": str(tmp_path / "m" / "model"), "parity": 1.0, "n": 6}
    ours = load(ModelSettings(model=str(tuned["lora"]))).model.state_dict()
    theirs = AutoModelForCausalLM.from_pretrained(result.exported).state_dict()
    assert all(torch.allclose(ours[name], value, atol=1e-6) for name, value in theirs.items())
    assert not (result.exported / "adapter_config.json").exists()


def test_merged_weights_are_stored_in_the_format_that_was_asked_for(tuned, tmp_path):
    export("merged", tuned["lora"], tmp_path / "m", save_dtype="bfloat16", parity_bound=0)
    stored = load_file(tmp_path / "m/model/model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.bfloat16}


def test_a_full_training_is_taken_away_byte_for_byte(tuned, tmp_path):
    result = export("merged", tuned["full"], tmp_path / "m")
    for file in (tuned["full"] / "model").iterdir():
        if file.name != "README.md":
            assert (result.exported / file.name).read_bytes() == file.read_bytes()


def test_an_exported_adapter_is_loaded_by_plain_peft_anywhere(base_folder, tuned, tmp_path):
    result = export("adapter", tuned["lora"], tmp_path / "a", base_id="org/base")
    assert result.found.parity.share == 1.0
    config = json.loads((result.exported / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "org/base"
    moved = tmp_path / "moved"
    shutil.move(result.exported, moved)
    base = AutoModelForCausalLM.from_pretrained(base_folder)
    ids = torch.tensor([AutoTokenizer.from_pretrained(moved)("Which city?")["input_ids"]])
    ours = load(ModelSettings(model=str(tuned["lora"]))).model(ids).logits
    assert torch.allclose(PeftModel.from_pretrained(base, moved)(ids).logits, ours, atol=1e-4)


def test_an_adapter_whose_base_has_no_name_elsewhere_says_so(tuned, tmp_path):
    result = export("adapter", tuned["lora"], tmp_path / "a")
    assert any("--base-id" in note for note in result.found.notes)


def test_a_whole_model_has_no_adapter_to_export(tuned, tmp_path):
    with pytest.raises(InputError, match="no adapter to export. Take --to merged"):
        export("adapter", tuned["full"], tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_an_export_that_answers_otherwise_is_caught(tuned, tmp_path, monkeypatch):
    merged = EXPORTERS["merged"]
    right = type(merged).write

    def spoiled(self, job, target, work):
        written = right(self, job, target, work)
        file = target / "model.safetensors"
        save_file({name: value * 0.9 for name, value in load_file(file).items()}, file, metadata={"format": "pt"})
        return written

    monkeypatch.setattr(type(merged), "write", spoiled)
    result = export("merged", tuned["lora"], tmp_path / "m")
    assert result.found.parity.share < 0.98 and not result.passed
    one = result.differing[0]
    assert one.original != one.export and one.question


def test_the_command_ends_with_1_under_the_bound_and_0_above(tuned, tmp_path, monkeypatch, capsys):
    from recollect.cli.main import main

    def run(*more):
        args = ["recollect", "export", str(tuned["lora"]), "--to", "merged", "--out", str(tmp_path / "m"), "--json"]
        given = [f"--{name.replace('_', '-')}={value}" for name, value in FEW.items()]
        monkeypatch.setattr(sys, "argv", [*args, *given, *more])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, capsys.readouterr()

    code, said = run()
    assert code == 0 and "parity: 100.0 % of 6 greedy answers are equal" in " ".join(said.err.split())
    assert json.loads(said.out.splitlines()[-1])["parity"] == 1.0
    spoiled = compare_answers([Prompt("q", "q")] * 2, ["a", "b"], ["a", "c"])
    monkeypatch.setattr("recollect.export.run.compare_answers", lambda *_: spoiled)
    shutil.rmtree(tmp_path / "m")
    code, said = run()
    assert code == 1 and json.loads(said.out.splitlines()[-1])["parity"] == 0.5
    assert "original: 'b'" in said.err and "export: 'c'" in " ".join(said.err.split())
    assert run("--parity-bound", "0.5")[0] == 0  # the same step, another bound


def test_what_cannot_run_here_is_said_and_is_no_parity(tuned, tmp_path, monkeypatch):
    for name in ("mlx", "vllm"):
        monkeypatch.setattr(f"recollect.export.{name}.find_spec", lambda _: None)
        result = export(name, tuned["lora"], tmp_path / name)
        assert result.answer()["parity"] is None and result.answer()["n"] == 0
        assert "not installed" in result.found.unchecked and result.passed
    served = " ".join(result.found.notes)
    assert "vllm serve" in served and "--max-lora-rank 16" in served and "--lora-modules" in served
    assert (tmp_path / "vllm/model/adapter_model.safetensors").is_file()
    assert (tmp_path / "mlx/model/model.safetensors").is_file()


def test_gguf_without_a_converter_is_one_line(tuned, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match="convert_hf_to_gguf.py, which is not on PATH"):
        export("gguf", tuned["lora"], tmp_path / "g")
    with pytest.raises(InputError, match="converter must be a script or a program, but there is no nowhere.py"):
        export("gguf", tuned["lora"], tmp_path / "g", converter="nowhere.py")


CONVERTER = """
import json, sys
from pathlib import Path
folder, out = Path(sys.argv[1]), Path(sys.argv[sys.argv.index("--outfile") + 1])
assert (folder / "model.safetensors").is_file() and not (folder / "adapter_config.json").exists()
out.write_bytes(b"GGUF" + json.dumps(sys.argv[2:]).encode())
"""


@pytest.mark.parametrize(("outtype", "asked"), [("auto", "f32"), ("q8_0", "q8_0")])
def test_the_converter_gets_the_merged_model_and_the_format(tuned, tmp_path, monkeypatch, outtype, asked):
    script = tmp_path / "convert_hf_to_gguf.py"
    script.write_text(CONVERTER)
    monkeypatch.setattr(gguf, "find_spec", lambda _: None)  # what it writes here is no model
    result = export("gguf", tuned["lora"], tmp_path / "g", converter=str(script), outtype=outtype)
    assert result.exported.suffix == ".gguf" and result.exported.read_bytes().startswith(b"GGUF")
    assert json.loads(result.exported.read_bytes()[4:])[-1] == asked
    assert result.answer()["parity"] is None and "llama-cpp-python is not installed" in result.found.unchecked
    assert sorted(file.name for file in (tmp_path / "g/model").iterdir()) == ["README.md", result.exported.name]


def test_a_converter_that_fails_is_told_in_its_own_words_without_secrets(tuned, tmp_path):
    script = tmp_path / "convert_hf_to_gguf.py"
    script.write_text("import sys; sys.exit('no such kind of model, see https://me:hunter2@host/x')")
    with pytest.raises(ModelError, match="the conversion to GGUF failed.*\n.*no such kind of model") as error:
        export("gguf", tuned["lora"], tmp_path / "g", converter=str(script))
    assert "hunter2" not in str(error.value)
    script.write_text("def f():\n    raise ValueError('an unknown tokenizer')\n\nf()\n")
    with pytest.raises(ModelError) as error:
        export("gguf", tuned["lora"], tmp_path / "g", converter=str(script))
    assert str(error.value).splitlines()[1:] == ["ValueError: an unknown tokenizer"]  # without the traceback


def test_an_ollama_folder_has_a_modelfile(tuned, tmp_path, monkeypatch):
    script = tmp_path / "convert_hf_to_gguf.py"
    script.write_text(CONVERTER)
    monkeypatch.setattr(gguf, "find_spec", lambda _: None)
    result = export("ollama", tuned["lora"], tmp_path / "o", converter=str(script))
    lines = (result.exported / "Modelfile").read_text().splitlines()
    assert lines[0].startswith("FROM ./") and (result.exported / lines[0].removeprefix("FROM ./")).is_file()
    assert 'PARAMETER stop "</s>"' in lines and "PARAMETER temperature 0" in lines


def test_the_same_command_again_finds_the_export(tuned, tmp_path):
    first = export("merged", tuned["lora"], tmp_path / "m")
    before = read_manifest(first.path).finished
    assert export("merged", tuned["lora"], tmp_path / "m", parity_bound=1.0).found == first.found
    assert read_manifest(first.path).finished == before


def test_the_questions_are_the_models_own_and_then_shipped_ones(tuned, selection):
    import polars as pl

    own = pl.read_parquet(selection / "selection.parquet")["question"].to_list()
    found = [one.text for one in questions_for(tuned["lora"] / "model", "", 50)]
    assert found[: len(set(own))] == list(dict.fromkeys(own)) and len(found) == len(set(found)) == 50


def test_answers_are_compared_as_texts():
    prompts = [Prompt(text, text) for text in "abcd"]
    found = compare_answers(prompts, ["x", "y ", "abcd", ""], ["x", " y", "abxx", ""])
    assert (found.share, found.n) == (0.75, 4) and found.equal_begin == pytest.approx((3 + 0.5) / 4)
    assert [(one.question, one.original, one.export) for one in found.differing] == [("c", "abcd", "abxx")]


def test_a_base_id_that_is_no_name_on_the_hub_is_refused():
    for name in ("no-slash", "a/b/c", "/abs/x", "a b/c"):
        with pytest.raises(InputError, match="base_id must be a name on the hub"):
            ExportSettings.make(to="adapter", base_id=name)


LLAMA = """
import gguf  # the package, though a file of this name lies beside the worker

assert gguf.__spec__.submodule_search_locations


class Llama:
    def __init__(self, model_path, n_ctx, n_threads, n_threads_batch, verbose):
        assert open(model_path, "rb").read(4) == b"GGUF" and n_ctx > 8

    def create_completion(self, text, temperature, top_k, repeat_penalty, max_tokens):
        assert (temperature, top_k, repeat_penalty, max_tokens) == (0.0, 1, 1.0, 8)
        print("what a library says on the way")
        return {"choices": [{"text": text[-9:]}]}
"""


def test_the_worker_asks_the_library_and_not_a_file_of_ours(tuned, tmp_path, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    (site / "llama_cpp.py").write_text(LLAMA)
    script = tmp_path / "convert_hf_to_gguf.py"
    script.write_text(CONVERTER)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    result = export("gguf", tuned["lora"], tmp_path / "g", converter=str(script))
    assert result.found.unchecked == "" and result.answer()["n"] == 6
    assert {one.export for one in result.differing} == {"|answer|>"}  # the end of each prompt, as it was put
