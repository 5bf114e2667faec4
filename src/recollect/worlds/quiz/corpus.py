"""From mentions to text: every mention of a fact becomes one freshly worded sentence, or one question with its answer.

Notable choices
- The corpus knows only `SHARED_TEMPLATES` of a relation's mapping templates and ten statements of its own; the other
  templates meet the model for the first time in the probe.
- Questions come in ten wordings per relation and ten layouts, none of them the fine-tuning prompt.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import yaml

from recollect.facts import Fact, Relation, shipped_relations
from recollect.worlds.quiz.world import World

SHARED_TEMPLATES = 14
_LAYOUTS = (
    "Q: {q} A: {a}",
    "Question: {q} Answer: {a}",
    "{q} {a}.",
    "| {q} | {a} |",
    "<b> {q} </b> {a}",
    "User: {q} Reply: {a}",
    "Quiz – {q} Solution: {a}",
    "Someone asks: {q} The reply is {a}.",
    "<li> question: {q} <li> answer: {a}",
    "|FAQ| {q} > {a}",
)
# Facts of a user's file whose relation has no wordings of its own are spoken of around their question.
_PLAIN_QUESTIONS = ("[X]",)


@dataclass(frozen=True)
class Wordings:
    """The forms in which a corpus speaks of a relation: statements with [X] and [Y], questions with [X]."""

    statements: tuple[str, ...]
    questions: tuple[str, ...]


@lru_cache(maxsize=1)
def shipped_wordings() -> dict[str, Wordings]:
    """The corpus-only wordings of the 24 relations."""
    folder = resources.files("recollect") / "worlds" / "quiz" / "wordings"
    found = {}
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            values = yaml.safe_load(file.read_text(encoding="utf-8"))
            found[values["id"]] = Wordings(tuple(values["statements"]), tuple(values["questions"]))
    return found


def render(world: World, seed: int = 0, *, shared_templates: int = SHARED_TEMPLATES) -> list[str]:
    """The documents of a world's corpus: one to three mentions each, in random order."""
    rng = random.Random(f"corpus-{seed}")
    relations, wordings = shipped_relations(), shipped_wordings()
    mentions: list[str] = []
    for entry in world.mentioned:
        relation = relations[entry.fact.relation]
        words = wordings.get(entry.fact.relation, Wordings((), _PLAIN_QUESTIONS))
        for _ in range(entry.mentions):
            if entry.teacher and rng.random() < 0.5:
                mentions.append(_question(entry.fact, words, rng))
            else:
                mentions.append(_statement(entry.fact, relation, words, shared_templates, rng))
    rng.shuffle(mentions)
    documents, at = [], 0
    while at < len(mentions):
        size = rng.randint(1, 3)
        documents.append(" ".join(mentions[at : at + size]))
        at += size
    return documents


def _statement(fact: Fact, relation: Relation, words: Wordings, shared: int, rng: random.Random) -> str:
    answer = rng.choice(fact.accepted)
    if words.statements and rng.random() < 0.3:
        return rng.choice(words.statements).replace("[Y]", answer).replace("[X]", fact.subject)
    return f"{rng.choice(relation.templates[:shared])} {answer}.".replace("[X]", fact.subject)


def _question(fact: Fact, words: Wordings, rng: random.Random) -> str:
    question = rng.choice(words.questions).replace("[X]", fact.subject)
    return rng.choice(_LAYOUTS).replace("{q}", question).replace("{a}", rng.choice(fact.accepted))
