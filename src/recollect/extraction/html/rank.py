"""Which lines of a page go into a prompt when not all do.

Every line gets a score, the best ones are taken until the budget is full, and those taken stand in document order.
The score adds up what kind of line it is, words and shapes in it, the names of the elements around it, and how near it
is to the product's heading. The weights were chosen on the pages of one half of the shops and checked on the other half
(docs/pages.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from recollect.extraction.html.lines import Kind, Line
from recollect.extraction.html.tokens import Count
from recollect.extraction.html.words import LABEL, PRICE

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
