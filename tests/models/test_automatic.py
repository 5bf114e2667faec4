"""`dtype: auto` on a CPU: bfloat16 for a large model that is stored in it, where the processor computes in it."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from enumerable import save_model
from recollect.core.workspace import read_manifest
from recollect.engines import EngineSettings, find_engine
from recollect.facts import Fact, FactSet
from recollect.models import ModelSettings, automatic, load, machine_of
from recollect.probe import ProbeSettings, run_probe
from recollect.train import TrainSettings
from recollect.train.model import training_machine


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model in bfloat16 that counts as large, on a processor that counts as able."""
    save_model(tmp_path / "model")
    AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.bfloat16).save_pretrained(tmp_path / "model")
    monkeypatch.setattr(automatic, "SMALL", 0)
    monkeypatch.setattr(automatic, "computes_bfloat16", lambda: True)
    return str(tmp_path / "model")


def chosen(model: str, **values: str) -> tuple[str, str]:
    machine = machine_of(ModelSettings.make(model=model, device="cpu", **values))
    return machine.dtype, machine.dtype_reason


def test_a_large_model_stored_in_bfloat16_is_asked_in_it(stored: str) -> None:
    assert chosen(stored) == ("bfloat16", "stored in it, and this processor computes in it")
    assert chosen(stored, dtype="float32") == ("float32", "asked for")
    loaded = load(ModelSettings.make(model=stored, device="cpu"))
    assert loaded.model.dtype == torch.bfloat16 and loaded.machine.dtype == "bfloat16"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SMALL", 10**9, "exact, for a small model"),
        ("computes_bfloat16", lambda: False, "this processor does not compute in bfloat16"),
    ],
)
def test_otherwise_it_is_asked_in_float32(
    stored: str, monkeypatch: pytest.MonkeyPatch, name: str, value: object, reason: str
) -> None:
    monkeypatch.setattr(automatic, name, value)
    assert chosen(stored) == ("float32", reason)


def test_more_digits_than_bfloat16_has_are_kept(stored: str) -> None:
    save_model(Path(stored))
    assert chosen(stored) == ("float32", "stored with more digits than bfloat16 has")


def test_the_pocket_stays_exact() -> None:
    assert machine_of(ModelSettings.make(device="cpu")).dtype == "float32"


def test_a_training_keeps_float32_weights(stored: str) -> None:
    settings = TrainSettings.make(model=stored, device="cpu")
    assert training_machine(settings).dtype == "float32"
    base = load(ModelSettings.make(model=stored, device="cpu"))
    assert base.machine.dtype == "bfloat16"
    assert training_machine(settings, base).dtype == "float32"


def test_what_was_chosen_is_part_of_the_fingerprint(stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = EngineSettings.make(model=stored, device="cpu")
    new = find_engine(settings).inputs
    assert new == {"model": find_engine(settings).fingerprint, "number_format": "bfloat16"}
    assert find_engine(settings, load(settings)).inputs == new
    assert find_engine(EngineSettings.make(model=stored, device="cpu", dtype="bfloat16")).inputs.keys() == {"model"}
    monkeypatch.setattr(automatic, "computes_bfloat16", lambda: False)
    assert find_engine(settings).inputs.keys() == {"model"}


def test_a_probe_says_what_it_computed_in(stored: str, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text('R: ["c [X]", "[X] d"]\n', encoding="utf-8")
    facts = FactSet(tuple(Fact("R", x, "b", f"what of {x}", split="test") for x in "acd"))
    settings = ProbeSettings.make(
        model=stored,
        device="cpu",
        template_file=str(tmp_path / "t.yaml"),
        templates=2,
        max_new_tokens=3,
        method="sampled",
    )
    run_probe(settings, facts, tmp_path / "p")
    assert read_manifest(tmp_path / "p").inputs["number_format"] == "bfloat16"
