"""What a search has come to: its best, what it cost, and how far early scores could be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recollect.experiments.search.measured import Correlation, line
from recollect.experiments.search.trials import Trial


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
    full = sum(trial.steps if trial.state in ("degenerate", "failed") else trial.total_steps for trial in trials)
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


def _overlap(finished: Sequence[Trial], last: int, most: int = 5) -> Overlap | None:
    k = min(most, len(finished) // 2)
    if k == 0:
        return None
    early, final = (
        {trial.number for trial in sorted(finished, key=lambda t: (-t.scores[rung], t.number))[:k]}
        for rung in (0, last)
    )
    return Overlap(k, len(early & final), len(finished), k * k / len(finished))
