"""Every score of a search on one scale, the final one, for the Gaussian process.

Notable choices
- A trial that was scored at two rungs is seen twice. The score at an early rung stands at the final score that the
  straight line of `_forecast` expects of it; how far a final score still strays from that is `growth`.
- Scores of fine-tunings lie in a heap: most settings do nothing, a few do much. A Yeo-Johnson power of all scores pulls
  the heap apart before the model sees them (as HEBO does, Cowen-Rivers and others 2022). Forecasts shown to people are
  not bent so.
- A broken trial counts as the worst final score seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from recollect.experiments.search.forecast import Forecaster, squash
from recollect.experiments.search.trials import Trial

Array = NDArray[np.float64]
_POWERS = (-1.0, 2.0)  # beyond these a power of few scores flattens one end of them


@dataclass(frozen=True)
class Observations:
    """`trials[i]` was seen at `rungs[i]` with `scores[i]`, on the bent scale of final scores.

    growth: by rung, the variance that a final score has beyond what the score at the first rung shares with it, as far
    as it is settled at that rung: 0 at the first rung, all of it at the last.
    """

    trials: Sequence[Trial]
    rungs: NDArray[np.int64]
    scores: Array
    growth: Array


def observe(trials: Sequence[Trial], last: int) -> Observations:
    """What `trials` tell of the final scores; `last` is the last rung."""
    plain = [score for trial in trials for score in trial.scores.values()]
    floor = squash(plain)
    bend = _power([max(score, floor) for score in plain])
    bent = {trial.number: {rung: bend(max(at, floor)) for rung, at in trial.scores.items()} for trial in trials}
    lines = [_line(list(bent.values()), rung, last) for rung in range(last)]
    rows = [
        (trial, rung, score if rung == last else lines[rung].forecast(score).mean)
        for trial in trials
        for rung, score in sorted(bent[trial.number].items())
    ]
    if rows:
        worst = min(score for _, _, score in rows)
        broken = [trial for trial in trials if trial.state in ("degenerate", "failed") and not trial.memory]
        rows += [(trial, last, worst) for trial in broken]
    left = np.minimum.accumulate([*(line.noise for line in lines), 0.0])
    return Observations(
        [trial for trial, _, _ in rows],
        np.asarray([rung for _, rung, _ in rows], dtype=np.int64),
        np.asarray([score for _, _, score in rows], dtype=np.float64),
        np.asarray(left[0] - left),
    )


def _line(scores: Sequence[dict[int, float]], rung: int, last: int) -> Forecaster:
    at = [one for one in scores if rung in one]
    return Forecaster([one[rung] for one in at], [(one[rung], one[last]) for one in at if last in one])


def _power(scores: Sequence[float]) -> Callable[[float], float]:
    """A rising function that makes these scores look more like draws from a normal distribution (Yeo and Johnson
    2000)."""
    if len(set(scores)) < 3:
        return lambda score: score
    middle, spread = float(np.median(scores)), float(np.std(scores))
    _, power = stats.yeojohnson((np.asarray(scores) - middle) / spread)
    power = min(max(float(power), _POWERS[0]), _POWERS[1])
    return lambda score: float(stats.yeojohnson(np.asarray([(score - middle) / spread]), power)[0])
