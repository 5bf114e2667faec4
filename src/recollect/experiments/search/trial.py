"""A trial as the scheduler sees it, and what goes between the scheduler and whoever runs the trainings.

Notable choices
- A rung is a share of a trial's own training: 0.2 and 1.0 unless the settings say otherwise. A job asks for one rung of
  one trial; the training resumes where the rung before left it.
- A score is higher-is-better and in points; scores of one search are of the same validation items, so they are paired.
- A degenerate trial is an outcome, not an error: it has a reason and no score, and the proposals learn from it.
- A trial is a value that is replaced, never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

TrialValue = str | int | float | bool | None
TrialValues = Mapping[str, TrialValue]
"""Settings of a trial by name, checked against the space."""

Kind = Literal["scored", "degenerate", "failed", "memory"]
"""scored: has a score. degenerate: diverged, or its answers are empty, repeated or unparsable. failed: raised, also
after all retries. memory: did not fit into memory."""
State = Literal["running", "paused", "finished", "degenerate", "failed"]
Why = Literal["", "baseline", "random", "forecast", "asked"]


@dataclass(frozen=True)
class Job:
    """Train trial `trial` until `share` of its schedule and score it."""

    trial: int
    rung: int
    share: float
    values: TrialValues


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    trial: int
    rung: int
    kind: Kind
    score: float | None = None
    """Validation score in points when kind is scored; of a degenerate trial what was measured, if anything was."""
    reason: str = ""
    """In words, for a kind other than scored: "loss became NaN at update 12"."""
    steps: int = 0
    """Updates made in this job alone."""
    total_steps: int = 0
    """Updates of the trial's whole schedule."""
    seconds: float = 0.0
    losses: tuple[tuple[int, float], ...] = field(default=(), repr=False)
    """Training loss (update, loss) up to here."""
    items: str = ""
    """Where the outcomes by validation item are (a folder), for paired comparison; empty when there are none."""


@dataclass(frozen=True)
class Forecast:
    """Final score to expect, with the standard deviation of what may come instead; in points."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Trial:
    """A point of the space and what is known of its training."""

    number: int
    values: TrialValues
    state: State = "running"
    rung: int = 0
    """The rung it runs to, or has reached; of a trial that ended badly, where that was."""
    scores: Mapping[int, float] = field(default_factory=dict)
    """Validation score by rung, in points."""
    why: Why = ""
    """Why it was promoted beyond the first rung."""
    reason: str = ""
    """Of a degenerate or failed trial: what happened."""
    memory: bool = False
    """Did it fail for want of memory?"""
    start: bool = False
    """Is it one of the known good settings tried first?"""
    steps: int = 0
    """Updates made in all its jobs."""
    total_steps: int = 0
    """Updates of its whole schedule; 0 until known."""
    seconds: float = 0.0
    """Time of all its jobs."""
    forecast: Forecast | None = None
    """What was expected when it was last paused."""
    items: str = ""
    """Where its outcomes by validation item are."""

    @property
    def early(self) -> float | None:
        """Score at the first rung."""
        return self.scores.get(0)

    @property
    def broken(self) -> bool:
        """Did it end badly?"""
        return self.state in ("degenerate", "failed")


def trial_name(trial: int) -> str:
    """The folder of a trial, inside `trials/`."""
    return f"{trial:03d}"
