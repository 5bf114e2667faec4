"""Loading, computing and storing are three number formats, and a training starts from the base as it is stored."""

import json
import shutil

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers_tiny import tiny_facts
from recollect.core.workspace import read_manifest
from recollect.errors import InputError, ModelError
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.experiments.curve import CurveSettings, run_curve
from recollect.models import ModelSettings, check_held, held_for, load
from recollect.models.files import Stored
from recollect.models.formats import rounded_in
from recollect.probe import ProbeSettings, run_probe
from recollect.train import TrainSettings, run_train, training_machine

WEIGHTS = "model.safetensors"


def stored_in(folder, base_folder, formats):
    """The tiny base with its weights in other formats: `formats` gives one for a name."""
    shutil.copytree(base_folder, folder)
    weights = {name: value.to(formats(name)) for name, value in load_file(base_folder / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = str(formats("model.embed_tokens.weight")).removeprefix("torch.")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def bases(base_folder, tmp_path_factory):
    """The same base stored in four ways. Its float32 weights are no bfloat16 numbers, unlike the pocket's."""
    root = tmp_path_factory.mktemp("formats")
    mixed = lambda name: torch.float32 if "norm" in name else torch.bfloat16  # noqa: E731
    return {
        "float32": base_folder,
        "bfloat16": stored_in(root / "bfloat16", base_folder, lambda name: torch.bfloat16),
        "float16": stored_in(root / "float16", base_folder, lambda name: torch.float16),
        "norms in float32": stored_in(root / "mixed", base_folder, mixed),
    }


def settings(folder, **values):
    return TrainSettings(model=str(folder), **{"learning_rate": 5e-3, "batch_size": 8, **values})


def same_weights(one, other):
    first, second = load_file(one / WEIGHTS), load_file(other / WEIGHTS)
    assert first.keys() == second.keys()
    return all(a.dtype == second[name].dtype and torch.equal(a, second[name]) for name, a in first.items())


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "float16", "norms in float32"])
@pytest.mark.parametrize("dtype", ["auto", "bfloat16", "float16"])
def test_zero_steps_change_nothing_whatever_the_formats(bases, eight, tmp_path, kind, dtype):
    result = run_train(settings(bases[kind], max_steps=0, dtype=dtype), eight, root=tmp_path)
    assert same_weights(result.model_folder, bases[kind])
    assert result.found.weights_moved_as_stored == 0
    config = json.loads((result.model_folder / "config.json").read_text())
    assert config == json.loads((bases[kind] / "config.json").read_text())


@pytest.mark.parametrize("held", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("kind", ["float32", "bfloat16", "float16"])
def test_a_training_starts_from_the_base_as_stored_however_it_is_held(bases, eight, tmp_path, kind, held):
    """On a GPU with bfloat16 a study holds its base in bfloat16: a float32 base was trained from that rounded copy."""
    base = load(ModelSettings(model=str(bases[kind]), dtype=held))
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    none = run_train(settings(bases[kind], max_steps=0), eight, root=tmp_path / "none", base=base)
    assert same_weights(none.model_folder, bases[kind])
    given = run_train(settings(bases[kind], max_steps=2), eight, root=tmp_path / "given", base=base)
    read = run_train(settings(bases[kind], max_steps=2), eight, root=tmp_path / "read")
    assert same_weights(given.model_folder, read.model_folder)
    assert all(torch.equal(value, before[name]) for name, value in base.model.state_dict().items())


def test_mixed_precision_on_a_gpu_starts_from_the_stored_weights_too(bases, eight, tmp_path, monkeypatch):
    monkeypatch.setattr("recollect.train.model.mixed_precision", lambda *_: True)  # as on a GPU with bfloat16
    base = load(ModelSettings(model=str(bases["float32"]), dtype="bfloat16"))
    none = run_train(settings(bases["float32"], max_steps=0), eight, root=tmp_path, base=base)
    assert same_weights(none.model_folder, bases["float32"])
    machine = training_machine(settings(bases["float32"], dtype="bfloat16"), base)
    assert (machine.dtype, machine.dtype_reason) == ("float32", "the weights; computing in bfloat16")


def test_the_tuned_model_is_stored_in_the_bases_formats_or_the_one_named(bases, eight, tmp_path):
    for kind, wanted, expected in [
        ("bfloat16", "base", {"bfloat16"}),
        ("float16", "base", {"float16"}),
        ("norms in float32", "base", {"bfloat16", "float32"}),
        ("bfloat16", "float32", {"float32"}),
        ("float32", "bfloat16", {"bfloat16"}),
    ]:
        chosen = settings(bases[kind], max_steps=1, save_dtype=wanted)
        result = run_train(chosen, eight, out=tmp_path / f"{kind} {wanted}")
        with Stored(result.model_folder) as stored:
            assert set(stored.formats().values()) == expected
        assert result.found.weights_moved > 0.5


@pytest.mark.filterwarnings("ignore:.*can hardly move:recollect.errors.RecollectWarning")
@pytest.mark.filterwarnings("ignore:.*smaller changes round back:recollect.errors.RecollectWarning")
def test_what_rounding_took_away_is_measured_and_said(bases, selection, tmp_path):
    """At a rate of 1e-6 an update is far below a bfloat16 weight's last place; float32 keeps it."""
    pure = run_train(
        settings(bases["bfloat16"], learning_rate=1e-6, dtype="bfloat16", precision="pure"), selection, root=tmp_path
    )
    before, after = load_file(bases["bfloat16"] / WEIGHTS), load_file(pure.model_folder / WEIGHTS)
    moved = sum(int((before[name] != after[name]).sum()) for name in before)
    assert pure.found.weights_moved == moved / sum(value.numel() for value in before.values())
    assert pure.found.weights_moved < 0.2
    assert any("trained in pure bfloat16" in text and "--dtype" in text for text in pure.found.warnings)
    kept = run_train(settings(bases["bfloat16"], learning_rate=1e-6), selection, root=tmp_path)
    assert kept.found.weights_moved > 0.7
    assert kept.found.weights_moved_as_stored < 0.2
    assert any("--save-dtype float32" in text for text in kept.found.warnings)
    assert run_train(settings(bases["float32"]), selection, root=tmp_path).found.warnings == ()


def test_full_training_in_float16_is_refused_with_the_reason(bases, eight, tmp_path):
    with pytest.raises(InputError, match=r"float16.*AdamW.*--dtype auto"):
        run_train(settings(bases["float16"], dtype="float16"), eight, out=tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_weights_beyond_float16_are_not_stored_as_infinite(base_folder, eight, tmp_path):
    shutil.copytree(base_folder, tmp_path / "wide")
    weights = load_file(base_folder / WEIGHTS)
    weights["lm_head.weight"][0, 0] = 1e5
    save_file(weights, tmp_path / "wide" / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lm_head\.weight cannot be stored in float16"):
        run_train(settings(tmp_path / "wide", max_steps=0, save_dtype="float16"), eight, root=tmp_path)


def test_which_formats_round_which(bases):
    assert not rounded_in(bases["bfloat16"], "float32")
    assert not rounded_in(bases["bfloat16"], "bfloat16")
    assert rounded_in(bases["bfloat16"], "float16")
    assert rounded_in(bases["float16"], "bfloat16")
    assert rounded_in(bases["norms in float32"], "bfloat16")


def test_an_adapter_names_its_targets_in_order_so_that_equal_trainings_are_equal_bytes(base_folder, eight, tmp_path):
    chosen = settings(base_folder, method="lora", max_steps=1, lora_targets="v_proj,q_proj,o_proj,k_proj,up_proj")
    result = run_train(chosen, eight, root=tmp_path)
    config = json.loads((result.model_folder / "adapter_config.json").read_text())
    assert config["target_modules"] == ["k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]


def test_a_model_in_memory_that_is_not_what_the_settings_ask_for_is_refused(base_folder, tmp_path):
    base = load(ModelSettings(model=str(base_folder), dtype="bfloat16"))
    facts = tiny_facts(2)
    for run in (
        lambda: run_evaluate(
            EvaluateSettings(model=str(base_folder), dtype="float32"), facts, out=tmp_path / "e", loaded=base
        ),
        lambda: run_probe(ProbeSettings(model=str(base_folder), dtype="float32"), facts, tmp_path / "p", loaded=base),
    ):
        with pytest.raises(InputError, match=r"dtype is 'float32' in the settings.*has 'bfloat16'"):
            run()
    check_held(ModelSettings(model=str(base_folder)), base)  # auto takes it as it is
    again = held_for(ModelSettings(model=str(base_folder), dtype="float32"), base)
    assert again.machine.dtype == "float32"
    assert torch.equal(again.model.lm_head.weight, load_file(base_folder / WEIGHTS)["lm_head.weight"])
    assert held_for(ModelSettings(model=str(base_folder), dtype="bfloat16"), base) is base


def test_a_curve_asked_in_bfloat16_trains_on_the_base_as_stored(base_folder, tmp_path):
    """Zero steps change nothing there either, and each section's format is what ran."""
    facts = tiny_facts(8)
    chosen = CurveSettings.make(
        model=str(base_folder),
        sizes=(0, 8, 16, 32),
        train={"max_steps": 0},
        evaluate={"dtype": "bfloat16", "limit": 4, "max_new_tokens": 2},
        keep_models=True,
        level="random",
    )
    curve = run_curve(chosen, tmp_path / "c", facts=facts)
    assert same_weights(curve.path / "steps/train-8-seed0/model", base_folder)
    assert read_manifest(curve.path / "steps/train-8-seed0").plan["dtype"] == "float32"
    assert read_manifest(curve.path / "steps/evaluate-8-seed0").plan["dtype"] == "bfloat16"


def test_a_study_that_probes_in_bfloat16_trains_in_float32(base_folder, tmp_path):
    from recollect.experiments.study import StudySettings, machines, run_study

    facts = tiny_facts(8)
    chosen = StudySettings.make(
        model=str(base_folder),
        choices=("random",),
        sizes=(8,),
        probe={"dtype": "bfloat16", "method": "closed-form", "templates": 2},
        train={"max_steps": 0},
        evaluate={"max_new_tokens": 2},
        measure_drift=False,
        repair="none",
        keep_models=True,
    )
    assert [machine.dtype for _, machine in machines(chosen)] == ["bfloat16", "float32", "float32"]
    study = run_study(chosen, tmp_path / "s", facts=facts)
    plans = {path.name: read_manifest(path).plan for path in (study.path / "steps").iterdir()}
    assert plans["train-random-8-seed0"]["dtype"] == "float32"
    assert plans["evaluate-random-8-seed0"]["dtype"] == plans["base"]["dtype"] == "float32"
    assert same_weights(study.path / "steps/train-random-8-seed0/model", base_folder)
    answers = [
        pl.read_parquet(study.path / "steps" / name / "outputs.parquet") for name in ("base", "evaluate-random-8-seed0")
    ]
    assert answers[0]["output"].to_list() == answers[1]["output"].to_list()  # zero steps: the very same answers
