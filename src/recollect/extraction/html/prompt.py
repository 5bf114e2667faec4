"""`page_prompt`: raw HTML to a compact, faithful prompt within a budget of tokens.

Notable choices
- Every line gets a score, the best ones are taken until the budget is full, and those taken are in document order.
  The score adds up what kind of line it is, words and shapes in it, the names of the elements around it, and how near
  it is to the product's heading. The weights were chosen on the pages of one half of the shops and checked on the other
  half (docs/pages.md).
- Tokens are counted by a real tokenizer from a folder, or estimated: a run of ASCII letters is one token for every six
  letters begun; any other visible character is one, and so is a line break. On our 108 real pages the median is 0.95 to
  1.11 of the count of four large tokenizers, and the middle 90 % of the pages lie between 0.74 and 1.66; docs/pages.md
  has the table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from recollect.core.native import TRIAL_TEXTS, careful
from recollect.errors import InputError
from recollect.extraction.html.lines import LABEL, PRICE, Kind, Line
from recollect.extraction.html.parse import DEFAULT_LIMITS, Limits, parse
from recollect.extraction.html.walk import page_lines

DEFAULT_BUDGET = 4096  # tokens of a prompt
CLIP = 400  # characters of a line kept when the page does not fit
KIND_WEIGHT: Mapping[Kind, float] = {
    "title": 8.0,
    "heading": 8.0,
    "meta": 5.0,
    "json": 5.0,
    "item": 5.0,
    "data": 0.5,
    "alt": -1.0,
    "text": 0.0,
}
_HEAD = 160  # characters of a line that are looked at
_WORD = re.compile(r"\w{3,}")
Count = Callable[[str], int]
_PIECE = re.compile(r"[A-Za-z]{1,6}|\n|\S")


def estimate_tokens(text: str) -> int:
    """Estimated number of tokens of a large model's tokenizer."""
    return len(_PIECE.findall(text))


def tokenizer_counter(folder: Path) -> Count:
    """A counter that uses the tokenizer in a model's folder (its tokenizer.json). Raises InputError."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json" if folder.is_dir() else folder
    if not file.is_file():
        raise InputError(f"no tokenizer at {file}. Give a model folder that holds a tokenizer.json, or leave it out.")
    try:
        with careful(file):
            tokenizer = Tokenizer.from_file(str(file))
            tokenizer.encode_batch(list(TRIAL_TEXTS), add_special_tokens=False)
    except InputError:
        raise
    except Exception as error:  # tokenizers raises bare Exception
        raise InputError(f"{file} is no tokenizer: {error!s:.200}.") from None

    def count(text: str) -> int:
        with careful(file):
            return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return count


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
    """What was cut ("attributes", "depth", "lines", "nodes"), told from the letters ("charset") or could not be read
    ("characters", "json-ld")."""


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


# -- which lines go in ---------------------------------------------------------------------------------------------


def choose(lines: Sequence[Line], scored: Sequence[float], budget: int, count: Count) -> tuple[list[str], bool]:
    """The texts of the lines of highest score in document order, and whether any was left out or clipped."""
    everything = [line.text for line in lines]
    if _fits(everything, budget, count):
        return everything, False
    order = sorted(range(len(lines)), key=lambda index: (-scored[index], index))
    clipped = [_clip(text) for text in everything]
    chosen: list[int] = []
    left = budget + 1  # the last line needs no break
    for index in order:
        cost = count(clipped[index]) + 1
        if cost <= left:
            chosen.append(index)
            left -= cost
        if left <= 1:
            break
    while chosen and count("\n".join(clipped[index] for index in sorted(chosen))) > budget:
        chosen.pop()  # a tokenizer may need more for the whole than for its lines
    return [clipped[index] for index in sorted(chosen)], True


def _fits(texts: Sequence[str], budget: int, count: Count) -> bool:
    """Whether all texts fit; a page of a hundred characters a token is not counted to find that it does not."""
    return sum(map(len, texts)) <= 100 * budget and count("\n".join(texts)) <= budget


def scores(lines: Sequence[Line]) -> list[float]:
    """How likely each line is to hold a wanted value, on a scale without unit."""
    anchor = _anchor(lines)
    title = _title_words(lines)
    seen: set[str] = set()
    found = []
    for index, line in enumerate(lines):
        score = _own_score(line, title) + _nearness(index, anchor, line)
        if line.text in seen:
            score -= 6
        seen.add(line.text)
        found.append(score)
    return found


def _own_score(line: Line, title: frozenset[str]) -> float:
    score = KIND_WEIGHT[line.kind] + 1.2 * line.region - 1.0 * line.linked
    if line.kind == "json":
        score -= min(4.0, 0.05 * line.rank)
    return score + _text_score(line.text, title)


def _text_score(text: str, title: frozenset[str]) -> float:
    head = text[:_HEAD]
    score = -0.004 * min(len(text), CLIP)
    score += 2.5 * (LABEL.search(head) is not None)
    score += 2.0 * (PRICE.search(head) is not None)
    score += 2.0 * (_availability().search(head) is not None)
    score += 0.5 * (": " in head[:60])
    words = set(_WORD.findall(head.casefold()))
    if words and title:
        score += 2.0 * len(words & title) / len(words)
    return score


def _nearness(index: int, anchor: int | None, line: Line) -> float:
    if anchor is None or line.kind in ("title", "meta", "json"):
        return 0.0
    distance = index - anchor
    return 4.0 * math.exp(-distance / 60) if distance >= 0 else 2.0 * math.exp(distance / 20)


def _anchor(lines: Sequence[Line]) -> int | None:
    """The line of the product's heading: the first h1 in a good place, else the line most like the title."""
    headings = [index for index, line in enumerate(lines) if line.kind == "heading" and line.region >= 0]
    if headings:
        return headings[0]
    title = _title_words(lines)
    best, place = 0.0, None
    for index, line in enumerate(lines):
        if line.kind != "text" or not title:
            continue
        words = set(_WORD.findall(line.text[:200].casefold()))
        share = len(words & title) / len(words | title) if words else 0.0
        if share > best:
            best, place = share, index
    return place


def _title_words(lines: Sequence[Line]) -> frozenset[str]:
    for line in lines:
        if line.kind == "title":
            return frozenset(_WORD.findall(line.text[7:300].casefold()))
    return frozenset()


def _clip(text: str) -> str:
    return text if len(text) <= CLIP else text[: CLIP - 1].rstrip() + "…"


@lru_cache(maxsize=1)
def _availability() -> re.Pattern[str]:
    from recollect.extraction.values import availability_words

    phrases = sorted({p for group in availability_words().values() for p in group}, key=lambda p: (-len(p), p))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, phrases))})(?!\w)", re.IGNORECASE)
