"""A fact, and an ordered set of them: what every step reads.

Notable choices
- A fact's id is a hash of its content, so it stays the same however the set was filtered, sorted or split into files.
- A set lives on disk as one `facts.parquet`; the columns are the fields of `Fact`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from recollect.core.tables import read_own
from recollect.errors import InputError

Domain = Literal["in-domain", "out-of-domain"]
Split = Literal["train", "test"]
Part = Literal["train", "test", "ood"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact (subject, relation, object) with the question that asks for it and every accepted form of the answer.

    Examples:
        >>> from recollect import Fact
        >>> fact = Fact("P36", "Peru", "Lima", "What is the capital of Peru?", synonyms=("Ciudad de Lima",))
        >>> fact.accepted, fact.part
        (('Lima', 'Ciudad de Lima'), 'train')
    """

    relation: str
    """Relation id, e.g. "P36", or "qa" for question-answer data without a relation."""
    subject: str
    """What the mapping templates put in place of [X]; for "qa" facts the question itself."""
    object: str
    """The answer, in the form taught by fine-tuning."""
    question: str
    """The question of the fine-tuning prompt."""
    synonyms: tuple[str, ...] = ()
    """Other accepted forms of the object."""
    domain: Domain = "in-domain"
    split: Split = "train"
    id: str = ""
    """Filled in from the content when empty."""
    choices: tuple[str, ...] = ()
    """The texts of a multiple-choice question, in the order of their letters; empty for any other."""
    turns: str = ""
    """Of a conversation: all of it as `recollect.chat.turns` stores it; empty for a question alone."""

    def __post_init__(self) -> None:
        if not self.id:
            try:
                text = "\x1f".join((self.split, self.relation, self.question, self.subject, self.object))
                digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
            except UnicodeEncodeError as error:
                raise InputError(f"a fact holds half of a surrogate pair, which is no character: {error}.") from None
            except TypeError:
                raise InputError(f"a fact's fields must be texts, but got {self}. Write numbers as texts.") from None
            object.__setattr__(self, "id", f"{self.relation}-{digest}")

    @property
    def accepted(self) -> tuple[str, ...]:
        """The object and its synonyms, without repeats, object first."""
        return tuple(dict.fromkeys((self.object, *self.synonyms)))

    @property
    def part(self) -> Part:
        """Which of the study's three sets the fact is in: train, test (in-domain) or ood (out-of-domain test)."""
        return "train" if self.split == "train" else "test" if self.domain == "in-domain" else "ood"


SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "fact_id": pl.String,
    "relation": pl.String,
    "subject": pl.String,
    "object": pl.String,
    "question": pl.String,
    "synonyms": pl.List(pl.String),
    "domain": pl.String,
    "split": pl.String,
}
CHOICES, TURNS = "choices", "turns"
"""Columns more, of a set with multiple-choice questions, and of one with conversations."""


FINGERPRINT_VERSION = "v2"
"""Of `FactSet.fingerprint`. v1 had no mark; it left the relation out, and forms could run into each other."""

_FIELDS = tuple(field.name for field in fields(Fact) if field.name not in (CHOICES, TURNS))


@dataclass(frozen=True)
class Beside:
    """What a source said beside its facts."""

    validation: tuple[Fact, ...] = ()
    """Rows that it marks for validation: neither trained on nor tested, and no part of the set. `recollect fit`
    chooses by them."""
    drawn: bool = False
    """Whether the split was drawn here, since the source names none."""
    notes: tuple[str, ...] = ()
    """What was read otherwise than it is written."""


@dataclass(frozen=True)
class FactSet:
    """An ordered set of facts with distinct ids.

    Examples:
        >>> from recollect import Fact, FactSet
        >>> lima = Fact("P36", "Peru", "Lima", "What is the capital of Peru?")
        >>> rome = Fact("P36", "Italy", "Rome", "What is the capital of Italy?", split="test")
        >>> FactSet((lima, rome), name="capitals").counts()
        {'train': 1, 'test': 1, 'ood': 0}
    """

    facts: tuple[Fact, ...]
    name: str = "facts"
    beside: Beside = field(default=Beside(), repr=False, compare=False)
    _by_id: dict[str, Fact] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for fact in self.facts:
            if fact.id in self._by_id:
                raise InputError(
                    f"two facts have the id {fact.id} ({fact.question!r} -> {fact.object!r}). Remove the repeated row."
                )
            self._by_id[fact.id] = fact

    def __len__(self) -> int:
        return len(self.facts)

    def __iter__(self) -> Iterator[Fact]:
        return iter(self.facts)

    def __getitem__(self, fact_id: str) -> Fact:
        return self._by_id[fact_id]

    def __contains__(self, fact_id: object) -> bool:
        return fact_id in self._by_id

    @property
    def relations(self) -> tuple[str, ...]:
        """Relation ids in order of first appearance."""
        return tuple(dict.fromkeys(fact.relation for fact in self.facts))

    def part(self, part: Part) -> FactSet:
        """The facts of one part, in order."""
        return FactSet(tuple(fact for fact in self.facts if fact.part == part), f"{self.name}/{part}")

    def only(self, ids: Iterable[str]) -> FactSet:
        """The facts with these ids, in the order of the ids; an unknown id raises InputError."""
        try:
            return FactSet(tuple(self._by_id[i] for i in ids), self.name)
        except KeyError as error:
            raise InputError(
                f"fact {error.args[0]} is not in the fact set {self.name!r}. Use the fact set the ids come from."
            ) from None

    def counts(self) -> dict[str, int]:
        """Number of facts in train, test and ood."""
        counts = {"train": 0, "test": 0, "ood": 0}
        for fact in self.facts:
            counts[fact.part] += 1
        return counts

    def fingerprint(self) -> str:
        """Hash of every field of every fact, in order; begins with the version of how it is made."""
        digest = hashlib.blake2b(digest_size=16)
        for fact in self.facts:
            values = [getattr(fact, name) for name in _FIELDS]
            more = [*([fact.choices] if fact.choices else []), *([fact.turns] if fact.turns else [])]
            row = json.dumps([*values, *more], ensure_ascii=False)  # none write alike
            digest.update(row.encode() + b"\n")
        return f"{FINGERPRINT_VERSION}-{digest.hexdigest()}"

    def table(self) -> pl.DataFrame:
        """One row per fact; columns as in `SCHEMA`, and `choices` and `turns` where some fact has them."""
        rows = [asdict(fact) for fact in self.facts]
        columns = {name: [row["id" if name == "fact_id" else name] for row in rows] for name in SCHEMA}
        columns["synonyms"] = [list(value) for value in columns["synonyms"]]
        table = pl.DataFrame(columns, schema=SCHEMA)
        if any(fact.turns for fact in self.facts):
            table = table.with_columns(pl.Series(TURNS, [fact.turns for fact in self.facts], dtype=pl.String))
        if not any(fact.choices for fact in self.facts):
            return table
        choices = [list(fact.choices) for fact in self.facts]
        return table.with_columns(pl.Series(CHOICES, choices, dtype=pl.List(pl.String)))

    @classmethod
    def from_table(cls, table: pl.DataFrame, name: str = "facts", *, where: str = "") -> FactSet:
        """The set stored by `table`; InputError, naming `where`, for a table that does not hold facts."""
        table = _checked_table(table, where or name)
        facts = (
            Fact(
                relation=row["relation"],
                subject=row["subject"],
                object=row["object"],
                question=row["question"],
                synonyms=tuple(row["synonyms"]),
                domain=row["domain"],
                split=row["split"],
                id=row["fact_id"],
                choices=tuple(row.get(CHOICES) or ()),
                turns=row.get(TURNS) or "",
            )
            for row in table.iter_rows(named=True)
        )
        return cls(tuple(facts), name)

    @classmethod
    def read(cls, path: Path) -> FactSet:
        """Read a `facts.parquet` written by a facts step."""
        return cls.from_table(read_own(path), path.parent.name, where=str(path))


def _checked_table(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """The columns of `SCHEMA`; InputError for one that is missing, of another type, empty somewhere or odd."""
    for column, kind in SCHEMA.items():
        got = table.schema.get(column)
        if isinstance(got, pl.Categorical | pl.Enum):
            table, got = table.with_columns(pl.col(column).cast(pl.String)), pl.String()
        if got != kind:
            raise InputError(
                f"{name}: a table of facts must have the column {column} of type {kind}, but got {got or 'none'}."
            )
        empty = table[column].is_null()
        if column in ("object", "question"):
            empty = empty | (table[column].str.strip_chars() == "")
        if column == "synonyms":
            empty = empty | table[column].list.contains(pl.lit(None, pl.String)).fill_null(False)
        if empty.any():
            raise InputError(f"{name}: row {(empty.arg_max() or 0) + 1} has an empty {column}. Fill it in.")
    for column, known in (("domain", get_args(Domain)), ("split", get_args(Split))):
        odd = table.filter(~pl.col(column).is_in(known))
        if odd.height:
            raise InputError(f"{name}: {column} must be {' or '.join(known)}, but got {odd[column][0]!r}.")
    more = [CHOICES] if table.schema.get(CHOICES) == pl.List(pl.String) else []
    more += [TURNS] if table.schema.get(TURNS) == pl.String else []
    return table.select([*SCHEMA, *more])
