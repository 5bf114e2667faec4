"""Answers compared as the reading-comprehension studies do: normalised exact match, and F1 of the tokens.

The normal form is that of SQuAD 1.1's evaluation script (Rajpurkar et al. 2016): lower case, punctuation removed, the
articles a, an and the removed, white space collapsed. F1 is theirs too, with tokens counted as often as they occur.

Notable choices
- ASCII texts come out as with SQuAD's script. Beyond ASCII its `lower` and its list of punctuation miss most of the
  world, so the text is first brought into our one normal form (see `text`), punctuation is that of every script, and in
  scripts without blanks every letter is a token (MLQA, Lewis et al. 2020, does so for Chinese).
- A form of nothing but articles and punctuation ("The", "?!") would equal every other such text; it is compared
  without that step.
- SQuAD removes the point of 3.14 and the minus of -4. Numbers are compared by the judge `numeric`.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import regex

from recollect.errors import InputError
from recollect.match.edges import written_without_blanks
from recollect.match.judge import NOTHING_ASKED, Asked, Judge, Verdict
from recollect.match.text import folded

_PUNCTUATION = regex.compile(rf"[\p{{P}}{regex.escape(string.punctuation, special_only=False)}]")
_ARTICLES = regex.compile(r"\b(a|an|the)\b")
THRESHOLD = 0.5
"""From this F1 on an answer counts as right, unless another is asked for. Our choice: half of the words."""


@lru_cache(maxsize=65536)
def normalised(text: str) -> str:
    """The text in SQuAD's normal form."""
    plain = folded(text)
    bare = " ".join(_ARTICLES.sub(" ", _PUNCTUATION.sub("", plain)).split())
    return bare or plain


def tokens(text: str) -> list[str]:
    """The words of the normal form; the letters, where the script has no blanks."""
    found: list[str] = []
    for part in normalised(text).split():
        joined = ""
        for letter in regex.findall(r"\X", part):
            if written_without_blanks(letter[0]):
                found += [joined, letter]
                joined = ""
            else:
                joined += letter
        found.append(joined)
    return [one for one in found if one]


def token_f1(said: str, form: str) -> float:
    """F1 of the tokens of two texts, 0 to 1."""
    given, wanted = tokens(said), tokens(form)
    common = sum((Counter(given) & Counter(wanted)).values())
    return 2 * common / (len(given) + len(wanted)) if common else 0.0


class ExactMatch(Judge):
    """Right when the whole output is an accepted form, both in SQuAD's normal form."""

    name = "exact-match"
    needs = "whole"

    def judge(self, output: str, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> Verdict:
        """See the class."""
        said = normalised(output)
        forms = {normalised(form) for form in accepted if form.strip()} - {""}
        return Verdict.of(bool(said) and said in forms, f"normalised: {said[:80]}")


class TokenF1(Judge):
    """The best F1 of the tokens over the accepted forms; right from a threshold on."""

    graded = True

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self.threshold = threshold

    @classmethod
    def of(cls, option: str) -> TokenF1:
        """From its option, the threshold: "0.6"."""
        try:
            threshold = float(option) if option else THRESHOLD
        except ValueError:
            threshold = 0.0
        if not 0 < threshold <= 1:
            raise InputError(
                f"the threshold of token-f1 must be above 0 and at most 1, such as token-f1:0.6, but got {option!r}."
            )
        return cls(threshold)

    @property
    def name(self) -> str:
        """With the threshold, where it is not the usual one."""
        return "token-f1" if self.threshold == THRESHOLD else f"token-f1:{self.threshold:g}"

    def judge(self, output: str, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> Verdict:
        """See the class."""
        best, form = max(((token_f1(output, form), form) for form in accepted), default=(0.0, ""))
        return Verdict(
            best >= self.threshold, best, f"F1 {best:.2f} with {form[:60]!r}" if best else "no word in common"
        )
