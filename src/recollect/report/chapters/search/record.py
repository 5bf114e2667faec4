"""Schema of the chapter on the search for settings: trials with their rungs, the finalists' test, how far 20 % told."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from recollect.report.results.common import Count, Number, Percent, Record, Share

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1)]


class Bounded(Record):
    """A number with the ends of its 95 % interval; all null when it was not measured."""

    value: Number = None
    low: Number = None
    high: Number = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.value is not None and (self.low is None or self.high is None):
            raise ValueError("a value must come with its interval: low and high must be given too")
        return self


class RungPoint(Record):
    """A trial's validation score at one share of its training."""

    share: Positive
    score: Finite


class SearchTrial(Record):
    """One setting that was tried."""

    number: Count
    settings: dict[str, Any]
    state: Literal["finished", "paused", "degenerate", "failed", "running"]
    why: str = ""
    """Why it was trained on: "baseline", "forecast", "random" (drawn to measure the correlation), "asked"; or empty."""
    reason: str = ""
    """What went wrong in a degenerate or failed trial."""
    rungs: list[RungPoint] = Field(default_factory=list)
    forecast: Bounded | None = None
    """The final score of a paused trial by the straight line through the finished ones, and its 95 % prediction
    interval, within the ends of the scale; null where fewer than four finished."""
    losses: list[tuple[Share, Finite]] = Field(default_factory=list)
    """Training loss by share of the schedule."""
    steps: Count = 0
    total_steps: Count = 0


class Finalist(Record):
    """A finished trial on the questions that the search never saw; in points."""

    trial: Count
    validation: Finite
    test: Bounded
    ood: Bounded
    gain: Bounded
    """Test score minus the baseline's, on the same questions."""


class Importance(Record):
    """The share of the differences between trials that one setting accounts for."""

    name: str
    share: Share


class Search(Record):
    """A search for settings with early evaluation."""

    unit: str = "points"
    trials: list[SearchTrial] = Field(min_length=1)
    rungs: list[Positive] = Field(min_length=1)
    best: Count | None = None
    """Number of the best trial by validation; null when none finished."""
    best_yaml: str = ""
    """The best settings, ready for the training command."""
    baseline: Count | None = None
    """Number of the trial with the baseline's settings."""
    finalists: list[Finalist] = Field(default_factory=list)
    promoted: Count = 0
    """Trials that were trained beyond the first rung."""
    cost_fraction: Number = None
    """Training steps made, over those of training every trial to its end."""
    correlation: Bounded = Field(default_factory=Bounded)
    """Pearson's, of the score at the first rung with the final one over the finished trials, as measured; low and high
    are the 95 % interval of that over all trials with a score at the first rung."""
    rank_correlation: Number = None
    """Spearman's, over the finished trials."""
    pairs: Count = 0
    """Finished trials behind the correlation."""
    early_trials: Count = 0
    """Trials with a score at the first rung."""
    top_k: Count = 5
    top_overlap: Count | None = None
    """How many of the `top_k` best at the first rung are among the `top_k` best at the end; of finished trials."""
    top_overlap_by_chance: Number = None
    """What a blind guess would have, on average."""
    importance: list[Importance] = Field(default_factory=list)
    validation_items: Count = 0
    test_items: Count = 0
    ood_items: Count = 0
    base_test: Percent = None
    """Test score of the untouched base."""
    scored_as: str = ""
    """What a test score is the mean of; the same of a validation score."""
    validated_as: str = ""
    base_validation: Percent = None
    """Validation score of the untouched base."""
    warnings: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _known_trials(self) -> Self:
        numbers = [trial.number for trial in self.trials]
        if len(set(numbers)) < len(numbers):
            raise ValueError("every trial's number may stand once")
        named = [self.best, self.baseline, *(finalist.trial for finalist in self.finalists)]
        unknown = [number for number in named if number is not None and number not in numbers]
        if unknown:
            raise ValueError(f"trial {unknown[0]} is named but not among the trials")
        return self
