"""What a reader found, and the rules of every source: repeats, choice of relations, split, overlap, limit.

Notable choices
- Draws (split, limit) go by a hash of (seed, purpose, fact), so file order does not decide who is drawn.
- The relations are chosen after the repeats are dropped: a set of fewer relations is a subset of the whole.
- A repeat inside a part is a question written exactly alike, as in the studies. Between train and test, questions that
  differ only in case, blanks, punctuation or Unicode form count as the same: a model does not see the difference.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from recollect.core.tables import BadRows
from recollect.errors import InputError
from recollect.facts.fact import Fact

UNSPLIT = "unsplit"
REPEATED = "repeated question"
OVERLAP = "question also in test"
NOT_CHOSEN = "relation not chosen"
OVER_LIMIT = "over the limit per relation"

_MINUS = re.compile(r"(?<![^\s(=+*/])[-\u2010-\u2015\u2212](?=\d)")  # of a number: "-4" is not "4"
_KEPT = set("#+%&*/=<>@$")  # C and C#, 5 and 5 %
_POINT = re.compile(r"(?<=\d)[.,](?=\d)")  # 3.14 is not 314


@dataclass
class Reading:
    """The facts of a source with an account of every row.

    Counters are keyed by part: "train", "test", "ood", "validation", or "unsplit" in a source without split.
    """

    facts: list[Fact] = field(default_factory=list)
    validation: list[Fact] = field(default_factory=list)
    """Rows that the source marks for validation, which are no facts of the set."""
    read: Counter[str] = field(default_factory=Counter)
    inside: Counter[str] = field(default_factory=Counter)
    """Rows read, dropped ones too, with an answer inside their question (case ignored)."""
    dropped: dict[str, Counter[str]] = field(default_factory=dict)
    source: str = ""
    """The kind of source, as found."""
    fingerprint: str = ""
    """Hash of the bytes read."""
    split_given: bool = True
    own_ids: bool = False
    """Whether the facts brought their own ids, which nothing may change."""
    overlap: int = 0
    """Train facts whose question is in test or ood, too, whether dropped or kept."""
    overlap_near: int = 0
    """Those among them whose question is only nearly the same."""
    conflicts: int = 0
    """Repeated questions that were dropped although their answer is another one."""
    overlap_dropped: bool = False
    missing: list[str] = field(default_factory=list)
    """Files the layout knows and the source lacks."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What each column was taken for."""
    notes: list[str] = field(default_factory=list)
    """What was read otherwise than it is written."""
    blank_rows: int = 0
    bad: BadRows = field(default_factory=BadRows)
    """Rows that could not be used, where these are skipped."""

    def add(self, other: Reading) -> None:
        """Put the rows of another part of the same source (a file of a folder) after these."""
        self.facts += other.facts
        self.validation += other.validation
        self.read += other.read
        self.inside += other.inside
        for reason, counts in other.dropped.items():
            self.dropped.setdefault(reason, Counter()).update(counts)
        self.own_ids |= other.own_ids
        self.columns = {**self.columns, **other.columns}
        self.notes += [note for note in other.notes if note not in self.notes]
        self.blank_rows += other.blank_rows

    def part(self, fact: Fact) -> str:
        """The key of a fact in the counters."""
        return fact.part if self.split_given else UNSPLIT

    def row(self, part: str, question: str, answers: Iterable[str]) -> None:
        """Count one row read."""
        self.read[part] += 1
        self.inside[part] += inside(question, answers)

    def drop(self, reason: str, part: str) -> None:
        """Count one row dropped."""
        self.dropped.setdefault(reason, Counter())[part] += 1

    def keep(self, reason: str, kept: Sequence[bool]) -> None:
        """Keep the facts marked True; count the others under `reason`."""
        for fact, keep in zip(self.facts, kept, strict=True):
            if not keep:
                self.drop(reason, self.part(fact))
        self.facts = [fact for fact, keep in zip(self.facts, kept, strict=True) if keep]


def inside(question: str, answers: Iterable[str]) -> bool:
    """Whether an answer occurs in the question, case ignored."""
    question = question.lower()
    return any(answer.lower() in question for answer in answers)


def drop_repeated(reading: Reading) -> None:
    """Keep the first fact of each question, across all relations of a part (docs/studies.md §1)."""
    first: dict[tuple[str, str], Fact] = {}
    kept = []
    for fact in reading.facts:
        known = first.setdefault((reading.part(fact), fact.question), fact)
        kept.append(known is fact)
        if known is not fact and fact.object.casefold() not in {form.casefold() for form in known.accepted}:
            reading.conflicts += 1
    reading.keep(REPEATED, kept)


def for_validation(reading: Reading, relations: Sequence[str] | None) -> tuple[Fact, ...]:
    """The rows for validation, each question once, of the chosen relations; none that is a fact of the set."""
    names = {fact.id for fact in reading.facts}
    first = {fact.question: fact for fact in reversed(reading.validation)}
    asked = (fact for fact in reading.validation if first[fact.question] is fact and fact.id not in names)
    found = {fact.id: fact for fact in asked if relations is None or fact.relation in relations}
    return tuple(found.values())


def choose_relations(reading: Reading, relations: Sequence[str] | None) -> None:
    """Keep only the named relations; InputError when one is not in the data."""
    if relations is None:
        return
    known = dict.fromkeys(fact.relation for fact in reading.facts)
    for relation in relations:
        if relation not in known:
            raise InputError(f"relation {relation!r} is not in the data, which has: {', '.join(known)}.")
    chosen = set(relations)
    reading.keep(NOT_CHOSEN, [fact.relation in chosen for fact in reading.facts])


def split(reading: Reading, test_share: float, seed: int) -> None:
    """Give a source without split one: `test_share` of the in-domain facts, even over relations, go to test.

    Out-of-domain facts all go to test, since training on them is what "out-of-domain" rules out.
    """
    if reading.split_given:
        return
    groups: dict[str, list[Fact]] = defaultdict(list)
    for fact in reading.facts:
        if fact.domain == "in-domain":
            groups[fact.relation].append(fact)
    test: set[str] = {fact.id for fact in reading.facts if fact.domain == "out-of-domain"}
    passed = taken = 0
    for _, group in sorted(groups.items()):
        passed += len(group)
        count = round(test_share * passed) - taken
        taken += count
        test.update(fact.id for fact in sorted(group, key=lambda fact: draw(seed, "split", fact))[:count])
    reading.facts = [_tested(fact, reading.own_ids) if fact.id in test else fact for fact in reading.facts]
    reading.split_given = True


def _tested(fact: Fact, own_id: bool) -> Fact:
    """The fact in test; an id that is a hash of the content follows it, one of the user's stays."""
    return replace(fact, split="test", id=fact.id if own_id else "")


def find_overlap(reading: Reading, drop: bool) -> None:
    """Count the train facts whose question is in test or ood, too, nearly the same included; drop them if asked."""
    exact = {fact.question for fact in reading.facts if fact.split == "test"}
    near = {near_key(question) for question in exact}
    kept = [fact.split == "test" or near_key(fact.question) not in near for fact in reading.facts]
    lost = [fact for fact, keep in zip(reading.facts, kept, strict=True) if not keep]
    reading.overlap, reading.overlap_dropped = len(lost), drop
    reading.overlap_near = sum(fact.question not in exact for fact in lost)
    if drop:
        reading.keep(OVERLAP, kept)


def limit(reading: Reading, count: int | None, seed: int) -> None:
    """Keep at most `count` facts of each relation and part, drawn by the seed; their order stays."""
    if count is None:
        return
    groups: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in reading.facts:
        groups[fact.part, fact.relation].append(fact)
    kept = {
        fact.id
        for group in groups.values()
        for fact in sorted(group, key=lambda fact: draw(seed, "limit", fact))[:count]
    }
    reading.keep(OVER_LIMIT, [fact.id in kept for fact in reading.facts])


def draw(seed: int, purpose: str, fact: Fact) -> bytes:
    """A uniform random key of a fact, the same whatever else is in the set."""
    text = "\x1f".join((str(seed), purpose, fact.relation, fact.question))
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def near_key(text: str) -> str:
    """The text without case, Unicode form, invisible characters, punctuation and runs of blanks.

    Signs that change a meaning stay: a minus or a decimal point in a number, and # + % & and the like.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    text = _POINT.sub("\x01", _MINUS.sub("\x02", text))
    return " ".join(text.translate(_TABLE).split())


def _plain(char: str) -> str:
    """The character, a blank in place of punctuation, or nothing in place of what is not seen."""
    if char.isalnum() or char in _KEPT or char in "\x01\x02":
        return char
    kind = unicodedata.category(char)
    if kind == "Cf":
        return ""
    if char in "'\u2019\u2018\u02bc`´.":  # O'Dell, J.R.: no blank where it stood
        return ""
    return " " if kind[0] in "PZ" or char.isspace() else char


class _Table(dict[int, str]):
    """What each character becomes, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        self[code] = _plain(chr(code))
        return self[code]


_TABLE = _Table()
