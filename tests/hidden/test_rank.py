"""The place of a right answer: by hand, uniform when nothing is known, and the trap of an answer that most have."""

from typing import Any

import numpy as np
import pytest

from helpers_hidden import DRAWS, RARE, world
from recollect.hidden.label import ABSENT, HIDDEN, UNDECIDED, hidden_share, labels
from recollect.hidden.rank import Place, Preferences


def made(logs: Any, right: list[int], pool: list[int] | None = None, said: Any = None) -> Preferences:
    logs = np.asarray(logs, dtype=float)
    said = np.zeros_like(logs) if said is None else np.asarray(said)
    pool = [right.count(answer) for answer in range(logs.shape[1])] if pool is None else pool
    return Preferences(said, logs, right, np.eye(logs.shape[1]) > 0, pool, [1] * len(right))


def place(low: float, high: float, p_value: float | None = None) -> Place:
    return Place(0.0, 1, 99, low, high, 0, p_value)


def test_a_gain_is_over_the_other_subjects_that_have_another_answer() -> None:
    gains = made([[-1, -4], [-3, -2], [-5, -6]], [0, 1, 1]).gains()
    assert gains[0].tolist() == [-1 - (-3 - 5) / 2, 0]  # both others have answer 1: nothing to compare it with
    assert gains[1].tolist() == [-3 + 5, -2 + 4]  # row 0's own answer does not count


def test_a_place_by_hand() -> None:
    found = made([[-1, -9, -2], [-5, -5, -5], [-5, -5, -5]], [0, 1, 2]).places(DRAWS, RARE)
    one = found[0]
    assert (one.rank, one.candidates, one.first) == (1, 2, 0)
    assert (one.low, one.high) == (0, pytest.approx(1 / 3))
    assert one.gain == 4
    assert one.p_value is None  # a third of the facts have this answer


def test_an_answer_counts_as_often_as_facts_have_it() -> None:
    logs = [[-1, -9, -2], [-5, -5, -5], [-5, -5, -5]]
    common = made(logs, [0, 1, 2], [8, 1, 1]).places(DRAWS, RARE)[0]
    assert common.high == pytest.approx(8 / 10)


def test_an_answer_that_the_model_would_have_said_is_no_candidate() -> None:
    logs = [[-5, -1, -9], [-5, -5, -5], [-5, -5, -5]]
    said = np.zeros((3, 3))
    plain = made(logs, [0, 1, 2], said=said).places(DRAWS, RARE)[0]
    said[0, 1] = 0.5
    without = made(logs, [0, 1, 2], said=said).places(DRAWS, RARE)[0]
    assert (plain.low, plain.high) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert (without.low, without.high) == (pytest.approx(0), pytest.approx(1 / 2))


def test_answers_that_the_judge_takes_for_one_another_count_as_equal() -> None:
    logs = np.array([[-2.0, -1.0, -9.0], [-5, -5, -5], [-5, -5, -5]])
    same = np.eye(3) > 0
    same[0, 1] = same[1, 0] = True
    one = Preferences(np.zeros((3, 3)), logs, [0, 2, 2], same, [1, 1, 1], [1, 1, 1]).places(DRAWS, RARE)[0]
    assert (one.rank, one.candidates) == (1, 1)
    assert one.high == pytest.approx(2 / 3)


def test_where_nothing_is_known_places_are_uniform() -> None:
    random = np.random.default_rng(1)
    every = [one for _ in range(10) for one in world(random)[0]]
    n = len(every)
    assert abs(np.mean([one.middle for one in every]) - 0.5) < 4 * np.sqrt(1 / 12 / n)
    for rate in (0.05, 0.1, 0.2):
        assert np.mean([one.high <= rate for one in every]) <= rate + 3 * np.sqrt(rate / n)
        values = [one.p_value for one in every if one.p_value is not None]
        assert rate / 2 < np.mean([value <= rate for value in values]) < rate + 0.02


def test_the_false_share_is_held_and_the_share_is_found() -> None:
    random = np.random.default_rng(2)
    false, found, shares, covered = [], [], [], 0
    for _ in range(30):
        where, known = world(random, boosted=4, share=0.3)
        called = [label == HIDDEN for label in labels(where, 0.1)]
        wrong = sum(one and not real for one, real in zip(called, known, strict=True))
        false.append(wrong / max(1, sum(called)))
        found.append(sum(called))
        share = hidden_share(where)
        assert share is not None
        shares.append(share.value)
        covered += share.low <= np.mean(known)
    assert np.mean(false) <= 0.1
    assert np.mean(found) > 5  # it does find some
    assert 0.15 < np.mean(shares) < 0.33  # a lower bound of 0.3
    assert covered >= 28


def test_a_dominant_answer_is_never_called_hidden() -> None:
    """P495: nine of ten works come from one country, which the model prefers with every subject, with these most."""
    rows, answers = 50, 6
    right = [0] * 45 + [1, 2, 3, 4, 5]
    random = np.random.default_rng(3)
    logs = random.normal(size=(rows, answers))
    logs[:, 0] += 8
    logs[:45, 0] += 2
    where = made(logs, right).places(DRAWS, RARE)
    assert set(labels(where, 0.1)[:45]) == {UNDECIDED}
    share = hidden_share(where)
    assert share is not None
    assert share.low == 0


def test_labels_by_hand() -> None:
    given = [place(0, 0.01, 0.001), place(0.4, 0.5, 0.4), place(0, 0.3), None]
    assert labels(given, 0.1) == [HIDDEN, ABSENT, UNDECIDED, UNDECIDED]


def test_the_share_of_places_that_are_all_first_is_one_and_none_is_none() -> None:
    share = hidden_share([place(0, 0.01)] * 50)
    assert share is not None
    assert share.value == 1
    assert share.low > 0.8
    assert hidden_share([None]) is None
