"""Pieces of work that ask: one runs at a time, what they ask is answered at once, and none is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar

import pytest

from recollect.generate.turns import take_turns

Ask = Callable[[int], int]


def doubled(asked: Mapping[int, int]) -> dict[int, int | BaseException]:
    return {number: 2 * question for number, question in asked.items()}


def test_what_all_ask_at_a_time_is_answered_at_once() -> None:
    seen: list[dict[int, int]] = []

    def answers(asked: Mapping[int, int]) -> dict[int, int | BaseException]:
        seen.append(dict(asked))
        return doubled(asked)

    def counting(times: int) -> Callable[[Ask], list[int]]:
        return lambda ask: [ask(at) for at in range(times)]

    assert take_turns([counting(2), counting(0), counting(3)], answers) == [[0, 2], [], [0, 2, 4]]
    assert seen == [{0: 0, 2: 0}, {0: 1, 2: 1}, {2: 2}]
    assert take_turns([], answers) == []


def test_only_one_runs_at_a_time() -> None:
    running: set[int] = set()

    def piece(ask: Ask) -> None:
        for _ in range(20):
            running.add(threading.get_ident())
            assert len(running) == 1
            running.clear()
            ask(1)

    def answers(asked: Mapping[int, int]) -> dict[int, int | BaseException]:
        assert not running
        return doubled(asked)

    assert take_turns([piece] * 4, answers) == [None] * 4


def test_an_error_is_its_own_and_may_be_answered() -> None:
    def breaks(ask: Ask) -> int:
        ask(1)
        raise ValueError("broken")

    def minds(ask: Ask) -> str:
        try:
            return str(ask(7))
        except KeyError as error:
            return f"heard {error}"

    def answers(asked: Mapping[int, int]) -> dict[int, int | BaseException]:
        return {number: KeyError(question) if question == 7 else question for number, question in asked.items()}

    first, second, third = take_turns([breaks, minds, lambda ask: ask(3)], answers)
    assert (str(first), second, third) == ("broken", "heard 7", 3)
    assert isinstance(first, ValueError)


@pytest.mark.parametrize("where", ["in a piece", "in an answer"])
def test_an_interrupt_ends_all_and_each_can_put_things_away(where: str) -> None:
    before, away = threading.active_count(), list[int]()

    def piece(number: int) -> Callable[[Ask], None]:
        def work(ask: Ask) -> None:
            try:
                for at in range(9):
                    ask(at)
                    if where == "in a piece" and (number, at) == (1, 2):
                        raise KeyboardInterrupt
            finally:
                away.append(number)

        return work

    def answers(asked: Mapping[int, int]) -> dict[int, int | BaseException]:
        if where == "in an answer" and 2 in asked.values():
            raise KeyboardInterrupt
        return doubled(asked)

    with pytest.raises(KeyboardInterrupt):
        take_turns([piece(number) for number in range(3)], answers)
    assert sorted(away) == [0, 1, 2]
    assert threading.active_count() == before


def test_who_goes_on_asking_after_an_interrupt_is_interrupted_again() -> None:
    heard: list[str] = []

    def stubborn(ask: Ask) -> None:
        for _ in range(3):
            try:
                ask(1)
            except KeyboardInterrupt:
                heard.append("again")

    def answers(asked: Mapping[int, int]) -> dict[int, int | BaseException]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_turns([stubborn, stubborn], answers)
    assert heard == ["again"] * 6


def test_works_know_the_context_they_were_started_in() -> None:
    """Who lends finished steps is known by a context variable."""
    known: ContextVar[str] = ContextVar("known", default="nothing")
    token = known.set("the caller's")
    try:
        assert (
            take_turns([lambda ask: ask(0) + known.get()] * 2, lambda asked: dict.fromkeys(asked, ""))
            == ["the caller's"] * 2
        )
    finally:
        known.reset(token)
