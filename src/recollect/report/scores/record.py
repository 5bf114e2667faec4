"""The scores of a study: of the untouched base and of every trained model, and which choice is the best."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recollect.core.estimates import Estimate
from recollect.report.page.record import Count, Difference, Fraction, Gain, Level, Number, Record

Choice = Literal["0", "1", "2", "3", "4", "mixed", "random"]
"""What a model was trained on: facts of one memory level, an even mix of the levels, or a random draw."""
CHOICES: tuple[Choice, ...] = ("0", "1", "2", "3", "4", "mixed", "random")
LEVELS = (0, 1, 2, 3, 4)
LevelName = Literal["0", "1", "2", "3", "4"]
LEVEL_NAMES: tuple[LevelName, ...] = ("0", "1", "2", "3", "4")


class Scores(Record):
    """Scores of one model on one set of test facts, with 95 % intervals over the facts."""

    macro: Fraction | None = None
    """Unweighted mean of the level accuracies (docs/studies.md §3)."""
    micro: Fraction | None = None
    """Share of right answers over all facts."""
    by_level: dict[LevelName, Fraction] = Field(default_factory=dict)
    n: Count | None = None
    """Facts asked; null in results of an earlier version."""
    without_level: Count = 0
    """Those whose memory level is not known: they count in micro only."""
    left_out: list[LevelName] = Field(default_factory=list)
    """Levels with too few facts to enter the macro."""
    word_macro: Number = None
    """The macro score when the stricter whole-word matcher judges."""

    def level(self, level: int) -> Estimate | None:
        """The accuracy on facts of one memory level."""
        return next((found for name, found in self.by_level.items() if name == str(level)), None)


class BaseScores(Record):
    """The untouched base in the fine-tuning prompt."""

    test: Scores
    ood: Scores | None = None


class CellName(Record):
    """Which tuned model: what it was trained on, how many facts, which seed."""

    levels: Choice
    size: Annotated[int, Field(ge=1)]
    seed: int

    @property
    def name(self) -> str:
        """For sentences: "60 examples of level 2, seed 0"."""
        return f"{examples_of(self.levels, self.size)}, seed {self.seed}"


class Cell(CellName):
    """One fine-tuned model: what it was trained on, and its scores."""

    test: Scores
    ood: Scores | None = None
    train_seconds: float | None = None


class Compared(Record):
    """The best choice less another model, on questions that chose nothing."""

    levels: Choice | None = None
    """What the other was trained on; null for the untouched base."""
    size: Count = 0
    score: Number
    """The other's own score there."""
    scored: Fraction | None = None
    """The same with its interval; null in results of earlier versions."""
    value: Gain
    interval: Difference | None = None
    """Null where at least one side was trained once: then nothing is said of the difference."""
    n: Count

    @property
    def sign(self) -> int | None:
        """1 or -1 where the interval excludes zero, 0 where it holds it, None without an interval."""
        return None if self.interval is None else self.interval.sign


class Best(Record):
    """Which choice scored best on the choosing half, and what the judging half says of it."""

    levels: Choice | None
    """Null when no training was better than the untouched base."""
    size: Count
    seeds: Count
    mean: Literal["macro", "micro"]
    """micro where no memory level has enough facts in the choosing half."""
    macro_levels: list[Level]
    """The memory levels that the macro averages."""
    candidates: Count
    chosen_on: Count
    """Facts of the half that chose."""
    chosen_score: Number
    judged_on: Count
    """Facts of the half that judges."""
    judged_facts: list[str] = []
    """Their ids; the other in-domain test facts chose. Empty in results of earlier versions."""
    score: Fraction | None
    base: Compared | None = None
    """Against the untouched base; null when that is the best."""
    random: Compared | None = None
    """Against the random draw of the same size; null when that is the best, or was not trained."""
    rival: Compared | None = None
    """Against the next best selection by level of the same size, chosen on the same half."""
    ood_score: Fraction | None = None
    ood_base: Compared | None = None
    """Out of domain, where nothing was chosen: against the untouched base."""

    @property
    def counted(self) -> int:
        """How many of the facts that judge enter the score."""
        inside = self.score.n if self.score is not None and self.mean == "macro" else 0
        return inside or self.judged_on

    @property
    def below(self) -> str:
        """Which of base and random draw it is below on the facts that judge, so that it cannot be called the best."""
        rivals = (("the untouched base", self.base), ("the random draw", self.random))
        return " and ".join(name for name, other in rivals if other is not None and other.value < 0)

    @property
    def differences(self) -> int:
        """How many differences have an interval; those hold together at 95 %."""
        found = (self.base, self.random, self.rival, self.ood_base)
        return sum(one is not None and one.interval is not None for one in found)


class Trained(Record):
    """Every model of a study, the base included; what the chapters on training choices and sizes show."""

    base: BaseScores | None = None
    cells: list[Cell] = Field(default_factory=list)
    best: Best | None = None
    """The best choice, judged on questions that did not choose it; null when none was trained."""

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        twice = [key for key, n in Counter((c.levels, c.size, c.seed) for c in self.cells).items() if n > 1]
        if twice:
            one = ", ".join(map(str, sorted(twice)[0]))
            raise ValueError(f"every cell (levels, size, seed) may occur once, but ({one}) occurs twice")
        return self


def choice_name(levels: Choice) -> str:
    """A training choice in words that follow "examples"."""
    return {"mixed": "of mixed levels", "random": "drawn at random"}.get(levels, f"of level {levels}")


def examples_of(levels: Choice | None, size: int) -> str:
    """For sentences: "60 examples of level 2", "the untouched base model"."""
    if levels is None:
        return "the untouched base model"
    return f"{size:,} {'example' if size == 1 else 'examples'} {choice_name(levels)}"
