"""Traps: what makes a score look like knowledge when it is not, or an answer wrong that is right. Named, not removed.

| trap                                              | what goes wrong                                          |
|---------------------------------------------------|----------------------------------------------------------|
| the answer stands in its question                 | repeating the question is right                          |
| a train question also stands in test              | learnt by heart in training                              |
| the majority guess                                | always saying one object is often right                  |
| an accepted form of one or two small letters      | nearly every reply contains it                           |
| an answer inside another object of its relation   | the other object is right, too (York in New York)        |
| answers that are numbers or letters of choices    | the number is taught and asked for instead of the answer |
| HTML entities and tags, texts for "missing"       | no reply is written like that                            |
| a question with two different answers             | the answer that was dropped counts as wrong              |
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import polars as pl

from recollect.facts.fact import Fact, FactSet
from recollect.facts.reading import Reading

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


def find_traps(facts: FactSet, reading: Reading, relations: pl.DataFrame, within: Mapping[str, int]) -> list[str]:
    """The traps in words. `within`: facts by part whose answer stands in their question."""
    counts = facts.counts()
    found = [
        f"{part}: the answer stands in the question of {within[part]:,} of {counts[part]:,} facts."
        for part in ("train", "test", "ood")
        if within.get(part)
    ]
    if reading.overlap and not reading.overlap_dropped:
        near = f" ({reading.overlap_near:,} of them nearly the same)" if reading.overlap_near else ""
        found.append(f"{reading.overlap:,} train questions also stand in test{near}; --drop-overlap leaves them out.")
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
    found += _short_forms(facts)
    found += _inside_others(facts)
    found += _choice_numbers(facts)
    found += _odd_texts(facts)
    return found


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
    """The objects (some of them) that each form stands in."""
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
    for part in ("train", "test", "ood"):
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
