"""Trainings that pass together equal trainings one by one: order, dropout, losses, factors, files and fingerprints."""

from __future__ import annotations

import json
import random
import shutil
import warnings
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers_adapters import tiny_base
from helpers_stack import FACTORS, ROUNDING, assert_equal, history, settings
from helpers_tiny import tiny_model
from recollect.errors import InputError, ModelError, RecollectError, RecollectWarning
from recollect.train import PausedTraining, TrainResult, run_train, run_train_until
from recollect.train.checkpoints import last_checkpoint
from recollect.train.records import STATE
from recollect.train.stack import TrainJob, run_trains


def drawn(seed: int) -> dict[str, Any]:
    """A random configuration."""
    choose = random.Random(seed).choice
    pieces, batch = choose([(1, 3), (1, 8), (2, 4), (2, 10), (4, 8)])
    length: dict[str, Any] = choose([{"epochs": 2}, {"max_steps": 7}, {"epochs": 0.6}])
    return {
        "batch_size": batch,
        "gradient_accumulation": pieces,
        "learning_rate": choose([1e-3, 5e-3, "auto"]),
        "schedule": choose(["cosine", "linear", "constant"]),
        "warmup_ratio": choose([0.0, 0.3]),
        "weight_decay": choose([0.0, 0.1]),
        "max_grad_norm": choose([1.0, 0.1, 0.0]),
        "lora_r": choose([1, 4, 5, 16, 48]),
        "lora_alpha": choose(["auto", 7.0]),
        "lora_dropout": choose(["auto", 0.0, 0.4]),
        "lora_targets": choose(["all-linear", "q_proj,v_proj", "down_proj"]),
        "lora_rslora": choose([True, False]),
        "lora_init": choose(["default", "gaussian"]),
        "lora_rank_pattern": choose([{}, {"layers.0": 3}]),
        "lora_layers": choose([(), (1,)]),
        "seed": choose([0, 1, 12345]),
        "save_dtype": choose(["base", "bfloat16"]),
        **length,
    } | ({"lora_rank_pattern": {}} if seed % 3 else {"lora_layers": ()})


@pytest.fixture(scope="module")
def twice(
    base_folder: Path, selection: Path, eight: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[TrainResult, TrainResult]]:
    """Random configurations, one by one and together."""
    folder = tmp_path_factory.mktemp("twice")
    chosen = [settings(base_folder, **drawn(seed)) for seed in range(9)]
    data = [eight if number % 4 == 3 else selection for number in range(9)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecollectWarning)  # some can hardly move the model
        alone = [run_train(one, data[at], out=folder / f"alone-{at}") for at, one in enumerate(chosen)]
        jobs = [TrainJob(one, data[at], out=folder / f"among-{at}") for at, one in enumerate(chosen)]
        among = run_trains(jobs, most_tokens=700)
    assert all(isinstance(one, TrainResult) for one in among)
    return list(zip(alone, among, strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("number", range(9))
def test_together_equals_one_by_one(twice: list[tuple[TrainResult, TrainResult]], number: int) -> None:
    alone, among = twice[number]
    assert_equal(alone.path, among.path)
    changing = {"seconds": 0.0, "first_loss": None, "last_loss": None}
    assert alone.found.model_copy(update=changing) == among.found.model_copy(update=changing)


def test_some_change_something(twice: list[tuple[TrainResult, TrainResult]]) -> None:
    """The comparison above would pass for factors that nothing moves."""
    sizes = [
        max(float(value.float().abs().max()) for name, value in load_file(path).items() if "lora_B" in name)
        for path in (alone.model_folder / "adapter_model.safetensors" for alone, _ in twice)
    ]
    assert sum(size > 20 * FACTORS for size in sizes) >= 7


def test_what_was_done_one_by_one_is_found(base_folder: Path, selection: Path, tmp_path: Path) -> None:
    chosen = settings(base_folder, max_steps=2)
    done = run_train(chosen, selection, out=tmp_path / "done")
    [found] = run_trains([TrainJob(chosen, selection, out=tmp_path / "done")])
    assert found == done


def test_a_training_pauses_and_resumes_either_way(base_folder: Path, selection: Path, tmp_path: Path) -> None:
    chosen = settings(base_folder, epochs=2, seed=3, warmup_ratio=0.2)
    whole = run_train(chosen, selection, out=tmp_path / "whole")
    assert isinstance(run_train_until(chosen, selection, 0.3, out=tmp_path / "a"), PausedTraining)
    jobs = [TrainJob(chosen, selection, out=tmp_path / "a"), TrainJob(chosen, selection, out=tmp_path / "b", share=0.5)]
    resumed, cut = run_trains(jobs)
    assert isinstance(resumed, TrainResult) and isinstance(cut, PausedTraining)
    assert (cut.step, cut.steps, len(cut.log)) == (5, 10, 5)
    assert run_trains(jobs[1:]) == [cut]  # nothing is trained twice
    finished = run_train(chosen, selection, out=tmp_path / "b")
    for path in (resumed.path, finished.path):
        for own, twin in zip(history(path), history(whole.path), strict=True):
            if "loss" in own:
                assert own["loss"] == pytest.approx(twin["loss"], rel=ROUNDING)
                assert own["num_tokens"] == twin["num_tokens"]
            else:
                assert own == pytest.approx(twin, rel=ROUNDING)


def test_a_neighbour_that_diverges_or_is_stopped_leaves_the_rest_alone(
    base_folder: Path, selection: Path, tmp_path: Path
) -> None:
    chosen = settings(base_folder, max_steps=4)
    wild = chosen.model_copy(update={"learning_rate": 1e30})
    jobs = [
        TrainJob(chosen, selection, out=tmp_path / "calm"),
        TrainJob(wild, selection, out=tmp_path / "wild"),
        TrainJob(chosen, selection, out=tmp_path / "judged", judge=lambda log: "too dear" if len(log) > 1 else ""),
        TrainJob(chosen.model_copy(update={"lora_targets": "nowhere"}), selection, out=tmp_path / "lost"),
        TrainJob(chosen, selection, out=tmp_path / "over", share=1.5),
    ]
    calm, *others = run_trains(jobs)
    alone = run_train(chosen, selection, out=tmp_path / "alone")
    assert isinstance(calm, TrainResult)
    assert_equal(alone.path, calm.path)
    for other, words, kind in zip(others, ("diverged", "too dear", "nowhere", "share"), _KINDS, strict=True):
        assert isinstance(other, kind) and words in str(other)
    assert not (tmp_path / "wild").exists()


_KINDS = (ModelError, ModelError, InputError, InputError)


class Stop(Exception):
    """What stands in for a kill."""


def test_a_kill_loses_the_updates_since_the_checkpoint_and_no_more(
    base_folder: Path, selection: Path, tmp_path: Path
) -> None:
    chosen = [settings(base_folder, max_steps=6, save_every=every, seed=every) for every in (2, 3)]
    jobs = [TrainJob(one, selection, out=tmp_path / f"{at}") for at, one in enumerate(chosen)]

    def stop(done: int, _: int) -> None:
        if done == 8:
            raise Stop

    with pytest.raises(Stop):
        run_trains(jobs, progress=stop)
    places = [last_checkpoint(tmp_path / f"{at}.partial/parts") for at in (0, 1)]
    assert [path and path.name for path in places] == ["checkpoint-4", "checkpoint-3"]
    seen: list[tuple[int, int]] = []
    found = run_trains(jobs, progress=lambda *now: seen.append(now))
    assert seen == [(9, 12), (11, 12), (12, 12)]
    for at, one in enumerate(chosen):
        alone = run_train(one, selection, out=tmp_path / f"alone-{at}")
        among = found[at]
        assert isinstance(among, TrainResult)
        for own, twin in zip(history(among.path), history(alone.path), strict=True):
            if "loss" in own:
                assert own["loss"] == pytest.approx(twin["loss"], rel=ROUNDING)


def test_the_deterministic_way_gives_the_same_bytes_in_any_company(
    base_folder: Path, selection: Path, tmp_path: Path
) -> None:
    chosen = [settings(base_folder, max_steps=3, lora_r=rank, seed=rank) for rank in (4, 5, 16)]
    run_trains([TrainJob(chosen[0], selection, out=tmp_path / "alone")], deterministic=True)
    run_trains([TrainJob(one, selection, out=tmp_path / f"{one.lora_r}") for one in chosen], deterministic=True)
    for file in ("model/adapter_model.safetensors", "log.parquet", STATE):
        assert (tmp_path / "alone" / file).read_bytes() == (tmp_path / "4" / file).read_bytes()


def test_what_cannot_pass_together_passes_alone(base_folder: Path, selection: Path, tmp_path: Path) -> None:
    chosen = settings(base_folder, max_steps=1)
    dora = chosen.model_copy(update={"lora_dora": True})
    jobs = [TrainJob(chosen, selection, out=tmp_path / "one"), TrainJob(dora, selection, out=tmp_path / "dora")]
    with pytest.warns(RecollectWarning, match="training 2 of 2 passes alone: lora_dora"):
        found = run_trains(jobs)
    assert all(isinstance(one, TrainResult) for one in found)


def test_memory_that_runs_out_halves_the_batch_then_the_number(
    base_folder: Path, selection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recollect.train.stack import passing

    chosen = [settings(base_folder, max_steps=3, seed=seed) for seed in (0, 1, 2)]
    calm = run_trains([TrainJob(one, selection, out=tmp_path / f"calm-{one.seed}") for one in chosen])
    sizes: list[int] = []
    real = passing.pass_through

    def small(model: Any, rows: Any, head: Any, batch: Any, mixed: bool) -> Any:
        sizes.append(len(batch.pieces))
        if len(batch.pieces) > 1 or len(sizes) == 5:
            torch.empty(0)
            real(model, rows, head, batch, mixed)  # memory runs out at the very end
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return real(model, rows, head, batch, mixed)

    monkeypatch.setattr(passing, "pass_through", small)
    found = run_trains([TrainJob(one, selection, out=tmp_path / f"tight-{one.seed}") for one in chosen])
    assert sizes[0] == 3 and max(sizes[2:]) < 3
    for one, other in zip(calm, found, strict=True):
        assert isinstance(one, TrainResult) and isinstance(other, TrainResult)
        assert_equal(one.path, other.path)


def test_a_base_that_drops_by_itself_passes_alone(eight: Path, tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "gpt2", "gpt2")
    chosen = settings(base, max_steps=1, lora_targets="c_attn")
    with pytest.warns(RecollectWarning, match="the base has dropout of its own"):
        [found] = run_trains([TrainJob(chosen, eight, out=tmp_path / "out")])
    assert isinstance(found, TrainResult)


@pytest.mark.parametrize("kind", ["tied", "bias", "calm gpt2"])
def test_other_bases(kind: str, eight: Path, tmp_path: Path) -> None:
    """Tied embeddings, biases, and transposed layers."""
    base = tiny_base(tmp_path / "base", kind.removeprefix("calm "))
    if kind.startswith("calm"):
        config = json.loads((base / "config.json").read_text())
        calm = {name: 0.0 for name in config if name.endswith("pdrop")}
        (base / "config.json").write_text(json.dumps(config | calm))
    chosen = [settings(base, max_steps=2, seed=seed, lora_r=4 + seed) for seed in (0, 1)]
    found = run_trains([TrainJob(one, eight, out=tmp_path / f"{one.seed}") for one in chosen])
    for one, among in zip(chosen, found, strict=True):
        assert isinstance(among, TrainResult)
        assert_equal(run_train(one, eight, out=tmp_path / f"alone-{one.seed}").path, among.path)


def test_one_whose_adapter_fails_half_way_leaves_the_base_bare(base_folder: Path, eight: Path, tmp_path: Path) -> None:
    """PEFT has put it on the base when it is known that examples are too few."""
    chosen = settings(base_folder, max_steps=2)
    alone = run_train(chosen, eight, out=tmp_path / "alone")
    few = chosen.model_copy(update={"lora_init": "eva", "lora_r": 64})
    failed, among = run_trains(
        [TrainJob(few, eight, out=tmp_path / "few"), TrainJob(chosen, eight, out=tmp_path / "among")]
    )
    assert isinstance(failed, InputError) and "lora_init eva needs" in str(failed)
    assert isinstance(among, TrainResult)
    assert_equal(alone.path, among.path)


def test_one_that_finds_no_memory_leaves_the_rest_and_halves_hold_nothing_of_the_whole(
    base_folder: Path, eight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recollect.train.stack import passing

    chosen = [settings(base_folder, max_steps=2, seed=seed) for seed in range(4)]
    put, through = passing.put_together, passing.pass_through
    stacks: list[weakref.ref[Any]] = []
    large: list[torch.Generator] = []

    def counted(*given: Any, **how: Any) -> Any:
        assert not any(one() for one in stacks)
        if len(given[1]) > 3:
            raise torch.OutOfMemoryError("out of memory")
        stacked = put(*given, **how)
        stacks.append(weakref.ref(stacked.groups[0]))
        return stacked

    def tight(model: Any, rows: Any, head: Any, batch: Any, mixed: bool) -> Any:
        large[:] = large or [batch.pieces[-1].generator]
        if any(piece.generator is large[0] for piece in batch.pieces):
            raise torch.OutOfMemoryError("out of memory")
        return through(model, rows, head, batch, mixed)

    monkeypatch.setattr(passing, "put_together", counted)
    monkeypatch.setattr(passing, "pass_through", tight)
    found = run_trains([TrainJob(one, eight, out=tmp_path / str(one.seed)) for one in chosen])
    assert [type(one) for one in found].count(ModelError) == 1 and len(stacks) > 2
    [error] = [one for one in found if isinstance(one, ModelError)]
    assert "memory ran out with this training alone" in str(error)


def test_the_same_training_twice_is_done_once(base_folder: Path, eight: Path, tmp_path: Path) -> None:
    chosen = settings(base_folder, max_steps=1)
    first, second = run_trains([TrainJob(chosen, eight, root=tmp_path)] * 2)
    assert isinstance(first, TrainResult) and first == second
    assert first.found.seconds > 0


def test_what_cannot_be_trained_costs_the_others_nothing(base_folder: Path, eight: Path, tmp_path: Path) -> None:
    """Another base, no example, a damaged selection, no selection, no base: one line each."""
    other, chosen = tiny_model(tmp_path / "other", seed=1), settings(base_folder, max_steps=2)
    (tmp_path / "none.jsonl").write_text("")
    damaged = Path(shutil.copytree(eight, tmp_path / "damaged"))
    (damaged / "selection.parquet").write_bytes(b"PAR1")
    jobs = [
        TrainJob(chosen, eight, out=tmp_path / "calm"),
        TrainJob(settings(other, max_steps=1), eight, out=tmp_path / "of-other"),
        TrainJob(chosen, data=tmp_path / "none.jsonl", out=tmp_path / "of-none"),
        TrainJob(chosen, damaged, out=tmp_path / "of-damaged"),
        TrainJob(chosen, tmp_path / "nowhere", out=tmp_path / "of-nowhere"),
        TrainJob(settings(tmp_path / "nothing"), eight, out=tmp_path / "of-nothing"),
    ]
    with pytest.warns(RecollectWarning, match="training 2 of 6 passes alone: it trains .*other, and the others .*"):
        calm, alone, *errors = run_trains(jobs)
    assert isinstance(calm, TrainResult) and isinstance(alone, TrainResult)
    assert_equal(run_train(chosen, eight, out=tmp_path / "plain").path, calm.path)
    for error, words in zip(errors, ("is empty", "is damaged", "no such step", "no such model folder"), strict=True):
        assert isinstance(error, RecollectError) and words in str(error) and "\n" not in str(error)
