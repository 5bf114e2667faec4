"""The data report: every row accounted for, and the traps a reader of later scores should know.

Traps looked for (docs/studies.md §1): an answer that stands inside its question, a train question that also stands
in test, and a relation where always giving the same answer already scores high (the majority guess).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import polars as pl

from recollect.facts._fact import Fact, FactSet
from recollect.facts._reading import REPEATED, Reading, inside

MAJORITY_NOTE = 0.25  # a majority guess from here on is named among the traps
SMALL = 20  # relations with fewer facts in a part are not, a majority of five facts means nothing


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

    `rows_read` less the sum of `dropped` is the number of facts. `answer_in_question` counts rows as read
    (any answer, dropped rows too) and facts kept, ignoring case; in the rows of EntityQuestions' test files
    it comes to 938 + 555 = 1,493. `synonyms` counts the facts with other accepted forms.
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
        "overlap": {"train_questions_in_test": reading.overlap, "dropped": reading.overlap_dropped},
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
        "traps": _traps(facts, reading, relations, within),
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


def _traps(facts: FactSet, reading: Reading, relations: pl.DataFrame, within: Mapping[str, int]) -> list[str]:
    """The traps in words."""
    counts = facts.counts()
    found = []
    for part in ("train", "test", "ood"):
        if within.get(part):
            found.append(f"{part}: the answer stands in the question of {within[part]:,} of {counts[part]:,} facts.")
    if reading.overlap and not reading.overlap_dropped:
        found.append(f"{reading.overlap:,} train questions also stand in test; --drop-overlap leaves them out.")
    for row in relations.filter(pl.col("part") != "train").iter_rows(named=True):
        if row["majority_share"] >= MAJORITY_NOTE and row["facts"] >= SMALL:
            found.append(
                f"{row['part']}, {row['relation']}: always answering {row['majority_object']!r} "
                f"scores {row['majority_share']:.1%}."
            )
    return found
