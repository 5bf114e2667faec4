"""Many adapters of one base are evaluated in one pass: the same files as one by one, and nothing of each other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers_many import random_adapters
from recollect.core.workspace import is_finished
from recollect.errors import InputError, ModelError
from recollect.evaluate import EvaluateJob, EvaluateResult, EvaluateSettings, run_evaluate
from recollect.evaluate import run_evaluates as run_either_way
from recollect.facts import FactSet, load_facts
from recollect.generate import together as generate_together
from recollect.generate.transformers import TransformersEngine
from recollect.models import ModelSettings, load
from recollect.models import resident as models_resident
from recollect.models.ref import ModelRef
from recollect.models.stacked import NotByRows, read_factors
from recollect.shipped import SHIPPED

KINDS: tuple[dict[str, Any], ...] = (
    {"r": 4},
    {"r": 8, "lora_alpha": 8},
    {"r": 3, "target_modules": ["q_proj", "down_proj"], "use_rslora": True},
    {"r": 16, "layers_to_transform": [2, 3], "target_modules": ["q_proj", "v_proj", "up_proj"]},
)
QUESTIONS = 40


run_evaluates = partial(run_either_way, in_one_batch=True)


class World:
    """The pocket, four random adapters of it, and what each says when it is asked alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        pocket = SHIPPED["pocket"].model
        self.adapters = random_adapters(pocket, root, KINDS)
        self.facts: FactSet = load_facts("pocket")
        self.base = load(ModelSettings.make(model="pocket", device="cpu", dtype="float32"))
        self.weights = self.held()
        self.alone = [run_evaluate(of(one), self.facts, out=root / f"alone-{one.name}") for one in self.adapters]

    def held(self) -> dict[str, tuple[int, torch.Tensor]]:
        """Every parameter of the base: which object, and what is in it."""
        return {name: (id(one), one.detach().clone()) for name, one in self.base.model.named_parameters()}

    def jobs(self, out: Path, models: Sequence[Path] | None = None, **given: Any) -> list[EvaluateJob]:
        """One for each adapter, in `out`."""
        return [EvaluateJob(of(one), out / one.name, self.facts, **given) for one in models or self.adapters]


def of(model: Path, **changes: Any) -> EvaluateSettings:
    values = {"parts": "test", "limit": QUESTIONS, "max_new_tokens": 8, "batch_size": 16, "device": "cpu"}
    return EvaluateSettings.make(model=str(model), **(values | changes))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def base_is_as_it_was(world: World) -> Any:
    yield
    after = world.held()
    assert after.keys() == world.weights.keys()
    assert all(at == after[name][0] and torch.equal(one, after[name][1]) for name, (at, one) in world.weights.items())


def check_same(together: Sequence[EvaluateResult | Exception], alone: Sequence[EvaluateResult]) -> None:
    """The same tables, settings, inputs, plan and numbers."""
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, EvaluateResult), one
        assert one.outputs().equals(other.outputs())
        assert one.accuracy().equals(other.accuracy())
        left, right = (json.loads((path / "manifest.json").read_text()) for path in (one.path, other.path))
        for key in ("step", "fingerprint", "settings", "inputs", "plan", "metrics"):
            assert left[key] == right[key], key
        assert {path.name for path in one.path.iterdir()} == {path.name for path in other.path.iterdir()}


def count_readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each batch that is read greedily from now on."""
    seen: list[int] = []
    whole = TransformersEngine.greedy

    def greedy(self: TransformersEngine, prompts: Any, longest: int) -> Any:
        seen.append(len(prompts))
        return whole(self, prompts, longest)

    monkeypatch.setattr(TransformersEngine, "greedy", greedy)
    return seen


def test_all_say_what_each_says_alone_and_leave_the_same_files(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, told = count_readings(monkeypatch), list[str]()
    progress: list[tuple[int, int]] = []
    jobs = world.jobs(tmp_path, progress=lambda done, total: progress.append((done, total)))
    check_same(run_evaluates(jobs, world.base, told.append), world.alone)
    assert seen == [64, 64, 32]  # 40 questions in batches of 16, of four adapters each
    assert len({tuple(one.outputs()["output"].to_list()) for one in world.alone}) == 4  # and they differ
    assert not told
    assert progress.count((QUESTIONS, QUESTIONS)) == 4
    seen.clear()
    check_same(run_evaluates(jobs, world.base), world.alone)
    assert not seen  # what is finished is not asked again


def test_factors_in_memory_stand_for_the_folders(world: World, tmp_path: Path) -> None:
    factors = [read_factors(ModelRef.at(one)) for one in world.adapters]
    jobs = [
        EvaluateJob(of(one), tmp_path / one.name, world.facts, factors=its)
        for one, its in zip(world.adapters, factors, strict=True)
    ]
    swapped = [
        EvaluateJob(jobs[at].settings, tmp_path / f"{at}", world.facts, factors=factors[1 - at]) for at in (0, 1)
    ]
    check_same(run_evaluates(jobs, world.base), world.alone)
    found = run_evaluates(swapped, world.base)
    said = [one.outputs()["output"].to_list() for one in found if isinstance(one, EvaluateResult)]
    assert said == [one.outputs()["output"].to_list() for one in (world.alone[1], world.alone[0])]


def test_each_asks_its_own_questions_its_own_way(world: World, tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {"limit": 5}, {"max_new_tokens": 3, "batch_size": 7}, {"parts": "ood", "limit": 9, "shots": 2}, {"seed": 4},
    ]  # fmt: skip
    settings = [of(one, **each) for one, each in zip(world.adapters, changes, strict=True)]
    jobs = [EvaluateJob(one, tmp_path / f"many-{at}", world.facts) for at, one in enumerate(settings)]
    alone = [run_evaluate(one, world.facts, out=tmp_path / f"one-{at}") for at, one in enumerate(settings)]
    check_same(run_evaluates(jobs, world.base), alone)


def test_a_killed_pass_resumes_and_one_may_be_further_than_the_others(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill_after(batches: int) -> None:
        whole, left = TransformersEngine.greedy, [batches]

        def greedy(self: TransformersEngine, prompts: Any, longest: int) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return whole(self, prompts, longest)

        monkeypatch.setattr(TransformersEngine, "greedy", greedy)

    with monkeypatch.context() as monkeypatch:
        kill_after(1)
        with pytest.raises(KeyboardInterrupt):
            run_evaluate(of(world.adapters[1]), world.facts, out=tmp_path / world.adapters[1].name)
    with monkeypatch.context() as monkeypatch:
        kill_after(1)
        with pytest.raises(KeyboardInterrupt):
            run_evaluates(world.jobs(tmp_path), world.base)
    assert not any(is_finished(job.out) for job in world.jobs(tmp_path))
    seen = count_readings(monkeypatch)
    check_same(run_evaluates(world.jobs(tmp_path), world.base), world.alone)
    assert sum(seen) == 3 * (QUESTIONS - 16) + (QUESTIONS - 32)


def test_an_error_of_one_is_its_own(world: World, tmp_path: Path) -> None:
    jobs = world.jobs(tmp_path)
    broken = Path(shutil.copytree(world.adapters[0], tmp_path / "broken"))
    (broken / "adapter_model.safetensors").write_bytes(b"no weights")
    jobs.insert(1, EvaluateJob(of(broken), tmp_path / "of-broken", world.facts))
    jobs.insert(3, EvaluateJob(of(tmp_path / "nowhere"), tmp_path / "of-nowhere", world.facts))
    jobs.append(EvaluateJob(of(world.adapters[0], limit=1, shots=10_000), tmp_path / "of-many", world.facts))
    found = run_evaluates(jobs, world.base)
    assert [type(found.pop(at)) for at in (6, 3, 1)] == [InputError, ModelError, ModelError]
    check_same(found, world.alone)


@pytest.mark.parametrize("how", ["configuration", "rank", "a tensor less", "not a number"])
def test_a_damaged_folder_is_one_line_and_the_others_are_asked(how: str, world: World, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(world.adapters[0], tmp_path / "broken"))
    config, weights = broken / "adapter_config.json", broken / "adapter_model.safetensors"
    tensors = load_file(weights)
    first = min(tensors)
    if how == "configuration":
        config.write_text("{")
    elif how == "rank":
        config.write_text(json.dumps({**json.loads(config.read_text()), "r": 32}))
    elif how == "a tensor less":
        save_file({name: value for name, value in tensors.items() if name != first}, weights)
    else:
        save_file({**tensors, first: tensors[first] * float("nan")}, weights)
    jobs = [*world.jobs(tmp_path, world.adapters[1:3]), EvaluateJob(of(broken), tmp_path / "of-broken", world.facts)]
    *found, error = run_evaluates(jobs, world.base)
    assert isinstance(error, ModelError) and str(broken) in str(error) and "\n" not in str(error)
    check_same(found, world.alone[1:3])


def test_what_cannot_pass_with_others_is_asked_by_itself_and_it_is_said_why(world: World, tmp_path: Path) -> None:
    kinds: list[dict[str, Any]] = [{"use_dora": True}, {"bias": "lora_only"}]
    odd = random_adapters(world.base.folder, tmp_path / "odd", kinds)
    whole = world.base.folder
    told: list[str] = []
    models = [*world.adapters[:2], *odd, whole]
    jobs = [EvaluateJob(of(one), tmp_path / f"many-{at}", world.facts) for at, one in enumerate(models)]
    alone = [run_evaluate(of(one), world.facts, out=tmp_path / f"one-{at}") for at, one in enumerate(models)]
    check_same(run_evaluates(jobs, world.base, told.append), alone)
    assert [
        line.removeprefix(f"{model} is asked by itself: ") for line, model in zip(told, models[2:], strict=True)
    ] == [
        "it has DoRA, which trains the length of each weight row beside its direction",
        "it trains biases (bias='lora_only')",
        "it is a whole model",
    ]


def test_on_a_processor_each_is_merged_in_turn_into_the_base_in_memory(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(models_resident, "load")  # so nothing is loaded beside it
    seen = count_readings(monkeypatch)
    check_same(run_either_way(world.jobs(tmp_path), world.base), world.alone)
    assert seen == [16, 16, 8] * 4


def test_adapters_of_the_upper_half_are_asked_in_one_batch_on_a_processor_too(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lower half is computed once for all of them there."""
    kind = {"layers_to_transform": [2, 3], "target_modules": ["q_proj", "v_proj", "up_proj"]}
    upper = random_adapters(SHIPPED["pocket"].model, tmp_path, [{"r": 4, **kind}, {"r": 8, **kind}])
    alone = [run_evaluate(of(one), world.facts, out=tmp_path / f"alone-{one.name}") for one in upper]
    seen = count_readings(monkeypatch)
    check_same(run_either_way(world.jobs(tmp_path / "in", upper), world.base), alone)
    assert seen == [2 * 16, 2 * 16, 2 * 8]
    assert not alone[0].outputs().equals(alone[1].outputs())
    mixed = world.jobs(tmp_path / "mixed", [upper[1], world.adapters[0]])
    seen.clear()
    assert all(isinstance(one, EvaluateResult) for one in run_either_way(mixed, world.base))
    assert seen == [16, 16, 8] * 2


def test_one_adapter_alone_is_asked_the_plain_way(world: World, tmp_path: Path) -> None:
    told: list[str] = []
    check_same(run_evaluates(world.jobs(tmp_path)[:1], world.base, told.append), world.alone[:1])
    check_same(run_evaluates(world.jobs(tmp_path)[:2], world.base, told.append), world.alone[:2])  # one is finished
    assert not told
    assert run_evaluates([], world.base) == []


def test_a_base_in_another_number_format_is_not_asked(world: World, tmp_path: Path) -> None:
    told: list[str] = []
    base = load(ModelSettings.make(model="pocket", device="cpu", dtype="bfloat16"))
    check_same(run_evaluates(world.jobs(tmp_path)[:2], base, told.append), world.alone[:2])
    assert told[0].endswith("it is asked in float32 on cpu, and the base is in memory in bfloat16")


def test_a_model_that_loses_its_rows_on_the_way_is_asked_one_by_one(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise NotByRows("layers.0.experts is called with (7, 32), but the batch has 3 rows.")

    monkeypatch.setattr(generate_together.Together, "_greedy", lost)
    told: list[str] = []
    check_same(run_evaluates(world.jobs(tmp_path), world.base, told.append), world.alone)
    assert len(told) == 4
    assert "layers.0.experts" in told[0]


def test_where_memory_ends_batches_are_halved_and_the_answers_are_the_same(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    whole = TransformersEngine.greedy

    def greedy(self: TransformersEngine, prompts: Any, longest: int) -> Any:
        seen.append(len(prompts))
        if len(prompts) > 20:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"
            )
        return whole(self, prompts, longest)

    monkeypatch.setattr(TransformersEngine, "greedy", greedy)
    check_same(run_evaluates(world.jobs(tmp_path), world.base), world.alone)
    assert seen[:4] == [64, 32, 16, 16]
    assert max(seen[2:]) == 16
