"""The real vLLM on a model small enough to enumerate. Its environment is one of its own: docs/engines.md."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from enumerable import Small, save_model
from recollect.core.machine import Machine
from recollect.core.workspace import read_manifest
from recollect.engines import EngineSettings, find_engine
from recollect.errors import InputError, ModelError, SelfTestError
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import Fact, FactSet
from recollect.generate import Ask, Sampling
from recollect.generate.conformance import check_engine
from recollect.generate.vllm_start import knows
from recollect.models import LoadedModel, model_fingerprint
from recollect.probe import ProbeFound, ProbeSettings, run_probe

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed; docs/engines.md says how"),
]
HELD = Machine(1, "test", "cpu", "test", "float32", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vllm") / "model"
    save_model(path, head_dim=32)  # vLLM's attention on a CPU takes no smaller heads
    return path


@pytest.fixture(scope="module")
def adapter(folder: Path) -> Path:
    """An adapter of two kinds of layers that changes much."""
    torch.manual_seed(1)
    config = LoraConfig(r=3, lora_alpha=24, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    tuned = get_peft_model(LlamaForCausalLM.from_pretrained(folder), config)
    path = folder.with_name("adapter")
    tuned.save_pretrained(path)
    return path


def served(model: Path) -> Any:
    return find_engine(EngineSettings.make(engine="vllm", model=model, device="cpu", dtype="float32")).load()


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Any]:
    engine = served(folder)
    yield engine
    engine.close()


def loaded(folder: Path, model: Any) -> Small:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return Small(LoadedModel(model.eval(), tokenizer, folder, model_fingerprint(folder), HELD))


def test_vllm_conforms(folder: Path, engine: Any) -> None:
    check_engine(engine, loaded(folder, LlamaForCausalLM.from_pretrained(folder)).truth)


def test_an_adapter_is_the_merged_model(folder: Path, adapter: Path) -> None:
    from peft import PeftModel

    environment, others = dict(os.environ), set(psutil.Process().children(recursive=True))
    engine = served(adapter)
    merged = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(folder), adapter).merge_and_unload()
    truth, base = loaded(folder, merged).truth, loaded(folder, LlamaForCausalLM.from_pretrained(folder)).truth
    pairs = zip(truth.next_logprobs([0, 3]), base.next_logprobs([0, 3]), strict=True)
    assert max(abs(one - other) for one, other in pairs) > 0.5  # or the check could not tell them apart
    check_engine(engine, truth)
    assert "its adapter beside it" in engine.notes[0]
    assert dict(os.environ) == environment
    own = set(psutil.Process().children(recursive=True)) - others
    assert any("VLLM" in child.name() for child in own)
    engine.close()
    _, alive = psutil.wait_procs(own, timeout=30)
    assert not alive, "vLLM's processes outlive the engine"


ASKING = """
import sys, time
from recollect.engines import EngineSettings, find_engine

if __name__ == "__main__":
    settings = EngineSettings.make(engine="vllm", model=sys.argv[1], device="cpu", dtype="float32")
    find_engine(settings).load().greedy([[0, 3]], 1)
    print("answered", flush=True)
    time.sleep(600)
"""


def test_vllm_ends_with_a_process_that_is_killed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "asking.py").write_text(ASKING, encoding="utf-8")
    source = str(Path(__file__).resolve().parents[2] / "src")
    asking = subprocess.Popen(
        [sys.executable, tmp_path / "asking.py", folder],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert asking.stdout is not None
    assert any(line == "answered\n" for line in asking.stdout)
    own = psutil.Process(asking.pid).children(recursive=True)
    assert any("VLLM" in child.name() for child in own)
    asking.kill()
    asking.wait()
    asking.stdout.close()
    _, alive = psutil.wait_procs(own, timeout=30)
    assert not alive, "vLLM's processes outlive one that was killed"


def test_what_vllm_knows_is_asked_of_it() -> None:
    assert knows(HELD, ["LlamaForCausalLM"]) and not knows(HELD, ["UnheardForCausalLM"]) and not knows(HELD, None)


def test_no_two_calls_share_their_random_numbers(engine: Any) -> None:
    asks = [Ask([0, 3, 4], "fact", 0, 40)]
    how = Sampling(1.0, 6)
    found = engine.sample(asks, how)
    assert engine.sample([Ask([0, 3, 4], "fact", 0, 40, first=40)], how) != found
    assert engine.sample([Ask([0, 3, 4], "another", 0, 40)], how) != found
    assert engine.sample(asks, Sampling(1.0, 6, 0, 1)) != found


def test_the_self_test_sees_a_temperature_that_is_ignored(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.self_test(0.7) > 1e-6
    assert engine.self_test(0.5, top_k=3) > 1e-6
    right = engine._params
    monkeypatch.setattr(
        engine, "_params", lambda temperature, *rest, **more: right(min(temperature, 1) or 0, *rest, **more)
    )
    with pytest.raises(SelfTestError, match="do not follow its own softmax"):
        engine.self_test(1.9)
    monkeypatch.setattr(engine, "_params", lambda t, *rest, **more: right(t, *rest, **{**more, "top_k": 0}))
    with pytest.raises(SelfTestError, match="probability zero"):
        engine.self_test(1.0, top_k=2)


def test_the_self_test_sees_greedy_answers_that_are_not_the_likeliest(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "greedy", lambda prompts, limit: [[3, 4] for _ in prompts])
    with pytest.raises(SelfTestError, match="greedy answers are not its most likely ones"):
        engine.self_test(0.7)


def test_a_temperature_that_vllm_would_change_is_refused(engine: Any) -> None:
    for temperature in (0.001, 2.5):
        with pytest.raises(InputError, match="between 0.01 and 2.0"):
            engine.sample([Ask([0, 3], "x", 0, 1)], Sampling(temperature, 1))


def test_a_prompt_that_is_too_long_is_refused_with_vllms_words(engine: Any) -> None:
    assert engine.context == 64
    with pytest.raises(ModelError, match="could not answer with .*--engine transformers"):
        engine.greedy([[3] * 80], 1)


def facts() -> FactSet:
    return FactSet(tuple(Fact("R", x, y, f"what of {x}", split="test") for x in "abcd" for y in "abcd" if x != y))


def test_probe_and_evaluation_run_and_agree_with_transformers(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text('R: ["c [X]", "[X] d"]\n', encoding="utf-8")
    common = {"model": folder, "device": "cpu", "dtype": "float32", "template_file": str(tmp_path / "t.yaml")}
    common |= {"templates": 2, "max_new_tokens": 3}
    closed = {
        name: run_probe(ProbeSettings.make(engine=name, method="closed-form", **common), facts(), tmp_path / name)
        for name in ("vllm", "transformers")
    }
    scores = [closed[name].levels["score"].to_list() for name in closed]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    first, second = closed["vllm"].found.notes
    assert first.startswith("vLLM ") and first.endswith("(asked for).")
    assert second.startswith("The engine 'vllm' does not address its draws")
    assert read_manifest(tmp_path / "vllm").settings["engine"] == "vllm"
    with pytest.raises(InputError, match=r"engine 'vllm' cannot"):
        run_probe(ProbeSettings.make(engine="vllm", method="hybrid", **common), facts(), tmp_path / "h")
    chosen = run_probe(ProbeSettings.make(engine="vllm", **common), facts(), tmp_path / "auto").found.choice
    assert chosen is not None and "hybrid" not in {one.way for one in chosen.candidates}
    answers = {
        name: run_evaluate(
            EvaluateSettings.make(
                engine=name, parts="test", prompt_template="{question}", model=folder, device="cpu", dtype="float32"
            ),
            facts(),
            out=tmp_path / f"e-{name}",
        )
        .outputs()["output"]
        .to_list()
        for name in closed
    }
    assert answers["vllm"] == answers["transformers"]
    assert ProbeFound.read(tmp_path / "vllm").self_test_p is not None
