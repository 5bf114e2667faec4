"""Every page's answer from an LLM: an estimate first, a cache on disk, several requests at a time, a cost cap.

Notable choices
- An answer is cached the moment it is there, under a hash of the request's body, so a killed run goes on at the page
  it was at, in any output folder. Malformed answers are kept too: they were paid, and are asked for again only with
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
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.core.workspace import fingerprint, write_json
from recollect.errors import InputError
from recollect.extraction.labels.ask import NoAnswer, Refused, Reply, ask, make_client, request, usage_cost
from recollect.extraction.labels.labels import PageText
from recollect.extraction.labels.settings import LabelSettings
from recollect.extraction.values import Schema, parse_answer

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_BYTES_PER_TOKEN = 3  # low on purpose: English has about four, and the estimate is a bound
_FAILURES_IN_A_ROW = 5


@dataclass(frozen=True)
class Estimate:
    """What asking would cost at most; answers in the cache cost nothing."""

    pages: int
    cached: int
    tokens_in: int
    tokens_out: int
    cost: float


def estimate(settings: LabelSettings, schema: Schema, pages: Sequence[PageText]) -> Estimate:
    """The bound on tokens and cost of the pages that are not in the cache."""
    bodies = [request(settings, schema, page.prompt) for page in pages]
    new = [body for body in bodies if _known(settings, body) is None]
    tokens_in = sum(_tokens(body) for body in new)
    tokens_out = settings.max_answer_tokens * len(new)
    cost = usage_cost(settings, {"in": tokens_in, "out": tokens_out})
    return Estimate(len(pages), len(pages) - len(new), tokens_in, tokens_out, cost)


def ask_all(
    settings: LabelSettings,
    schema: Schema,
    pages: Sequence[PageText],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Reply], dict[str, str]]:
    """The reply to each page by its id, and why the server refused the others.

    Raises InputError above the cost cap, and when pages got no answer.
    """
    bound = estimate(settings, schema, pages)
    if bound.cost > settings.max_cost:
        raise InputError(
            f"labelling {bound.pages - bound.cached:,} pages may cost {bound.cost:.2f}, but --max-cost is "
            f"{settings.max_cost:.2f} (same currency as --price-in). Raise it, or lower --limit."
        )
    run = _Run({}, {}, {})
    for page in pages:
        if (known := _known(settings, request(settings, schema, page.prompt))) is not None:
            run.replies[page.page_id] = known
    left = [page for page in pages if page.page_id not in run.replies]
    if left:
        _run_here(_ask_new(settings, schema, left, run, progress))
        _check_whole(settings, run, len(pages))
    elif progress:
        progress(len(pages), len(pages))
    return {page.page_id: run.replies[page.page_id] for page in pages if page.page_id in run.replies}, run.refused


@dataclass
class _Run:
    """What has come back so far, by page."""

    replies: dict[str, Reply]
    refused: dict[str, str]
    failures: dict[str, str]

    def __len__(self) -> int:
        return len(self.replies) + len(self.refused) + len(self.failures)


def _run_here(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end; Ctrl-C ends all requests at once. Where an event loop runs already (a notebook), in a thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


async def _ask_new(
    settings: LabelSettings,
    schema: Schema,
    left: Sequence[PageText],
    run: _Run,
    progress: Callable[[int, int], None] | None,
) -> None:
    waiting, running = list(reversed(left)), dict[asyncio.Task[Reply], PageText]()
    in_a_row, spent, total = 0, 0.0, len(run) + len(left)
    async with make_client(settings) as client:
        try:
            while waiting or running:
                while waiting and len(running) < settings.concurrency and in_a_row < _FAILURES_IN_A_ROW:
                    page = waiting.pop()
                    running[asyncio.create_task(_one(client, settings, schema, page.prompt))] = page
                if not running:
                    break
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    page = running.pop(task)
                    try:
                        reply = run.replies[page.page_id] = task.result()
                        in_a_row = 0
                        spent += usage_cost(settings, {"in": reply.tokens_in, "out": reply.tokens_out})
                    except Refused as reason:
                        run.refused[page.page_id] = str(reason)
                        in_a_row += not run.replies
                    except NoAnswer as reason:
                        run.failures[page.page_id] = str(reason)
                        in_a_row += 1
                    if progress:
                        progress(len(run), total)
                if spent > settings.max_cost:
                    _raise_spent(settings, spent, len(run.replies))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _check_whole(settings: LabelSettings, run: _Run, pages: int) -> None:
    if run.refused and not run.replies:
        raise InputError(
            f"{settings.endpoint} refused every request ({', '.join(sorted(set(run.refused.values())))}). Check --llm "
            "and --temperature, and that the server knows JSON schema answers (response_format) and pages this long."
        )
    missing = pages - len(run.replies) - len(run.refused)
    if missing:
        reasons = ", ".join(sorted(set(run.failures.values())))
        raise InputError(
            f"{missing:,} of {pages:,} pages got no answer ({reasons}). Those there are stand in {settings.cache}: run "
            "the same command again to ask for the others."
        )


def _raise_spent(settings: LabelSettings, spent: float, answers: int) -> None:
    raise InputError(
        f"{answers:,} answers cost {spent:.2f} by the server's own count, above --max-cost {settings.max_cost:.2f}. "
        f"They are kept in {settings.cache}; raise --max-cost to go on."
    )


async def _one(client: AsyncOpenAI, settings: LabelSettings, schema: Schema, prompt: str) -> Reply:
    reply = await ask(client, settings, schema, prompt)
    path = _place(settings.cache, request(settings, schema, prompt))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(reply))
    return reply


def _place(cache: Path, body: dict[str, Any]) -> Path:
    name = fingerprint(body)
    return cache / name[:2] / f"{name}.json"


def _known(settings: LabelSettings, body: dict[str, Any]) -> Reply | None:
    """The kept answer, unless it is to be asked for again."""
    found = _cached(settings.cache, body)
    if found is not None and settings.ask_again and parse_answer(found.text) is None:
        return None
    return found


def _cached(cache: Path, body: dict[str, Any]) -> Reply | None:
    try:
        found = Reply(**json.loads(_place(cache, body).read_text(encoding="utf-8")))
        found.text.encode("utf-8")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):  # not there, or damaged: ask again
        return None
    return found if isinstance(found.tokens_in, int) and isinstance(found.tokens_out, int) else None


def _tokens(body: dict[str, Any]) -> int:
    return -(-len(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")) // _BYTES_PER_TOKEN)
