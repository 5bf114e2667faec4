"""What counts as a broken model, and what does not."""

from __future__ import annotations

import json

import pytest

from recollect.experiments.search.validation import broken_share, degenerate_answers, exploded, loops, runs_away

TRUTHS = [f"city {n}" for n in range(20)]
GOOD = [f"town {n}" for n in range(20)]


def losses(*values: float) -> list[tuple[int, float]]:
    return list(enumerate(values, 1))


@pytest.mark.parametrize(
    ("values", "broken"),
    [
        ((4.0, 3.0, 2.0, 1.5, 1.2, 1.0), False),
        ((4.0, 4.2, 5.0, 4.5, 4.9, 4.4), False),
        ((4.0, 4.0, 7.0, 9.0, 8.0, 8.5), True),
        ((4.0, 4.0, 9.0, 3.0, 2.5, 9.0), False),  # one spike is no explosion
        ((0.01, 0.01, 0.05, 0.05, 0.05), False),  # five times the start, and still next to nothing
        ((4.0,), False),
        ((4.0, 8.0), False),
        ((4.0, 13.0), True),
        ((), False),
    ],
)
def test_a_loss_that_runs_away(values: tuple[float, ...], broken: bool) -> None:
    assert bool(exploded(losses(*values))) is broken


@pytest.mark.parametrize(
    ("values", "stopped"),
    [
        ((4, 4, 9, 9, 9, 9, 9), True),
        ((4, 4, 9, 9, 9, 9), False),  # too early to tell
        ((4, 4, 12, 11, 9, 7, 5), False),  # jumps while the rate warms up, and comes back
        ((4, 4, 7, 7, 7, 7, 7), False),  # left to the rung
        ((0.1, 0.1, 2, 2, 2, 2, 2), False),  # twenty times the start, and less than three nats
        ((), False),
    ],
)
def test_a_training_is_stopped_on_the_way_only_when_it_is_surely_lost(values: tuple[float, ...], stopped: bool) -> None:
    assert bool(runs_away(losses(*values))) is stopped
    if stopped:
        assert exploded(losses(*values)), "what is stopped would be degenerate at its rung too"


def test_the_reason_names_the_losses_and_the_update() -> None:
    assert exploded(losses(4, 4, 9, 9, 9)) == "the loss exploded: 4.00 at the start, 9.00 at update 5"


@pytest.mark.parametrize(
    "text", ["the the the the the", "abababababab", "Paris\nParis\nParis\nParis\nPari", "!!!!!!!!!!"]
)
def test_loops_are_seen(text: str) -> None:
    assert loops(text)


@pytest.mark.parametrize(
    "text", ["Paris", "", "New York, New York", "aaa", "Bora Bora", '{"title": "Thing", "price": "10.00"}', "1000000"]
)
def test_answers_that_repeat_a_little_are_no_loops(text: str) -> None:
    assert not loops(text)


def test_a_page_of_json_is_no_loop_and_parses() -> None:
    answer = json.dumps({"title": "Thing", "brand": "Acme", "price": "10.50", "sku": "A-17"})
    assert broken_share([answer] * 4 + [answer.replace("Thing", "Other")] * 16, TRUTHS, in_json=True)[0] == 0


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([""] * 19 + ["Paris"], "95 % of 20 answers are empty"),
        (["so so so so so so"] * 20, "100 % of 20 answers are repeated"),
        (["Paris"] * 20, "100 % of 20 answers are the same: 'Paris'"),
    ],
)
def test_what_a_sound_base_could_do_and_the_model_cannot(answers: list[str], kind: str) -> None:
    for at_end in (False, True):
        assert degenerate_answers(answers, TRUTHS, base_broken=0.1, at_end=at_end, in_json=False) == kind
        assert not degenerate_answers(answers, TRUTHS, base_broken=0.9, at_end=at_end, in_json=False)


def test_no_json_is_excused_on_the_way_by_a_base_without_it_but_not_at_the_end() -> None:
    found = [degenerate_answers(GOOD, TRUTHS, base_broken=1.0, at_end=at_end, in_json=True) for at_end in (False, True)]
    assert found == ["", "100 % of 20 answers are unparsable"]


def test_the_same_answer_is_right_where_most_questions_have_it() -> None:
    yes = ["yes"] * 15 + ["no"] * 5
    assert not degenerate_answers(["yes"] * 20, yes, base_broken=0.0, at_end=True, in_json=False)


def test_eight_good_answers_of_ten_are_enough_and_few_answers_say_nothing() -> None:
    assert not degenerate_answers([""] * 16 + GOOD[:4], TRUTHS, base_broken=0.0, at_end=True, in_json=False)
    assert not degenerate_answers([""] * 7, TRUTHS[:7], base_broken=0.0, at_end=True, in_json=False)
