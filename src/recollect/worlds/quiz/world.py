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

from recollect.facts import Fact, FactSet, shipped_relations
from recollect.worlds.quiz.names import Namer

# relation -> kind of subject, kind of object, number of facts
_RELATIONS = {
    "P17": ("town", "country", 330),
    "P19": ("person", "city", 330),
    "P20": ("person", "city", 330),
    "P36": ("region", "city", 330),
    "P69": ("person", "university", 330),
    "P131": ("town", "region", 330),
    "P159": ("company", "city", 330),
    "P276": ("landmark", "city", 330),
    "P495": ("work", "country", 330),
    "P740": ("band", "city", 330),
    "P112": ("company", "person", 100),
    "P127": ("company", "company", 100),
    "P170": ("work", "person", 100),
    "P175": ("work", "band", 100),
    "P176": ("product", "company", 100),
    "P26": ("person", "person", 100),
    "P40": ("person", "person", 100),
    "P413": ("person", "position", 100),
    "P50": ("work", "person", 100),
    "P136": ("band", "genre", 100),
    "P106": ("person", "occupation", 100),
    "P264": ("band", "label", 100),
    "P407": ("work", "language", 100),
    "P800": ("person", "work", 100),
}
_OBJECT_POOL = {
    "country": 30,
    "city": 120,
    "region": 80,
    "university": 60,
    "company": 60,
    "person": 100,
    "band": 60,
    "label": 30,
    "language": 30,
    "work": 100,
    "occupation": 20,
    "position": 9,
    "genre": 12,
}
_SUBJECT_POOL = {
    "person": 550,
    "town": 440,
    "region": 330,
    "company": 370,
    "landmark": 330,
    "work": 430,
    "band": 340,
    "product": 100,
}


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


def make_world(
    seed: int = 0,
    *,
    teacher_share: float = 1 / 3,
    test_share: float = 0.3,
    teacher_mentions: tuple[int, int] = (80, 200),
) -> World:
    """The synthetic world of a seed: about 4,700 facts, a third of them teachers; other seeds, other worlds."""
    rng = random.Random(f"world-{seed}")
    namer = Namer(rng.randrange(2**63))
    relations = shipped_relations()
    objects = {kind: namer.pool(kind, size) for kind, size in _OBJECT_POOL.items()}
    subjects = {kind: namer.pool("city" if kind == "town" else kind, size) for kind, size in _SUBJECT_POOL.items()}
    mentioned: list[MentionedFact] = []
    for relation_id, (subject_kind, object_kind, count) in _RELATIONS.items():
        relation = relations[relation_id]
        pool = objects[object_kind]
        chosen = rng.sample(subjects[subject_kind], count)
        for index, subject in enumerate(chosen):
            teacher = index < teacher_share * count
            test = not teacher and index < (teacher_share + (1 - teacher_share) * test_share) * count
            fact = Fact(
                relation=relation_id,
                subject=subject,
                object=rng.choice(pool),
                question=relation.question.replace("[X]", subject),
                domain=relation.domain,
                split="test" if test or relation.domain == "out-of-domain" else "train",
            )
            mentions = rng.randint(*teacher_mentions) if teacher else _mentions(rng)
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
