"""Several pieces of work that each ask something now and then, run so that what they ask can be answered at once.

Each piece runs in a thread of its own, but only one thread runs at a time, and none while the questions are answered:
a piece runs until it asks or ends, then the next one does; when all that are left wait for an answer, all their
questions are answered, in the caller's thread. So the pieces need not know of each other, and nothing is shared between
two threads at work.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar, cast

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Ended(Generic[Result]):
    """What became of a piece of work."""

    result: Result | None
    error: BaseException | None


class Turn(Generic[Question, Answer, Result]):
    """One piece of work, its thread, and the way to whoever answers."""

    def __init__(self, work: Callable[[Callable[[Question], Answer]], Result]) -> None:
        self._work = work
        self._said: SimpleQueue[Question | _Ended[Result]] = SimpleQueue()
        self._heard: SimpleQueue[Answer | BaseException] = SimpleQueue()
        context = contextvars.copy_context()  # who lends finished steps, and what this work has taken
        self._thread = threading.Thread(target=context.run, args=(self._run,), daemon=True)
        self._waiting = False
        self.asks: Question | None = None
        """What it waits for."""
        self.ended: _Ended[Result] | None = None

    def start(self) -> None:
        """Let it run to its first question."""
        self._thread.start()
        self._listen()

    def answer(self, answer: Answer | BaseException) -> None:
        """Answer it, or raise an error where it asked; and let it run to its next question."""
        self._waiting = False
        self._heard.put(answer)
        self._listen()

    def stop(self, error: BaseException) -> None:
        """Raise an error wherever it asks, until it has ended."""
        while self._thread.is_alive() and self.ended is None:
            if self._waiting:
                self._waiting = False
                self._heard.put(error)
            self._listen()

    def _listen(self) -> None:
        said = self._said.get()
        if isinstance(said, _Ended):
            self._thread.join()
            self.asks, self.ended = None, said
        else:
            self.asks, self._waiting = said, True

    def _run(self) -> None:
        try:
            self._said.put(_Ended(self._work(self._ask), None))
        except BaseException as error:  # all of it is for the thread that waits
            self._said.put(_Ended(None, error))

    def _ask(self, question: Question) -> Answer:
        self._said.put(question)
        answer = self._heard.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer


def take_turns(
    works: Sequence[Callable[[Callable[[Question], Answer]], Result]],
    answers: Callable[[Mapping[int, Question]], Mapping[int, Answer | BaseException]],
) -> list[Result | Exception]:
    """Run the pieces of work, each of which is given a function to ask with; their results, or the errors they raised.

    answers: from what the pieces ask, by their numbers, to what each is to hear; an error is raised where it asked.
    What `answers` itself raises, and what is no `Exception` in a piece (Ctrl-C), ends all of them.

    Examples:
        >>> from recollect.generate.turns import take_turns
        >>> def piece(ask):
        ...     return ask(2) + ask(3)
        >>> take_turns([piece, piece], lambda asked: {one: 10 * number for one, number in asked.items()})
        [50, 50]
    """
    turns = [Turn(work) for work in works]
    try:
        for turn in turns:
            turn.start()
            _raise(turn)
        while asked := {number: turn.asks for number, turn in enumerate(turns) if turn.asks is not None}:
            heard = answers(asked)
            for number in asked:
                turns[number].answer(heard[number])
                _raise(turns[number])
    except BaseException as error:
        for turn in turns:
            turn.stop(error)
        raise
    found: list[Result | Exception] = []
    for turn in turns:
        assert turn.ended is not None
        failed = turn.ended.error
        found.append(failed if isinstance(failed, Exception) else cast(Result, turn.ended.result))
    return found


def _raise(turn: Turn[Question, Answer, Result]) -> None:
    if turn.ended is not None and turn.ended.error is not None and not isinstance(turn.ended.error, Exception):
        raise turn.ended.error
