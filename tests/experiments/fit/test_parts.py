"""Split, budget, clock, choice and power: the parts of a fit that need no model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from helpers_fit import world
from recollect.core.estimates import Pairs, questions_needed
from recollect.core.workspace.fit import Candidate
from recollect.errors import InputError
from recollect.experiments.fit.budget import read_budget
from recollect.experiments.fit.choose import choose, knee, on_front
from recollect.experiments.fit.clock import FitClock
from recollect.experiments.fit.prepare import prepare_fit
from recollect.experiments.fit.settings import FitSettings
from recollect.experiments.fit.space import fit_space, fit_starts, plain_values
from recollect.experiments.fit.split import ENOUGH, LEAST, split_for_fit, unit_of
from recollect.experiments.search.hold import FREE, HOLDS
from recollect.experiments.search.parameters import Choice
from recollect.facts import Beside, Fact, FactSet, FactsSettings, load_facts, run_facts


def candidate(name: str, score: float, forgot: float, kind: str = "trial") -> Candidate:
    return Candidate.model_validate(
        {"name": name, "kind": kind, "score": score, "forgot": forgot, "value": score - 0.5 * forgot}
    )


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("30m", "seconds", 1800),
        ("1.5h", "seconds", 5400),
        ("90 s", "seconds", 90),
        ("12 trials", "trials", 12),
        ("1 trial", "trials", 1),
        ("2000 steps", "updates", 2000),
        ("$3", "price", 3),
    ],
)
def test_a_budget_is_read_as_it_is_said(text: str, name: str, value: float):
    assert getattr(read_budget(text), name) == value


@pytest.mark.parametrize("text", ["", "soon", "0m", "-3m", "12", "3 $", "0 trials"])
def test_another_budget_is_refused(text: str):
    with pytest.raises(InputError, match="budget"):
        FitSettings.make(budget=text)


def test_money_needs_the_price_of_an_hour():
    with pytest.raises(InputError, match="price_per_hour"):
        FitSettings.make(budget="$3")
    assert FitSettings.make(budget="$3", price_per_hour=2).seconds == 5400


def test_no_subject_and_no_question_is_in_two_parts():
    parts = split_for_fit(world(), FitSettings())
    sides = {
        "train": parts.choosing.part("train"),
        "validation": parts.choosing.part("test"),
        "test": parts.final.part("test"),
    }
    assert [len(side) for side in sides.values()] == [
        parts.counts.train,
        parts.counts.validation,
        parts.counts.test,
    ]
    units = {name: {unit_of(fact) for fact in side} for name, side in sides.items()}
    assert not units["train"] & units["validation"]
    questions = {name: {fact.question.casefold() for fact in side} for name, side in sides.items()}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not questions[one] & questions[other]
    assert {fact.id for fact in parts.choosing.part("ood")}.isdisjoint(fact.id for fact in parts.final.part("ood"))


def test_a_users_own_test_stays_the_test_and_a_missing_one_is_made():
    facts = world()
    assert {one.id for one in split_for_fit(facts, FitSettings()).final.part("test")} == {
        one.id for one in facts.part("test")
    }
    train_only = FactSet(tuple(replace(one, split="train", domain="in-domain") for one in facts), "t")
    made = split_for_fit(train_only, FitSettings())
    assert made.counts.test == pytest.approx(0.3 * len(facts), abs=3)
    assert "30 % of the data" in made.counts.how


def test_a_row_more_moves_no_other_row():
    facts = world()
    more = FactSet((*facts, Fact("qa", "Who?", "Me", "Who?")), facts.name)
    before = {one.id for one in split_for_fit(facts, FitSettings()).choosing.part("train")}
    after = {one.id for one in split_for_fit(more, FitSettings()).choosing.part("train")}
    assert len(before ^ after) <= 3


def test_a_question_asked_in_the_test_in_other_case_is_not_trained_on():
    facts = world()
    tested = facts.part("test").facts[0]
    twin = Fact("qa", "twin", "x", tested.question.upper() + " ")
    parts = split_for_fit(FactSet((*facts, twin), facts.name), FitSettings())
    assert twin.id not in {one.id for one in parts.choosing}
    assert any("left out" in note for note in parts.notes)


def test_too_little_data_is_told_in_one_line():
    with pytest.raises(InputError, match="at least 8") as told:
        split_for_fit(world(train=10, test=40), FitSettings())
    assert "\n" not in str(told.value)
    assert "7 are left" in str(told.value)


def test_the_front_the_knee_and_the_choice():
    found = [
        candidate("a", 40, 10),
        candidate("b", 55, 20),
        candidate("c", 58, 45),
        candidate("worse", 50, 30),
    ]
    assert [one.name for one in on_front(found)] == ["a", "b", "c"]
    bend = knee(found)
    assert bend is not None
    assert bend.name == "b"
    marked = {one.name: one for one in choose(found)}
    assert [name for name, one in marked.items() if one.chosen] == ["b"]  # 35, 45, 35.5 and 35
    assert not marked["worse"].front


def test_of_equal_values_the_simpler_one_is_taken():
    found = choose([candidate("t", 50, 10, "trial"), candidate("p", 50, 10, "plain")])
    assert [one.name for one in found if one.chosen] == ["p"]


def test_a_single_training_needs_more_than_one_standard_error_over_a_mean():
    lucky, mean = candidate("trial", 54, 10), candidate("mean", 51, 10, "mean").model_copy(update={"averaged": True})
    assert [one.name for one in choose([lucky, mean], lambda *_: 4.0) if one.chosen] == ["mean"]
    assert [one.name for one in choose([lucky, mean], lambda *_: 2.0) if one.chosen] == ["trial"]


def test_how_many_questions_would_tell():
    assert questions_needed(Pairs(20, 10, 50, 20)) == 234
    assert questions_needed(Pairs(10, 20, 50, 20)) == 234
    assert questions_needed(Pairs(10, 10, 50, 30)) is None
    assert (questions_needed(Pairs(40, 0, 30, 30)) or 0) < 30


def test_the_clock_counts_work_and_not_the_time_between(tmp_path: Path):
    now = [0.0]
    clock = FitClock(tmp_path, 100, lambda: now[0])
    with clock.stage("a"):
        now[0] += 30
    assert clock.left == 70
    later = [1000.0]
    again = FitClock(tmp_path, 100, lambda: later[0])
    later[0] += 10
    assert again.left == 60
    assert again.room(50)
    assert not again.room(50, reserved=20)
    assert FitClock(tmp_path, None, lambda: later[0]).room(1e9)


FROZEN = ("mlp frozen",)


@pytest.mark.parametrize(
    ("given", "ways"),
    [
        ({}, tuple(HOLDS)),
        ({"method": "lora"}, tuple(HOLDS)),
        ({"forgetting": 0}, ()),
        ({"model": "some/model"}, tuple(name for name in HOLDS if "text" not in name)),
        ({"model": "some/model", "train": {"anchor_text": "a.txt"}}, tuple(HOLDS)),
        ({"train": {"anchor": 0.2}}, (FREE, *FROZEN)),
        ({"train": {"anchor": 0.2, "freeze": "mlp"}}, ()),
        ({"train": {"freeze": "mlp"}}, tuple(name for name in HOLDS if name not in FROZEN)),
        ({"method": "lora", "train": {"lora_init": "pissa"}}, (FREE, *FROZEN)),
        ({"train": {"processes": 2}}, (FREE, *FROZEN)),
    ],
)
def test_ways_to_forget_less_are_searched_where_forgetting_counts_and_they_can_be(
    given: dict[str, object], ways: tuple[str, ...]
):
    settings = FitSettings.make(**given)
    plain = plain_values(settings.train, 60, 1e-4)
    space = fit_space(settings, 60, True, plain)
    found = space.parameters.get("hold")
    assert (found.options if isinstance(found, Choice) else ()) == ways
    starts = fit_starts(space, plain, 60, gentle=True)
    first, *others = (start.get("hold", FREE) for start in starts)
    assert first == ("mlp frozen" if given.get("method") == "lora" else FREE)
    assert set(others) == {FREE}


def test_a_question_that_stands_twice_in_the_test_is_asked_once():
    facts = world()
    tested = facts.part("test").facts[0]
    twin = replace(tested, id="twin", question=tested.question.upper() + " ")
    parts = split_for_fit(FactSet((*facts, twin), facts.name), FitSettings())
    assert parts.counts.test == 40
    assert twin.id not in {one.id for one in parts.final}
    assert any("asks the same" in note for note in parts.notes)


def test_forty_questions_without_a_split_are_enough_and_one_subject_is_not():
    facts = [Fact("qa", f"q{at}", f"a{at}", f"Who is number {at}?") for at in range(ENOUGH)]
    assert split_for_fit(FactSet(tuple(facts), "few"), FitSettings()).counts.test >= LEAST
    alike = [replace(one, relation="of", subject="France") for one in facts]
    with pytest.raises(InputError, match="not divided"):
        split_for_fit(FactSet(tuple(alike), "one"), FitSettings())


def test_rows_that_the_data_marks_for_validation_choose_and_nothing_else_does():
    facts = world()
    own = tuple(replace(one, split="test") for one in facts.part("train").facts[:12])
    rest = tuple(one for one in facts if one.id not in {fact.id for fact in own})
    tested = facts.part("test").facts[0]
    asked_in_both = replace(tested, id="twin")
    given = FactSet(rest, "own", Beside(validation=(*own, asked_in_both)))
    parts = split_for_fit(given, FitSettings())
    assert {one.id for one in parts.choosing.part("test")} == {one.id for one in own}
    assert parts.counts.train == len(FactSet(rest).part("train"))
    assert "validation: the data's own" in parts.counts.line
    assert parts.counts.line.startswith("train 48 / validation 12 / test 40, ")
    few = FactSet(rest, "own", Beside(validation=own[:3]))
    with pytest.raises(InputError, match="choose by, but 3 are left"):
        split_for_fit(few, FitSettings())


def test_a_file_with_a_validation_part_is_split_as_it_says(tmp_path: Path):
    rows = [f"What is {part} {at}?,answer {at},{part}" for part in ("train", "validation", "test") for at in range(10)]
    path = tmp_path / "own.csv"
    path.write_text("question,answer,split\n" + "\n".join(rows))
    step = run_facts(FactsSettings.make(path=str(path)), tmp_path / "step").path
    for place in (path, step):
        facts = load_facts(str(place))
        assert len(facts) == 20
        parts = split_for_fit(facts, FitSettings())
        assert {one.question for one in parts.choosing.part("test")} == {
            f"What is validation {at}?" for at in range(10)
        }
        assert (parts.counts.train, parts.counts.test) == (10, 10)
        assert prepare_fit(FitSettings.make(data=str(place))).inputs["validation"]


def test_earlier_turns_that_are_not_learned_are_told(tmp_path: Path):
    lines = [
        {
            "messages": [
                {"role": role, "content": f"{role} {at} {turn}"} for turn in "ab" for role in ("user", "assistant")
            ]
        }
        for at in range(40)
    ]
    path = tmp_path / "chat.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    parts = split_for_fit(load_facts(str(path)), FitSettings())
    assert any("40 rows have earlier turns" in note for note in parts.notes)
    assert any("the last answer of each conversation alone" in note for note in parts.notes)


def test_too_few_rows_are_told_in_rows():
    with pytest.raises(InputError, match="the data has 5 questions.*about 40 rows") as told:
        split_for_fit(FactSet(world().part("train").facts[:5]), FitSettings())
    assert "share" not in str(told.value)


def test_how_little_a_test_tells_goes_by_its_subjects():
    def note(each: int, subjects: int) -> list[str]:
        facts = [Fact("P36", f"Land {at}", "x", f"What is {number} of Land {at}?", split=split)
                 for at in range(3 * subjects) for number in range(each)
                 for split in ["test" if at < subjects else "train"]]  # fmt: skip
        return [one for one in split_for_fit(FactSet(tuple(facts), "x"), FitSettings()).notes if "known to" in one]

    assert note(1, 49) == ["The test has 49 questions: a share of right answers is known to about ± 14 points."]
    assert note(1, 100) == []
    assert note(4, 36) == [
        "The test has 144 questions about 36 subjects: a share of right answers is known to about ± 8 points where "
        "they have nothing to do with each other, and to ± 16 where those of one are right or wrong together."
    ]
