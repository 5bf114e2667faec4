"""Regular expressions: every accepted form is a pattern that is searched for in the output.

Notable choices
- Patterns are those of the package `regex`, which can be told to stop: one that needs longer than `SECONDS` on an
  output is refused by name, and one that does so on texts made to provoke it, before any model is asked.
- A pattern that matches the empty text is in every output and says nothing: it is refused.
- Case counts unless the pattern says `(?i)`. The output is brought into one normal form first (see `text`), line breaks
  kept; patterns are taken as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import regex

from recollect.errors import InputError
from recollect.match.judge import NOTHING_ASKED, Asked, Judge, Verdict
from recollect.match.text import canonical

SECONDS = 0.5
"""Longest that a pattern may take on one output."""
_LONGEST = 2_000  # characters of a pattern
_PROVOKING = ("a", "1", "a ", "ab", "1, ")  # each as a text of `_LENGTH` characters that ends otherwise
_LENGTH = 2_000
_PROVOKED_BY = 5  # letters of its own
_REPEATS = regex.compile(r"[*+?{]")


class Pattern(Judge):
    """Right when one of the accepted forms, read as a pattern, is found in the output."""

    name = "regex"
    needs = "other"

    def judge(self, output: str, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> Verdict:
        """See the class. Raises InputError for a bad pattern and for one that takes too long."""
        said = "\n".join(canonical(line) for line in output.split("\n"))
        for form in accepted:
            if form.strip() and (found := _search(form, said)) is not None:
                return Verdict.of(True, f"{form[:60]!r} matches {found[:60]!r}")
        return Verdict.of(False, "no pattern matches")

    def check(self, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> str:
        """Every form must be a pattern that ends in time and does not match everything."""
        patterns = [form for form in accepted if form.strip()]
        return next((why for why in map(_fault, patterns) if why), "") if patterns else "is empty"


@lru_cache(maxsize=65536)
def _fault(form: str) -> str:
    """What is wrong with a pattern, in words that follow "the answer …"; empty where nothing is."""
    try:
        pattern = _compiled(form)
    except InputError as error:
        return str(error)
    if pattern.search("") is not None:
        return f"is a pattern that every output matches: {form[:80]!r}. Make it ask for something"
    letters = dict.fromkeys(regex.sub(r"\W", "", form)) if _REPEATS.search(form) else ()
    for unit in (*_PROVOKING, *list(letters)[:_PROVOKED_BY]) if letters else ():
        text = (unit * _LENGTH)[:_LENGTH] + "!"
        try:
            pattern.search(text, timeout=SECONDS)
        except TimeoutError:
            return (
                f"is a pattern that takes over {SECONDS:g} s on {_LENGTH:,} characters: {form[:80]!r}. Nested repeats "
                "such as (a+)+ do that; write them as one repeat"
            )
    return ""


def _compiled(form: str) -> Any:
    if len(form) > _LONGEST:
        raise InputError(f"is a pattern of {len(form):,} characters, more than {_LONGEST:,}: {form[:60]!r}…")
    try:
        return regex.compile(form)
    except (regex.error, OverflowError, RecursionError) as error:
        raise InputError(
            f"is no regular expression: {form[:80]!r} ({error}). Put a backslash before signs that stand for "
            "themselves, or take another judge"
        ) from None


def _search(form: str, said: str) -> str | None:
    """The text that a pattern finds; None where it finds none."""
    if why := _fault(form):
        raise InputError(f"an accepted form {why}.")
    try:
        found = _compiled(form).search(said, timeout=SECONDS)
    except TimeoutError:
        raise InputError(
            f"the pattern {form[:80]!r} takes over {SECONDS:g} s on an output of {len(said):,} characters. Nested "
            "repeats such as (a+)+ do that; write them as one repeat."
        ) from None
    return None if found is None else str(found[0])
