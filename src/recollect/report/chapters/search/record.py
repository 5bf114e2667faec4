"""Schema of the chapter on the search for settings: trials with their rungs, the finalists' test, how far 20 % told."""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from recollect.core.workspace import check_stored
from recollect.report.page.chapter import Source
from recollect.report.page.record import Count, Difference, Finite, Fraction, Measured, Number, Record, Share

Positive = Annotated[float, Field(gt=0, le=1)]


class RungPoint(Record):
    """A trial's validation score at one share of its training."""

    share: Positive
    score: Finite


class SearchTrial(Record):
    """One setting that was tried."""

    number: Count
    settings: dict[str, JsonValue]
    state: Literal["finished", "paused", "degenerate", "failed", "running"]
    why: str = ""
    """Why it was trained on: "baseline", "forecast", "random" (drawn to measure the correlation), "asked"; or empty."""
    reason: str = ""
    """What went wrong in a degenerate or failed trial."""
    rungs: list[RungPoint] = Field(default_factory=list)
    forecast: Measured | None = None
    """The final score of a paused trial by the straight line through the finished ones, and its 95 % prediction
    interval, within the ends of the scale; null where fewer than four finished."""
    losses: list[tuple[Share, Finite]] = Field(default_factory=list)
    """Training loss by share of the schedule."""
    steps: Count = 0
    total_steps: Count = 0


class Finalist(Record):
    """A finished trial on the questions that the search never saw."""

    trial: Count
    validation: Finite
    """In points, as the rungs'."""
    test: Fraction | None = None
    ood: Fraction | None = None
    gain: Difference | None = None
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
    correlation: Difference | None = None
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
    base_test: Number = None
    """Test score of the untouched base, in points as the rungs'."""
    scored_as: str = ""
    """What a test score is the mean of; the same of a validation score."""
    validated_as: str = ""
    base_validation: Number = None
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


def collect(source: Source) -> Search | None:
    """Of a study that has a search among its steps, as that stored it; None of anything else."""
    file = source.path / "steps" / "search" / "results.json"
    if source.step != "study" or not file.is_file():
        return None
    check_stored(file)
    found = json.loads(file.read_text(encoding="utf-8"))["chapters"].get("search")
    return None if found is None else Search.model_validate(found)
