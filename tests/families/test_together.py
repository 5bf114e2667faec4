"""Each family in one pass with others: what one by one gives, or alone and the reason said."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from helpers_families import FAMILIES, SEEING, Family, family_model
from helpers_models import edit
from helpers_tiny import tiny_facts
from recollect.errors import InputError, RecollectWarning
from recollect.evaluate import EvaluateJob, EvaluateResult, EvaluateSettings, run_evaluate, run_evaluates
from recollect.generate.together import Greedy, Scored, Together
from recollect.models import ModelSettings, load
from recollect.models.parts import uncalled_modules
from recollect.models.stacked import Product, put_together
from recollect.select import SelectSettings, run_select
from recollect.train import TrainResult, TrainSettings, run_train
from recollect.train.records import STATE
from recollect.train.stack import TrainJob, run_trains
from recollect.weights.pair import layer_of

FolderOf = Callable[[Family], Path]
QUICK = {
    "phi3": "fused queries, keys and values",
    "gemma3_text": "sliding windows",
    "opt": "modules that see all tokens as one list",
    "deepseek_v3": "keys that all heads share",
    "qwen3_next": "a recurrent state, and experts beside a shared one",
    "jamba": "a recurrent state whose inputs lie transposed",
    "lfm2": "convolutions",
}
"""One of each kind of inputs; the others pass likewise and are tried with `-m slow`."""
DROPPING = {"gpt2", "opt"}
"""Families whose configurations drop activations by themselves unless told otherwise."""
READ_WHOLE = {
    "bloom": "ALiBi's distances are by rows and heads",
    **dict.fromkeys(
        (
            *("qwen3_5_text", "qwen3_next", "lfm2", "granitemoehybrid", "falcon_h1", "bamba", "jamba", "nemotron_h"),
            *("olmo_hybrid", "kimi_linear", "qwen3_5"),
        ),
        "caches that also keep states are transformers' own",
    ),
}
"""Families of which nothing is computed once below the first adapted layer, and why."""
every_family = pytest.mark.parametrize(
    "family",
    [pytest.param(one, marks=[] if one.kind in QUICK else pytest.mark.slow, id=one.name) for one in FAMILIES],
)


@pytest.fixture(scope="module")
def selections(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Selections of different sizes, which differ in the length of what is read."""
    root = tmp_path_factory.mktemp("selections")
    return [
        run_select(SelectSettings(size=size, seed=size, level="random"), tiny_facts(8), root=root).path
        for size in (12, 20, 8)
    ]


def calm(folder: Path, to: Path) -> Path:
    """The model without dropout of its own."""
    shutil.copytree(folder, to)
    said = json.loads((to / "config.json").read_text())
    edit(to / "config.json", **{name: 0.0 for name in said if name.endswith(("pdrop", "dropout"))})
    return to


def settings(base: Path) -> list[TrainSettings]:
    """Trainings that differ in rank (one is above what the layers have), batch, dropout and seed."""
    return [
        TrainSettings.make(
            model=str(base), method="lora", lora_targets="all-linear", learning_rate=5e-3, max_steps=2, device="cpu",
            lora_r=rank, batch_size=batch, lora_dropout=dropout, seed=rank,
        )
        for rank, batch, dropout in ((4, 4, 0.1), (40, 5, 0.0), (16, 8, 0.2))
    ]  # fmt: skip


def losses(path: Path) -> list[float]:
    return [entry["loss"] for entry in json.loads((path / STATE).read_text())["log_history"] if "loss" in entry]


def trained(jobs: Sequence[TrainSettings], selections: Sequence[Path], out: Path) -> list[TrainResult]:
    """All in one pass; a training that passes alone is an error here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecollectWarning)
        found = run_trains([TrainJob(one, selections[at], out=out / f"{at}") for at, one in enumerate(jobs)])
    assert all(isinstance(one, TrainResult) for one in found), found
    return found  # type: ignore[return-value]


@every_family
def test_a_family_is_trained_in_one_pass_as_one_by_one(
    family: Family, folder_of: FolderOf, selections: list[Path], tmp_path: Path
) -> None:
    chosen = settings(calm(folder_of(family), tmp_path / "base"))
    found = trained(chosen, selections, tmp_path)
    for at in (0, 2):  # those that drop
        alone = run_train(chosen[at], selections[at], out=tmp_path / f"alone-{at}")
        assert losses(found[at].path) == pytest.approx(losses(alone.path), rel=1e-5)


@pytest.mark.parametrize("kind", ["opt", "deepseek_v3", "qwen3_next"])
def test_a_family_is_asked_in_one_batch_as_one_by_one(
    kind: str, folder_of: FolderOf, selections: list[Path], tmp_path: Path
) -> None:
    [family] = [one for one in FAMILIES if one.kind == kind]
    base = calm(folder_of(family), tmp_path / "base")
    trained([one.model_copy(update={"learning_rate": 3e-2}) for one in settings(base)], selections, tmp_path)
    asked = [
        EvaluateSettings.make(model=str(tmp_path / f"{at}"), parts="test", limit=12, max_new_tokens=6, device="cpu")
        for at in (0, 2)
    ]
    jobs = [EvaluateJob(one, tmp_path / f"asked-{at}", tiny_facts(8)) for at, one in enumerate(asked)]
    told: list[str] = []
    held = load(ModelSettings.make(model=str(base), device="cpu", dtype="float32"))
    said = []
    for at, found in enumerate(run_evaluates(jobs, held, told.append, in_one_batch=True)):
        assert isinstance(found, EvaluateResult), found
        said.append(found.outputs()["output"].to_list())
        alone = run_evaluate(asked[at], tiny_facts(8), out=tmp_path / f"asked-alone-{at}")
        assert said[-1] == alone.outputs()["output"].to_list()
    assert not told
    assert said[0] != said[1]


def test_a_weight_that_the_model_reads_by_itself_gets_no_adapter(
    folder_of: FolderOf, selections: list[Path], tmp_path: Path
) -> None:
    """Jamba's `dt_proj`: named alone it is refused, in a pass by itself; with all-linear it is left out."""
    base = folder_of(next(one for one in FAMILIES if one.kind == "jamba"))
    named = TrainSettings.make(model=str(base), method="lora", lora_targets="dt_proj", max_steps=1, device="cpu")
    every = named.model_copy(update={"lora_targets": "all-linear"})
    jobs = [TrainJob(one, selections[0], out=tmp_path / one.lora_targets) for one in (named, every)]
    refused, found = run_trains(jobs)
    assert isinstance(refused, InputError) and "mamba.dt_proj by itself" in str(refused)
    with pytest.raises(InputError, match=r"mamba\.dt_proj by itself"):
        run_train(named, selections[0], out=tmp_path / "alone")
    assert isinstance(found, TrainResult)
    changed = json.loads((found.model_folder / "adapter_config.json").read_text())["target_modules"]
    assert any(name.endswith("x_proj") for name in changed)
    assert not any(name.endswith(("dt_proj", "out_proj")) for name in changed)


def test_an_adapter_on_such_a_weight_is_asked_by_itself(
    folder_of: FolderOf, selections: list[Path], tmp_path: Path
) -> None:
    """One that was made elsewhere: merged it counts, beside its module it would not."""
    base = calm(folder_of(next(one for one in FAMILIES if one.kind == "jamba")), tmp_path / "base")
    trained(settings(base), selections, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(base)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["dt_proj"], init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "odd")
    names = ["odd", "0", "2"]
    how = {"parts": "test", "limit": 12, "max_new_tokens": 6, "device": "cpu"}
    asked = [EvaluateSettings.make(model=str(tmp_path / name), **how) for name in names]
    jobs = [EvaluateJob(one, tmp_path / f"asked-{at}", tiny_facts(8)) for at, one in enumerate(asked)]
    told: list[str] = []
    held = load(ModelSettings.make(model=str(base), device="cpu", dtype="float32"))
    found = run_evaluates(jobs, held, told.append, in_one_batch=True)
    assert len(told) == 1 and "odd is asked by itself: the model reads the weight of" in told[0]
    for at, one in enumerate(found):
        assert isinstance(one, EvaluateResult), one
        alone = run_evaluate(asked[at], tiny_facts(8), out=tmp_path / f"asked-alone-{at}")
        assert one.outputs()["output"].to_list() == alone.outputs()["output"].to_list()


@every_family
def test_what_all_adapters_read_alike_passes_the_lower_layers_once(
    family: Family, folder_of: FolderOf, tmp_path: Path
) -> None:
    """Or is read whole by each where the family's layers or caches are of another kind; the same answers either way."""
    folder = wide(calm(folder_of(family), tmp_path / "base"))
    base = load(ModelSettings.make(model=str(folder), device="cpu", dtype="float32"))
    last = max(at for name, _ in base.model.named_modules() if (at := layer_of(f"{name}.")) is not None)
    stacked = put_together(base.model, [random_factors(base.model, last, rank) for rank in (2, 5, 4)])
    prompts = [[5, 6, 7, 8, 9], [5, 6, 7, 10], [11, 12, 13, 5, 6, 7], [5, 6]]
    asked = {member: Greedy(prompts, 5) for member in range(3)}
    scored = {member: Scored(prompts, [[[4, 5, 6], [7]]] * 4, 1.0) for member in range(3)}
    plain = Together(base, stacked.rows, 3)
    once = Together(base, stacked.rows, 3, stacked.modules)
    assert once.answer(asked) == plain.answer(asked)
    assert plain.answer(asked)[0] != plain.answer(asked)[1]
    for one, other in zip(_numbers(once.answer(scored)), _numbers(plain.answer(scored)), strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    assert (once._lower is None) == (family.kind in READ_WHOLE)


def wide(folder: Path) -> Path:
    """The model with sliding windows that hold a prompt and its answer, as those of real models do."""
    said = json.loads((folder / "config.json").read_text())
    for part in (said, said.get("text_config", {})):
        if part.get("sliding_window"):
            part["sliding_window"] = 64
    (folder / "config.json").write_text(json.dumps(said))
    return folder


def random_factors(model: Any, layer: int, rank: int) -> dict[str, Product]:
    """An adapter on all linear modules of one layer that are called by rows."""
    given = torch.Generator().manual_seed(rank)
    found = {}
    for name, module in model.named_modules():
        own = isinstance(module, torch.nn.Linear | Conv1D) and layer_of(f"{name}.") == layer
        if own and name not in uncalled_modules(model):
            outside, inside = module.weight.T.shape if isinstance(module, Conv1D) else module.weight.shape
            a, b = torch.randn(rank, inside, generator=given), torch.randn(outside, rank, generator=given)
            found[name] = Product(a, b, 0.3)
    return found


def _numbers(scores: dict[int, list[list[list[float]]]]) -> list[list[float]]:
    return [texts for member in sorted(scores) for prompt in scores[member] for texts in prompt]


@pytest.mark.parametrize("kind", sorted(DROPPING))
def test_a_base_that_drops_by_itself_passes_alone(
    kind: str, folder_of: FolderOf, selections: list[Path], tmp_path: Path
) -> None:
    [family] = [one for one in FAMILIES if one.kind == kind]
    [first, *_] = settings(folder_of(family))
    with pytest.warns(RecollectWarning, match=r"passes alone: the base has dropout of its own \(.* is 0\.1\)"):
        [found] = run_trains([TrainJob(first, selections[0], out=tmp_path / "out")])
    assert isinstance(found, TrainResult)


def test_no_other_family_drops_by_itself() -> None:
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    from recollect.train.stack.begin import dropout_of_base

    dropping = set()
    for family in FAMILIES:
        kind = AutoModelForImageTextToText if family in SEEING else AutoModelForCausalLM
        with torch.device("meta"):
            if dropout_of_base(kind.from_config(family.config())):
                dropping.add(family.kind)
    assert dropping == DROPPING


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("quantize", ["4bit", "8bit"])
def test_a_quantised_base_is_trained_and_asked_as_one_by_one(
    quantize: str, selections: list[Path], tmp_path: Path
) -> None:
    wide = {"hidden_size": 64, "intermediate_size": 128}  # what bitsandbytes packs on a processor
    base = family_model(tmp_path / "base", Family("Llama", "llama", wide), scale=2.0)
    chosen = [one.model_copy(update={"quantize": quantize, "learning_rate": 2e-2}) for one in settings(base)]
    found = trained(chosen, selections, tmp_path)
    for at in (0, 2):
        alone = run_train(chosen[at], selections[at], out=tmp_path / f"alone-{at}")
        assert losses(found[at].path) == pytest.approx(losses(alone.path), rel=1e-5)
    how = {"quantize": quantize, "device": "cpu", "dtype": "float32"}
    asked = [EvaluateSettings.make(model=str(one.path), parts="test", limit=12, **how) for one in found]
    jobs = [EvaluateJob(one, tmp_path / f"asked-{at}", tiny_facts(8)) for at, one in enumerate(asked)]
    told: list[str] = []
    held = load(ModelSettings.make(model=str(base), **how))
    for at, one in enumerate(run_evaluates(jobs, held, told.append, in_one_batch=True)):
        assert isinstance(one, EvaluateResult), one
        alone_asked = run_evaluate(asked[at], tiny_facts(8), out=tmp_path / f"asked-alone-{at}")
        assert one.outputs().equals(alone_asked.outputs())
    assert not told
