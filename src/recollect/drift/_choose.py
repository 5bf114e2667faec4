"""Choosing the best rung on one half of the test facts and judging it on the other.

Choosing and judging on the same facts would flatter every ladder: the best of many noisy rungs looks better than it
is. So the in-domain test facts are halved by seed inside each memory level; out-of-domain facts choose nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from recollect.statistics import Difference, paired_difference

Mean = Literal["macro", "micro"]


def halves(outputs: pl.DataFrame, seed: int) -> tuple[set[str], set[str]]:
    """Ids of the validation and of the test half of the part "test", equal inside each level (columns fact_id, level).

    A level's odd fact goes to the test half. Depends on seed and ids alone, so every model has the same halves.
    """
    validation, test = set(), set()
    table = outputs.filter(pl.col("part") == "test")
    for (_level,), group in table.group_by("level"):
        ids = sorted(group["fact_id"].to_list(), key=lambda fact_id: _draw(seed, fact_id))
        validation.update(ids[: len(ids) // 2])
        test.update(ids[len(ids) // 2 :])
    return validation, test


def score(outputs: pl.DataFrame, mean: Mean, *, part: str = "test") -> float | None:
    """Accuracy in percent of a part, by the main matcher; None without facts (macro: without levels)."""
    table = outputs.filter(pl.col("part") == part)
    if mean == "micro":
        return 100 * float(table["contains"].mean()) if table.height else None  # type: ignore[arg-type]
    by_level = table.filter(pl.col("level").is_not_null()).group_by("level").agg(pl.col("contains").mean())
    return 100 * float(by_level["contains"].mean()) if by_level.height else None  # type: ignore[arg-type]


@dataclass(frozen=True)
class Choice:
    """The best percentage of one order by the validation half, and what the test half says of it."""

    order: str
    percent: float
    validation: float
    test: float
    tuned_test: float
    gain: Difference
    """Against the tuned model on the test half; fractions."""
    ood_gain: Difference | None

    @property
    def beats_tuned(self) -> bool:
        """Whether the interval of the gain lies above zero."""
        return self.percent > 0 and self.gain.low > 0

    def json(self) -> dict[str, Any]:
        """As plain values: accuracies in percent, gains in points."""
        found = {
            "order": self.order,
            "percent": self.percent,
            "validation": self.validation,
            "test": self.test,
            "tuned_test": self.tuned_test,
            **points(self.gain, "gain"),
            "beats_tuned": self.beats_tuned,
        }
        return found | (points(self.ood_gain, "ood_gain") if self.ood_gain else {})


def choose(order: str, rungs: Mapping[float, pl.DataFrame], seed: int, mean: Mean) -> Choice | None:
    """Choose among the rungs (outputs by percentage; 0 is the tuned model); None when there are too few test facts.

    The best validation score wins, of equal ones the smallest percentage: in doubt, change less.
    """
    tuned = rungs[0.0]
    validation, test = halves(tuned, seed)
    if not validation or not test:
        return None
    scores = {percent: score(_only(table, validation), mean) or 0.0 for percent, table in sorted(rungs.items())}
    best = max(scores, key=lambda percent: (scores[percent], -percent))
    return Choice(
        order,
        best,
        scores[best],
        score(_only(rungs[best], test), mean) or 0.0,
        score(_only(tuned, test), mean) or 0.0,
        paired_difference(_only(tuned, test), _only(rungs[best], test), mean=mean),
        _ood_difference(tuned, rungs[best], mean),
    )


def ahead(best: pl.DataFrame, other: pl.DataFrame, seed: int, mean: Mean) -> dict[str, Any]:
    """How far one chosen rung is ahead of another on the test half, in points (ahead, low, high)."""
    _, test = halves(best, seed)
    return points(paired_difference(_only(other, test), _only(best, test), mean=mean), "ahead")


def points(difference: Difference, name: str) -> dict[str, Any]:
    """A difference in percentage points: name, name_low, name_high and the number of facts."""
    return {
        name: 100 * difference.difference,
        f"{name}_low": 100 * difference.low,
        f"{name}_high": 100 * difference.high,
        f"{name}_facts": difference.facts,
    }


def _ood_difference(tuned: pl.DataFrame, rung: pl.DataFrame, mean: Mean) -> Difference | None:
    if score(tuned, mean, part="ood") is None:
        return None
    return paired_difference(tuned, rung, part="ood", mean=mean)


def _only(table: pl.DataFrame, ids: set[str]) -> pl.DataFrame:
    return table.filter(pl.col("fact_id").is_in(list(ids)))


def _draw(seed: int, fact_id: str) -> bytes:
    return hashlib.blake2b(f"{seed}\x1f{fact_id}".encode(), digest_size=16, person=b"halves").digest()
