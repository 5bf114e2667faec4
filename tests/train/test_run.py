import gc
import json
import logging
import os
import random
import shutil

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.models.llama.modeling_llama import LlamaMLP

from recollect.errors import InputError, ModelError, StepError
from recollect.models import ModelSettings, load
from recollect.prompt import encode_example
from recollect.train import TrainSettings, run_train, run_train_until
from recollect.train.records import RESULTS, STATE

WEIGHTS = "model/model.safetensors"


def settings(base_folder, **values):
    return TrainSettings(model=str(base_folder), **{"learning_rate": 5e-3, "batch_size": 8, **values})


def log_of(result):
    return pl.read_parquet(result.path / "log.parquet")


def answer_loss(model, tokenizer, rows, *, everything=False):
    """Mean negative log-likelihood per answer token, one example at a time, without padding."""
    total, count = 0.0, 0
    for row in rows.iter_rows(named=True):
        ids, mask = encode_example(tokenizer, row["question"], row["object"])
        with torch.no_grad():
            logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        for place in range(1, len(ids)):
            if mask[place] or everything:
                total -= float(logprobs[place - 1, ids[place]])
                count += 1
    return total / count


def test_zero_steps_store_the_base_exactly(base_folder, selection, tmp_path):
    result = run_train(settings(base_folder, max_steps=0), selection, root=tmp_path)
    before, after = load_file(base_folder / "model.safetensors"), load_file(result.path / WEIGHTS)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (result.path / WEIGHTS).read_bytes() == (base_folder / "model.safetensors").read_bytes()
    assert log_of(result).height == 0


def test_zero_steps_of_lora_change_nothing(base_folder, selection, tmp_path):
    result = run_train(settings(base_folder, method="lora", max_steps=0), selection, root=tmp_path)
    merged = load(ModelSettings(model=str(result.path))).model.state_dict()
    assert all(torch.equal(merged[name], value) for name, value in load_file(base_folder / "model.safetensors").items())


def test_loss_is_on_the_answer_and_the_end_only(base_folder, eight, tmp_path):
    result = run_train(settings(base_folder, max_steps=1), eight, root=tmp_path)
    base = load(ModelSettings(model=str(base_folder)))
    rows = pl.read_parquet(eight / "selection.parquet")
    logged = log_of(result)["loss"][0]
    assert logged == pytest.approx(answer_loss(base.model, base.tokenizer, rows), rel=1e-5)
    assert abs(logged - answer_loss(base.model, base.tokenizer, rows, everything=True)) > 1e-3


def test_batches_count_the_tokens_of_the_answers_only(base_folder, eight, tmp_path):
    from recollect.train.trainer import Setup, Watch, build_trainer, undisturbed

    base = load(ModelSettings(model=str(base_folder)))
    rows = pl.read_parquet(eight / "selection.parquet")
    examples = [encode_example(base.tokenizer, row["question"], row["object"]) for row in rows.iter_rows(named=True)]
    setup = Setup(settings(base_folder), "cpu", mixed=False, processes=1, checkpoints=tmp_path)
    with undisturbed():
        trainer = build_trainer(base.model, base.tokenizer, examples, setup, Watch(None))
        batch = next(iter(trainer.get_train_dataloader()))
    counted = sorted(row[row != -100].tolist() for row in batch["labels"])
    assert counted == sorted([t for t, m in zip(*example, strict=True) if m] for example in examples)


@pytest.mark.filterwarnings("ignore")
def test_adapters_of_a_quantised_base_stay_float32(base_folder, tmp_path):
    """TRL rounds them to bfloat16, as it says; the docs, and many trainings in one pass, have float32."""
    from recollect.train.lora import factors, with_adapters
    from recollect.train.trainer import Setup, Watch, build_trainer, undisturbed

    base = load(ModelSettings(model=str(base_folder)))
    chosen = settings(base_folder, method="lora")
    base.model.is_loaded_in_4bit = True
    setup = Setup(chosen, "cpu", mixed=False, processes=1, checkpoints=tmp_path)
    with undisturbed():
        adapted = with_adapters(base.model, chosen, []).model
        before = {name: value.detach().clone() for name, value in factors(adapted).items()}
        trainer = build_trainer(adapted, base.tokenizer, [([5, 6], [0, 1])], setup, Watch(None))
    after = factors(trainer.model)
    assert before.keys() == after.keys() and all(torch.equal(value, after[name]) for name, value in before.items())
    assert {value.dtype for value in after.values()} == {torch.float32}


def test_training_lowers_the_loss_and_the_log_has_every_step(base_folder, selection, tmp_path):
    seen = []
    result = run_train(
        settings(base_folder, epochs=3), selection, root=tmp_path, progress=lambda *now: seen.append(now)
    )
    log = log_of(result)
    assert log.columns == ["step", "loss", "learning_rate"]
    assert log["step"].to_list() == list(range(1, 16))
    assert log["loss"][-1] < log["loss"][0] - 0.5
    assert seen == [(step, 15) for step in range(1, 16)]
    assert result.found.steps == 15


def test_cosine_schedule_with_warm_up_is_the_formula(base_folder, selection, tmp_path):
    chosen = settings(base_folder, max_steps=10, warmup_ratio=0.2, learning_rate=1e-3)
    rates = log_of(run_train(chosen, selection, root=tmp_path))["learning_rate"].to_list()
    steps = np.arange(10)  # the rate used at each update; two of ten warm up
    expected = np.where(steps < 2, steps / 2, 0.5 * (1 + np.cos(np.pi * (steps - 2) / 8))) * 1e-3
    assert rates == pytest.approx(expected.tolist(), abs=1e-12)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_equal_runs_give_equal_bytes_whatever_random_state_they_meet(base_folder, selection, tmp_path, method):
    chosen = settings(base_folder, method=method)
    first = run_train(chosen, selection, root=tmp_path / "a")
    torch.manual_seed(99)
    random.seed(99)
    second = run_train(chosen, selection, root=tmp_path / "b")
    name = WEIGHTS if method == "full" else "model/adapter_model.safetensors"
    assert (first.path / name).read_bytes() == (second.path / name).read_bytes()
    assert (first.path / "log.parquet").read_bytes() == (second.path / "log.parquet").read_bytes()
    other = run_train(chosen.model_copy(update={"seed": 1}), selection, root=tmp_path / "a")
    assert (other.path / name).read_bytes() != (first.path / name).read_bytes()


@pytest.mark.parametrize("seed", [-1, 1 << 32, 10**30])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_any_whole_number_is_a_seed(base_folder, eight, tmp_path, method, seed):
    """numpy takes 0 to 2^32 - 1; a study counts its seeds up from one that is given."""
    assert (
        run_train(settings(base_folder, method=method, seed=seed, max_steps=1), eight, root=tmp_path).found.steps == 1
    )


@pytest.mark.parametrize("chosen", [True, False])
def test_activations_are_computed_again_if_asked_to_and_the_result_is_the_same(
    base_folder, eight, tmp_path, monkeypatch, chosen
):
    from recollect.train.trainer import Setup, Watch, build_trainer, undisturbed

    base = load(ModelSettings(model=str(base_folder)))
    asked = settings(base_folder, gradient_checkpointing=chosen, max_steps=2)
    setup = Setup(asked, "cpu", mixed=False, processes=1, checkpoints=tmp_path / "c")
    with undisturbed():  # and by no name that is deprecated: a warning is an error here
        trainer = build_trainer(base.model, base.tokenizer, [([5, 6], [0, 1])], setup, Watch(None))
    assert trainer.args.gradient_checkpointing is chosen
    calls, forward = [], LlamaMLP.forward
    monkeypatch.setattr(LlamaMLP, "forward", lambda *given: calls.append(1) or forward(*given))
    again = run_train(asked, eight, root=tmp_path)
    assert len(calls) == 2 * 2 * (2 if chosen else 1)  # updates, layers
    plain = run_train(settings(base_folder, max_steps=2), eight, root=tmp_path / "plain")
    assert (again.path / WEIGHTS).read_bytes() == (plain.path / WEIGHTS).read_bytes()


def test_pieces_of_a_batch_give_the_same_update(base_folder, eight, tmp_path):
    whole = run_train(settings(base_folder, epochs=3), eight, root=tmp_path)
    pieces = run_train(settings(base_folder, epochs=3, gradient_accumulation=4), eight, root=tmp_path)
    assert log_of(pieces)["loss"].to_list() == pytest.approx(log_of(whole)["loss"].to_list(), rel=1e-4)


def test_loaded_base_is_copied_and_left_alone(base_folder, selection, tmp_path):
    base = load(ModelSettings(model=str(base_folder)))
    given = run_train(settings(base_folder), selection, root=tmp_path / "a", base=base)
    read = run_train(settings(base_folder), selection, root=tmp_path / "b")
    assert given.path.name == read.path.name
    assert (given.path / WEIGHTS).read_bytes() == (read.path / WEIGHTS).read_bytes()
    saved = load_file(base_folder / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in base.model.state_dict().items())
    assert not base.model.training


def process_state():
    return {
        "torch random": torch.get_rng_state().tolist(),
        "numpy random": np.random.get_state()[1].tolist(),
        "python random": random.getstate(),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "environment": dict(os.environ),
        "garbage": (gc.isenabled(), gc.get_freeze_count(), gc.get_threshold()),
        "logs": [logging.getLogger(name).level for name in ("transformers", "trl", "peft", "datasets")],
    }


@pytest.mark.parametrize("method", ["full", "lora"])
def test_process_is_left_as_it_was_and_nothing_is_printed(base_folder, selection, tmp_path, capfd, monkeypatch, method):
    run_train(settings(base_folder, max_steps=0), selection, root=tmp_path)  # imports come first
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # not what a training takes
    torch.manual_seed(5)
    np.random.seed(5)
    capfd.readouterr()
    before = process_state()
    run_train(settings(base_folder, method=method), selection, root=tmp_path)
    after = process_state()
    torch.set_num_threads(threads)
    assert after == before
    assert capfd.readouterr() == ("", "")


def test_training_calls_nobody(base_folder, selection, tmp_path, monkeypatch):
    called = []
    monkeypatch.delenv("CI", raising=False)  # where it is set, TRL sends nothing anyway
    name = "trl.trainer.base_trainer.send_telemetry"  # TRL before 1.5 has none
    monkeypatch.setattr(name, lambda *a, **k: called.append(k), raising=False)
    run_train(settings(base_folder, save_every=2), selection, root=tmp_path)
    assert called == []


def test_only_our_files_are_stored_and_the_configuration_is_the_bases(base_folder, selection, tmp_path):
    result = run_train(settings(base_folder, save_every=2), selection, root=tmp_path)
    assert {path.name for path in result.path.iterdir()} == {"log.parquet", "manifest.json", "model", STATE, *RESULTS}
    stored = json.loads((result.path / "model/config.json").read_text())
    assert stored == json.loads((base_folder / "config.json").read_text())
    tokenizer = "tokenizer.json"
    assert (result.path / "model" / tokenizer).read_bytes() == (base_folder / tokenizer).read_bytes()


def test_adapter_names_its_base_and_loads_merged_by_the_formula(base_folder, selection, tmp_path):
    chosen = settings(
        base_folder, method="lora", learning_rate=5e-2, lora_r=4, lora_alpha=12, lora_targets="q_proj,v_proj"
    )
    result = run_train(chosen, selection, root=tmp_path)
    config = json.loads((result.path / "model/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base_folder.resolve())
    adapter = load_file(result.path / "model/adapter_model.safetensors")
    merged = load(ModelSettings(model=str(result.path))).model.state_dict()
    for name, value in load_file(base_folder / "model.safetensors").items():
        key = "base_model.model." + name.removesuffix(".weight")
        if f"{key}.lora_A.weight" in adapter:
            value = value + 12 / 4 * adapter[f"{key}.lora_B.weight"] @ adapter[f"{key}.lora_A.weight"]
        assert torch.allclose(merged[name], value, atol=1e-6)
    assert sum("lora_A" in name for name in adapter) == 4  # q and v of two layers
    assert result.found.trained_parameters == sum(value.numel() for value in adapter.values())


def test_finished_run_is_found_again_and_other_settings_are_refused(base_folder, selection, tmp_path):
    first = run_train(settings(base_folder, max_steps=1), selection, out=tmp_path / "t")
    stamp = (first.path / WEIGHTS).stat().st_mtime_ns
    again = run_train(settings(base_folder, max_steps=1, save_every=1), selection, out=tmp_path / "t")
    assert again == first
    assert (first.path / WEIGHTS).stat().st_mtime_ns == stamp
    with pytest.raises(StepError, match=r"learning_rate was 0\.005, now 0\.1"):
        run_train(settings(base_folder, max_steps=1, learning_rate=0.1), selection, out=tmp_path / "t")


def test_moved_base_is_the_same_base(base_folder, selection, tmp_path):
    shutil.copytree(base_folder, tmp_path / "elsewhere")
    first = run_train(settings(base_folder, max_steps=1), selection, root=tmp_path / "a")
    second = run_train(settings(tmp_path / "elsewhere", max_steps=1), selection, root=tmp_path / "b")
    assert first.path.name == second.path.name
    assert second.found.sources["model"] == str(tmp_path / "elsewhere")


def test_base_with_nan_is_refused(base_folder, selection, tmp_path):
    shutil.copytree(base_folder, tmp_path / "broken")
    weights = load_file(base_folder / "model.safetensors")
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, tmp_path / "broken/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"model\.norm\.weight holds NaN"):
        run_train(settings(tmp_path / "broken"), selection, root=tmp_path)


def test_diverging_run_stops_and_stores_nothing(base_folder, selection, tmp_path):
    seen = []
    with pytest.raises(ModelError, match=r"diverged.*Lower --learning-rate"):
        run_train(
            settings(base_folder, learning_rate=1e36, epochs=20),
            selection,
            out=tmp_path / "t",
            progress=lambda *now: seen.append(now),
        )
    assert not (tmp_path / "t").exists()
    assert len(seen) < 100


@pytest.mark.parametrize("stop_at", [2, 3])
def test_a_judge_stops_a_training_on_the_way_and_at_its_pause(base_folder, selection, tmp_path, stop_at):
    seen = []

    def judge(losses):
        seen.append([step for step, _ in losses])
        assert all(loss > 0 for _, loss in losses)
        return f"enough at {len(losses)}" if len(losses) == stop_at else ""

    given = {"out": tmp_path / "t", "judge": judge}
    with pytest.raises(ModelError, match=f"^enough at {stop_at}$"):
        run_train_until(settings(base_folder, max_steps=6), selection, 0.5, **given)  # pauses after the third
    assert seen == [list(range(1, 1 + n)) for n in range(1, 1 + stop_at)]
    assert not (tmp_path / "t").exists()


def test_unusable_wishes_are_named(base_folder, selection, tmp_path):
    for values, message in [
        ({"max_length": 10}, r"fact P\d+-\w+ has \d+ tokens; max_length is 10"),
        ({"method": "lora", "lora_targets": "no_such"}, "lora_targets must name"),
        ({"method": "lora", "lora_targets": "no_such", "max_steps": 0}, "lora_targets must name"),
        ({"method": "lora", "lora_init": "pissa", "lora_dropout": 0.1}, "would drop them"),
        ({"gradient_accumulation": 3}, "batch_size must be a multiple"),
        ({"precision": "mixed", "device": "cpu"}, "mixed needs a GPU"),
        ({"device": "cuda:1"}, "CUDA_VISIBLE_DEVICES=1"),
    ]:
        with pytest.raises(InputError, match=message):
            run_train(settings(base_folder, **values), selection, root=tmp_path)


def test_adapter_on_an_adapter_is_refused_but_can_be_trained_in_full(base_folder, selection, tmp_path):
    adapter = run_train(settings(base_folder, method="lora", max_steps=2), selection, root=tmp_path)
    with pytest.raises(InputError, match="adapter itself"):
        run_train(settings(adapter.path, method="lora"), selection, root=tmp_path)
    whole = run_train(settings(adapter.path, max_steps=0), selection, root=tmp_path)
    merged = load(ModelSettings(model=str(adapter.path))).model.state_dict()
    assert all(torch.equal(value, merged[name]) for name, value in load_file(whole.path / WEIGHTS).items())
