"""--dry-run: its counts, what it finds there, that it writes nothing, and what it says of what it does not know."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from helpers_study import settings, values
from helpers_world import Command, World, contents, probe_flags
from recollect.core.machine import prepare
from recollect.errors import InputError
from recollect.experiments.plan import Assume, plan_probe, plan_study, plan_train
from recollect.experiments.plan.ground import summed
from recollect.experiments.plan.known import know_model
from recollect.experiments.plan.memory import training_bytes
from recollect.experiments.study import StudyResult
from recollect.models import ModelSettings
from recollect.probe import ProbeSettings, run_probe
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings

KEYS = ["steps", "there", "seconds", "memory_bytes", "disk_bytes", "completions", "training_steps"]
COUNTED = Assume(calibrate=False)
CURVE = {"sizes": [0, 4, 8], "repeats": 2}


def test_the_answer_of_a_study_has_these_keys_and_nothing_is_written(
    recollect: Command, world: World, tmp_path: Path
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(settings(world, probe={"method": "sampled", "templates": 3, "samples": 4}).given()))
    before = contents(tmp_path)
    found = recollect("study", "--config", file, "--out", tmp_path / "out", "--dry-run", "--json").json
    assert list(found) == KEYS
    assert found["steps"] == 3 + 4 * 4 + 1  # probe and base twice; 4 cells of 4 steps, one of them with a ladder
    assert found["there"] == 0
    assert found["completions"] == 68 * 3 * 4
    assert found["training_steps"] == 2 * (1 + 2)  # 4 and 8 examples at batch 4, two choices
    assert found["seconds"] > 0
    assert contents(tmp_path) == before
    priced = recollect("study", "--config", file, "--dry-run", "--price-per-hour", "36", "--no-calibrate", "--json")
    assert list(priced.json) == [*KEYS, "price"]
    assert priced.json["price"] is None  # since the time is not known
    assert contents(tmp_path) == before


def test_what_is_finished_is_there(whole: StudyResult, world: World) -> None:
    plan = plan_study(settings(world), whole.path, assume=COUNTED)
    assert plan.there == plan.steps == len(list((whole.path / "steps").glob("*/manifest.json")))
    assert (plan.completions, plan.training_steps, plan.seconds) == (0, 0, 0.0)


def test_what_several_parts_of_a_grid_note_is_said_once(whole: StudyResult, world: World) -> None:
    plan = plan_study(settings(world), whole.path, assume=COUNTED)
    parts = {name: plan.model_copy(update={"notes": notes}) for name, notes in (("a", ("x", "y")), ("b", ("x",)))}
    assert summed(parts).notes == ("x", "a: y")
    assert summed(parts | {"c": parts["a"]}).notes == ("x", "a, c: y")


def test_only_what_hangs_on_a_change_is_left(whole: StudyResult, world: World, tmp_path: Path) -> None:
    out = whole.path.parent / "other"
    one_more = plan_study(settings(world, sizes=[4, 8, 12], repair=[]), out, assume=COUNTED)
    assert one_more.steps - one_more.there == 2 * 4
    assert one_more.training_steps == 2 * 3
    elsewhere = plan_study(settings(world), tmp_path / "elsewhere" / "study", assume=COUNTED)
    assert elsewhere.there == 0
    copy = tmp_path / "copy"
    shutil.copytree(whole.path, copy / "study")
    shutil.rmtree(copy / "study" / "steps" / "train-0-4-seed0")
    left = plan_study(settings(world), copy / "study", assume=COUNTED)
    assert (left.steps - left.there, left.training_steps) == (1, 1)


def test_a_grid_is_the_sum_of_its_parts_and_a_common_probe_is_made_once(world: World, tmp_path: Path) -> None:
    sampled = {"method": "sampled", "templates": 3, "samples": 4}
    alone = plan_study(settings(world, probe=sampled), tmp_path / "study", assume=COUNTED)
    both = settings(world, methods=["full", "lora"], probe=sampled)
    grid = plan_study(both, tmp_path / "grid", assume=COUNTED)
    assert grid.steps == 2 * alone.steps
    assert grid.training_steps == 2 * alone.training_steps
    assert grid.completions == alone.completions == 68 * 3 * 4
    assert {row.what.partition(":")[0] for row in grid.rows} == {"full", "lora"}


SECTIONS = {
    "curve": CURVE | {"level": "1"},
    "search": {
        "space": {"learning_rate": [1e-4, 1e-3]},
        "trials": 4,
        "rungs": [1],
        "select": {"size": 8},
        "train": {"batch_size": 4},
    },
}


def test_a_curve_and_a_search_are_counted_among_the_steps_of_a_study(world: World, tmp_path: Path) -> None:
    plain, *ones, both = (
        plan_study(settings(world, **sections), tmp_path / "study", assume=COUNTED)
        for sections in ({}, *({name: section} for name, section in SECTIONS.items()), SECTIONS)
    )
    for name in ("steps", "training_steps", "training_tokens", "completions"):
        alone, more = getattr(plain, name), [getattr(one, name) - getattr(plain, name) for one in ones]
        assert getattr(both, name) == alone + sum(more), name
    curve, search = ones
    assert curve.steps - plain.steps == 1 + 2 * 2 * 3
    assert curve.training_steps - plain.training_steps == 2 * (1 + 2)
    assert search.training_steps - plain.training_steps == 4 * 2  # one epoch of eight examples at batch 4
    assert search.completions == plain.completions, "it takes the study's levels"
    assert {"curve: trainings", "search: trainings"} < {row.what for row in both.rows}
    assert not any("not counted" in note for note in both.notes)
    assert None not in (plain.disk_bytes, search.disk_bytes, both.disk_bytes, both.memory_bytes)
    assert plain.disk_bytes < search.disk_bytes < both.disk_bytes  # type: ignore[operator]
    assert both.disk_bytes < plain.disk_bytes + sum(one.disk_bytes - plain.disk_bytes for one in ones) + 1  # type: ignore[operator]


def test_their_seconds_are_added_and_the_price_follows(world: World, tmp_path: Path) -> None:
    stated = Assume(tokens_per_second=100, price_per_hour=36)
    plain, both = (plan_study(settings(world, **more), tmp_path / "study", assume=stated) for more in ({}, SECTIONS))
    added = sum(row.seconds or 0.0 for row in both.rows if row.what.startswith(("curve: ", "search: ")))
    assert plain.seconds is not None and both.seconds is not None and both.price is not None
    assert both.seconds == pytest.approx(plain.seconds + added, abs=0.5) and added > 10
    assert both.price == pytest.approx(both.seconds / 100, abs=1e-2)


def test_a_section_that_cannot_be_done_costs_no_more_than_itself(world: World, tmp_path: Path) -> None:
    plain = plan_study(settings(world), tmp_path / "study", assume=COUNTED)
    over = plan_study(settings(world, curve={"sizes": [4, 8, 999]}), tmp_path / "study", assume=COUNTED)
    assert (over.rows, over.disk_bytes, over.notes) == (plain.rows, plain.disk_bytes, plain.notes)
    assert len(over.missing) == 1 and over.missing[0].startswith("CANNOT BE DONE: curve: sizes must be at most 40")


def test_a_part_of_a_grid_takes_what_a_study_beside_it_has(whole: StudyResult, world: World) -> None:
    plan = plan_study(settings(world, methods=["full", "lora"]), whole.path.parent / "grid", assume=COUNTED)
    whole = plan_study(settings(world), whole.path, assume=COUNTED)
    common = 3 + 4  # probe, base twice, four selections
    assert plan.there == whole.steps + common


def test_a_mistyped_model_is_told_first_and_not_planned(world: World, tmp_path: Path, recollect: Command) -> None:
    given = values(world, models=[str(world.model), "pokcet"])
    file = tmp_path / "grid.yaml"
    file.write_text(yaml.safe_dump({name: value for name, value in given.items() if name != "model"}))
    shown = recollect("study", "--config", file, "--dry-run", "--no-calibrate")
    first = next(line for line in shown.err.splitlines() if not line.startswith("settings:"))
    assert first.startswith("CANNOT BE DONE: pokcet (1 of 2 parts)") and "Did you mean 'pocket'?" in first
    assert shown.code == 7 and "pokcet:" not in shown.out
    alone = recollect("study", "--model", "pokcet", "--facts", world.facts, "--dry-run", "--no-calibrate")
    assert alone.code == 2 and "Did you mean 'pocket'?" in alone.err
    counted = ("--parameters", "1e6", "--no-calibrate")
    assert recollect("study", "--model", "pokcet", "--facts", world.facts, "--dry-run", *counted).code == 0


def test_levels_of_a_finished_probe_say_which_cells_there_are(whole: StudyResult, world: World) -> None:
    plan = plan_study(settings(world, sizes=[4, 8, 41], repair=[]), whole.path.parent / "more", assume=COUNTED)
    assert plan.training_steps == 0  # 40 training facts: neither choice has 41


def test_a_model_that_is_not_here_is_named_and_counted_all_the_same() -> None:
    full = ProbeSettings.make(model="somebody/nameless", facts="elsewhere", method="sampled")
    plan = plan_probe(full, assume=Assume(facts_count="97112", price_per_hour=2))
    assert plan.completions == 20_393_520
    assert (plan.seconds, plan.memory_bytes, plan.price) == (None, None, None)
    assert any("somebody/nameless is not here" in note and "--parameters" in note for note in plan.notes)
    known = plan_probe(full, assume=Assume(facts_count="97112", parameters=8e9, tokens_per_second=1000))
    assert known.memory_bytes is not None and known.memory_bytes > 8e9 * 2
    # 21 prompts of 12 tokens read once, 210 completions of 16
    assert known.seconds == pytest.approx(97_112 * (21 * 12 + 210 * 16) / 1000, rel=1e-6)
    by_name = plan_probe(full.model_copy(update={"model": "somebody/Big-8B"}), assume=Assume(facts_count="10"))
    assert by_name.memory_bytes == pytest.approx(known.memory_bytes, rel=0.1)


def test_facts_that_are_not_here_must_be_counted(world: World) -> None:
    with pytest.raises(InputError, match="--facts-count 97112"):
        plan_probe(ProbeSettings.make(model=str(world.model), facts="elsewhere"))


def test_a_price_is_hours_times_what_an_hour_costs(world: World) -> None:
    small = ProbeSettings.make(model=str(world.model), facts=str(world.facts), templates=3, samples=4)
    plan = plan_probe(small, assume=Assume(tokens_per_second=10, price_per_hour=36))
    assert plan.seconds is not None and plan.price == pytest.approx(plan.seconds / 100, abs=1e-3)


def test_the_flags_of_a_plan_without_it_are_refused(recollect: Command, world: World) -> None:
    refused = recollect("probe", *probe_flags(world), "--price-per-hour", "2")
    assert refused.code == 2
    assert "--price-per-hour goes with --dry-run" in refused.err


def test_a_probe_that_is_finished_is_there(recollect: Command, world: World, tmp_path: Path) -> None:
    small = ProbeSettings.make(
        model=str(world.model), facts=str(world.facts), templates=3, samples=4, max_new_tokens=8, limit=8
    )
    assert plan_probe(small, tmp_path / "probe", assume=COUNTED).there == 0
    run_probe(small, world.fact_set, tmp_path / "probe")
    assert plan_probe(small, tmp_path / "probe", assume=COUNTED).there == 1
    assert plan_probe(small.model_copy(update={"seed": 1}), tmp_path / "probe", assume=COUNTED).there == 0


def test_a_training_is_measured_with_its_own_examples(recollect: Command, world: World, tmp_path: Path) -> None:
    chosen = run_select(SelectSettings.make(size=12, level="random"), world.fact_set, out=tmp_path / "chosen").path
    before = contents(tmp_path)
    given = ("--model", world.model, "--selection", chosen, "--learning-rate", "1e-3", "--batch-size", "4")
    found = recollect("train", *given, "--out", tmp_path / "trained", "--dry-run", "--json").json
    assert list(found) == KEYS
    assert found["training_steps"] == 3
    assert found["seconds"] > 0
    assert contents(tmp_path) == before
    plan = plan_train(TrainSettings.make(model=str(world.model), max_steps=2), chosen, assume=COUNTED)
    assert plan.training_steps == 2


def test_a_full_training_holds_four_times_the_weights(world: World) -> None:
    model = know_model(ModelSettings.make(model=str(world.model)))
    assert model.parameters is not None
    settings = TrainSettings.make(batch_size=1)
    needed = training_bytes(model, settings, prepare("cpu", "float32"), 0)
    assert needed == 16 * model.parameters


def test_the_weights_that_are_compared_are_those_of_the_region(world: World) -> None:
    model = know_model(ModelSettings.make(model=str(world.model)))
    assert model.weights("all") == model.parameters
    decoder, embedding = model.weights("decoder"), model.weights("embedding")
    assert decoder > 0 and decoder + embedding < model.weights("all"), "the norms are in neither"
    assert know_model(ModelSettings.make(model="somebody/Big-8B")).weights("decoder") == 8e9, "for want of its tensors"
    with pytest.raises(InputError, match="holds no tensor of this model"):
        model.weights("nowhere.*")
