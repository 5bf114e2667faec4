"""What is ranked among what: of each relation the facts of level 0, the other subjects, and the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recollect.core.random import take
from recollect.facts import Fact
from recollect.hidden.rank import Bools
from recollect.hidden.settings import HiddenSettings
from recollect.match import contains
from recollect.match.text import folded


@dataclass(frozen=True)
class Pool:
    """One relation: whose preferences are read (rows), and over which answers."""

    relation: str
    rows: tuple[Fact, ...]
    """Subjects that are asked for: first the `asked` facts of level 0, then others, of whatever level."""
    asked: int
    givers: tuple[Fact, ...]
    """The facts whose answers are the candidates."""
    forms: tuple[tuple[str, ...], ...]
    """The accepted forms of each answer; every row's and every giver's answer is among them."""
    answer_of: dict[str, int]
    """The answer of each row and giver, by the fact's id."""

    @property
    def right(self) -> list[int]:
        """The right answer of each row."""
        return [self.answer_of[fact.id] for fact in self.rows]

    @property
    def width(self) -> int:
        """How many forms of answers are read with each subject."""
        return sum(map(len, self.forms))

    @property
    def counts(self) -> list[int]:
        """How many givers have each answer."""
        given = [self.answer_of[fact.id] for fact in self.givers]
        return [given.count(answer) for answer in range(len(self.forms))]

    @property
    def own(self) -> list[int]:
        """1 for each row whose fact is a giver too."""
        givers = {fact.id for fact in self.givers}
        return [int(fact.id in givers) for fact in self.rows]

    def same(self) -> Bools:
        """Answers that the judge takes for one another: a text that is one of them holds the other."""
        one = np.array([[_holds(text, forms) for forms in self.forms] for text in self.forms], dtype=np.bool_)
        both: Bools = one | one.T | np.eye(len(self.forms), dtype=np.bool_)
        return both


def make_pools(
    asked: Sequence[Fact], level_0: Sequence[Fact], every: Sequence[Fact], settings: HiddenSettings
) -> list[Pool]:
    """A pool for each relation of the asked facts.

    level_0: all facts of level 0, the asked ones among them, which come first as other subjects: the model never says
    what is right of them. every: all facts of the set.
    """
    pools = []
    for relation in dict.fromkeys(fact.relation for fact in asked):
        here = [fact for fact in asked if fact.relation == relation]
        zero = [fact for fact in level_0 if fact.relation == relation]
        known = {fact.id for fact in zero}
        rest = [fact for fact in every if fact.relation == relation and fact.id not in known]
        givers = take([*zero, *rest], settings.candidates + 1, settings.seed, "hidden answers", lambda fact: fact.id)
        rows = _topped_up(here, zero, rest, settings.subjects, settings.seed, "hidden subjects")
        forms, answer_of = _answers([*rows, *givers])
        pools.append(Pool(relation, tuple(rows), len(here), tuple(givers), forms, answer_of))
    return pools


def _topped_up(
    kept: Sequence[Fact], first: Sequence[Fact], then: Sequence[Fact], count: int, seed: int, purpose: str
) -> list[Fact]:
    """The kept facts, and as many of the others, those of `first` before those of `then`, as make `count`."""
    found = list(kept)
    for some in (first, then):
        there = {fact.id for fact in found}
        new = [fact for fact in some if fact.id not in there]
        found += take(new, max(0, count - len(found)), seed, purpose, lambda fact: fact.id)
    return found


def _answers(facts: Sequence[Fact]) -> tuple[tuple[tuple[str, ...], ...], dict[str, int]]:
    """The distinct answers, each with all its forms, and which one each fact has: facts that share a form share it."""
    group: dict[str, int] = {}
    forms: list[list[str]] = []
    for fact in facts:
        texts = [folded(form) for form in fact.accepted]
        met = sorted({group[text] for text in texts if text in group})
        at = met[0] if met else len(forms)
        if not met:
            forms.append([])
        forms[at] += fact.accepted
        for other in met[1:]:  # this fact's forms tell that two were one
            forms[at] += forms[other]
            forms[other] = []
            group.update({text: at for text, place in group.items() if place == other})
        group.update(dict.fromkeys(texts, at))
    kept = [at for at, some in enumerate(forms) if some]
    answer_of = {fact.id: kept.index(group[folded(fact.object)]) for fact in facts}
    return tuple(tuple(dict.fromkeys(forms[at])) for at in kept), answer_of


def _holds(text: Sequence[str], forms: Sequence[str]) -> bool:
    return any(contains(form, forms) for form in text)
