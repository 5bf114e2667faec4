"""One trial of a search, as the scheduler sees it: a value that is replaced, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["running", "paused", "finished", "degenerate", "failed"]
Why = Literal["", "baseline", "random", "forecast", "asked"]


@dataclass(frozen=True)
class Forecast:
    """Final score to expect, with the standard deviation of what may come instead; in points."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Trial:
    """A point of the space and what is known of its training."""

    number: int
    values: Mapping[str, Any]
    state: State = "running"
    rung: int = 0
    """The rung it runs to, or has reached; of a trial that ended badly, where that was."""
    scores: Mapping[int, float] = field(default_factory=dict)
    """Validation score by rung, in points."""
    why: Why = ""
    """Why it was trained on after the first rung."""
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
