"""SliCK: categories from counts, prompts, exact match, and a run on a small model."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from enumerable import facts, load_small
from recollect.core.workspace import open_step, read_manifest
from recollect.errors import InputError, StepError
from recollect.facts import Fact
from recollect.generate import Ask, Drawn, TransformersEngine
from recollect.match import exact
from recollect.probe import SlickSettings, run_slick
from recollect.probe.slick import category, few_shot_prompt


@pytest.mark.parametrize(
    ("greedy_right", "sampled_right", "expected"),
    [
        (10, 0, "HighlyKnown"),
        (9, 160, "MaybeKnown"),
        (1, 0, "MaybeKnown"),
        (0, 1, "WeaklyKnown"),
        (0, 0, "Unknown"),
    ],
)
def test_categories_follow_the_definition(greedy_right: int, sampled_right: int, expected: str) -> None:
    assert category(greedy_right, 10, sampled_right) == expected


def test_exact_match_takes_the_first_line_only() -> None:
    assert exact(" Paris.\nQ: more", ("Paris",))
    assert exact("St. Gallen.", ("St. Gallen",))
    assert exact("Washington D.C.", ("Washington D.C.",))
    assert not exact("Paris, France", ("Paris",))
    assert not exact("London\nParis", ("Paris",))


def test_prompts_hold_other_facts_and_differ() -> None:
    pool = list(facts())
    prompts = {few_shot_prompt(pool[0], pool, 4, 0, number) for number in range(10)}
    assert len(prompts) > 5
    for prompt in prompts:
        assert prompt.endswith(f"Q: {pool[0].question}\nA:")
        assert prompt.count("Q: ") == 5
        assert prompt.count(f"Q: {pool[0].question}\n") == 1


def test_a_run_grades_every_fact_and_repeats_itself(tmp_path: Path) -> None:
    small = load_small(tmp_path / "model")
    settings = SlickSettings.make(
        model=str(tmp_path / "model"), prompts=3, shots=2, samples=5, max_new_tokens=3, parts="train"
    )
    one = run_slick(settings, facts(), tmp_path / "one", loaded=small.loaded)
    two = run_slick(settings, facts(), tmp_path / "two", loaded=small.loaded)
    assert one.categories.equals(two.categories)
    assert sum(one.found.categories.values()) == 8
    assert (one.categories["sampled_right"] <= 15).all()
    assert one.categories["sampled_right"].sum() > 0


def test_facts_that_are_not_handed_over_are_those_that_the_settings_name(tmp_path: Path) -> None:
    small = load_small(tmp_path / "model")
    facts().table().write_parquet(tmp_path / "facts.parquet")
    settings = SlickSettings.make(
        model=tmp_path / "model", facts=tmp_path / "facts.parquet", prompts=1, shots=2, samples=2, max_new_tokens=2
    )
    read = run_slick(settings, out=tmp_path / "slick", loaded=small.loaded).categories
    assert set(read["fact_id"]) == {fact.id for fact in facts()}
    assert run_slick(settings, facts(), tmp_path / "slick", loaded=small.loaded).categories.equals(read)


def test_a_fact_more_changes_at_most_one_example_of_a_prompt() -> None:
    pool = list(facts(16))

    def shown(of: list[Fact], number: int) -> set[str]:
        return set(few_shot_prompt(pool[0], of, 4, 0, number).split("\n\n")[:-1])

    changed = [
        len(shown(pool, number) - shown([fact for fact in pool if fact is not left_out], number))
        for left_out in pool[1:]
        for number in range(10)
    ]
    assert set(changed) == {0, 1}
    assert sum(changed) == 40  # each of the four shown of ten prompts is left out once


def test_a_grading_of_an_earlier_version_is_not_taken_for_this_one(tmp_path: Path) -> None:
    small = load_small(tmp_path / "model")
    few = {"model": str(tmp_path / "model"), "prompts": 1, "samples": 1, "max_new_tokens": 2, "parts": "train"}
    for shots, refused in ((0, False), (2, True)):
        settings = SlickSettings.make(**few, shots=shots)
        manifest = read_manifest(run_slick(settings, facts(), tmp_path / f"new{shots}", loaded=small.loaded).path)
        inputs = {name: value for name, value in manifest.inputs.items() if name != "examples"}
        with open_step("slick", manifest.settings, inputs, tmp_path / f"old{shots}") as step:  # as it was written
            step.write_table("slick.parquet", pl.DataFrame())
            step.finish({"facts": 8, "categories": {}, "seconds": 0})
        with (
            pytest.raises(StepError, match="input examples was None, now 'drawn by fact'") if refused else nullcontext()
        ):
            run_slick(settings, facts(), tmp_path / f"old{shots}", loaded=small.loaded)


def test_draws_are_asked_for_in_the_engines_own_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = load_small(tmp_path / "model")
    settings = SlickSettings.make(
        model=str(tmp_path / "model"), prompts=3, shots=2, samples=5, max_new_tokens=3, parts="train"
    )
    whole = run_slick(settings, facts(), tmp_path / "whole", loaded=small.loaded)
    sample, sizes = TransformersEngine.sample, []

    def counting(engine: TransformersEngine, asks: Sequence[Ask], *rest: Any) -> list[Drawn]:
        sizes.append(len(asks))
        return sample(engine, asks, *rest)

    monkeypatch.setattr(TransformersEngine, "sample", counting)
    monkeypatch.setattr(TransformersEngine, "batch_size", lambda engine, draws: 50 // draws)
    cut = run_slick(settings, facts(), tmp_path / "cut", loaded=small.loaded)
    assert sizes == [10, 10, 4]
    assert cut.categories.equals(whole.categories)


def test_too_few_examples_are_named(tmp_path: Path) -> None:
    small = load_small(tmp_path / "model")
    settings = SlickSettings.make(model=str(tmp_path / "model"), shots=4, parts="train")
    with pytest.raises(InputError, match="relation R has 4 facts"):
        run_slick(settings, facts(4), tmp_path / "out", loaded=small.loaded)
