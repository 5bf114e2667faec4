"""The data report: every row accounted for, and the traps a reader of later scores should know.

The traps themselves are in `_traps.py`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import polars as pl

from recollect.facts.fact import Fact, FactSet
from recollect.facts.reading import REPEATED, Reading, inside
from recollect.facts.traps import find_traps


def relation_table(facts: FactSet) -> pl.DataFrame:
    """One row per part and relation: facts, objects, majority guess and its share, answers in questions."""
    groups: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for part in ("train", "test", "ood"):
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


def data_report(facts: FactSet, reading: Reading, relations: pl.DataFrame) -> dict[str, Any]:
    """The account of a reading as plain JSON. Counts are by part: train, test, ood (or "unsplit").

    `rows_read` less the sum of `dropped` is the number of facts; bad rows that were skipped are in neither.
    `answer_in_question` counts rows as read (any answer, dropped rows too) and facts kept, ignoring case; in
    the rows of EntityQuestions' test files it comes to 938 + 555 = 1,493. `synonyms` counts the facts with other
    accepted forms.
    """
    dropped = {reason: _plain(counts) for reason, counts in reading.dropped.items()}
    within = Counter[str]()
    for row in relations.iter_rows(named=True):
        within[row["part"]] += row["answer_in_question"]
    return {
        "source": reading.source,
        "rows_read": _plain(reading.read),
        "rows_total": reading.read.total(),
        "facts": len(facts),
        "dropped": dropped,
        "repeated_questions": reading.dropped.get(REPEATED, Counter()).total(),
        "conflicting_answers": reading.conflicts,
        "overlap": {
            "train_questions_in_test": reading.overlap,
            "nearly_the_same": reading.overlap_near,
            "dropped": reading.overlap_dropped,
        },
        "answer_in_question": {"rows_read": _plain(reading.inside), "facts": _plain(within)},
        "synonyms": _synonyms(facts),
        "missing_files": reading.missing,
        "relations": {
            part: {
                row["relation"]: {key: row[key] for key in row if key not in ("part", "relation")}
                for row in relations.filter(pl.col("part") == part).iter_rows(named=True)
            }
            for part in ("train", "test", "ood")
        },
        "columns": dict(reading.columns),
        "blank_rows": reading.blank_rows,
        "bad_rows": reading.bad.account(),
        "notes": reading.notes,
        "traps": find_traps(facts, reading, relations, within),
    }


def _plain(counts: Mapping[str, int]) -> dict[str, int]:
    return {key: counts[key] for key in ("train", "test", "ood", "validation", "unsplit") if counts.get(key)}


def _synonyms(facts: FactSet) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for part, count in facts.counts().items():
        touched = sum(bool(fact.synonyms) for fact in facts if fact.part == part)
        if count:
            found[part] = {"facts": touched, "share": touched / count}
    return found
