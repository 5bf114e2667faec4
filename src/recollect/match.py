"""Is this answer right? Two pure matchers, versioned, so that stored text can be judged again with no model.

- `contains`: the studies' rule, plain substring containment of an accepted form (case handling is
  not stated; our choice is exact case, which is what a plain `in` does).
- `word`: stricter. Both sides NFKC-normalised, case-folded, white space collapsed; the form must not touch a
  word character on either side, so "Paris" is not found in "Parisian", nor "rock" in "Rockefeller".
- A form that is empty or blank is in every text and says nothing: neither matcher takes it.

Both are reported wherever an answer is judged.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

MATCHER_VERSION = "1"
MatcherName = Literal["contains", "word"]


def contains(text: str, accepted: Sequence[str]) -> bool:
    """Whether an accepted form is a substring of the text (case kept)."""
    return any(form in text for form in accepted if form.strip())


def word(text: str, accepted: Sequence[str]) -> bool:
    """Whether an accepted form stands in the text as whole words, ignoring case, width and spacing."""
    return _pattern(tuple(accepted)).search(normalise(text)) is not None


def settled(text: str, accepted: Sequence[str]) -> bool:
    """Whether no continuation of the text can turn either matcher's "right" into "wrong".

    True when both matchers accept and an ASCII character that is no word character already follows the match;
    used to stop sampling a draw early without losing the possibility to judge its text again. Other followers
    do not count: a combining mark may yet join the letter before it, and U+FFFD may be half a letter.
    """
    text_so_far = normalise(text, keep_end=True)
    found = _pattern(tuple(accepted)).search(text_so_far)
    if found is None or not contains(text, accepted):
        return False
    follower = text_so_far[found.end() : found.end() + 1]
    return follower != "" and follower.isascii()


MATCHERS: dict[MatcherName, Callable[[str, Sequence[str]], bool]] = {"contains": contains, "word": word}


def normalise(text: str, *, keep_end: bool = False) -> str:
    """NFKC, case-folded, white space collapsed to single blanks (an end blank stays with `keep_end`)."""
    text = unicodedata.normalize("NFKC", text).casefold()
    collapsed = " ".join(text.split())
    return collapsed + " " if keep_end and text[-1:].isspace() else collapsed


@lru_cache(maxsize=65536)
def _pattern(accepted: tuple[str, ...]) -> re.Pattern[str]:
    forms = sorted({normalise(form) for form in accepted if normalise(form)}, key=len, reverse=True)
    if not forms:
        return re.compile(r"(?!)")
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, forms)) + r")(?!\w)")
