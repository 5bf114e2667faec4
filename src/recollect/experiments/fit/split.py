"""The parts of a fit's data: what is trained on, what everything is chosen by, and what is asked once at the end.

Notable choices
- A split that the data has is kept: its test is the test, and what it marks for validation chooses. Without such rows
  validation is taken from the training data; without a test `recollect facts` has drawn one, by the seed.
- Units stay together: all facts about one subject, all examples of one page, a question however it is written, a whole
  conversation. What stands in the test, nearly alike, is not trained on; of a conversation only the answers are not
  asked that follow on what a training conversation has as well (a greeting).
- Who is drawn is decided by a hash of (seed, unit), so rows added elsewhere move nothing.
- Questions of other relations or shops (out-of-domain) are never trained on; half of them help to choose and half are
  kept for the end. They show what is lost beside the task.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from recollect.core.numbers import many
from recollect.core.random import draw, take
from recollect.core.workspace.fit import SetsFound
from recollect.errors import InputError
from recollect.experiments.fit.settings import FitSettings
from recollect.experiments.fit.talks import answers_of, is_talks, not_learned, turns_note
from recollect.facts import EARLIER, Fact, FactSet, near_key

LEAST = 8
"""Questions that each of train, validation and test must have."""
ENOUGH = 40
"""Different questions of which, cut by the usual shares, every part has so many."""
FEW = 100
"""Test questions below which it is said how little they tell."""
_TEST_SHARE = 0.3
_DRAWN_TEST = 0.3
"""Of a source without a split, what `recollect facts` puts into the test, as `load_facts` calls it."""


@dataclass(frozen=True)
class Parts:
    """Both sets have the training data; the first asks what chooses, the second what judges."""

    choosing: FactSet
    final: FactSet
    counts: SetsFound
    notes: tuple[str, ...] = ()


def split_for_fit(facts: FactSet, settings: FitSettings, *, pages: bool = False) -> Parts:
    """Cut the data; InputError where a part would have fewer than eight questions."""
    train, test = list(facts.part("train")), list(facts.part("test"))
    whose = f"{100 * _DRAWN_TEST:.0f} % of the data, drawn" if facts.beside.drawn else "the data's own"
    if not test:
        names = _drawn(train, _TEST_SHARE, None, settings.seed, "fit-test", pages)
        test = [replace(fact, split="test") for fact in train if unit_of(fact, pages) in names]
        train = [fact for fact in train if unit_of(fact, pages) not in names]
        whose = f"{100 * _TEST_SHARE:.0f} % of the data, drawn by {_by(pages, facts.facts)}"
    test, again = _once(answers_of(test, settings), pages)
    test = take(test, settings.limit, settings.seed, "fit-limit", lambda fact: fact.id)
    train, leaked = _without(train, test)
    validation, train = _validation(train, facts.beside.validation, test, settings, pages)
    train, also = _without(train, validation)
    validation, more = _once(validation, pages)
    (validation, known), (test, too) = (not_learned(asked, train) for asked in (validation, test))
    kept = _halves(list(facts.part("ood")), settings, pages)
    chosen_by = "the data's own"
    if not facts.beside.validation:
        chosen_by = f"{100 * settings.validation_share:.0f} % of the training data, drawn by {_by(pages, facts.facts)}"
    counts = SetsFound(
        train=len(train),
        validation=len(validation),
        test=len(test),
        kept_validation=len(kept[0]),
        kept_test=len(kept[1]),
        how=f"test: {whose}; validation: {chosen_by}",
    )
    _check(counts, len(facts) + len(facts.beside.validation) - len(facts.part("ood")))
    return Parts(
        FactSet((*train, *validation, *kept[0]), facts.name),
        FactSet((*train, *test, *kept[1]), facts.name),
        counts,
        (
            *_read(facts.beside.notes),
            *turns_note([*validation, *test], train, settings),
            *_notes(counts, leaked + also, again + more + known + too),
            *_how_little(test, pages),
        ),
    )


def _validation(
    train: list[Fact], own: Sequence[Fact], test: Sequence[Fact], settings: FitSettings, pages: bool
) -> tuple[list[Fact], list[Fact]]:
    """What chooses, and what is left to train on: the rows that the data marks for it, else drawn."""
    if own:
        asked, _ = _without(answers_of(own, settings), test)
        return take(asked, settings.most_validation, settings.seed, "fit-limit", lambda fact: fact.id), train
    names = _drawn(train, settings.validation_share, settings.most_validation, settings.seed, "fit-validate", pages)
    drawn = [replace(fact, split="test") for fact in train if unit_of(fact, pages) in names]
    asked = answers_of(drawn, settings)
    if is_talks(drawn):  # more answers than conversations were drawn
        asked = take(asked, settings.most_validation, settings.seed, "fit-limit", lambda fact: fact.id)
    return asked, [fact for fact in train if unit_of(fact, pages) not in names]


def unit_of(fact: Fact, pages: bool = False) -> str:
    """What must not be divided: a subject, a page, a conversation, a question however it is written."""
    return fact.subject if pages or fact.turns else near_key(fact.question if fact.relation == "qa" else fact.subject)


def _by(pages: bool, facts: Sequence[Fact] = ()) -> str:
    return "whole pages" if pages else "whole conversations" if is_talks(facts) else "whole subjects"


def _drawn(
    facts: Sequence[Fact], share: float, most: int | None, seed: int, purpose: str, pages: bool
) -> frozenset[str]:
    """Units with about this share of the facts, evenly over relations as far as units allow."""
    by_relation: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for fact in facts:
        by_relation[fact.relation][unit_of(fact, pages)] += 1
    wanted = share * len(facts)
    rate = min(1.0, most / wanted) * share if most and wanted else share
    chosen: set[str] = set()
    seen = taken = 0
    for _, units in sorted(by_relation.items()):
        seen += sum(units.values())
        taken += sum(count for unit, count in units.items() if unit in chosen)
        for unit in sorted(units, key=lambda name: draw(seed, purpose, name)):
            if taken >= round(rate * seen):
                break
            if unit not in chosen:
                chosen.add(unit)
                taken += units[unit]
    return frozenset(chosen)


def _without(train: Sequence[Fact], asked: Sequence[Fact]) -> tuple[list[Fact], int]:
    """What of the training data is not asked in nearly the same words, and how much was."""
    questions = {near_key(fact.question) for fact in asked}
    left = [fact for fact in train if near_key(fact.question) not in questions]
    return left, len(train) - len(left)


def _once(asked: Sequence[Fact], pages: bool) -> tuple[list[Fact], int]:
    """Each question once, and how many were left out: asked twice it would count as two independent ones."""
    if pages:
        return list(asked), 0
    first = {near_key(fact.question): fact.id for fact in reversed(asked)}
    left = [fact for fact in asked if first[near_key(fact.question)] == fact.id]
    return left, len(asked) - len(left)


def _halves(facts: Sequence[Fact], settings: FitSettings, pages: bool) -> tuple[list[Fact], list[Fact]]:
    """What is asked to see what is kept, for choosing and for the test; no unit is in both."""
    if not settings.most_kept:
        return [], []
    names = sorted({unit_of(fact, pages) for fact in facts}, key=lambda name: draw(settings.seed, "fit-kept", name))
    first = set(names[: len(names) // 2])
    sides = ([fact for fact in facts if (unit_of(fact, pages) in first) == mine] for mine in (True, False))
    one, other = (take(side, settings.most_kept, settings.seed, "fit-limit", lambda fact: fact.id) for side in sides)
    return one, other


def _check(counts: SetsFound, rows: int) -> None:
    """InputError where a part has too few questions; rows: of the data."""
    left = f"train {counts.train}, validation {counts.validation}, test {counts.test}"
    if rows < 3 * LEAST:
        raise InputError(
            f"the data has {many(rows, 'question')}, but a fit needs at least {LEAST} each to train on, to choose by "
            f"and to test with: about {ENOUGH} rows where the data names no split (cut in parts there are {left}). Add "
            "rows; with so few, put them into a prompt as examples instead."
        )
    for name, said in (("train", "train on"), ("validation", "choose by"), ("test", "test with")):
        if (there := getattr(counts, name)) < LEAST:
            share = ", or raise --validation-share" if name == "validation" else ""
            share = ", or lower --validation-share" if name == "train" and counts.validation > LEAST else share
            raise InputError(
                f"a fit needs at least {LEAST} examples to {said}, but {there:,} {'is' if there == 1 else 'are'} "
                f"left of {many(rows, 'question')}: {left}. Subjects, pages and questions asked alike are not divided; "
                f"give more of them (about {ENOUGH} where the data names no split){share}."
            )


def _read(notes: Sequence[str]) -> list[str]:
    """What the source said, and what follows of it here."""
    turns = (
        "Read as questions and answers: the last answer of each conversation alone is learned and asked. All turns "
        "are, where a chat file itself is given (--data FILE) to a model that has a chat template."
    )
    return [*notes, *([turns] if any(EARLIER in one for one in notes) else [])]


def _notes(counts: SetsFound, leaked: int, again: int) -> list[str]:
    found = []
    if leaked:
        found.append(f"{many(leaked, 'training example')} left out: the question is asked in validation or test, too.")
    if again:
        found.append(
            f"{many(again, 'question')} of validation and test left out: another there, or in training, asks the same."
        )
    return found


def _how_little(test: Sequence[Fact], pages: bool) -> list[str]:
    """How far off a share of right answers may be, where that is much: 98 / √n points at most, at 95 %.

    Questions that belong together may say as little as Σm / Σm² times as many, with m of each unit (Kish 1965).
    """
    together, n = Counter(unit_of(fact, pages) for fact in test), len(test)
    least = n**2 / sum(count**2 for count in together.values())
    if least >= FEW:
        return []
    whose = f" about {many(len(together), _by(pages, test).removeprefix('whole ').removesuffix('s'))}"
    half, most = 98 / n**0.5, 98 / least**0.5
    known = f"a share of right answers is known to about ± {half:.0f} points"
    if most < half + 1:
        return [f"The test has {n} questions: {known}."]
    return [
        f"The test has {many(n, 'question')}{whose}: {known} where they have nothing to do with each other, and to "
        f"± {most:.0f} where those of one are right or wrong together."
    ]
