"""SliCK: categories from counts, prompts, exact match, and a run on a small model."""

from pathlib import Path

import pytest

from enumerable import load_small
from recollect.errors import InputError
from recollect.facts import Fact, FactSet
from recollect.match import exact
from recollect.probe import SlickSettings, run_slick
from recollect.probe.slick import category, few_shot_prompt


def facts(count: int = 8) -> FactSet:
    words = "abcd"
    return FactSet(
        tuple(
            Fact(
                "R",
                f"{words[i % 4]} {words[i // 4]}",
                words[(i * 3 + 1) % 4],
                f"what is {words[i % 4]} {words[i // 4]}",
            )
            for i in range(count)
        )
    )


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


def test_too_few_examples_are_named(tmp_path: Path) -> None:
    small = load_small(tmp_path / "model")
    settings = SlickSettings.make(model=str(tmp_path / "model"), shots=4, parts="train")
    with pytest.raises(InputError, match="relation R has 4 facts"):
        run_slick(settings, facts(4), tmp_path / "out", loaded=small.loaded)
