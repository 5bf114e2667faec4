"""Flips counted by hand, the correction for chance, McNemar's test and Holm's correction against known values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recollect.compare import chance_of_a_guess, count_flips
from recollect.core.estimates import Pairs, holm, mcnemar
from recollect.errors import InputError

FIRST = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
SECOND = [1, 0, 1, 1, 1, 1, 1, 1, 0, 0]


def test_flips_are_counted_as_by_hand() -> None:
    found = count_flips(FIRST, SECOND)
    assert (found.n, found.both_right, found.both_wrong) == (10, 3, 2)
    assert (found.right_to_wrong.count, found.wrong_to_right.count, found.net) == (1, 4, 3)
    assert found.right_to_wrong.share.value == pytest.approx(0.1) == found.right_to_wrong.study
    assert found.wrong_to_right.share.value == pytest.approx(0.4) == found.wrong_to_right.study
    assert found.difference.value == pytest.approx(0.3)
    assert found.difference.low < 0.3 < found.difference.high


def test_mcnemar_is_the_binomial_of_the_changed() -> None:
    """1 against 4: 2 · (C(5,0) + C(5,1)) / 2^5 = 12/32; 0 against 6: 2/64; none changed: 1."""
    assert count_flips(FIRST, SECOND).p == pytest.approx(12 / 32)
    assert mcnemar(Pairs(6, 0, 1, 1)) == pytest.approx(2 / 64)
    assert mcnemar(Pairs(0, 0, 5, 5)) == 1
    assert mcnemar(Pairs(3, 3, 0, 0)) == 1


def test_holm_by_hand() -> None:
    """0.01 × 3, 0.02 × 2, 0.04 × 1, and never less than one before; 1 at most; the order is kept."""
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.01, 0.011]) == pytest.approx([0.02, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([0.3]) == [0.3]
    assert holm([]) == []


def test_two_guesses_are_taken_off() -> None:
    """Four choices, c/(1-c) = 1/3: 1 of 10 forgotten less 2/3 of 10 is 1/30; 4 of 10 gained less 2/30 is 1/3.

    As published (1-a)(1-b)/3 is taken off: a = 0.4, b = 0.7, so 0.06 of 0.1 and of 0.4.
    """
    found = count_flips(FIRST, SECOND, [0.25] * 10)
    assert found.right_to_wrong.share.value == pytest.approx(1 / 30)
    assert found.wrong_to_right.share.value == pytest.approx(1 / 3)
    assert found.right_to_wrong.study == pytest.approx(0.04)
    assert found.wrong_to_right.study == pytest.approx(0.34)
    assert found.right_to_wrong.share.low == 0


def test_more_guessing_than_flips_is_no_flip_and_not_a_negative_one() -> None:
    found = count_flips([0, 0, 0, 1], [0, 0, 0, 1], [0.5] * 4)
    share = found.right_to_wrong.share
    assert share.value == share.low == found.right_to_wrong.study == 0 <= share.high
    many = count_flips([0] * 500, [0] * 500, [0.1] * 500).wrong_to_right.share
    assert (many.value, many.low, many.high) == (0, 0, 0)  # all of what chance takes off lies below


@pytest.mark.parametrize(("known", "choices"), [(0.0, 4), (0.5, 4), (0.5, 2), (0.8, 3)])
def test_two_evaluations_of_one_model_with_other_seeds_have_no_corrected_flips(known: float, choices: int) -> None:
    """What it knows it knows both times; the rest it guesses anew. Without the correction many answers flip."""
    random = np.random.default_rng(5)
    n, chance = 20_000, 1 / choices
    knows = random.random(n) < known
    runs = [(knows | (random.random(n) < chance)).tolist() for _ in range(2)]
    found = count_flips(runs[0], runs[1], [chance] * n)
    guessed = (1 - known) * chance * (1 - chance)
    for flip in (found.right_to_wrong, found.wrong_to_right):
        assert flip.count / n == pytest.approx(guessed, abs=0.01)
        assert flip.share.value < 3 * math.sqrt(guessed / n)
        assert flip.share.low == 0
    # the published form holds where nothing is known, and leaves guesses where something is
    left = guessed - (1 - known) ** 2 * (1 - chance) ** 2 / (choices - 1)
    assert found.right_to_wrong.study == pytest.approx(max(left, 0), abs=0.01)


def test_what_was_forgotten_is_found_among_guesses() -> None:
    """Of 60 % known 15 % of all are forgotten: 0.15 (1-c) remain after the correction, by question of other chances."""
    random = np.random.default_rng(6)
    n = 40_000
    chance = np.where(np.arange(n) % 2 == 0, 0.25, 0.5)
    before = np.arange(n) % 20 < 12
    after = before & (np.arange(n) % 20 >= 3)
    runs = [(knows | (random.random(n) < chance)).tolist() for knows in (before, after)]
    found = count_flips(runs[0], runs[1], chance.tolist())
    true = float((before & ~after).astype(float) @ (1 - chance)) / n
    assert found.right_to_wrong.share.value == pytest.approx(true, abs=0.01)
    assert found.right_to_wrong.share.low < true < found.right_to_wrong.share.high
    assert found.wrong_to_right.share.value == pytest.approx(0, abs=0.01)


def test_the_chance_of_a_guess_by_hand() -> None:
    """Yes and no, twice each: 2·(2·1)/(4·3) = 1/3; three names: none; 5 of 4 kinds with one twice: 2/20."""
    relations = ["yes"] * 4 + ["name"] * 3 + ["kind"] * 5
    answers = ["Yes", "no", "yes", "No", "Ada", "Bob", "Cy", "a", "b", "c", "d", "a"]
    assert chance_of_a_guess(relations, answers) == pytest.approx([1 / 3] * 4 + [0.0] * 3 + [0.1] * 5)
    assert chance_of_a_guess(["one"] * 3, ["x"] * 3) == [0.5] * 3
    assert chance_of_a_guess(["alone"], ["x"]) == [0.0]


def test_the_chance_of_equal_choices_is_one_over_their_number() -> None:
    random = np.random.default_rng(1)
    found = [chance_of_a_guess(["q"] * 40, [f"{c}" for c in random.integers(0, 4, 40)])[0] for _ in range(500)]
    assert np.mean(found) == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize("chance", [[0.6, 0.1], [-0.1, 0.1], [0.1], [math.nan, 0.1]])
def test_a_chance_that_is_none_is_refused(chance: list[float]) -> None:
    with pytest.raises(InputError, match="chance must be one number from 0 to 0.5"):
        count_flips([1, 0], [0, 1], chance)


def test_no_question_and_other_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="no question"):
        count_flips([], [])
    with pytest.raises(InputError, match="same facts"):
        count_flips([True], [True, False])


def test_two_questions_about_one_subject_are_less_than_two():
    first, second = [False] * 40, [True] * 6 + [False] * 34
    alone = count_flips(first, second)
    twice = count_flips(first, second, units=[str(at // 2) for at in range(40)])
    assert alone.p < 0.05 < twice.p
    assert alone.difference.low > 0 > twice.difference.low
    assert twice.wrong_to_right.share.low < alone.wrong_to_right.share.low
    assert count_flips(first, second, units=[str(at) for at in range(40)]) == alone
