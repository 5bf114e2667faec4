"""The held-out test: the finalists on questions that the search never saw, against the baseline and the untouched base.

Notable choices
- The best is chosen by validation and by nothing else; the test only tells how good it is.
- Differences are paired over the items. Their interval holds the noise of the questions, not that of another seed.
- Over-fitting the search shows as a gain over the baseline that is larger on validation than on test, beyond the noise
  of both; and as finalists whose order on validation says nothing about their order on test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

from recollect.core.estimates import LEAST_PER_LEVEL
from recollect.experiments.search.trial import Trial
from recollect.experiments.search.validation import Points, compare, drop

BASE = -1
"""Stands for the untouched base among the trials' numbers."""


@dataclass(frozen=True)
class Finalist:
    """A finished trial on validation, on the unseen in-domain questions, and out of domain."""

    trial: Trial
    validation: Points
    test: Points
    ood: Points | None
    gain: Points | None
    """Over the baseline, on the test; None without a finished baseline."""
    ood_gain: Points | None


@dataclass(frozen=True)
class HeldOut:
    """The finalists, best on validation first; the baseline is the last one when it is not among them."""

    finalists: tuple[Finalist, ...]
    best: Finalist
    baseline: Finalist | None
    base_test: Points
    base_validation: Points
    gain_over_base: Points
    rank_correlation: float | None
    """Spearman's, of validation and test over the finalists; None below four."""
    drop: Points | None
    """Gain over the baseline on validation, less that on test."""
    scored: tuple[str, str]
    """What the scores on validation and on test are the mean of, for a reader."""
    warnings: tuple[str, ...]

    @property
    def base_ahead(self) -> bool:
        """Did no finalist do better on validation than the untouched base?"""
        return self.base_validation.value >= self.best.validation.value


def choose_finalists(trials: Sequence[Trial], last: int, most: int) -> list[Trial]:
    """The best finished trials by validation, and the baseline behind them when it finished and is not among them."""
    finished = [trial for trial in trials if trial.state == "finished"]
    chosen = sorted(finished, key=lambda trial: (-trial.scores[last], trial.number))[:most]
    return chosen + [trial for trial in finished if trial.number == 0 and trial.start and trial not in chosen]


def held_out_test(
    chosen: Sequence[Trial], validation: Mapping[int, Path], test: Mapping[int, Path], least: int = LEAST_PER_LEVEL
) -> HeldOut:
    """Compare the finalists; both mappings give an evaluate step by trial number, `BASE` among them.

    `least`: facts that a memory level needs to enter a score.
    """
    seen, unseen, other = (
        compare(one, part, least) for one, part in ((validation, "test"), (test, "test"), (test, "ood"))
    )
    assert seen is not None
    assert unseen is not None
    base_line = next((trial.number for trial in chosen if trial.number == 0 and trial.start), None)
    finalists = []
    for trial in chosen:
        over = None if base_line is None else unseen.gain(trial.number, base_line)
        out = None if base_line is None or other is None else other.gain(trial.number, base_line)
        at = trial.number
        finalists.append(
            Finalist(trial, seen.of(at), unseen.of(at), None if other is None else other.of(at), over, out)
        )
    best = finalists[0]
    lost = None
    if base_line is not None and best.trial.number != base_line:
        lost = drop(seen, unseen, best.trial.number, base_line)
    ranks = _ranks(finalists)
    return HeldOut(
        finalists=tuple(finalists),
        best=best,
        baseline=next((one for one in finalists if one.trial.number == base_line), None),
        base_test=unseen.of(BASE),
        base_validation=seen.of(BASE),
        gain_over_base=unseen.gain(best.trial.number, BASE),
        rank_correlation=ranks,
        drop=lost,
        scored=(seen.how, unseen.how),
        warnings=tuple(_warnings(best, base_line, lost, ranks, len(finalists))),
    )


def _ranks(finalists: Sequence[Finalist]) -> float | None:
    validation, test = [one.validation.value for one in finalists], [one.test.value for one in finalists]
    if len(finalists) < 4 or len(set(validation)) < 2 or len(set(test)) < 2:
        return None
    return float(stats.spearmanr(validation, test).statistic)


def _warnings(
    best: Finalist, base_line: int | None, drop: Points | None, ranks: float | None, finalists: int
) -> list[str]:
    found = []
    if base_line is None:
        found.append("The baseline did not finish, so no gain over it can be stated.")
    if drop is not None and drop.low > 0:
        found.append(
            f"Validation and test part ways: the best trial's gain over the baseline is {drop.value:.1f} points larger "
            f"on the questions the search looked at (95 % interval {drop.low:.1f} to {drop.high:.1f}). The search has "
            "over-fitted them; give it more validation questions, or fewer trials."
        )
    if best.gain is not None and best.gain.high < 0:
        found.append(
            "The best trial by validation scores less than the baseline on the unseen questions, by "
            f"{-best.gain.value:.1f} points (95 % interval {-best.gain.high:.1f} to {-best.gain.low:.1f}). Each was "
            "trained once; without --repeats, keep the baseline's settings."
        )
    if ranks is not None and ranks < 0:
        found.append(
            f"The order of the {finalists} finalists on validation is not that on the unseen questions (rank "
            f"correlation {ranks:.2f} of {finalists}). They may not differ by more than noise."
        )
    return found
