"""What the finished trials measured of early scores, and where a search stands. No prior: the policy's own forecast,
which has one, is in `policy.py` and is never reported as a measurement.

The correlation with its interval, and the range of a final score, are those of `core.estimates.searches`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recollect.core.estimates import Correlation, Line, TopOverlap
from recollect.experiments.search.trial import Trial


def line(trials: Sequence[Trial], last: int, rung: int = 0) -> Line:
    """The line from the scores at `rung` to those at the final rung `last`."""
    at = [trial for trial in trials if rung in trial.scores]
    pairs = [(trial.scores[rung], trial.scores[last]) for trial in at if last in trial.scores]
    return Line([trial.scores[rung] for trial in at], pairs)


@dataclass(frozen=True)
class Overlap:
    """How many of the `k` best early are among the `k` best at the end, over the `finished` trials; `by_chance` is what
    a blind guess would have."""

    k: int
    shared: int
    finished: int
    by_chance: float


@dataclass(frozen=True)
class Summary:
    """Counts by state, cost, trust in early scores, the best finished trial and the baseline.

    `promoted`: trials trained on beyond the first rung. `cost_fraction`: steps spent over those of training every trial
    to its end; of a trial that ended badly its own steps on both sides. None where nothing is known. `share`: what the
    policy would promote now, by a forecast with a prior. `correlation`: as measured; None with one rung alone.
    """

    trials: int
    scored: int
    promoted: int
    finished: int
    degenerate: int
    failed: int
    steps: int
    full_steps: int
    cost_fraction: float | None
    share: float
    correlation: Correlation | None
    overlap: Overlap | None
    best: Trial | None
    baseline: Trial | None


def summarise(trials: Sequence[Trial], last: int, share: float) -> Summary:
    """Sum up the trials of a search whose final rung is `last`."""
    finished = [trial for trial in trials if last in trial.scores]
    steps = sum(trial.steps for trial in trials)
    full = sum(trial.steps if trial.broken else trial.total_steps for trial in trials)
    return Summary(
        trials=len(trials),
        scored=sum(1 for trial in trials if trial.scores),
        promoted=sum(1 for trial in trials if trial.why),
        finished=len(finished),
        degenerate=sum(1 for trial in trials if trial.state == "degenerate"),
        failed=sum(1 for trial in trials if trial.state == "failed"),
        steps=steps,
        full_steps=full,
        cost_fraction=steps / full if full else None,
        share=share,
        correlation=line(trials, last).correlation() if last else None,
        overlap=_overlap(finished, last) if last else None,
        best=max(finished, key=lambda trial: (trial.scores[last], -trial.number), default=None),
        baseline=trials[0] if trials and trials[0].start else None,
    )


def _overlap(finished: Sequence[Trial], last: int) -> Overlap | None:
    if len(finished) < 2:
        return None
    top = TopOverlap([(one.scores[0], one.scores[last]) for one in finished])
    return Overlap(top.k, top.shared, len(finished), top.k * top.by_chance)
