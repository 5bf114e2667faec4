"""How a trial is judged: the slice of questions that the search looks at, its score on them, and whether it is broken.

Notable choices
- The in-domain test part is cut in two. Each relation and memory level gives the same share, so that the validation
  slice has the levels of the whole; inside them the order is a hash of (seed, unit), so facts added elsewhere change
  nothing. The unit is what an item was drawn with: a fact, or a page with all the questions about it. The rest of the
  test part, and all of the out-of-domain part, is the held-out test.
- A score is the unweighted mean over groups of the share of right items, as everywhere in Recollect. Groups are memory
  levels with enough facts (`least_per_level` of the section evaluate), or attributes; without any group all items are
  one. Intervals are those of `recollect.core.estimates`: levels melded, differences paired by fact inside levels, pages
  as a whole, and so are subjects that several facts are about. They hold the noise of the questions, not that of
  training again.
- Broken is *Attribute Extraction*'s failure region: a high alpha with a high rate gives models that emit gibberish and
  score zero. Answers are judged against the base's: what the untouched base could not do either is no damage done by
  training. An answer that must be JSON and is not is broken at the end in any case. Loops are sought in the text, not
  in tokens, so that stored answers can be judged again without a model.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recollect.core import estimates as statistics
from recollect.core.estimates import LEAST_PER_LEVEL, Pairs
from recollect.core.random import draw
from recollect.core.workspace.result import Result
from recollect.errors import InputError
from recollect.evaluate import EvaluateResult
from recollect.evaluate.own_words import EXPECTED_FROM
from recollect.experiments.curve import item_table
from recollect.facts import Fact, FactSet

Bools = NDArray[np.bool_]

LEAST = 4
"""Units that validation and test must have each, at the least."""
BROKEN = 0.9
"""Share of broken answers from which a model is degenerate."""
_SAME = 0.95
_LEAST_ANSWERS = 8
_LOOP = re.compile(r"(.{1,24}?)\1{3,}.{0,24}$", re.DOTALL)


@dataclass(frozen=True)
class Slices:
    """The facts of a search by their use; the train part is in neither."""

    validation: FactSet
    test: FactSet
    """The rest of the in-domain test part, and the out-of-domain part."""


def units_to_split(
    facts: FactSet, share: float, most: int | None, *, by_subject: bool
) -> tuple[Mapping[str, list[Fact]], int]:
    """The test part by unit, and how many of the units validate. Raises InputError when validation or test would have
    fewer than four."""
    units: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts.part("test"):
        units[fact.subject if by_subject else fact.id].append(fact)
    wanted = round(share * len(units))
    wanted = wanted if most is None else min(wanted, most)
    if min(wanted, len(units) - wanted) < LEAST:
        what = "pages" if by_subject else "facts"
        raise InputError(
            f"a search needs at least {LEAST} {what} to validate on and {LEAST} others to test on, but the fact set "
            f"{facts.name!r} has {len(units)} in its in-domain test part, of which validation would take {wanted}. "
            "Give more test facts, or change --validation-share."
        )
    return units, wanted


def split(
    facts: FactSet,
    level_of: Mapping[str, int] | None,
    *,
    share: float,
    most: int | None,
    seed: int,
    by_subject: bool = False,
) -> Slices:
    """Cut the test part: `share` of its units, at most `most`, validate; the rest tests.

    `level_of` gives levels by fact id; `by_subject` keeps all facts of one subject (a page) together. Raises
    InputError when either side would have fewer than four units.
    """
    units, wanted = units_to_split(facts, share, most, by_subject=by_subject)
    strata: dict[tuple[str, int], list[str]] = defaultdict(list)
    for unit, members in units.items():
        level = -1 if level_of is None else level_of.get(members[0].id, -1)
        strata[members[0].relation, level].append(unit)
    chosen: set[str] = set()
    seen = 0
    for _, names in sorted(strata.items()):
        before, seen = seen, seen + len(names)
        count = _cut(seen, wanted, len(units)) - _cut(before, wanted, len(units))
        chosen.update(sorted(names, key=lambda name: draw(seed, "validation", name))[:count])
    validation = {fact.id for unit in chosen for fact in units[unit]}
    return Slices(
        FactSet(tuple(fact for fact in facts if fact.id in validation), f"{facts.name}/validation"),
        FactSet(tuple(fact for fact in facts if fact.part != "train" and fact.id not in validation), facts.name),
    )


def _cut(seen: int, wanted: int, of: int) -> int:
    """How many of the first `seen` units validate, so that the shares of all strata add up to `wanted`."""
    return (2 * seen * wanted + of) // (2 * of)


class Points(Result):
    """An estimate in points, 100 times a fraction's."""

    value: float
    low: float
    high: float
    n: int
    """Items behind it."""

    @classmethod
    def of(cls, found: statistics.Estimate) -> Self:
        """From a fraction."""
        value, low, high = found.percent
        return cls(value=value, low=low, high=high, n=found.n)


@dataclass(frozen=True)
class Scored:
    """Several models on the same items of one part."""

    right: Mapping[int, Bools]
    """Verdicts by model, one per item that enters the score."""
    groups: NDArray[np.str_]
    """Group of each item."""
    units: NDArray[np.str_]
    """What each item was drawn with: a fact, a subject with all its facts, or a page with all its values."""
    pages: bool
    how: str
    """What the score is the mean of, for a reader."""

    @property
    def names(self) -> list[str]:
        """The groups that enter, in order."""
        return sorted(set(self.groups.tolist()))

    def of(self, name: int) -> Points:
        """One model's score."""
        right = self.right[name]
        if self.pages:
            return Points.of(statistics.clustered_macro(right.tolist(), self.units.tolist(), self.groups.tolist()))
        counts = [right[self.groups == group] for group in self.names]
        found = statistics.macro_mean([int(one.sum()) for one in counts], [len(one) for one in counts])
        return Points.of(statistics.by_cluster(found, right.tolist(), self.units.tolist(), self.groups.tolist()))

    def gain(self, name: int, over: int) -> Points:
        """One model's score less another's, paired."""
        if self.pages:
            return Points.of(pages_gain(self, name, over))
        found = statistics.paired(self.pairs(name, over, self.names))
        change = (self.right[name].astype(float) - self.right[over]).tolist()
        units, groups = self.units.tolist(), self.groups.tolist()
        return Points.of(statistics.by_cluster(found, change, units, groups, least=-1.0))

    @property
    def alone(self) -> bool:
        """Whether each item was drawn alone: no page has several values, no subject several questions."""
        return not self.pages and len(set(self.units.tolist())) == len(self.units)

    def pairs(self, name: int, over: int, groups: Sequence[str]) -> list[Pairs]:
        """Who was right, by group: first `over`, second `name`."""
        at = [self.groups == group for group in groups]
        return [Pairs.of(self.right[over][one].tolist(), self.right[name][one].tolist()) for one in at]


def compare(evaluations: Mapping[int, Path], part: str, least: int = LEAST_PER_LEVEL) -> Scored | None:
    """Score several evaluate steps of the same questions together; None when the part has no item.

    Levels with fewer than `least` facts are left out; where none has as many, all facts are pooled. Raises InputError
    when the evaluations hold different items.
    """
    tables = {at: item_table(path).filter(pl.col("part") == part).sort("item") for at, path in evaluations.items()}
    first = next(iter(tables.values()))
    if not first.height:
        return None
    for at, table in tables.items():
        if not table["item"].equals(first["item"]):
            raise InputError(
                f"models can be compared on the same questions only, but those of {evaluations[at]} differ."
            )
    pages = all((path / "items.parquet").is_file() for path in evaluations.values())
    groups = first["group"].cast(pl.String)
    entered, how = _entering(groups, 1 if pages else least, "attributes" if pages else "memory levels")
    keep = pl.Series([True] * first.height) if entered is None else groups.is_in(entered).fill_null(False)
    names = ["all"] * first.height if entered is None else groups.to_list()
    return Scored(
        {at: (table.filter(keep)["right"] > 0.5).to_numpy() for at, table in tables.items()},
        np.asarray(names)[keep.to_numpy()].astype(np.str_),
        first.filter(keep)["unit"].cast(pl.String).to_numpy().astype(np.str_),
        pages,
        how,
    )


def score_of(evaluation: Path, part: str = "test", least: int = LEAST_PER_LEVEL) -> float:
    """The score of one evaluate step in points; InputError when the part has no item."""
    found = compare({0: evaluation}, part, least)
    if found is None:
        raise InputError(f"{evaluation} has no item to score in the part {part}.")
    return 100 * float(np.mean([found.right[0][found.groups == group].mean() for group in found.names]))


def known_table(evaluation: Path) -> pl.DataFrame:
    """All by which an evaluate step shows what a model knows, in order: item, unit, right, of what was asked and of the
    base's own words."""
    asked = item_table(evaluation).select("item", pl.col("unit").cast(pl.String), pl.col("right") > 0.5)
    words = EvaluateResult(evaluation).expected()
    if words is None:
        return asked.sort("item")
    said = words.select("item", "unit", right=pl.col("probability") >= EXPECTED_FROM)
    return pl.concat([asked, said]).sort("item")


@dataclass(frozen=True)
class Knowledge:
    """What the base knew before: items that it had right, or facts of its highest memory levels."""

    items: frozenset[str] = frozenset()
    """Questions or values; or tokens that it said of its own, where it answered next to nothing."""
    charge: float = 0.0
    """Points of score that each point of forgetting costs."""

    def lost(self, evaluation: Path) -> list[bool]:
        """Of the known items that an evaluate step asked, in their order: whether its model does not have them
        right."""
        table = known_table(evaluation).filter(pl.col("item").is_in(list(self.items)))
        return [not right for right in table["right"].to_list()]

    def forgetting(self, evaluation: Path) -> float:
        """The share of them; 0 where none was asked."""
        lost = self.lost(evaluation)
        return sum(lost) / len(lost) if lost else 0.0

    def charged(self, score: float, evaluation: Path) -> float:
        """A score in points, less what was forgotten for it."""
        return score - self.charge * 100 * self.forgetting(evaluation) if self.charge else score


def drop(seen: Scored, unseen: Scored, best: int, over: int) -> Points:
    """One model's gain over another on the seen questions, less that on the unseen; the two share no question.

    By the groups that both have, so that both sides mean the same.
    """
    common = [name for name in seen.names if name in unseen.names]
    if common and seen.alone and unseen.alone:
        first, second = unseen.pairs(best, over, common), seen.pairs(best, over, common)
        return Points.of(statistics.difference_of_paired(first, second))
    one, two = seen.gain(best, over), unseen.gain(best, over)
    low = math.hypot(one.value - one.low, two.high - two.value)  # Zou and Donner 2008
    high = math.hypot(one.high - one.value, two.value - two.low)
    value = one.value - two.value
    return Points(value=value, low=value - low, high=value + high, n=one.n + two.n)


def _entering(groups: pl.Series, least: int, what: str) -> tuple[list[str] | None, str]:
    """The groups that enter the mean, or None for one pool of all items; and what it is the mean of."""
    counts = dict(groups.drop_nulls().value_counts(sort=True).sort(groups.name).iter_rows())
    if not counts:
        return None, "share of right answers"
    entered, left_out = statistics.enough(counts, least)
    if not entered:
        return None, f"share of right answers, since none of the {what} has {least} facts"
    text = f"mean over {what} {', '.join(entered)}"
    return list(entered), text + (
        f" (left out, with fewer than {least} facts: {', '.join(left_out)})" if left_out else ""
    )


def pages_gain(scored: Scored, name: int, over: int, confidence: float = statistics.CONFIDENCE) -> statistics.Estimate:
    """What the first named has more than the second, paired by page."""
    right = scored.right
    return statistics.clustered_difference(
        right[over].tolist(), right[name].tolist(), scored.units.tolist(), scored.groups.tolist(), confidence
    )


def exploded(losses: Sequence[tuple[int, float]]) -> str:
    """Why the loss of (update, loss) rows counts as run away; empty when it does not.

    It has when the median of the last three losses is more than half above the first two's mean, and more than one nat.
    Of fewer than five losses the last must be above three times the first.
    """
    if len(losses) < 2:
        return ""
    few = len(losses) < 5
    start = losses[0][1] if few else (losses[0][1] + losses[1][1]) / 2
    now = losses[-1][1] if few else median(loss for _, loss in losses[-3:])
    if now > (3.0 if few else 1.5) * start and now > start + 1.0:
        return f"the loss exploded: {start:.2f} at the start, {now:.2f} at update {losses[-1][0]}"
    return ""


def runs_away(losses: Sequence[tuple[int, float]]) -> str:
    """Why a training should be stopped before its rung; empty when it should not.

    Stricter than `exploded`, since a loss that jumps while the rate warms up may come back: each of the last five
    losses is more than twice the first two's mean, and more than three nats above it.
    """
    if len(losses) < 7:
        return ""
    start = (losses[0][1] + losses[1][1]) / 2
    now = min(loss for _, loss in losses[-5:])
    if now > 2 * start and now > start + 3.0:
        return (
            f"the loss exploded: {start:.2f} at the start, {losses[-1][1]:.2f} at update {losses[-1][0]}, stopped there"
        )
    return ""


def loops(text: str) -> bool:
    """Whether a text ends in a unit of up to 24 characters said four times or more, over at least half of it."""
    text = text.strip()
    found = _LOOP.search(text)
    return found is not None and len(found[0]) >= max(8, len(text) / 2)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def broken_share(answers: Sequence[str], truths: Sequence[str], *, in_json: bool) -> tuple[float, str]:
    """The share of answers that are empty, loops, no JSON object (where asked for) or all the same, and which it is.

    The same answer counts when nearly all say it though fewer than half of the questions have one answer in common.
    """
    if len(answers) < _LEAST_ANSWERS:
        return 0.0, ""
    kinds = Counter(
        "empty"
        if not text.strip()
        else "repeated"
        if loops(text)
        else "unparsable"
        if in_json and not _is_object(text)
        else ""
        for text in answers
    )
    bad = {kind: count for kind, count in kinds.items() if kind}
    said, count = Counter(text.strip() for text in answers).most_common(1)[0]
    usual = Counter(truths).most_common(1)[0][1]
    if sum(bad.values()) < count and count >= _SAME * len(answers) and 2 * usual < len(truths):
        return count / len(answers), f"the same: {said[:40]!r}"
    return sum(bad.values()) / len(answers), max(bad, key=lambda kind: bad[kind], default="")


def degenerate_answers(
    answers: Sequence[str], truths: Sequence[str], *, base_broken: float, at_end: bool, in_json: bool
) -> str:
    """Why a model with these answers is degenerate; empty when it is not.

    `base_broken` is the base's `broken_share` on the same questions. A base that fails at half of them or more excuses
    the model, except at the end of a training for JSON.
    """
    share, kind = broken_share(answers, truths, in_json=in_json)
    if share >= BROKEN and (base_broken < 0.5 or (at_end and in_json)):
        return f"{100 * share:.0f} % of {len(answers)} answers are {kind}"
    return ""
