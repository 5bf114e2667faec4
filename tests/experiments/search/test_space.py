"""The space: what it refuses, what it contains, how it is narrowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect.errors import InputError
from recollect.experiments.search import Choice, Float, Int, Space, default_space, starts
from recollect.experiments.search.proposals import View, at_random, suggest
from recollect.shipped import SHIPPED

CONDITIONAL = """
method: [full, lora]
learning_rate: {low: 1e-5, high: 1e-3, log: true}
lora_r: {low: 4, high: 64, log: true, when: {method: lora}}
lora_targets: {options: ["q_proj,v_proj", all-linear], when: {method: lora}}
epochs: 3
"""


def test_yaml_gives_the_parameters_it_says(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(CONDITIONAL)
    space = Space.of(file)
    assert space.parameters["learning_rate"] == Float(1e-5, 1e-3, log=True)
    assert space.parameters["lora_r"] == Int(4, 64, log=True, when={"method": "lora"})
    assert space.parameters["epochs"] == Choice([3])
    assert Space.of(CONDITIONAL) == space == Space.of(space.to_yaml())
    assert Space.of({"batch_size": [4, 8], "size": Int(30, 90)}).parameters["batch_size"] == Choice([4, 8])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "at least one setting"),
        ("learning_rate: {low: 1e-3, high: 1e-5}", "low must be at most high"),
        ("learning_rate: {low: 0, high: 1, log: true}", "above 0"),
        ("learning_rate: {low: 0.1}", "low and high"),
        ("learning_rate: {low: 0.1, high: 0.2, steps: 3}", "unknown word 'steps'"),
        ("learning_rate: {low: .inf, high: .inf}", "finite"),
        (f"batch_size: {{low: 1, high: {'9' * 400}}}", "finite"),
        (f"batch_size: [{'9' * 400}]", "finite"),
        ("size: {low: 30, high: 90, step: true}", "step must be a whole number"),
        ("learnig_rate: 0.1", "Did you mean learning_rate"),
        ("lr: 0.1", "Did you mean learning_rate"),
        ("seed: [1, 2]", "cannot be searched over"),
        ("epochs: []", "at least one value"),
        ("epochs: [1, 1]", "each value once"),
        ("warmup_ratio: [0.1, 1.5]", "less than 1"),
        ("batch_size: {low: 0, high: 4}", "greater than or equal to 1"),
        ("batch_size: {low: 1.5, high: 4}", "whole number"),
        ("schedule: [cosine, sine]", "'cosine', 'linear' or 'constant'"),
        ("level: [mixed, '7']", "levels out of 0,1,2,3,4"),
        ("lora_r: {low: 1, high: 4, when: {method: lora}}", "not in the space"),
        ("hold: [free, tight]", "must be one of free, anchor 0.1"),
        ("{hold: [free, anchor 0.1], freeze: [lower]}", "hold stands for freeze and others"),
        ("method: [full]\nlora_r: {low: 1, high: 4, when: {method: lora}}", "which method never is"),
        ("epochs: {options: [1], when: {size: 60}}\nsize: {options: [60], when: {epochs: 1}}", "circle"),
        ("- 1", "mapping"),
    ],
)
def test_a_bad_space_is_refused_in_words(text: str, part: str) -> None:
    with pytest.raises(InputError, match=part):
        Space.of(text)


@pytest.mark.parametrize("given", [5, None, ["learning_rate"]])
def test_what_is_no_mapping_is_no_space(given: Any) -> None:
    with pytest.raises(InputError, match="a space must be a mapping"):
        Space.of(given)


def test_free_names_are_taken_as_they_are() -> None:
    assert Space.of({"beta": {"low": 0.0, "high": 1.0}}, free=True).contains({"beta": 0.5})


def test_contains_wants_the_active_settings_exactly() -> None:
    space = Space.of(CONDITIONAL)
    full = {"method": "full", "learning_rate": 1e-4, "epochs": 3}
    assert space.contains(full)
    assert not space.contains(full | {"lora_r": 8})
    assert not space.contains(full | {"learning_rate": 1e-2})
    assert not space.contains({"method": "lora", "learning_rate": 1e-4, "epochs": 3})
    assert space.contains(full | {"method": "lora", "lora_r": 8, "lora_targets": "all-linear"})


def test_the_fingerprint_tells_spaces_apart_and_not_their_order_or_caps() -> None:
    one = Space.of("batch_size: [4, 8]\nepochs: [1, 2]")
    assert one.fingerprint() == Space.of("epochs: [1, 2]\nbatch_size: [4, 8]").fingerprint()
    assert one.fingerprint() == one.narrowed({"batch_size": 8, "epochs": 1}).fingerprint()
    assert one.fingerprint() != Space.of("batch_size: [4, 16]\nepochs: [1, 2]").fingerprint()


def test_out_of_memory_lowers_the_batch_then_the_rank_then_nothing() -> None:
    space = Space.of("batch_size: [4, 8, 16]\nlora_r: {low: 4, high: 64, log: true}\nsize: {low: 30, high: 90}")
    after = space.narrowed({"batch_size": 8, "lora_r": 16, "size": 60})
    assert after.caps == {"batch_size": 4}
    assert not after.contains({"batch_size": 8, "lora_r": 4, "size": 30})
    assert after.contains({"batch_size": 4, "lora_r": 64, "size": 90})
    assert after.clip({"batch_size": 16, "lora_r": 64, "size": 90})["batch_size"] == 4
    again = after.narrowed({"batch_size": 4, "lora_r": 16, "size": 60})
    assert again.caps == {"batch_size": 4, "lora_r": 15}
    assert again.narrowed({"batch_size": 4, "lora_r": 4, "size": 60}).caps == again.caps


@settings(deadline=None)
@given(st.sampled_from(["full", "lora"]), st.booleans(), st.integers(20, 3000), st.booleans(), st.integers(0, 2**32))
def test_default_spaces_hold_their_starts_and_every_random_point(
    method: str, pocket: bool, most: int, levels: bool, seed: int
) -> None:
    shipped = SHIPPED["pocket"] if pocket else None
    space = default_space(method, shipped, most, levels)  # type: ignore[arg-type]
    first = starts(space, method, shipped)  # type: ignore[arg-type]
    assert 3 <= len(first) <= 4
    assert all(space.contains(start) for start in first)
    point = at_random(View(space), seed)
    assert space.contains(point)
    back = {name: space.parameters[name].at(space.parameters[name].place(value)) for name, value in point.items()}
    assert all(
        back[name] == value if isinstance(value, str | int) else abs(back[name] - value) <= 1e-9 * abs(value) + 1e-12
        for name, value in point.items()
    )


def test_the_baseline_is_the_presets_and_the_lora_rate_ten_times_the_full_one() -> None:
    full = starts(default_space("full", None, 1000, True))[0]
    lora = starts(default_space("lora", None, 1000, True), "lora")[0]
    assert (full["learning_rate"], full["batch_size"], full["epochs"]) == (1e-5, 8, 1)
    assert (lora["learning_rate"], lora["lora_r"], lora["lora_alpha"], lora["epochs"]) == (1e-4, 16, 32.0, 12)


def test_suggesting_through_optuna_skips_inactive_settings() -> None:
    space = Space.of(CONDITIONAL)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(20):
        trial = study.ask()
        values = suggest(space, trial)
        assert space.contains(values) and trial.params == values
        seen.add(values["method"])
    assert seen == {"full", "lora"}


def test_a_finite_space_can_be_counted_out() -> None:
    space = Space.of("method: [full, lora]\nlora_r: {options: [4, 8], when: {method: lora}}")
    assert space.points() == [
        {"method": "full"},
        {"method": "lora", "lora_r": 4},
        {"method": "lora", "lora_r": 8},
    ]
    assert Space.of("learning_rate: {low: 0.1, high: 0.2}").points() is None
