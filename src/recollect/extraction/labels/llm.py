"""Every page's answer from an LLM: an estimate first, a cache on disk, several requests at a time, a cost cap.

Notable choices
- An answer is cached the moment it is there, under a hash of the request's body, so a killed run resumes at the page it
  was at, in any output folder. Malformed answers are kept too: they were paid, and are asked for again only with
  `ask_again`. Failures are not kept.
- The estimate is a bound and no forecast: three bytes a token, and the longest answer allowed.
- The run ends with an error when a page got no answer, since a second run asks for those pages alone. It ends early
  after five failures in a row.
- A request that the server refuses (too long, against its rules) would be refused again: where other pages were
  answered, that page is left without labels; where none was, the endpoint or the model is not the right one.
- The cache knows nothing of the endpoint: the same model elsewhere is the same model.
"""

from __future__ import annotations

import asyncio
import json
import operator
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.core.workspace import fingerprint, write_json
from recollect.core.workspace.result import Result
from recollect.errors import InputError
from recollect.extraction.labels.ask import NoAnswer, Refused, Reply, ask, make_client, request, usage_cost
from recollect.extraction.labels.labels import PageText
from recollect.extraction.labels.settings import LabelSettings
from recollect.extraction.values import Schema, parse_answer

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_BYTES_PER_TOKEN = 3  # low on purpose: English has about four, and the bound must hold
_FAILURES_IN_A_ROW = 5
Progress = Callable[[int, int], None]


class CostBound(Result):
    """What asking would cost at most; answers in the cache cost nothing."""

    pages: int
    cached: int
    tokens_in: int
    tokens_out: int
    cost: float


@dataclass(frozen=True)
class Replies:
    """What the model said about each page by its id, and why the server refused the others."""

    answered: dict[str, Reply]
    refused: dict[str, str]
    bound: CostBound
    """What the answers that were not in the cache would cost at most."""


def cost_bound(settings: LabelSettings, schema: Schema, pages: Sequence[PageText]) -> CostBound:
    """The bound on tokens and cost of the pages that are not in the cache."""
    return _Work(settings, schema).look_up(pages)[1]


def _bound(settings: LabelSettings, pages: int, new: Sequence[bytes]) -> CostBound:
    """The bound on asking the `new` questions about so many `pages`."""
    tokens_in = sum(-(-len(body) // _BYTES_PER_TOKEN) for body in new)
    tokens_out = settings.max_answer_tokens * len(new)
    return CostBound(
        pages=pages,
        cached=pages - len(new),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=usage_cost(settings, tokens_in, tokens_out),
    )


def ask_all(
    settings: LabelSettings, schema: Schema, pages: Sequence[PageText], progress: Progress | None = None
) -> Replies:
    """Every page's reply. Raises InputError above the cost cap, and when pages got no answer."""
    work = _Work(settings, schema)
    left, bound = work.look_up(pages)
    if bound.cost > settings.max_cost:
        raise InputError(
            f"labelling {bound.pages - bound.cached:,} pages may cost {bound.cost:.2f}, but --max-cost is "
            f"{settings.max_cost:.2f} (same currency as --price-in). Raise it, or lower --limit."
        )
    if left:
        try:
            settings.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # before anything is paid
            raise InputError(
                f"the cache {settings.cache} cannot be made: {error.strerror}. Give a folder with --cache."
            ) from None
        _run_here(work.ask(left, progress))
        work.check_whole(len(pages))
    elif progress:
        progress(len(pages), len(pages))
    answered = {page.page_id: work.replies[page.page_id] for page in pages if page.page_id in work.replies}
    return Replies(answered, work.refused, bound)


def _run_here(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end; Ctrl-C ends all requests at once. Where an event loop runs already (a notebook), in a thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


@dataclass
class _Work:
    """The questions of one run, and what has come back so far by page."""

    settings: LabelSettings
    schema: Schema
    replies: dict[str, Reply] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def look_up(self, pages: Sequence[PageText]) -> tuple[list[PageText], CostBound]:
        """Take the replies that are kept; the pages without one, and the bound on asking about them."""
        self.replies |= {page.page_id: known for page in pages if (known := self._known(page)) is not None}
        left = [page for page in pages if page.page_id not in self.replies]
        return left, _bound(self.settings, len(pages), [self._body(page) for page in left])

    def _body(self, page: PageText) -> bytes:
        """The question about a page as it is sent."""
        body = request(self.settings, self.schema, page.prompt)
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")

    def _known(self, page: PageText) -> Reply | None:
        """The kept answer, unless it is to be asked for again."""
        try:
            found = Reply(**json.loads(self._place(page).read_text(encoding="utf-8")))
            found.text.encode("utf-8")
            operator.index(found.tokens_in + found.tokens_out)  # whole numbers
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):  # not there, or damaged: ask again
            return None
        return None if self.settings.ask_again and parse_answer(found.text) is None else found

    def _place(self, page: PageText) -> Path:
        name = fingerprint(request(self.settings, self.schema, page.prompt))
        return self.settings.cache / name[:2] / f"{name}.json"

    async def ask(self, left: Sequence[PageText], progress: Progress | None) -> None:
        """Ask about every page, some at a time."""
        waiting, running = list(reversed(left)), dict[asyncio.Task[Reply], PageText]()
        in_a_row, spent, total = 0, 0.0, len(self.replies) + len(left)
        async with make_client(self.settings) as client:
            try:
                while waiting or running:
                    while waiting and len(running) < self.settings.concurrency and in_a_row < _FAILURES_IN_A_ROW:
                        page = waiting.pop()
                        running[asyncio.create_task(self._one(client, page))] = page
                    if not running:
                        break
                    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        page = running.pop(task)
                        try:
                            reply = self.replies[page.page_id] = task.result()
                            in_a_row = 0
                            spent += usage_cost(self.settings, reply.tokens_in, reply.tokens_out)
                        except Refused as reason:
                            self.refused[page.page_id] = str(reason)
                            in_a_row += not self.replies
                        except NoAnswer as reason:
                            self.failures[page.page_id] = str(reason)
                            in_a_row += 1
                        if progress:
                            progress(len(self.replies) + len(self.refused) + len(self.failures), total)
                    if spent > self.settings.max_cost:
                        self._raise_spent(spent)
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    async def _one(self, client: AsyncOpenAI, page: PageText) -> Reply:
        reply = await ask(client, self.settings, self.schema, page.prompt)
        place = self._place(page)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(place, asdict(reply))
        return reply

    def check_whole(self, pages: int) -> None:
        """Raise InputError when pages are left without an answer."""
        settings = self.settings
        if self.refused and not self.replies:
            raise InputError(
                f"{settings.endpoint} refused every request ({', '.join(sorted(set(self.refused.values())))}). Check "
                "--llm and --temperature, and that the server knows JSON schema answers (response_format) and pages "
                "this long."
            )
        missing = pages - len(self.replies) - len(self.refused)
        if missing:
            reasons = ", ".join(sorted(set(self.failures.values())))
            raise InputError(
                f"{missing:,} of {pages:,} pages got no answer ({reasons}). Those there are kept in {settings.cache}: "
                "run the same command again to ask for the others."
            )

    def _raise_spent(self, spent: float) -> None:
        raise InputError(
            f"{len(self.replies):,} answers cost {spent:.2f} by the server's own count, above --max-cost "
            f"{self.settings.max_cost:.2f}. They are kept in {self.settings.cache}; raise --max-cost to continue."
        )
