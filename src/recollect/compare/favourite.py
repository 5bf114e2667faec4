"""One and the same answer to many questions: what a model that learned little data falls back on.

The rule. An answer is an output's first line in SQuAD's normal form; it is given where that line is it, or holds it as
whole words. A model's most frequent answer is told when it is given to at least 20 % of the questions, and to five of
them or more, to at least 1.5 times as many as it is right for, and to at least twice as many as the first model gives
it to. It is right for a question whose accepted answers it holds; where it was the whole answer, the judge decides.

Notable choices
- A model that is untouched answers in sentences: "It lies in Peru" gives "Peru".
- On the other questions, those it is not right for, an accuracy owes nothing to it: these tell what else was learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recollect.compare.asked import Answers
from recollect.core.numbers import many
from recollect.match.squad import normalised

SHARE = 0.2
"""Of the questions, how many one answer must be given to."""
LEAST = 5
"""And how many these must be."""
TIMES_RIGHT, TIMES_FIRST = 1.5, 2
"""How many times those it is right for, and how many times those the first model gives it to."""
_SHOWN = 60
"""Characters of an answer that are shown."""


@dataclass(frozen=True)
class Favourite:
    """An answer that a model gives to many questions; all fields but the first are numbers of questions."""

    answer: str
    n: int
    given: int
    given_first: int
    """To how many the first model gives it."""
    right: int
    """For how many it is right."""
    others_right: int
    """Of the others, `n - right`, those the model answers correctly."""
    others_right_first: int

    def text(self, name: str, first: str) -> str:
        """What people are told; the two models by these names."""
        shown = self.answer if len(self.answer) <= _SHOWN else self.answer[: _SHOWN - 1] + "…"
        others = self.n - self.right
        said = (
            f"{name} gives {repr(shown) if shown else 'an empty answer'} to {self.given:,} of "
            f"{many(self.n, 'question')}, {first} to {self.given_first:,}; it is right for {self.right:,}"
        )
        if not others:
            return said
        return (
            f"{said}. Of the other {others:,}, {first} has {self.others_right_first:,} right and {name} "
            f"{self.others_right:,}"
        )


def favourite(first: Answers, second: Answers) -> Favourite | None:
    """The answer that `second` gives to too many of the questions, which both were asked in one order; None without."""
    before, after = _lines(first.outputs), _lines(second.outputs)
    given = [normalised(line) for line in after]
    if not given:
        return None
    answer = Counter(given).most_common(1)[0][0]
    count = sum(_gives(line, answer) for line in given)
    given_first = sum(_gives(normalised(line), answer) for line in before)
    rows = list(second.outputs.select("object", "synonyms", "right").iter_rows(named=True))
    accepted = [
        bool(row["right"]) if said == answer else _holds(answer, row) for said, row in zip(given, rows, strict=True)
    ]
    right = sum(accepted)
    if count < max(LEAST, SHARE * len(given), TIMES_RIGHT * right, TIMES_FIRST * given_first):
        return None
    shown = Counter(line for line, said in zip(after, given, strict=True) if said == answer).most_common(1)[0][0]
    others = [at for at, one in enumerate(accepted) if not one]
    return Favourite(
        answer=shown,
        n=len(given),
        given=count,
        given_first=given_first,
        right=right,
        others_right=int(second.outputs["right"].gather(others).sum()),
        others_right_first=int(first.outputs["right"].gather(others).sum()),
    )


def favourites(answers: Sequence[Answers]) -> list[str]:
    """A note on each model after the first that gives one answer to too many questions."""
    found = [(one.name, favourite(answers[0], one)) for one in answers[1:]]
    return [one.text(name, answers[0].name) for name, one in found if one is not None]


def _lines(outputs: pl.DataFrame) -> list[str]:
    """The first line of each output."""
    return [next(iter(text.strip().splitlines()), "").strip() for text in outputs["output"]]


def _gives(line: str, answer: str) -> bool:
    return line == answer or (bool(answer) and f" {answer} " in f" {line} ")


def _holds(answer: str, row: Mapping[str, object]) -> bool:
    """Whether an accepted answer stands in the answer, as whole words."""
    synonyms = row["synonyms"]
    forms = [row["object"], *(synonyms if isinstance(synonyms, list) else [])]
    return any(form and _gives(answer, form) for form in (normalised(str(one)) for one in forms))
