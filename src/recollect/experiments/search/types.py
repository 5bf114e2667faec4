"""What goes between the scheduler and whoever runs the trainings: a job out, an outcome back.

Notable choices
- A rung is a share of a trial's own training: 0.2 and 1.0 unless the settings say otherwise. A job asks for one rung of
  one trial; the training goes on from where the rung before left it.
- A score is higher-is-better and in points; scores of one search are of the same validation items, so they are paired.
- A degenerate trial is an outcome, not an error: it has a reason and no score, and the proposals learn from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["scored", "degenerate", "failed", "memory"]
"""scored: has a score. degenerate: diverged, or its answers are empty, repeated or unparsable. failed: raised, also
after all retries. memory: did not fit into memory."""


@dataclass(frozen=True)
class Job:
    """Train trial `trial` until `share` of its schedule and score it."""

    trial: int
    rung: int
    share: float
    values: Mapping[str, Any]
    """Settings of the trial by name, checked against the space."""


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
