"""Many questions to an LLM: an estimate first, a cache on disk, several requests at a time, a cost cap.

Notable choices
- An answer is cached the moment it is there, under a hash of the request's body, so a killed run resumes at the
  question it was at, in any output folder. Malformed answers are kept too: they were paid, and are asked for again only
  with `ask_again`. Failures are not kept.
- The estimate is a bound and no forecast: three bytes a token, and the longest answer allowed.
- The run ends with an error when a question got no answer, since a second run asks those alone. It ends early after
  five failures in a row.
- A request that the server refuses (too long, against its rules) would be refused again: where others were answered,
  that one is left without an answer; where none was, the endpoint or the model is not the right one.
- The cache knows nothing of the endpoint: the same model elsewhere is the same model.
"""

from __future__ import annotations

import asyncio
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recollect.core.json_object import JsonObject
from recollect.core.llm.client import NoAnswer, Refused, Reply, ask, make_client, usage_cost
from recollect.core.llm.posts import run_here
from recollect.core.llm.settings import ServerSettings
from recollect.core.workspace import fingerprint, write_json
from recollect.errors import InputError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_BYTES_PER_TOKEN = 3  # low on purpose: English has about four, and the bound must hold
_FAILURES_IN_A_ROW = 5
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Bound:
    """What asking would cost at most; answers in the cache cost nothing."""

    questions: int
    cached: int
    tokens_in: int
    tokens_out: int
    cost: float


@dataclass(frozen=True)
class Replies:
    """What the model said to each question by its id, and why the server refused the others."""

    answered: dict[str, Reply]
    refused: dict[str, str]
    bound: Bound
    """What the answers that were not in the cache would cost at most."""


@dataclass(frozen=True)
class Inquiry:
    """Questions of one kind, as they are sent."""

    settings: ServerSettings
    bodies: Mapping[str, JsonObject]
    """Requests by the id of what they ask about."""
    what: str
    """What is asked about, in the plural: "pages"."""
    usable: Callable[[str], bool]
    """Whether an answer has the form that was asked for."""

    def bound(self) -> Bound:
        """The bound on tokens and cost of what is not in the cache."""
        return _Work(self).look_up()[1]

    def ask(self, progress: Progress | None = None) -> Replies:
        """Every question's reply. Raises InputError above the cost cap, and when questions got no answer."""
        return _ask_all(self, progress)


def bound_of(settings: ServerSettings, questions: int, sizes: Sequence[int]) -> Bound:
    """The bound on asking so many `questions` of which some are new; `sizes` are theirs, in bytes."""
    tokens_in = sum(-(-size // _BYTES_PER_TOKEN) for size in sizes)
    tokens_out = settings.max_answer_tokens * len(sizes)
    return Bound(
        questions=questions,
        cached=questions - len(sizes),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=usage_cost(settings, tokens_in, tokens_out),
    )


def _ask_all(inquiry: Inquiry, progress: Progress | None) -> Replies:
    work, settings = _Work(inquiry), inquiry.settings
    left, bound = work.look_up()
    if bound.cost > settings.max_cost:
        raise InputError(
            f"asking about {bound.questions - bound.cached:,} {inquiry.what} may cost {bound.cost:.2f}, but --max-cost "
            f"is {settings.max_cost:.2f} (same currency as --price-in). Raise it, or lower --limit."
        )
    total = len(inquiry.bodies)
    if left:
        try:
            settings.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # before anything is paid
            raise InputError(
                f"the cache {settings.cache} cannot be made: {error.strerror}. Give a folder with --cache."
            ) from None
        run_here(work.ask(left, progress))
        work.check_whole(total)
    elif progress:
        progress(total, total)
    answered = {name: work.replies[name] for name in inquiry.bodies if name in work.replies}
    return Replies(answered, work.refused, bound)


@dataclass
class _Work:
    """The questions of one run, and what has come back so far by id."""

    inquiry: Inquiry
    replies: dict[str, Reply] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> ServerSettings:
        return self.inquiry.settings

    def look_up(self) -> tuple[list[str], Bound]:
        """Take the replies that are kept; the ids without one, and the bound on asking about them."""
        bodies = self.inquiry.bodies
        self.replies |= {name: known for name in bodies if (known := self._known(name)) is not None}
        left = [name for name in bodies if name not in self.replies]
        return left, bound_of(self.settings, len(bodies), [size_of(bodies[name]) for name in left])

    def _known(self, name: str) -> Reply | None:
        """The kept answer, unless it is to be asked for again."""
        try:
            found = Reply(**json.loads(self._place(name).read_text(encoding="utf-8")))
            found.text.encode("utf-8")
            operator.index(found.tokens_in + found.tokens_out)  # whole numbers
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):  # not there, or damaged: ask again
            return None
        return None if self.settings.ask_again and not self.inquiry.usable(found.text) else found

    def _place(self, name: str) -> Path:
        hashed = fingerprint(self.inquiry.bodies[name])
        return self.settings.cache / hashed[:2] / f"{hashed}.json"

    async def ask(self, left: Sequence[str], progress: Progress | None) -> None:
        """Ask every question, some at a time."""
        waiting, running = list(reversed(left)), dict[asyncio.Task[Reply], str]()
        in_a_row, spent, total = 0, 0.0, len(self.replies) + len(left)
        async with make_client(self.settings) as client:
            try:
                while waiting or running:
                    while waiting and len(running) < self.settings.concurrency and in_a_row < _FAILURES_IN_A_ROW:
                        name = waiting.pop()
                        running[asyncio.create_task(self._one(client, name))] = name
                    if not running:
                        break
                    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        name = running.pop(task)
                        try:
                            reply = self.replies[name] = task.result()
                            in_a_row = 0
                            spent += usage_cost(self.settings, reply.tokens_in, reply.tokens_out)
                        except Refused as reason:
                            self.refused[name] = str(reason)
                            in_a_row += not self.replies
                        except NoAnswer as reason:
                            self.failures[name] = str(reason)
                            in_a_row += 1
                        if progress:
                            progress(len(self.replies) + len(self.refused) + len(self.failures), total)
                    if spent > self.settings.max_cost:
                        self._raise_spent(spent)
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    async def _one(self, client: AsyncOpenAI, name: str) -> Reply:
        reply = await ask(client, self.settings, self.inquiry.bodies[name])
        place = self._place(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(place, asdict(reply))
        return reply

    def check_whole(self, questions: int) -> None:
        """Raise InputError when questions are left without an answer."""
        settings, what = self.settings, self.inquiry.what
        if self.refused and not self.replies:
            raise InputError(
                f"{settings.endpoint} refused every request ({', '.join(sorted(set(self.refused.values())))}). Check "
                f"--llm and --temperature, and that the server knows JSON schema answers (response_format) and {what} "
                "this long."
            )
        missing = questions - len(self.replies) - len(self.refused)
        if missing:
            reasons = ", ".join(sorted(set(self.failures.values())))
            raise InputError(
                f"{missing:,} of {questions:,} {what} got no answer ({reasons}). Those there are kept in "
                f"{settings.cache}: run the same command again to ask for the others."
            )

    def _raise_spent(self, spent: float) -> None:
        raise InputError(
            f"{len(self.replies):,} answers cost {spent:.2f} by the server's own count, above --max-cost "
            f"{self.settings.max_cost:.2f}. They are kept in {self.settings.cache}; raise --max-cost to continue."
        )


def size_of(body: JsonObject) -> int:
    """A request's size in bytes, as it is sent."""
    return len(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))
