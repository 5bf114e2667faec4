"""The best choice of a study: picked on one half of the in-domain test facts, judged on the other.

The best of many noisy scores looks better than it is on the facts that picked it. And two trainings with other seeds
differ by points, so a difference between choices holds that spread, pooled over all cells of the study. A lucky
training stays lucky on the other half, so the spread counts for all choices at once (Bonferroni). A subject that
several questions are about is in one half, and is the unit of every interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from recollect.core.estimates import (
    CONFIDENCE,
    Estimate,
    NoRepeats,
    Spread,
    by_cluster,
    enough,
    halves,
    macro_mean,
    proportion,
    spread_of,
    trained_score,
    training_difference,
    winner,
)
from recollect.evaluate import RIGHT, units_of, with_right
from recollect.report.scores.record import CHOICES, Best, Choice, Compared

Group = tuple[Choice, int]
"""A training choice and its size."""
BASE = None
"""Stands for the untouched base among the groups."""
Verdicts = np.ndarray  # trainings x facts: whether an answer is right


@dataclass(frozen=True)
class _Slice:
    """Some of the facts, and how scores on them are averaged."""

    place: list[int]
    levels: list[int | None]
    """Of the facts at `place`; null for those that enter no macro."""
    units: list[str]
    """What the facts at `place` were drawn with: themselves, or their subjects."""
    macro: bool

    def score(self, run: Verdicts) -> float:
        """One training's score, a fraction."""
        return self.estimate(run).value

    def estimate(self, run: Verdicts, confidence: float = CONFIDENCE) -> Estimate:
        """With the interval of the questions."""
        right = run[self.place]
        if not self.macro:
            return by_cluster(proportion(int(right.sum()), len(right), confidence), right.tolist(), self.units)
        entered = sorted({level for level in self.levels if level is not None})
        places = [[at for at, own in enumerate(self.levels) if own == level] for level in entered]
        found = macro_mean([int(right[one].sum()) for one in places], [len(one) for one in places], confidence)
        whole = [at for one in places for at in one]
        units, levels = [self.units[at] for at in whole], [self.levels[at] for at in whole]
        return by_cluster(found, right[whole].tolist(), units, levels)


@dataclass(frozen=True)
class _Part:
    """The verdicts of every group on one part, the base under None; a slice judges, its spread is over all groups."""

    verdicts: Mapping[Group | None, Verdicts]
    judging: _Slice
    spread: Spread | None

    @classmethod
    def of(cls, verdicts: Mapping[Group | None, Verdicts], judging: _Slice) -> _Part:
        trained = [runs for group, runs in verdicts.items() if group is not BASE]
        spread = spread_of([[judging.score(run) for run in runs] for runs in trained])
        return cls(verdicts, judging, spread)

    @property
    def trained(self) -> int:
        """Groups but the base: the best was picked among them."""
        return len(self.verdicts) - 1

    def score(self, group: Group | None) -> Estimate:
        """The group's mean score where it is judged."""
        runs = [self.judging.estimate(run) for run in self.verdicts[group]]
        return trained_score(runs, None if group is BASE else self.spread, candidates=self.trained)

    def compared(self, best: Group | None, other: Group | None, confidence: float) -> Compared:
        """The best less the other where they are judged."""
        first, second = (self.verdicts[group][:, self.judging.place].tolist() for group in (other, best))
        swap = best is BASE  # the function takes the untouched model first
        found = training_difference(
            second if swap else first,
            first if swap else second,
            self.judging.levels if self.judging.macro else None,
            self.spread,
            least=1,
            first_trained=other is not BASE and not swap,
            candidates=self.trained,
            units=self.judging.units,
            confidence=confidence,
        )
        interval = None if isinstance(found, NoRepeats) else _turned(found) if swap else found
        levels, size = other or (None, 0)
        scored = self.score(other)
        return Compared(
            levels=levels,
            size=size,
            score=scored.value,
            scored=scored,
            value=-found.value if swap else found.value,
            interval=interval,
            n=found.n,
        )


def _turned(found: Estimate) -> Estimate:
    return replace(found, value=-found.value, low=-found.high, high=-found.low)


def judge(
    base: pl.DataFrame, cells: Sequence[tuple[Choice, int, pl.DataFrame]], *, seed: int, least: int
) -> Best | None:
    """The best choice of a study; None when no choice was trained, or no half has a fact.

    `base` and each cell's table are `outputs.parquet` tables of the same facts; cells of one choice and size are its
    seeds. `seed` deals the facts into halves; a memory level with fewer than `least` facts in the choosing half enters
    no macro.
    """
    if not cells:
        return None
    test = _verdicts(base, cells, "test")
    facts = ids, levels, units = _facts(base, "test")
    choosing, _ = halves(ids, levels, seed, units)
    chosen_by, judged_by = _slices(*facts, choosing, least)
    if not chosen_by.place or not judged_by.place:
        return None
    scores = {group: float(np.mean([chosen_by.score(run) for run in runs])) for group, runs in test.items()}
    best = winner(scores)
    part = _Part.of(test, judged_by)
    rivals = _rivals(best, scores)
    ood = _ood(base, cells, chosen_by.macro, least)
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(rivals) + (ood is not None and best is not BASE))
    levels_of, size = best or (None, 0)
    return Best(
        levels=levels_of,
        size=size,
        seeds=len(test[best]),
        mean="macro" if judged_by.macro else "micro",
        macro_levels=sorted({level for level in judged_by.levels if level is not None}) if judged_by.macro else [],
        candidates=len(test),
        chosen_on=len(chosen_by.place),
        chosen_score=scores[best],
        judged_on=len(judged_by.place),
        judged_facts=[ids[at] for at in judged_by.place],
        score=part.score(best),
        **{name: part.compared(best, other, confidence) for name, other in rivals.items()},
        ood_score=None if ood is None else ood.score(best),
        ood_base=ood.compared(best, BASE, confidence) if ood is not None and best is not BASE else None,
    )


def _rivals(best: Group | None, scores: Mapping[Group | None, float]) -> dict[str, Group | None]:
    """Whom the best is compared with, by the name of the field: the base, the random draw and the next best selection
    of its size; the base as the best with the best training."""
    trained = [group for group in scores if group is not BASE]
    if best is BASE:
        return {"rival": max(trained, key=lambda group: scores[group])}
    same = [group for group in trained if group != best and group[1] == best[1]]
    selections = [group for group in same if group[0] != "random"]
    found: dict[str, Group | None] = {"base": BASE}
    if ("random", best[1]) in same:
        found["random"] = ("random", best[1])
    if selections:
        found["rival"] = max(selections, key=lambda group: scores[group])
    return found


def _ood(
    base: pl.DataFrame, cells: Sequence[tuple[Choice, int, pl.DataFrame]], macro: bool, least: int
) -> _Part | None:
    ids, levels, units = _facts(base, "ood")
    if not ids:
        return None
    whole, _ = _slices(ids, levels, units, set(ids), least)
    if macro and not whole.macro:
        return None
    whole = whole if macro else replace(whole, levels=[None] * len(whole.place), macro=False)
    return _Part.of(_verdicts(base, cells, "ood"), whole)


def _slices(
    ids: Sequence[str], levels: Sequence[int | None], units: Sequence[str], choosing: set[str], least: int
) -> tuple[_Slice, _Slice]:
    """The choosing facts and the others, if any, averaged over the same levels: those with enough facts in either."""
    sides = {fact_id in choosing for fact_id in ids}
    counts: dict[int, dict[bool, int]] = {}
    for fact_id, level in zip(ids, levels, strict=True):
        if level is not None:
            own = counts.setdefault(level, dict.fromkeys(sides, 0))
            own[fact_id in choosing] += 1
    entered, _ = enough({level: min(own.values()) for level, own in counts.items()}, least)

    def of(wanted: bool) -> _Slice:
        place = [at for at, fact_id in enumerate(ids) if (fact_id in choosing) == wanted]
        own = [level if level in entered else None for level in (levels[at] for at in place)]
        return _Slice(place, own, [units[at] for at in place], bool(entered))

    return of(True), of(False)


def _facts(base: pl.DataFrame, part: str) -> tuple[list[str], list[int | None], list[str]]:
    """Ids, levels, and what each was drawn with."""
    table = base.filter(pl.col("part") == part).sort("fact_id")
    return table["fact_id"].to_list(), table["level"].to_list(), units_of(table).to_list()


def _verdicts(
    base: pl.DataFrame, cells: Sequence[tuple[Choice, int, pl.DataFrame]], part: str
) -> dict[Group | None, Verdicts]:
    """By group, the base first and small sizes before large ones: of equal scores the cheapest wins."""

    def right(table: pl.DataFrame) -> Verdicts:
        judged = with_right(table).filter(pl.col("part") == part)
        return judged.sort("fact_id")[RIGHT].to_numpy().astype(bool)

    runs: dict[Group, list[Verdicts]] = {}
    for choice, size, table in cells:
        runs.setdefault((choice, size), []).append(right(table))
    ordered = sorted(runs, key=lambda group: (group[1], CHOICES.index(group[0])))
    return {BASE: right(base)[None], **{group: np.stack(runs[group]) for group in ordered}}
