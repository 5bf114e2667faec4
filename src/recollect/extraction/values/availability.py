"""Availability: what a phrase says, read as a whole, with its negations.

Notable choices
- A mention is a wording of `words.yaml` that is no part of a longer one of another value: the "available" of "not
  available" is none.
- A negation turns a mention round, before it ("isn't in stock", "nicht mehr lieferbar", "0 in stock") or as an answer
  after it ("Auf Lager: nein", "sold out? no", "在庫なし"). It must touch the mention, but for words that only say when.
- A word for stock is a mention with a count or an answer ("Lagerbestand: 0", "stock: yes") and, of OutOfStock, with a
  negation ("kein Lagerbestand", "无库存"); so is a count of what is left ("0 left", "only 3 left").
- Of several mentions in one value a pre-order counts first, then the longest. In a long text each counts where it is.
- Plain searches, phrase by phrase: on a page of two million characters one pattern of all of them takes half a minute.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from recollect.extraction.values.plain import LONGEST, either, phrase_text, unspaced, words_file, words_of

IN, OUT, AHEAD = "InStock", "OutOfStock", "PreOrder"
_SCHEMA_ORG = re.compile(r"^(?:https?:)?(?://)?(?:www\.)?schema\.org/|^schema:", re.IGNORECASE)
_BLANKS = str.maketrans({**dict.fromkeys("\n\r\t\xa0_-‐‑–—", " "), **dict.fromkeys("’‘ʼ`´", "'")})
_MOST_PLACES = 5_000  # of one word for stock that are looked at: a page of nothing else takes no longer
_NEAR = 48  # characters before and after a mention that can turn it round


@dataclass(frozen=True)
class Mention:
    """A stretch of a text that says whether the product can be had."""

    start: int
    end: int
    value: str


def availability(raw: str) -> tuple[str, ...]:
    """InStock, OutOfStock or PreOrder; () when the phrase says none of them."""
    text = phrase_text(_SCHEMA_ORG.sub("", raw.strip()))
    joined = text.replace(" ", "")
    for value, phrases in availability_words().items():
        if text in phrases or (joined.isascii() and joined in _joined()[value]):
            return (value,)
    if len(raw) > LONGEST:
        return ()
    found = [one for value in (IN, OUT, AHEAD) for one in mentions(text, value)]
    if not found:
        return ()
    return (max(found, key=lambda one: (one.value == AHEAD, one.end - one.start, one.value)).value,)


def find_availability(value: str, text: str) -> tuple[int, int] | None:
    """Start and end of the first mention of this value in a text; None when there is none."""
    first = min(mentions(text, value, first=True), key=lambda one: one.start, default=None)
    return (first.start, first.end) if first else None


def mentions(text: str, value: str, *, first: bool = False) -> Iterator[Mention]:
    """Every mention of the value, phrase by phrase; with `first` at most the first of each phrase."""
    folded = text.casefold().translate(_BLANKS)
    if len(folded) != len(text):
        folded = text.lower().translate(_BLANKS)
    if len(folded) != len(text):  # a few letters get longer: places would be off
        folded = "".join(char.lower() if len(char.lower()) == 1 else char for char in text).translate(_BLANKS)
    for said, phrases in _phrases().items():
        if value == AHEAD and said != AHEAD:
            continue
        for phrase, covers in phrases:
            for start in _places(folded, phrase, covers):
                mention = _turned(folded, _line_of(text, start, start + len(phrase)), start, start + len(phrase), said)
                if mention.value == value:
                    yield mention
                    if first:
                        break
    if value != AHEAD:
        yield from _of_stock(text, folded, value, first)


def _places(text: str, phrase: str, covers: list[tuple[str, int]]) -> Iterator[int]:
    start = text.find(phrase)
    while start >= 0:
        covered = any(text.startswith(longer, start - at) for longer, at in covers if start >= at)
        if not covered and _stands_alone(text, start, start + len(phrase)):
            yield start
        start = text.find(phrase, start + 1)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether no letter or digit touches the span; scripts without blanks between words need none."""
    if unspaced(text[start]):
        return True
    return not (start and text[start - 1].isalnum()) and not (end < len(text) and text[end].isalnum())


def _line_of(text: str, start: int, end: int) -> tuple[int, int]:
    """The near surroundings of a mention on its own line: a negation on the next line is another matter's."""
    before = text.rfind("\n", max(0, start - _NEAR), start) + 1 or max(0, start - _NEAR)
    after = text.find("\n", end, end + _NEAR)
    return before, after if after >= 0 else end + _NEAR


def _turned(text: str, near: tuple[int, int], start: int, end: int, said: str) -> Mention:
    """The mention, turned round where a negation touches it."""
    if said == AHEAD:
        return Mention(start, end, said)
    before = _negation_before().search(text[near[0] : start])
    after = _negation_after().match(text[end : near[1]])
    turned = (before is not None) != (after is not None)
    start = start - len(before.group()) if before else start
    end = end + len(after.group()) if after else end
    return Mention(start, end, {IN: OUT, OUT: IN}[said] if turned else said)


def _of_stock(text: str, folded: str, value: str, first: bool) -> Iterator[Mention]:
    """The mentions that a word for stock makes with a count, an answer or a negation, and counts of what is left."""
    for pattern, said in _count_patterns():
        for match in pattern.finditer(folded):
            found = said or (IN if int(match[1]) else OUT)
            if found == value and not (said and "\n" in text[slice(*match.span())]):  # "0" and "left" of two lines
                yield Mention(*match.span(), found)
                if first:
                    break
    for noun in _nouns():
        for start in islice(_places(folded, noun, []), _MOST_PLACES):
            mention = _answered(folded, _line_of(text, start, start + len(noun)), start, start + len(noun))
            if mention and mention.value == value:
                yield mention
                if first:
                    break


def _answered(text: str, near: tuple[int, int], start: int, end: int) -> Mention | None:
    """What a word for stock says by the negation before it, or by the negation or the answer after it."""
    if before := _negation_before().search(text[near[0] : start]):
        return Mention(start - len(before.group()), end, OUT)
    if after := _negation_after().match(text[end : near[1]]):
        return Mention(start, end + len(after.group()), OUT)
    if after := _agreed().match(text[end : near[1]]):
        return Mention(start, end + len(after.group()), IN)
    return None


@lru_cache(maxsize=1)
def _negation_before() -> re.Pattern[str]:
    """A negation that ends where the mention begins; words of time may stand between."""
    words = words_of("negation", "before")
    spaced = either(word for word in words if not unspaced(word[0]))
    close = either(word for word in words if unspaced(word[0]))
    between = either(words_of("negation", "between"))
    zero = r"(?<![\d.,/])0\s*(?:x|×|st\.?|stk\.?|pcs\.?|pieces?|items?|units?|stück|шт\.?)?"
    return re.compile(rf"(?:(?<!\w)(?:{spaced}|{zero})(?:\s+(?:{between})){{0,4}}\s+|(?:{close})\s?)$")


@lru_cache(maxsize=1)
def _negation_after() -> re.Pattern[str]:
    """A negation that begins where the mention ends, as an answer ("auf Lager: nein") or as the language's grammar."""
    answers = rf"(?:{either(words_of('negation', 'answer'))})(?!\w)|0(?![\w.,]| \d)"
    grammar = either(words_of("negation", "after"))
    return re.compile(rf"\s?(?:[:=?]\s?(?:{answers})|\(\s?(?:{answers})\s?\)|(?:{grammar})(?!\w))")


@lru_cache(maxsize=1)
def _agreed() -> re.Pattern[str]:
    return re.compile(rf"\s?[:=?]\s?(?:{either(words_of('negation', 'agreed'))})(?!\w)")


@lru_cache(maxsize=1)
def _nouns() -> tuple[str, ...]:
    return tuple(sorted(words_of("negation", "noun"), key=lambda noun: (-len(noun), noun)))


@lru_cache(maxsize=1)
def _count_patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Patterns of counts with the value they stand for; empty where group 1 is a count that decides."""
    stock = either(words_of("negation", "stock") | words_of("negation", "noun"))
    left, only = either(words_of("negation", "left")), either(words_of("negation", "only"))
    return (
        (re.compile(rf"(?<!\w)(?:{stock})\s?[:=]\s?(\d{{1,6}})(?![\d.,/%]|\w| \d)"), ""),
        (re.compile(rf"(?<![\w.,])0 (?:{left})(?!\w)"), OUT),
        (re.compile(rf"(?<!\w)(?:{only}) [1-9]\d{{0,3}} (?:{left})(?!\w)"), IN),
    )


@lru_cache(maxsize=1)
def availability_words() -> Mapping[str, tuple[str, ...]]:
    """Phrases of pages in many languages, in the form of `phrase_text`, by the value they stand for."""
    found = words_file()["availability"]
    return {value: tuple(dict.fromkeys(phrase_text(word) for word in words)) for value, words in found.items()}


@lru_cache(maxsize=1)
def _joined() -> Mapping[str, frozenset[str]]:
    """The phrases without blanks, as in OutOfStock and outofstock."""
    return {value: frozenset(word.replace(" ", "") for word in words) for value, words in availability_words().items()}


@lru_cache(maxsize=1)
def _phrases() -> dict[str, list[tuple[str, list[tuple[str, int]]]]]:
    """Each value's phrases, with the longer phrases of any value that hold them, and where."""
    words = availability_words()
    every = [longer for phrases in words.values() for longer in phrases]
    return {
        value: [
            (phrase, [(longer, at) for longer in every if longer != phrase and (at := longer.find(phrase)) >= 0])
            for phrase in phrases
        ]
        for value, phrases in words.items()
    }
