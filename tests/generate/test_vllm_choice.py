"""Which engine `auto` takes and what vLLM is asked for; vLLM itself is not needed, a small stand-in records."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import recollect.engines as engines
from enumerable import load_small
from helpers_adapters import KINDS, tiny_base
from recollect.core.machine import Machine
from recollect.engines import EngineSettings, find_engine, why_vllm
from recollect.errors import InputError, MissingExtra, ModelError, ModelWarning
from recollect.evaluate import EvaluateSettings
from recollect.generate import Ask, Sampling, engine_notes
from recollect.generate.vllm_start import Served
from recollect.models import resolve_name
from recollect.models.plain_adapter import plain_rank
from recollect.probe import ProbeSettings, SlickSettings

GPU = Machine(4, "test", "cuda", "found", "bfloat16", "the GPU has it")
SAMPLED = {"method": "sampled"}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    load_small(tmp_path / "model")
    return str(tmp_path / "model")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU, vLLM and a limit under which no model is small."""
    monkeypatch.setattr(engines, "version", lambda package: "0.33.0")
    monkeypatch.setattr(engines, "find_spec", lambda module: object())
    monkeypatch.setattr(engines, "machine_of", lambda settings, folder=None: GPU)
    monkeypatch.setattr(engines, "_LARGE", 1)
    vllm = ModuleType("vllm")
    vllm.ModelRegistry = SimpleNamespace(get_supported_archs=lambda: ["Other", "LlamaForCausalLM"])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", vllm)


def test_auto_takes_vllm_where_it_pays(folder: str, gpu: None) -> None:
    reason = why_vllm(ProbeSettings.make(model=folder, **SAMPLED))
    assert reason.startswith("chosen since vLLM 0.33.0 is installed, a GPU is there and the weights take 0.0 GB")
    model = find_engine(ProbeSettings.make(model=folder, **SAMPLED))
    assert model.engine == "vllm"
    with pytest.warns(ModelWarning, match="The engine is vllm, chosen since .* --engine transformers is the other"):
        engine = model.load()  # found and checked; nothing is started before something is asked
    first, second = engine_notes(engine)
    assert "chosen since vLLM 0.33.0" in first and "does not address its draws" in second
    assert engine_notes(engine, draws=False) == [first]


def no_package(package: str) -> str:
    raise engines.PackageNotFoundError(package)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", no_package),
        ("machine_of", lambda settings, folder=None: replace(GPU, device="cpu")),
        ("machine_of", lambda settings, folder=None: replace(GPU, device="mps")),
        ("_LARGE", 1_000_000_000),
    ],
)
def test_auto_stays_with_transformers_elsewhere(
    folder: str, gpu: None, monkeypatch: pytest.MonkeyPatch, name: str, value: Callable[..., Any]
) -> None:
    monkeypatch.setattr(engines, name, value)
    assert find_engine(ProbeSettings.make(model=folder, **SAMPLED)).engine == "transformers"


@pytest.mark.parametrize("changed", [{"architectures": ["Unheard"]}, {"text_config": {}}])
def test_auto_takes_vllm_only_for_models_that_it_knows(
    folder: str, gpu: None, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    config = engines.read_model_config(Path(folder))
    monkeypatch.setattr(engines, "read_model_config", lambda where: {**config, **changed})
    assert find_engine(ProbeSettings.make(model=folder, **SAMPLED)).engine == "transformers"


def test_auto_stays_with_transformers_for_what_vllm_lacks(folder: str, gpu: None, tmp_path: Path) -> None:
    assert find_engine(ProbeSettings.make(model=folder, method="hybrid")).engine == "transformers"
    held = load_small(tmp_path / "held").loaded
    assert find_engine(ProbeSettings.make(model=folder, **SAMPLED), held).engine == "transformers"
    assert find_engine(SlickSettings.make(model=folder)).engine == "vllm"
    assert find_engine(EvaluateSettings.make(model=folder)).engine == "vllm"


def test_a_fingerprint_names_an_engine_other_than_the_first(folder: str, gpu: None) -> None:
    """What was made before there was a choice is still found; what vLLM says passes for nothing else."""
    old = ProbeSettings.make(model=folder, **SAMPLED).fingerprint_values()
    assert "engine" not in old and "memory_fraction" not in old
    named = ProbeSettings.make(model=folder, engine="transformers", memory_fraction=0.5, **SAMPLED)
    assert named.fingerprint_values() == old
    chosen = ProbeSettings.make(model=folder, **SAMPLED)
    asked = ProbeSettings.make(model=folder, engine="vllm", **SAMPLED)
    chosen = chosen.run_by(find_engine(chosen))
    assert chosen.fingerprint_values() == asked.fingerprint_values() == {**old, "engine": "vllm"}


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_a_vllm_that_is_not_installed_is_one_line(folder: str) -> None:
    with pytest.raises(MissingExtra, match=r"^the engine vllm needs .*constraints-vllm.txt.*docs/engines.md") as error:
        find_engine(EngineSettings.make(model=folder, engine="vllm"))
    assert "\n" not in str(error.value)


NOT_PLAIN = {
    "patterns": "uses rank_pattern",
    "DoRA": "uses use_dora",
    "PiSSA": "was started by 'pissa'",
    "OLoRA": "was started by 'olora'",
    "norm saved whole": "stores .*norm",
    "all biases": "trains biases",
    "a bias of its own": "uses lora_bias",
    "embeddings": "(stores|changes) .*embed_tokens",
    "embeddings saved whole": "stores .*embed_tokens",
}


@pytest.mark.parametrize("kind", ["plain", "rank-stabilised", "one layer", *NOT_PLAIN])
def test_only_plain_adapters_are_served_beside_their_base(tmp_path: Path, kind: str) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = tiny_base(tmp_path / "base", "bias" if "bias" in kind else "llama")
    given = {"r": 4, "target_modules": ["q_proj", "v_proj", "up_proj"], **KINDS[kind]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's, of embeddings that it saves
        get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**given)).save_pretrained(tmp_path / "a")
    ref = resolve_name(tmp_path / "a")
    if kind not in NOT_PLAIN:
        assert plain_rank(ref) == 4
        return
    with pytest.raises(ModelError, match=f"{NOT_PLAIN[kind]}.*: only plain LoRA adapters .* --engine transformers"):
        plain_rank(ref)


@dataclass
class StandIn:
    """What a vLLM was started with and asked for, and what it shall answer."""

    started: dict[str, Any]
    environment: dict[str, str]
    seeds: list[int]
    params: list[Any]
    says: Callable[[list[int], Any], list[list[int]]] = lambda ids, params: [[3]] * params.n


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    seen = StandIn({}, {}, [], [])

    class LLM:
        model_config = SimpleNamespace(max_model_len=40)

        def __init__(self, **given: Any) -> None:
            seen.started.update(given)
            seen.environment.update(os.environ)
            os.environ["VLLM_LEFT_BEHIND"] = "1"
            if given["model"].endswith("odd"):
                raise ValueError("Model architectures ['Odd'] are not supported\nand more")

        def collective_rpc(self, name: str, args: tuple[int]) -> None:
            assert name in ("recollect_reseed", "recollect_follow")
            if name == "recollect_reseed":
                seen.seeds += args

        def generate(self, prompts: list[Any], params: list[Any], **more: Any) -> list[Any]:
            assert more["use_tqdm"] is False
            seen.params += params
            return [
                SimpleNamespace(
                    outputs=[
                        SimpleNamespace(token_ids=ids, logprobs=[_logprobs(one)])
                        for ids in seen.says(prompt["prompt_token_ids"], one)
                    ]
                )
                for prompt, one in zip(prompts, params, strict=True)
            ]

    modules = {name: ModuleType(name) for name in ("vllm", "vllm.platforms", "vllm.lora", "vllm.lora.request")}
    modules["vllm"].LLM = LLM  # type: ignore[attr-defined]
    modules["vllm"].SamplingParams = lambda n=1, **given: SimpleNamespace(n=n, **given)  # type: ignore[attr-defined]
    modules["vllm.platforms"].current_platform = SimpleNamespace(device_type="cpu")  # type: ignore[attr-defined]
    modules["vllm.lora.request"].LoRARequest = lambda *given: given  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return seen


def _logprobs(params: Any) -> dict[int, Any]:
    return {token: SimpleNamespace(logprob=-float(token)) for token in getattr(params, "logprob_token_ids", [])}


def engine_of(model: str, **values: Any) -> Any:
    from recollect.generate.vllm import VllmEngine

    small = load_small(Path(model))
    machine = Machine(3, "test", "cpu", "test", "float32", "test")
    given = {"folder": Path(model), "tokenizer": small.loaded.tokenizer, "stops": frozenset({1}), "machine": machine}
    return VllmEngine(Served(**{**given, "context": 64, **values}))


def test_vllm_starts_when_it_is_asked_and_leaves_the_environment_as_it_was(
    folder: str, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    before = dict(os.environ)
    engine = engine_of(folder)
    assert engine.context == 64 and not stand_in.started
    assert engine.greedy([], 3) == [] and not stand_in.started
    assert engine.greedy([[0, 3]], 3) == [[3]]
    assert dict(os.environ) == before
    assert stand_in.started["generation_config"] == "vllm" and stand_in.started["dtype"] == "float32"
    assert stand_in.environment["OMP_NUM_THREADS"] == "3"
    assert stand_in.environment["VLLM_NO_USAGE_STATS"] == "1"
    assert stand_in.environment["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert stand_in.environment["VLLM_LOGGING_LEVEL"] == "DEBUG"  # what a user has set holds
    assert engine.context == 40  # what fits into its cache


def test_a_draw_ends_before_its_stop_token_and_is_drawn_plainly(folder: str, stand_in: StandIn) -> None:
    stand_in.says = lambda ids, params: [[4, 1], [1], [4, 5, 6]][: params.n]
    engine = engine_of(folder)
    found = engine.sample([Ask([0, 3], "a", 0, 0), Ask([0, 3], "b", 0, 3)], Sampling(0.7, 3, 5))
    assert [one.draws for one in found] == [(), ([4], [], [4, 5, 6])]
    [params] = stand_in.params
    assert (params.n, params.temperature, params.top_k, params.top_p, params.min_p) == (3, 0.7, 5, 1.0, 0.0)
    assert params.repetition_penalty == 1.0 and params.ignore_eos and params.stop_token_ids == [1]
    assert not hasattr(params, "seed")  # one ends vLLM's CPU build
    with pytest.raises(ValueError, match="draws_excluding is False"):
        engine.sample([Ask([0, 3], "a", 0, 1, [[4]])], Sampling(0.7, 3))


def test_each_call_has_a_seed_of_its_own(folder: str, stand_in: StandIn) -> None:
    engine = engine_of(folder)
    how = Sampling(1.0, 3)
    for asks, sampling in (
        ([Ask([0, 3], "a", 0, 2)], how),
        ([Ask([0, 3], "b", 0, 2)], how),
        ([Ask([0, 3], "a", 1, 2)], how),
        ([Ask([0, 3], "a", 0, 2, first=2)], how),
        ([Ask([0, 3], "a", 0, 2)], Sampling(1.0, 3, 0, 1)),
    ):
        engine.sample(asks, sampling)
    assert len(set(stand_in.seeds)) == 5
    engine.sample([Ask([0, 3], "a", 0, 2)], how)
    assert stand_in.seeds[-1] == stand_in.seeds[0]


def test_scores_ask_once_for_what_begins_alike(folder: str, stand_in: StandIn) -> None:
    engine = engine_of(folder)
    texts = [[[3, 4], [3, 5], [6]], [[]], [[4]]]
    assert engine.score([[0], [0, 3], [0, 4]], texts, 0.6) == [[[-3, -4], [-3, -5], [-6]], [[]], [[-4]]]
    asked = [params.logprob_token_ids for params in stand_in.params]
    assert asked == [[3, 6], [4, 5], [4, 4]]  # each as long as the longest
    assert {params.temperature for params in stand_in.params} == {0.6}
    many = [[token] for token in range(3, 303)]
    assert engine.score([[0]], [many]) == [[[-float(token)] for [token] in many]]
    assert max(len(params.logprob_token_ids) for params in stand_in.params) == 128


def test_what_vllm_cannot_run_is_told_in_its_words(folder: str, stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not start with .*odd: Model architectures \['Odd'\] are not supported\. "):
        engine_of(folder, folder=tmp_path / "odd").greedy([[0]], 1)
    with pytest.raises(InputError, match="device is cuda, but the vLLM that is installed is built for cpu"):
        engine_of(folder, machine=GPU).greedy([[0]], 1)
    with pytest.raises(InputError, match="has rank 600, but vLLM takes adapters up to rank 512"):
        engine_of(folder, adapter=tmp_path, rank=600).greedy([[0]], 1)


def test_an_adapter_is_served_by_the_smallest_rank_that_holds_it(
    folder: str, stand_in: StandIn, tmp_path: Path
) -> None:
    engine_of(folder, adapter=tmp_path, rank=9).greedy([[0]], 1)
    assert stand_in.started["enable_lora"] and stand_in.started["max_lora_rank"] == 16


def test_a_gpu_is_taken_by_its_number_and_its_share(
    folder: str, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    sys.modules["vllm.platforms"].current_platform.device_type = "cuda"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    engine_of(folder, machine=replace(GPU, device="cuda:1"), memory_fraction=0.3).greedy([[0]], 1)
    assert stand_in.environment["CUDA_VISIBLE_DEVICES"] == "6"
    assert stand_in.started["gpu_memory_utilization"] == 0.3
    assert "kv_cache_memory_bytes" not in stand_in.started
