"""Many adapters of one base are probed in one pass, by draws and by closed form: what each says alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers_many import random_adapters
from recollect.facts import FactSet, load_facts
from recollect.generate.transformers import TransformersEngine
from recollect.models import LoadedModel, ModelSettings, load
from recollect.probe import ProbeJob, ProbeResult, ProbeSettings, run_probe, run_probes
from recollect.shipped import SHIPPED

METHODS = {
    "sampled": {"samples": 4},
    "closed-form": {},
    "hybrid": {"residual_samples": 2},
    "adaptive": {"samples": 6},
    "auto": {"samples": 4, "pilot": 8},
}


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    kinds: list[dict[str, Any]] = [
        {"r": 4},
        {"r": 4, "lora_alpha": 4},
        {"r": 8, "target_modules": ["v_proj", "up_proj"]},
    ]
    return random_adapters(SHIPPED["pocket"].model, tmp_path_factory.mktemp("adapters"), kinds, noise=0.02)


@pytest.fixture(scope="module")
def base() -> LoadedModel:
    return load(ModelSettings.make(model="pocket", device="cpu", dtype="float32"))


@pytest.fixture(scope="module")
def facts() -> FactSet:
    return load_facts("pocket")


def of(model: Path, method: str) -> ProbeSettings:
    values = {"limit": 12, "templates": 2, "max_new_tokens": 6, "method": method, "device": "cpu", **METHODS[method]}
    return ProbeSettings.make(model=str(model), **values)


@pytest.mark.parametrize("method", list(METHODS))
def test_each_is_graded_as_alone(
    method: str, adapters: list[Path], base: LoadedModel, facts: FactSet, tmp_path: Path
) -> None:
    before = {name: (id(one), one.detach().clone()) for name, one in base.model.named_parameters()}
    alone = [run_probe(of(one, method), facts, tmp_path / f"alone-{one.name}") for one in adapters]
    jobs = [ProbeJob(of(one, method), tmp_path / one.name, facts) for one in adapters]
    found = run_probes(jobs, base, in_one_batch=True)
    for one, other in zip(found, alone, strict=True):
        assert isinstance(one, ProbeResult), one
        check_same(one.path, other.path)
        exact = [name for name, kind in one.levels.schema.items() if not (kind.is_float() or "Float" in str(kind))]
        assert one.levels.select(exact).equals(other.levels.select(exact))
        assert np.allclose(one.levels["score"], other.levels["score"], atol=1e-5)
        said = "completions.parquet"
        assert (one.path / said).is_file() == (other.path / said).is_file() == (method != "closed-form")
        if method != "closed-form":
            assert (one.path / said).read_bytes() == (other.path / said).read_bytes()
    assert len({tuple(one.levels["score"]) for one in alone}) > 1  # they are not all alike
    after = dict(base.model.named_parameters())
    assert all(at == id(after[name]) and torch.equal(one, after[name]) for name, (at, one) in before.items())


def test_those_of_upper_layers_are_graded_as_alone(base: LoadedModel, facts: FactSet, tmp_path: Path) -> None:
    """What all of them read alike passes the layers below once."""
    kind: dict[str, Any] = {"layers_to_transform": [2, 3], "target_modules": ["q_proj", "up_proj"]}
    adapters = random_adapters(SHIPPED["pocket"].model, tmp_path, [{"r": 4, **kind}, {"r": 8, **kind}])
    rows: list[int] = []
    seen = base.model.model.layers[0].mlp.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    jobs = [ProbeJob(of(one, "hybrid"), tmp_path / f"in-{one.name}", facts) for one in adapters]
    found = run_probes(jobs, base, in_one_batch=True)
    seen.remove()
    assert 12 * 2 in rows and 2 * 12 * 2 not in rows
    for one, adapter in zip(found, adapters, strict=True):
        assert isinstance(one, ProbeResult), one
        alone = run_probe(of(adapter, "hybrid"), facts, tmp_path / f"alone-{adapter.name}")
        check_same(one.path, alone.path)
        assert np.allclose(one.levels["score"], alone.levels["score"], atol=1e-5)
        assert (one.path / "completions.parquet").read_bytes() == (alone.path / "completions.parquet").read_bytes()
    assert len({tuple(one.levels["score"]) for one in found if isinstance(one, ProbeResult)}) == 2


def check_same(ours: Path, theirs: Path) -> None:
    """Settings, inputs, fingerprint; and the same files."""
    left, right = (json.loads((path / "manifest.json").read_text()) for path in (ours, theirs))
    assert all(left[key] == right[key] for key in ("step", "fingerprint", "settings", "inputs"))
    assert left["plan"]["batch_size"] == right["plan"]["batch_size"]
    assert left["plan"]["self_test_p"] == pytest.approx(right["plan"]["self_test_p"], abs=1e-3)
    assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}


def test_draws_of_all_are_made_in_one_batch(
    adapters: list[Path], base: LoadedModel, facts: FactSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    whole = TransformersEngine.sample

    def sample(self: TransformersEngine, asks: Any, *others: Any) -> Any:
        seen.append(len(asks))
        return whole(self, asks, *others)

    monkeypatch.setattr(TransformersEngine, "sample", sample)
    jobs = [ProbeJob(of(one, "sampled"), tmp_path / one.name, facts) for one in adapters]
    run_probes(jobs, base, in_one_batch=True)
    assert seen[0] == 3 * 12 * 2  # all prompts of all three; then come the examples that are shown
