"""The pages step: every page of a source to one row of `pages.parquet`; a bad page is a row with an error.

Notable choices
- Parts are split by shop: a share of the hosts is "ood" (new shops at test time), the pages of the others are "train"
  or "test". Each draw is a hash of the seed and the host or page, so that more pages change nothing for those there.
- Pages of no known host share one name and are never ood, since they may come from a shop seen in training.
- The clock decides only whether a page is refused, never what is kept of it, and no time is in a table.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
from pydantic import field_validator

from recollect.core.estimates import Estimate
from recollect.core.tables import read_bytes
from recollect.core.workspace import DEFAULT_ROOT, fingerprint, open_step, step_input
from recollect.core.workspace.result import Result
from recollect.errors import InputError
from recollect.extraction import need_pages
from recollect.extraction.html.parse import Limits, decode
from recollect.extraction.html.prompt import Count, Page, estimate_tokens, read_page, tokenizer_counter
from recollect.extraction.html.recall import ALL, FOUND, RAW, Truth, read_truth, recall_table, survival
from recollect.extraction.html.settings import PagesSettings
from recollect.extraction.html.sources import Source, find_pages
from recollect.extraction.values import NORMALISER, Schema, read_schema, same_pages

READER = 2
"""Goes up when the same page gives another prompt. 2: one reader of structured data, character sets told."""
PART_SIZE = 16  # pages of one part file
SCHEMA = {
    "page_id": pl.String,
    "url": pl.String,
    "host": pl.String,
    "part": pl.String,
    "prompt": pl.String,
    "tokens": pl.Int64,
    "truncated": pl.Boolean,
    "bytes": pl.Int64,
    "digest": pl.String,
    "nodes": pl.Int64,
    "lines": pl.Int64,
    "notes": pl.String,
    "error": pl.String,
}
_SCRATCH = {"seconds": pl.Float64, "found": pl.String}


class PagesFound(Result):
    """What was read, and how often the true values survived."""

    pages: int
    errors: int
    """Pages that could not be used; the column error says why."""
    parts: dict[str, int]
    """Pages read of each part."""
    hosts: int
    truncated: int
    """Pages of which a line was left out or clipped for the budget."""
    tokens_median: float | None = None
    seconds_max: float | None = None
    seconds_median: float | None = None
    budgets: tuple[int, ...]
    without_truth: int = 0
    """Pages that the truth does not know; 0 without a truth."""
    recall: dict[str, dict[str, Estimate]] = {}
    """By attribute and place ("raw" HTML, "all" lines, each budget): the share of pages whose text there holds a true
    value. Nothing without a truth."""
    sources: dict[str, str] = {}
    """Where the pages (path) and the truth came from."""

    @field_validator("recall", mode="before")
    @classmethod
    def _read_shares(cls, recall: Any) -> Any:
        return {name: {place: _estimate(cell) for place, cell in row.items()} for name, row in recall.items()}


def _estimate(cell: Any) -> Any:
    """Steps of earlier versions call the value of an estimate its share."""
    if not isinstance(cell, dict) or "share" not in cell:
        return cell
    return Estimate(cell["share"], cell["low"], cell["high"], cell["n"], "Clopper-Pearson")


@dataclass(frozen=True)
class PagesResult:
    """A finished pages step: `pages.parquet`, and `recall.parquet` when there was a truth."""

    path: Path
    found: PagesFound

    def table(self) -> pl.DataFrame:
        """The rows of all pages, in the order of the source."""
        return pl.read_parquet(self.path / "pages.parquet", glob=False)


@dataclass
class _Row:
    """What is known of one page so far: the columns of SCHEMA and _SCRATCH, in their order."""

    page_id: str
    url: str
    host: str = ""
    part: str = ""
    prompt: str | None = None
    tokens: int | None = None
    truncated: bool | None = None
    bytes: int | None = None
    digest: str | None = None
    nodes: int | None = None
    lines: int | None = None
    notes: str | None = None
    error: str | None = None
    seconds: float = 0.0
    found: str = "[]"
    """Which true values its prompts hold: JSON of `survival`'s triples."""


@dataclass(frozen=True)
class _Job:
    settings: PagesSettings
    count: Count
    truth: Truth
    urls: Mapping[str, str]
    schema: Schema


def run_pages(
    settings: PagesSettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Callable[[int, int], None] | None = None,
) -> PagesResult:
    """Read all pages of `settings.path`. Raises InputError, writing nothing, for a source or truth that is unusable.

    Examples:
        `lamps` is a folder of three HTML pages.

        >>> from recollect import PagesSettings, run_pages
        >>> result = run_pages(PagesSettings.make(path=str(lamps), budget=(512,)))
        >>> result.found.pages, result.found.errors
        (3, 0)
    """
    need_pages("recollect pages")
    sources, mark = find_pages(settings.path)
    truth, urls = read_truth(settings.truth) if settings.truth else ({}, {})
    schema = read_schema(settings.attributes)
    count = tokenizer_counter(settings.tokenizer) if settings.tokenizer else estimate_tokens
    named = same_pages([source.page_id for source in sources], truth)
    if settings.truth and not named:
        raise InputError(
            f"{settings.truth} has values of {len(truth):,} pages, but of none in {settings.path}. Its page ids must "
            f"be the pages' names, such as {sources[0].page_id!r}."
        )
    of_page = {page: truth[name] for page, name in named.items()}
    job = _Job(settings, count, of_page, {page: urls[name] for page, name in named.items()}, schema)
    inputs = {
        "pages": mark,
        "reader": READER,
        "normaliser": NORMALISER if truth else None,
        "truth": fingerprint(truth) if truth else None,
        "urls": fingerprint(urls) if truth else None,
        "schema": fingerprint(schema.text()) if truth else None,
        "tokenizer": _tokenizer_mark(settings.tokenizer),
    }
    with open_step("pages", settings, inputs, out, root) as step:
        if step.done:
            return PagesResult(step.path, PagesFound.read(step.path))
        size = step.pin(part_size=PART_SIZE)["part_size"]
        parts = -(-len(sources) // size)
        for index in range(parts):
            if not step.has_part(index):
                rows = [astuple(_row(source, job)) for source in sources[index * size : (index + 1) * size]]
                step.write_part(index, pl.DataFrame(rows, schema={**SCHEMA, **_SCRATCH}, orient="row"))
            if progress is not None:
                progress(min(len(sources), (index + 1) * size), len(sources))
        table = step.read_parts(parts)
        survived = _survived(table)
        step.write_table("pages.parquet", table.drop(*_SCRATCH))
        if truth:
            step.write_table("recall.parquet", survived)
        found = _found(settings, table, survived, len(of_page) if truth else table.height)
        step.finish(found)
    return PagesResult(step.path, found)


def raw_pages(pages: Path, html: Path | None = None) -> Iterator[tuple[str, str]]:
    """Page id and decoded HTML of a pages step, from where it read them or from `html`; unreadable pages left out.

    Raises InputError when the pages are gone, and when one of them is no longer what its prompt was made of.
    """
    for source, data, content_type, limits in _unchanged(pages, html):
        try:
            yield source.page_id, decode(data, limits, content_type)
        except InputError:
            continue


def check_raw_pages(pages: Path, html: Path | None = None) -> None:
    """Raise InputError when a raw page of a pages step is there and no longer what its prompt was made of.

    Pages that are gone are no fault here: labels that were made of them stay right.
    """
    if _raw_path(pages, html).exists():
        for _ in _unchanged(pages, html):
            pass


def _unchanged(pages: Path, html: Path | None) -> Iterator[tuple[Source, bytes, str | None, Limits]]:
    """Every raw page that can be read, with its bytes; InputError for the first that has changed."""
    manifest, path = step_input(pages, "pages"), _raw_path(pages, html)
    limits = PagesSettings.make(path=path, **manifest.settings).limits
    sources, mark = find_pages(path)
    digests = _digests(pages)
    if digests is None and mark != manifest.inputs.get("pages"):
        raise InputError(_changed(path, pages))
    for source in sources:
        try:
            data, content_type = source.read(limits.bytes)
        except InputError:
            continue
        if digests is None or digests.get(source.page_id) == _digest(data):
            yield source, data, content_type, limits
        elif source.page_id in digests:
            raise InputError(_changed(path, pages, source.page_id))


def _raw_path(pages: Path, html: Path | None) -> Path:
    return html or Path(step_input(pages, "pages").metrics["sources"]["path"])


def _digests(pages: Path) -> dict[str, str] | None:
    """The hash of each page's bytes by page id; None for a step of a version that did not keep them."""
    file = pages / "pages.parquet"
    if "digest" not in pl.read_parquet_schema(file):
        return None
    table = pl.read_parquet(file, columns=["page_id", "digest"], glob=False).drop_nulls()
    return dict(table.iter_rows())


def _changed(path: Path, pages: Path, page_id: str = "") -> str:
    which = f"the page {page_id!r} in {path} is" if page_id else f"the pages in {path} are"
    return (
        f"{which} not what {pages} made its prompt of: labels and prompts would come from different pages. Run "
        "`recollect pages` again into a new folder, or give --html, the folder of the pages as they were."
    )


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def part_of(page_id: str, host: str, settings: PagesSettings) -> str:
    """The part of a page: train, test or ood."""
    if host and _draw(settings.seed, "host", host) < settings.ood_share:
        return "ood"
    return "test" if _draw(settings.seed, "page", f"{host}\x1f{page_id}") < settings.test_share else "train"


def host_of(url: str) -> str:
    """The shop's host in lower case, without "www."; empty when the address has none."""
    try:
        return (urlsplit(url.strip()).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def _row(source: Source, job: _Job) -> _Row:
    started = time.perf_counter()
    settings, values = job.settings, job.truth.get(source.page_id)
    row = _Row(source.page_id, source.url or job.urls.get(source.page_id, ""))
    texts = dict.fromkeys((RAW, ALL, *map(str, settings.budget)), "")
    try:
        data, content_type = source.read(settings.limits.bytes)
        row.bytes, row.digest = len(data), _digest(data)
        page = read_page(data, json_ld=settings.json_ld, limits=settings.limits, content_type=content_type)
    except InputError as error:
        row.error = str(error)
    else:
        row.url = row.url or _own_address(page)
        prompts = {str(budget): page.prompt(budget, job.count) for budget in settings.budget}
        kept = prompts[str(settings.budget[-1])]
        row.prompt, row.tokens, row.truncated = kept.text, kept.tokens, kept.truncated
        row.nodes, row.lines, row.notes = page.nodes, len(page.lines), ", ".join(page.notes)
        if values:
            texts |= {place: prompt.text for place, prompt in prompts.items()}
            texts[ALL] = "\n".join(line.text for line in page.lines)
            # tags may stand inside a value, so what the lines hold is in the page too
            texts[RAW] = f"{decode(data, settings.limits, content_type)}\n{texts[ALL]}"
    row.seconds = time.perf_counter() - started
    row.host = host_of(row.url)
    row.part = part_of(row.page_id, row.host, settings)
    if values:
        row.found = json.dumps(survival(values, job.schema, texts))
    return row


def _own_address(page: Page) -> str:
    """The address that the page gives for itself."""
    return next((line.text[5:] for line in page.lines if line.kind == "meta" and line.text.startswith("url: ")), "")


def _survived(table: pl.DataFrame) -> pl.DataFrame:
    rows = [
        (page_id, *item)
        for page_id, found in table.select("page_id", "found").iter_rows()
        for item in json.loads(found)
    ]
    return pl.DataFrame(rows, schema=FOUND, orient="row")


def _found(settings: PagesSettings, table: pl.DataFrame, survived: pl.DataFrame, with_truth: int) -> PagesFound:
    read = table.filter(pl.col("error").is_null())
    return PagesFound.model_validate(
        {
            "pages": table.height,
            "errors": table.height - read.height,
            "parts": {part: int((read["part"] == part).sum()) for part in ("train", "test", "ood")},
            "hosts": table["host"].n_unique(),
            "truncated": int(read["truncated"].sum()),
            "tokens_median": read["tokens"].median(),
            "seconds_max": table["seconds"].max(),
            "seconds_median": table["seconds"].median(),
            "budgets": settings.budget,
            "without_truth": table.height - with_truth,
            "recall": recall_table(survived, settings.budget),
            "sources": {"path": str(settings.path.resolve()), "truth": str(settings.truth or "")},
        }
    )


def _tokenizer_mark(path: Path | None) -> str | None:
    if path is None:
        return None
    return _digest(read_bytes(path / "tokenizer.json" if path.is_dir() else path))


def _draw(seed: int, what: str, name: str) -> float:
    """A number in [0, 1) that belongs to this seed and name.

    A hash of 8 bytes, which are not among the 16 of `core.random.draw`: by those every page would change its part.
    """
    digest = hashlib.blake2b(f"{seed}\x1f{what}\x1f{name}".encode(), digest_size=8, person=b"pages").digest()
    return int.from_bytes(digest) / 2**64
