"""What the right answer to a question is, where facts are known that ask it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from recollect.core.workspace import MANIFEST, read_manifest
from recollect.errors import RecollectError
from recollect.facts import Fact, FactSet, load_facts, near_key
from recollect.match import contains


@dataclass(frozen=True)
class KnownAnswers:
    """Accepted forms by question."""

    by_question: dict[str, Fact] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: FactSet) -> KnownAnswers:
        """Of a fact set; of questions asked twice the first."""
        return cls({near_key(fact.question): fact for fact in reversed(list(facts))})

    def accepted(self, question: str) -> tuple[str, ...]:
        """The right answers; () where no fact asks this, case, blanks and punctuation aside."""
        fact = self.by_question.get(near_key(question))
        return fact.accepted if fact else ()


def known_answers(where: str, facts: str = "") -> KnownAnswers:
    """The right answers that `facts` tell, or those that the fit at `where` was made from.

    Raises InputError where `facts` cannot be read; a fit's own that are gone tell nothing.

    Examples:
        >>> known_answers("pocket", "pocket").accepted("in what country does Borkfethstad lie")
        ('Fleastdarkstan',)
    """
    if facts:
        return KnownAnswers.of(load_facts(facts))
    step = next((one for one in (Path(where), Path(where).parent) if (one / MANIFEST).is_file()), None)
    try:
        sources = read_manifest(step).metrics.get("sources", {}) if step else {}
        named = str(sources.get("facts") or "")
        return KnownAnswers.of(load_facts(named)) if named else KnownAnswers()
    except RecollectError:
        return KnownAnswers()


def is_right(answer: str, accepted: tuple[str, ...]) -> bool:
    """As an evaluation judges by default: it contains an accepted form."""
    return contains(answer, accepted)
