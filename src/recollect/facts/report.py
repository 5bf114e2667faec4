"""The data report: every row accounted for, and the traps a reader of later scores should know.

Traps make a score look like knowledge when it is not, or an answer wrong that is right. They are named, not removed:

| trap                                              | what goes wrong                                          |
|---------------------------------------------------|----------------------------------------------------------|
| the answer occurs in its question                 | repeating the question is right                          |
| a train question also occurs in test              | learnt by heart in training                              |
| the majority guess                                | always saying one object is often right                  |
| an accepted form of one or two small letters      | nearly every reply contains it                           |
| an answer inside another object of its relation   | the other object is right, too (York in New York)        |
| answers that are numbers or letters of choices    | the number is taught and asked for instead of the answer |
| HTML entities and tags, texts for "missing"       | no reply is written like that                            |
| a question with two different answers             | the answer that was dropped counts as wrong              |
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import polars as pl

from recollect.core.numbers import many
from recollect.core.tables import BadRowsFound
from recollect.core.workspace.result import Result
from recollect.facts.fact import Fact, FactSet
from recollect.facts.reading import REPEATED, Reading, inside

PARTS = ("train", "test", "ood")
MAJORITY_NOTE = 0.25  # a majority guess from here on is named
SMALL = 20  # relations with fewer facts in a part are not, a majority of five facts means nothing
_MOST = 50_000  # different objects of one relation that are searched for each other
_LONG = 60  # characters; longer objects are not searched
_HTML = re.compile(
    r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});|</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>"
)
_MISSING = {"nan", "NaN", "None", "null", "NULL", "<NA>", "NaT", "N/A", "#N/A", "undefined"}
_CHOICE = re.compile(r"[0-9A-Ja-j]")
_LISTED = re.compile(r"\[.*\]|\{.*\}", re.DOTALL)


class Overlap(Result):
    """Train facts whose question is in test or ood, too."""

    train_questions_in_test: int
    nearly_the_same: int
    """Those among them whose question differs in case, blanks, punctuation or Unicode form."""
    dropped: bool


class AnswerInQuestion(Result):
    """How many questions hold their answer, case ignored, by part."""

    rows_read: dict[str, int]
    """Any answer, dropped rows too; EntityQuestions' test files have 938 + 555 = 1,493."""
    facts: dict[str, int]
    """Facts kept, with their object."""


class WithSynonyms(Result):
    """Facts of a part with other accepted forms."""

    facts: int
    share: float


class RelationFacts(Result):
    """The facts of one relation in one part."""

    facts: int
    objects: int
    """Different objects."""
    majority_object: str
    majority_share: float
    """What always answering the majority object scores."""
    answer_in_question: int


class FactsReport(Result):
    """The account of a reading; `report.json`. Counts are by part: train, test, ood (or "unsplit").

    `rows_read` less the sum of `dropped` is the number of facts; bad rows that were skipped are in neither.
    """

    source: str
    rows_read: dict[str, int]
    rows_total: int
    facts: int
    dropped: dict[str, dict[str, int]]
    """Rows dropped, by reason and part."""
    repeated_questions: int
    conflicting_answers: int
    """Repeated questions whose answer was another one."""
    overlap: Overlap
    answer_in_question: AnswerInQuestion
    synonyms: dict[str, WithSynonyms]
    missing_files: list[str]
    relations: dict[str, dict[str, RelationFacts]]
    """By part and relation."""
    columns: dict[str, str]
    """What each column was taken for."""
    blank_rows: int
    bad_rows: BadRowsFound
    notes: list[str]
    traps: list[str]


def relation_table(facts: FactSet) -> pl.DataFrame:
    """One row per part and relation: facts, objects, majority guess and its share, answers in questions."""
    groups: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for part in PARTS:
        for fact in facts:
            if fact.part == part:
                groups[part, fact.relation].append(fact)
    rows = []
    for (part, relation), group in groups.items():
        objects = Counter(fact.object for fact in group)
        majority, count = min(objects.items(), key=lambda item: (-item[1], item[0]))
        within = sum(inside(fact.question, [fact.object]) for fact in group)
        rows.append((part, relation, len(group), len(objects), majority, count / len(group), within))
    return pl.DataFrame(
        rows,
        schema={
            "part": pl.String,
            "relation": pl.String,
            "facts": pl.Int64,
            "objects": pl.Int64,
            "majority_object": pl.String,
            "majority_share": pl.Float64,
            "answer_in_question": pl.Int64,
        },
        orient="row",
    )


def data_report(facts: FactSet, reading: Reading, relations: pl.DataFrame) -> FactsReport:
    """The account of a reading; `relations` is the `relation_table` of its facts."""
    of_relation: dict[str, dict[str, RelationFacts]] = {part: {} for part in PARTS}
    within = Counter[str]()
    for row in relations.iter_rows(named=True):
        of_relation[row["part"]][row["relation"]] = RelationFacts.model_validate(row)
        within[row["part"]] += row["answer_in_question"]
    return FactsReport(
        source=reading.source,
        rows_read=_plain(reading.read),
        rows_total=reading.read.total(),
        facts=len(facts),
        dropped={reason: _plain(counts) for reason, counts in reading.dropped.items()},
        repeated_questions=reading.dropped.get(REPEATED, Counter()).total(),
        conflicting_answers=reading.conflicts,
        overlap=Overlap(
            train_questions_in_test=reading.overlap,
            nearly_the_same=reading.overlap_near,
            dropped=reading.overlap_dropped,
        ),
        answer_in_question=AnswerInQuestion(rows_read=_plain(reading.inside), facts=_plain(within)),
        synonyms=_synonyms(facts),
        missing_files=reading.missing,
        relations=of_relation,
        columns=dict(reading.columns),
        blank_rows=reading.blank_rows,
        bad_rows=reading.bad.account(),
        notes=reading.notes,
        traps=find_traps(facts, reading, relations, within),
    )


def _plain(counts: Mapping[str, int]) -> dict[str, int]:
    return {key: counts[key] for key in (*PARTS, "validation", "unsplit") if counts.get(key)}


def _synonyms(facts: FactSet) -> dict[str, WithSynonyms]:
    touched = Counter(str(fact.part) for fact in facts if fact.synonyms)
    counts = facts.counts().items()
    return {part: WithSynonyms(facts=touched[part], share=touched[part] / count) for part, count in counts if count}


def find_traps(facts: FactSet, reading: Reading, relations: pl.DataFrame, within: Mapping[str, int]) -> list[str]:
    """The traps in words. `within`: facts by part whose answer occurs in their question."""
    counts = facts.counts()
    found = [
        f"{part}: the answer occurs in the question of {within[part]:,} of {many(counts[part], 'fact')}."
        for part in PARTS
        if within.get(part)
    ]
    if reading.overlap and not reading.overlap_dropped:
        occur, them = ("occurs", "it") if reading.overlap == 1 else ("occur", "them")
        near = f" ({reading.overlap_near:,} of them nearly the same)" if reading.overlap_near else ""
        found.append(
            f"{many(reading.overlap, 'train question')} also {occur} in test{near}; --drop-overlap leaves {them} out."
        )
    if reading.conflicts:
        found.append(
            f"Repeated questions that were dropped though their answer is not the first one's: {reading.conflicts:,}."
        )
    for row in relations.filter(pl.col("part") != "train").iter_rows(named=True):
        if row["majority_share"] >= MAJORITY_NOTE and row["facts"] >= SMALL:
            found.append(
                f"{row['part']}, {row['relation']}: always answering {row['majority_object']!r} "
                f"scores {row['majority_share']:.1%}."
            )
    return [*found, *_short_forms(facts), *_inside_others(facts), *_choice_numbers(facts), *_odd_texts(facts)]


def objects_in_objects(facts: Iterable[Fact]) -> dict[str, str]:
    """Facts, by id, with a form that occurs inside another object of their relation, and one such object.

    Case counts, as it does for the matcher `contains`. Objects that the fact accepts itself do not count, nor do short
    forms, which occur nearly everywhere. Relations with more than 50,000 objects are left out, and so are objects of
    more than 60 characters.
    """
    groups: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        groups[fact.relation].append(fact)
    found: dict[str, str] = {}
    for group in groups.values():
        objects = {fact.object for fact in group}
        if len(objects) > _MOST:
            continue
        forms = {form for fact in group for form in fact.accepted if not is_short(form)}
        holders = _holders(objects, forms)
        for fact in group:
            own = fact.accepted
            other = next((holder for form in own for holder in holders.get(form, ()) if holder not in own), None)
            if other is not None:
                found[fact.id] = other
    return found


def is_short(form: str) -> bool:
    """Whether nearly every reply contains a form: one letter or digit, or two small letters, no ideographs."""
    return (len(form) == 1 or (len(form) == 2 and form.isalpha() and form.islower())) and all(
        ord(char) < 0x2E80 for char in form
    )


def _holders(objects: Set[str], forms: Set[str]) -> dict[str, list[str]]:
    """The objects (some of them) that each form occurs in."""
    lengths = sorted({len(form) for form in forms if len(form) < _LONG})
    holders: dict[str, list[str]] = defaultdict(list)
    for text in sorted(objects):
        if len(text) > _LONG:
            continue
        for length in lengths:
            if length >= len(text):
                break
            for start in range(len(text) - length + 1):
                part = text[start : start + length]
                if part in forms and len(holders[part]) < 20:
                    holders[part].append(text)
    return holders


def _short_forms(facts: FactSet) -> list[str]:
    shorts = [form for fact in facts for form in fact.accepted if is_short(form)]
    touched = sum(any(map(is_short, fact.accepted)) for fact in facts)
    if not touched:
        return []
    shown = _examples(shorts)
    return [
        f"{_count(touched)} a form of one or two letters accepted ({shown}), which nearly every reply contains: judge "
        "by whole words, or leave such forms out."
    ]


def _inside_others(facts: FactSet) -> list[str]:
    found = objects_in_objects(facts)
    lines = []
    for part in PARTS:
        touched = [fact for fact in facts if fact.part == part and fact.id in found]
        if touched:
            pairs = dict.fromkeys((fact.object, found[fact.id]) for fact in touched)
            shown = ", ".join(f"{inner!r} in {outer!r}" for inner, outer in list(pairs)[:3])
            lines.append(
                f"{part}: {_count(len(touched))} an answer that occurs inside another object of the same relation "
                f"({shown}), which then counts as right."
            )
    return lines


def _choice_numbers(facts: FactSet) -> list[str]:
    objects = [fact.object for fact in facts]
    if len(objects) < 2 or not all(_CHOICE.fullmatch(text) for text in objects) or len(set(objects)) > 10:
        return []
    return [
        f"Every answer is one letter or digit ({_examples(objects)}): if they stand for choices, give the choices as "
        'a column (--columns "choices=...").'
    ]


def _odd_texts(facts: FactSet) -> list[str]:
    checks: Sequence[tuple[Callable[[str], object], str]] = (
        (_HTML.search, "HTML entities or tags ({}); no reply is written so. Clean the texts."),
        (_MISSING.__contains__, "an answer that says a value is missing ({}). Remove the rows."),
        (_LISTED.fullmatch, "an answer that is written like a list or an object ({}); it is taken as it stands."),
    )
    lines = []
    for check, text in checks:
        answers_only = check is not checks[0][0]
        hits = [
            next(
                (form for form in (fact.accepted if answers_only else (*fact.accepted, fact.question)) if check(form)),
                "",
            )
            for fact in facts
        ]
        shown = [hit for hit in hits if hit]
        if shown:
            lines.append(f"{_count(len(shown))} {text.format(_examples(shown))}")
    return lines


def _count(facts: int) -> str:
    return f"{facts:,} fact{' has' if facts == 1 else 's have'}"


def _examples(texts: Iterable[str]) -> str:
    cut = [text if len(text) <= 40 else text[:37] + "..." for text in list(dict.fromkeys(texts))[:3]]
    return ", ".join(map(repr, cut))
