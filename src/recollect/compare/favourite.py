"""One and the same answer to many questions: what a model that learned little data falls back on. There may be several.

The rule. An answer is an output's first line in SQuAD's normal form; it is given where that line is it, or holds it as
whole words. An answer of a model is told when it is given to at least 20 % of the questions, and to five of them or
more, to at least 1.5 times as many as it is right for, and to at least twice as many as the first model gives it to. It
is right for a question whose accepted answers it holds; where it was the whole answer, the judge decides.

Notable choices
- A model that is untouched answers in sentences: "It lies in Peru" gives "Peru".
- On the other questions, those for which none of them is right, an accuracy owes nothing to them: these tell what else
  was learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

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


class Said(Protocol):
    """What a model wrote."""

    @property
    def outputs(self) -> pl.DataFrame:
        """One row per question: output, object, synonyms, right."""
        ...


@dataclass(frozen=True)
class Favourite:
    """An answer that a model gives to many questions; all fields but the first are numbers of questions."""

    answer: str
    given: int
    given_first: int
    """To how many the first model gives it."""
    right: int
    """For how many it is right."""


@dataclass(frozen=True)
class Favourites:
    """What a model falls back on."""

    answers: tuple[Favourite, ...]
    """The most frequent one first."""
    n: int
    """Questions asked."""
    others: int
    """Questions for which none of the answers is right."""
    others_right: int
    """Of these, those the model answers correctly."""
    others_right_first: int

    def text(self, name: str, first: str) -> str:
        """What people are told; the two models by these names."""
        told = [
            f"{_shown(one.answer)} to {one.given:,} of {many(self.n, 'question')}, {first} to {one.given_first:,}, and "
            f"it is right for {one.right:,}"
            for one in self.answers
        ]
        said = f"{name} gives {'; '.join(told)}"
        if not self.others:
            return said
        return (
            f"{said}. Of the {self.others:,} with another answer, {first} has {self.others_right_first:,} right and "
            f"{name} {self.others_right:,}"
        )


def favourite(first: Said, second: Said) -> Favourites | None:
    """The answers that `second` gives to too many of the questions, the same for both in one order; None without."""
    lines, before = _lines(second.outputs), [normalised(line) for line in _lines(first.outputs)]
    given = [normalised(line) for line in lines]
    rows = list(second.outputs.select("object", "synonyms", "right").iter_rows(named=True))
    found: list[Favourite] = []
    with_another = [True] * len(rows)
    for answer, alone in Counter(given).most_common():
        if alone < max(LEAST, SHARE * len(given)):
            break
        accepted = [
            bool(row["right"]) if said == answer else _holds(answer, row) for said, row in zip(given, rows, strict=True)
        ]
        count = sum(_gives(line, answer) for line in given)
        count_first = sum(_gives(line, answer) for line in before)
        if count >= max(TIMES_RIGHT * sum(accepted), TIMES_FIRST * count_first):
            spelled = Counter(line for line, said in zip(lines, given, strict=True) if said == answer)
            found.append(Favourite(spelled.most_common(1)[0][0], count, count_first, sum(accepted)))
            with_another = [one and not right for one, right in zip(with_another, accepted, strict=True)]
    if not found:
        return None
    rights = [one.outputs["right"].filter(pl.Series(with_another, dtype=pl.Boolean)).sum() for one in (second, first)]
    return Favourites(tuple(found), len(rows), sum(with_another), *map(int, rights))


def favourites(answers: Sequence[Answers]) -> list[str]:
    """A note on each model after the first that gives an answer to too many questions."""
    found = [(one.name, favourite(answers[0], one)) for one in answers[1:]]
    return [one.text(name, answers[0].name) for name, one in found if one is not None]


def _shown(answer: str) -> str:
    return repr(answer if len(answer) <= _SHOWN else answer[: _SHOWN - 1] + "…") if answer else "an empty answer"


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
