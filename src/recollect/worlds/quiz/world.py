"""The synthetic world: facts over the 24 relations of the studies, with invented names and a mention count each.

Notable choices
- A subject carries several facts (a person is born, studies, marries), so the relation in a prompt matters.
- A fact's mention count is how often the training corpus speaks of it, in all. Nothing else about how well a fact is
  known is decided here; the levels are measured afterwards by the probe, like those of any model.
- A share of the facts, the *teachers*, is spoken of often and half of the time as question and answer; they belong to
  neither train nor test. They are why the base has met questions at all, in wordings other than the fine-tuning one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from recollect.core.settings import read_yaml
from recollect.errors import InputError
from recollect.facts import Fact, FactSet, shipped_relations

_TEACHER_SHARE, _TEST_SHARE = 1 / 3, 0.3
_TEACHER_MENTIONS = (80, 200)


@dataclass(frozen=True)
class _Plan:
    """What the world is made of, as `world.yaml` has it."""

    onsets: list[str]
    vowels: list[str]
    codas: list[str]
    endings: dict[str, list[str]]
    suffixes: dict[str, list[str]]
    words: dict[str, list[str]]
    relations: dict[str, tuple[str, str, int]]
    """Kind of subject, kind of object, number of facts."""
    objects: dict[str, int]
    subjects: dict[str, int]


@lru_cache(maxsize=1)
def _plan() -> _Plan:
    return _Plan(**read_yaml(Path(__file__).parent / "world.yaml"))


@dataclass(frozen=True)
class MentionedFact:
    """A fact and how the training corpus of a pocket base treats it."""

    fact: Fact
    mentions: int
    """How often the corpus speaks of the fact, in all."""
    teacher: bool = False
    """Spoken of half of the time as question and answer; kept out of train and test."""


@dataclass(frozen=True)
class World:
    """Facts to build a pocket base on."""

    mentioned: tuple[MentionedFact, ...]

    def facts(self) -> FactSet:
        """The facts that can be asked for (train, test, ood); the teachers are not among them."""
        return FactSet(tuple(entry.fact for entry in self.mentioned if not entry.teacher), "pocket")

    def table(self) -> pl.DataFrame:
        """How often the corpus speaks of each fact, and which facts are teachers."""
        return pl.DataFrame(
            {
                "fact_id": [entry.fact.id for entry in self.mentioned],
                "mentions": [entry.mentions for entry in self.mentioned],
                "teacher": [entry.teacher for entry in self.mentioned],
            }
        )


def make_world(seed: int = 0) -> World:
    """The synthetic world of a seed: about 4,700 facts, a third of them teachers; other seeds, other worlds."""
    rng = random.Random(f"world-{seed}")
    namer = Namer(rng.randrange(2**63))
    relations = shipped_relations()
    objects = {kind: namer.pool(kind, size) for kind, size in _plan().objects.items()}
    subjects = {kind: namer.pool("city" if kind == "town" else kind, size) for kind, size in _plan().subjects.items()}
    mentioned: list[MentionedFact] = []
    for relation_id, (subject_kind, object_kind, count) in _plan().relations.items():
        relation = relations[relation_id]
        pool = objects[object_kind]
        chosen = rng.sample(subjects[subject_kind], count)
        for index, subject in enumerate(chosen):
            teacher = index < _TEACHER_SHARE * count
            test = not teacher and index < (_TEACHER_SHARE + (1 - _TEACHER_SHARE) * _TEST_SHARE) * count
            fact = Fact(
                relation=relation_id,
                subject=subject,
                object=rng.choice(pool),
                question=relation.question.replace("[X]", subject),
                domain=relation.domain,
                split="test" if test or relation.domain == "out-of-domain" else "train",
            )
            mentions = rng.randint(*_TEACHER_MENTIONS) if teacher else _mentions(rng)
            mentioned.append(MentionedFact(fact, mentions, teacher))
    return World(tuple(mentioned))


def _mentions(rng: random.Random) -> int:
    """A sixth of the facts is never spoken of, a sixth 2 to 15 times, 0.4 of them 16 to 40 times, the rest 41 to 90."""
    draw = rng.random()
    if draw < 1 / 6:
        return 0
    if draw < 1 / 3:
        return rng.randint(2, 15)
    return rng.randint(16, 40) if draw < 1 / 3 + 0.4 else rng.randint(41, 90)


def world_of(facts: FactSet, seed: int, mentions: float, teacher_share: float) -> World:
    """A world made of given facts: a third become teachers, the rest get mention counts from a log-normal distribution.

    Its median is chosen so that its mean is `mentions`; its spread (sigma 1.2) gives a long tail, and
    counts are rounded down, so that some facts are never spoken of.
    """
    if len(facts) < 30:
        raise InputError(f"a pocket base needs at least 30 facts to learn from, but got {len(facts)}.")
    unknown = sorted(set(facts.relations) - set(shipped_relations()))
    if unknown:
        raise InputError(
            f"a pocket base can only speak of the shipped relations and 'qa', but got {unknown[0]!r}. "
            "Read the facts without their relation column, or keep only shipped relations."
        )
    rng = random.Random(f"world-of-{seed}")
    sigma = 1.2
    median = mentions / np.exp(sigma**2 / 2)
    groups: dict[tuple[str, str], list[int]] = {}
    for index, fact in enumerate(facts):
        groups.setdefault((fact.relation, fact.part), []).append(index)
    teachers: set[int] = set()
    for members in groups.values():
        teachers.update(rng.sample(members, round(len(members) * teacher_share)))
    mentioned = []
    for index, fact in enumerate(facts):
        if index in teachers:
            mentioned.append(MentionedFact(fact, rng.randint(*_TEACHER_MENTIONS), teacher=True))
        else:
            mentioned.append(MentionedFact(fact, min(400, int(rng.lognormvariate(np.log(median), sigma)))))
    return World(tuple(mentioned))


class Namer:
    """Draws names of a kind, never the same twice: pronounceable, and of a kind one can tell (a person has two)."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._stems: set[str] = set()

    def stem(self) -> str:
        """A name of two syllables."""
        parts = (_plan().onsets, _plan().vowels, _plan().codas)
        while True:
            stem = "".join(self._random.choice(part) for _ in range(2) for part in parts).capitalize()
            if 4 <= len(stem) <= 11 and stem not in self._stems:
                self._stems.add(stem)
                return stem

    def name(self, kind: str) -> str:
        """A name that shows its kind: a person has two, a label ends in Records."""
        if kind == "person":
            return f"{self.stem()} {self.stem()}"
        if kind in _plan().endings:
            return self.stem() + self._random.choice(_plan().endings[kind])
        return f"{self.stem()} {self._random.choice(_plan().suffixes[kind])}"

    def pool(self, kind: str, size: int) -> list[str]:
        """Names of a kind, or its plain words."""
        if kind in _plan().words:
            return _plan().words[kind][:size]
        return [self.name(kind) for _ in range(size)]
