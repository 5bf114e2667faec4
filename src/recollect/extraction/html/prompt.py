"""`page_prompt`: raw HTML to a compact, faithful prompt within a budget of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from recollect.errors import InputError
from recollect.extraction.html.limits import DEFAULT_BUDGET, DEFAULT_LIMITS, Limits
from recollect.extraction.html.lines import Line
from recollect.extraction.html.parse import parse
from recollect.extraction.html.rank import choose, scores
from recollect.extraction.html.tokens import Count, estimate_tokens
from recollect.extraction.html.walk import page_lines


@dataclass(frozen=True)
class PagePrompt:
    """A page as a model sees it."""

    text: str
    """One line per block of the page, in document order."""
    tokens: int
    """Tokens of `text` by the counter used."""
    truncated: bool
    """Whether a line was left out or clipped for the budget."""
    lines: int
    """Lines of the page before the budget."""
    nodes: int
    """Elements read."""
    notes: tuple[str, ...] = ()
    """Limits that cut the page: "attributes", "depth", "lines", "nodes"."""


@dataclass(frozen=True)
class Page:
    """A page read once, to be fitted into any number of budgets."""

    lines: tuple[Line, ...]
    nodes: int
    notes: tuple[str, ...]

    @cached_property
    def scores(self) -> list[float]:
        """How likely each line is to hold a wanted value; decides which lines go in when not all do."""
        return scores(self.lines)

    def prompt(self, budget: int = DEFAULT_BUDGET, count: Count = estimate_tokens) -> PagePrompt:
        """The prompt within `budget` tokens, as `count` counts them. Raises InputError for a budget below 1."""
        if budget < 1:
            raise InputError(f"budget must be at least 1 token, but got {budget}.")
        texts, truncated = choose(self.lines, self.scores, budget, count)
        text = "\n".join(texts)
        return PagePrompt(text, count(text), truncated, len(self.lines), self.nodes, self.notes)


def read_page(
    html: bytes | str, *, json_ld: bool = True, limits: Limits = DEFAULT_LIMITS, content_type: str | None = None
) -> Page:
    """Read a page; `content_type` is its HTTP header, which may name the character set.

    Raises InputError for a page that is empty, binary, too large, too slow, or without any text.
    """
    lines, nodes, notes = page_lines(parse(html, limits, content_type), limits)
    if not json_ld:
        lines = [line for line in lines if line.kind != "json"]
    if not lines:
        cut = f" before it was cut ({', '.join(notes)})" if notes else ""
        raise InputError(f"the page has no visible text and no product data{cut}.")
    return Page(tuple(lines), nodes, notes)


def page_prompt(
    html: bytes | str,
    budget: int = DEFAULT_BUDGET,
    count: Count = estimate_tokens,
    *,
    json_ld: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> PagePrompt:
    """Raw HTML as a prompt of at most `budget` tokens; `json_ld` keeps the product data of schema.org scripts.

    Nothing is fetched and nothing in the page is carried out: it is text, also where it gives orders. Raises InputError
    for a page that is empty, binary, larger or slower than `limits`, or without any text.
    """
    return read_page(html, json_ld=json_ld, limits=limits).prompt(budget, count)
