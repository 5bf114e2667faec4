"""Does a text contain the answer? The two matchers by which every answer is judged, unless another judge is named.

Both sides are brought into one normal form first (see `text`).

- `contains`: the studies' rule, plain substring containment of an accepted form (case handling is not stated; our
  choice is exact case, which is what a plain `in` does).
- `word`: stricter. Without case, and the form must stand as whole words and whole numbers (see `edges`), so "Paris"
  is not found in "Parisian", nor 3 in 3.14.
- A form that is empty or blank is in every text and says nothing: neither matcher takes it.

- `equal`: the whole text is an accepted form, without case; a closing full stop does not count. For answers that must
  say nothing else.

`contains` and `word` are reported wherever an answer is judged. Versions: 2 compares in one normal form and knows
scripts without blanks, combining marks and numbers; 1 compared `contains` byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from recollect.match.edges import is_open_number, stands_alone
from recollect.match.judge import NOTHING_ASKED, Asked, Judge, Verdict
from recollect.match.text import canonical, folded

MATCHER_VERSION = "2"


def contains(text: str, accepted: Sequence[str]) -> bool:
    """Whether an accepted form is a substring of the text, both in normal form (case kept)."""
    said = canonical(text)
    return any(form in said for form in _canonical_forms(tuple(accepted)))


def word(text: str, accepted: Sequence[str]) -> bool:
    """Whether an accepted form occurs in the text as whole words and numbers, both in normal form without case."""
    said = folded(text)
    return any(stands_alone(form, said) for form in _folded_forms(tuple(accepted)))


def exact(text: str, accepted: Sequence[str]) -> bool:
    """Whether the first line is an accepted form, both in normal form; a closing full stop does not count."""
    line = canonical(text.strip().split("\n", 1)[0])
    return any(form in (line, line.removesuffix(".").rstrip()) for form in _canonical_forms(tuple(accepted)))


def equal(text: str, accepted: Sequence[str]) -> bool:
    """Whether the whole text is an accepted form, both in normal form without case; a closing full stop does not
    count."""
    said = folded(text)
    return any(form in (said, said.removesuffix(".").rstrip()) for form in _folded_forms(tuple(accepted)))


def settled(text: str, accepted: Sequence[str]) -> bool:
    """Whether no continuation of the text can turn either matcher's "right" into "wrong".

    True when both matchers accept what stands before an ASCII character that is no letter, digit or underscore. Such a
    character never joins what is before it, whatever follows; others do not count: a combining mark may yet join the
    letter before it, and U+FFFD may be half a letter. A number must also be closed: "3." may become 3.14. Used to end
    a draw early without losing the possibility to judge its text again.
    """
    end = len(text)
    while end > 0 and not _closes(text[end - 1]):
        end -= 1
    if end == 0:
        return False
    before, close = text[: end - 1], text[end - 1]
    said, forms = folded(before), _folded_forms(tuple(accepted))
    rest = folded(text[end:])[:1] if end < len(text) and text[end].isascii() else None
    sure = any(stands_alone(form, said) and not is_open_number(form, said, close, rest) for form in forms)
    return sure and contains(before, accepted)


def _closes(character: str) -> bool:
    word_character = character.isalnum() or character == "_"
    return character.isascii() and not word_character and (character.isprintable() or character.isspace())


Matcher = Callable[[str, Sequence[str]], bool]
"""(text, accepted forms) -> whether the text is right."""


MATCHERS: dict[str, Matcher] = {"contains": contains, "word": word}
"""Those that judge every answer."""


class Contained(Judge):
    """A matcher as a judge."""

    version = MATCHER_VERSION
    needs = "whole"

    def __init__(self, name: str, matcher: Matcher) -> None:
        self._name, self._matcher = name, matcher

    @property
    def name(self) -> str:
        """That of the matcher."""
        return self._name

    def judge(self, output: str, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> Verdict:
        """Right where the matcher says so."""
        return Verdict.of(self._matcher(output, accepted))


@lru_cache(maxsize=65536)
def _canonical_forms(accepted: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(form for form in map(canonical, accepted) if form))


@lru_cache(maxsize=65536)
def _folded_forms(accepted: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(form for form in map(folded, accepted) if form))
