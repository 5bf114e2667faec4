"""Choosing the best rung on one half of the test facts and judging it on the other.

Choosing and judging on the same facts would flatter every ladder: the best of many noisy rungs looks better than it
is. So the in-domain test facts are halved by seed inside each memory level (`recollect.core.estimates.halves`);
out-of-domain facts choose nothing. A macro is over the levels that have enough facts in the choosing half, which is
never the larger one, so both halves and every rung average the same levels. A subject that several questions are
about is not divided, and is the unit of every interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Annotated, Any

import polars as pl
from pydantic import Field, computed_field, model_validator

from recollect.core.estimates import LEAST_PER_LEVEL, Estimate, Mean, levels_entering, paired_difference, winner
from recollect.core.estimates import halves as split
from recollect.core.workspace.result import Result, fold_intervals
from recollect.evaluate import RIGHT, units_of, with_right


@dataclass(frozen=True)
class Judging:
    """How rungs are scored: the halves, and the levels a macro averages (none: micro)."""

    choosing: frozenset[str]
    scoring: frozenset[str]
    mean: Mean
    levels: tuple[int, ...]
    ood_levels: tuple[int, ...]
    units: Mapping[str, str]
    """What each fact, by its id, was drawn with: itself, or its subject."""


def halves(outputs: pl.DataFrame, seed: int) -> tuple[set[str], set[str]]:
    """Ids of the choosing and of the scoring half of the part "test", equal inside each level (columns fact_id, level).

    A level's odd fact goes to the scoring half. Depends on seed and ids alone, so every model has the same halves.
    """
    table = outputs.filter(pl.col("part") == "test")
    return split(table["fact_id"].to_list(), table["level"].to_list(), seed, units_of(table).to_list())


def judging(outputs: pl.DataFrame, seed: int, least: int = LEAST_PER_LEVEL) -> Judging:
    """How all rungs of a ladder are scored: by macro where a level has enough facts, else by micro."""
    choosing, scoring = halves(outputs, seed)
    either = levels_entering(_only(outputs, scoring), least=least)
    levels = tuple(level for level in levels_entering(_only(outputs, choosing), least=least) if level in either)
    ood_levels = levels_entering(outputs, part="ood", least=least)
    units: dict[str, str] = {}
    for part in ("test", "ood"):
        table = outputs.filter(pl.col("part") == part)
        units |= dict(zip(table["fact_id"].to_list(), units_of(table).to_list(), strict=True))
    mean: Mean = "macro" if levels else "micro"
    return Judging(frozenset(choosing), frozenset(scoring), mean, levels, ood_levels, units)


def score(outputs: pl.DataFrame, levels: Sequence[int] = (), *, part: str = "test") -> float | None:
    """Accuracy in percent of a part, by the main judge: the mean over the levels, of all facts without levels.

    None without facts.
    """
    table = with_right(outputs).filter(pl.col("part") == part)
    if not levels:
        return 100 * float(table[RIGHT].mean()) if table.height else None  # type: ignore[arg-type]
    by_level = table.filter(pl.col("level").is_in(levels)).group_by("level").agg(pl.col(RIGHT).mean())
    by_level = by_level.sort("level")  # the order of a sum decides its last digit, and ties must be ties
    return 100 * float(by_level[RIGHT].mean()) if by_level.height else None  # type: ignore[arg-type]


class Choice(Result):
    """The best percentage of one order by the validation half, and what the test half says of it."""

    order: str
    percent: Annotated[float, Field(ge=0, le=100)]
    validation: float | None = None
    """Accuracy in percent on the half that chooses."""
    test: float | None = None
    """The same on the half that judges."""
    tuned_test: float | None = None
    """The tuned model's on the half that judges."""
    gain: Estimate | None = None
    """Against the tuned model on the half that judges; fractions."""
    ood_gain: Estimate | None = None
    """The same out-of-domain; None without such facts."""
    ahead: Estimate | None = None
    """Of a control: how far the main order's choice is ahead of it on the half that judges; fractions."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def beats_tuned(self) -> bool:
        """Whether the interval of the gain lies above zero."""
        return self.percent > 0 and self.gain is not None and self.gain.low > 0

    @property
    def rivals_best(self) -> bool:
        """Of a control: whether the main order's choice is not clearly ahead of it."""
        return self.ahead is None or self.ahead.low <= 0

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, values: Any) -> Any:
        return fold_intervals(values, ("gain", "ood_gain", "ahead"))


def choose(order: str, rungs: Mapping[float, pl.DataFrame], how: Judging) -> Choice | None:
    """Choose among the rungs (outputs by percentage; 0 is the tuned model); None when there are too few test facts.

    The best score on the choosing half wins, of equal ones the smallest percentage: in doubt, change less.
    """
    tuned = rungs[0.0]
    if not how.choosing or not how.scoring:
        return None
    scores = {percent: score(_only(rungs[percent], how.choosing), how.levels) or 0.0 for percent in sorted(rungs)}
    best = winner(scores)
    return Choice(
        order=order,
        percent=best,
        validation=scores[best],
        test=score(_only(rungs[best], how.scoring), how.levels) or 0.0,
        tuned_test=score(_only(tuned, how.scoring), how.levels) or 0.0,
        gain=ahead(rungs[best], tuned, how),
        ood_gain=_ood_difference(tuned, rungs[best], how),
    )


def ahead(best: pl.DataFrame, other: pl.DataFrame, how: Judging) -> Estimate:
    """How far one rung is ahead of another on the scoring half; fractions."""
    sides = _only(other, how.scoring), _only(best, how.scoring)
    return paired_difference(*sides, mean=how.mean, levels=how.levels, units=how.units)


def _ood_difference(tuned: pl.DataFrame, rung: pl.DataFrame, how: Judging) -> Estimate | None:
    if not tuned.filter(pl.col("part") == "ood").height or (how.mean == "macro" and not how.ood_levels):
        return None
    return paired_difference(tuned, rung, part="ood", mean=how.mean, levels=how.ood_levels, units=how.units)


def _only(table: pl.DataFrame, ids: Set[str]) -> pl.DataFrame:
    return table.filter(pl.col("fact_id").is_in(list(ids)))
