"""How far the mean score at each size may be off, and what the means say about differences between sizes.

Notable choices
- Two sources of error, which add in quadrature: test items (normal; what two sizes share cancels) and training runs
  (Student's t with the degrees of freedom of the pooled run variance). No curve is fitted here, so nothing is said of
  a size that was not run.
- Items: a bootstrap of whole units, the same draw for every run, so that errors shared by all sizes stay shared. Where
  a size was run several times, what those runs share counts; what an item does in one run only is part of the spread
  between runs already.
- A bootstrap has nothing to vary in a group that is all right or all wrong; that gets the variance of a Jeffreys share.
- Runs: a bootstrap of two or three runs understates their spread; on real trainings its 90 % interval of the mean held
  48 and 59 times in a hundred (benchmarks/curve_spread.py). So the spread is estimated as a variance with its degrees
  of freedom: pooled over sizes, and at each size mixed with its own runs' as if the pooled one were worth four runs.
- Size 0 is the untouched base: the same for every seed, so it has no spread between runs.
- Without any repeated size the spread between runs is not known. It is then guessed, for drawing only, from how far the
  means lie from a line through their neighbours; no verdict rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recollect.core.estimates import Estimate
from recollect.core.random import FIXED_SEED
from recollect.experiments.curve.observations import Floats, Ints, Items, Observations

POOLED_WORTH = 4.0  # runs; what the pooled variance counts against a size's own
_BOOTSTRAP_DRAWS = 1000


@dataclass(frozen=True)
class Noise:
    """Error of the mean score at each size, in squared score units."""

    items: Floats
    """Covariance between sizes from the choice of test items, sizes × sizes; zero when items are not known."""
    run_variance: Floats
    """Variance of a single run at each size, between seeds, on fixed items."""
    repeats: Floats
    """Runs at each size."""
    freedom: float
    """Degrees of freedom behind the run variance."""
    repeated: bool
    """Whether some size was run with several seeds."""

    def covariance(self, scale: float = 1.0) -> Floats:
        """Covariance of the size means when the run variance is `scale` times its estimate."""
        found: Floats = self.items + scale * np.diag(self.run_variance / self.repeats)
        return found


@dataclass(frozen=True)
class Means:
    """The mean score at each size, ascending, and their noise."""

    sizes: Ints
    scores: Floats
    noise: Noise

    @property
    def last(self) -> int:
        """Index of the largest size."""
        return len(self.sizes) - 1

    def at(self, *indices: int) -> Floats:
        """Weights of the mean of the means at `indices`."""
        weights = np.zeros(len(self.sizes))
        weights[list(indices)] = 1 / len(indices)
        return weights

    def value(self, weights: Floats) -> float:
        """The weighted sum of the means."""
        return float(weights @ self.scores)

    def reach(self, weights: Floats, level: float) -> float:
        """How far a one-sided bound at `level` lies from `value(weights)`."""
        from scipy import stats

        noise = self.noise
        items = max(0.0, float(weights @ noise.items @ weights))
        runs = float(weights**2 @ (noise.run_variance / noise.repeats))
        normal, student = float(stats.norm.ppf(level)), float(stats.t.ppf(level, noise.freedom))
        return float(np.hypot(normal * items**0.5, student * runs**0.5))

    def low(self, weights: Floats, level: float) -> float:
        """Lower bound of the weighted sum: the truth lies above it with probability `level`."""
        return self.value(weights) - self.reach(weights, level)

    def high(self, weights: Floats, level: float) -> float:
        """Upper bound of the weighted sum."""
        return self.value(weights) + self.reach(weights, level)

    def interval(self, weights: Floats, confidence: float) -> Estimate:
        """The weighted sum with its central interval; n counts the runs behind it."""
        value, reach = self.value(weights), self.reach(weights, (1 + confidence) / 2)
        runs = int(self.noise.repeats[weights != 0].sum())
        return Estimate(value, value - reach, value + reach, runs, "items and trainings", confidence)


def measure_noise(runs: Observations) -> Noise:
    """Estimate the noise of the size means of `runs`."""
    sizes, repeats = runs.sizes, runs.repeats().astype(np.float64)
    spread = [
        runs.score[runs.size == size].var(ddof=1) if k > 1 else 0.0 for size, k in zip(sizes, repeats, strict=True)
    ]
    variance, freedom = np.asarray(spread), np.where(sizes > 0, repeats - 1, 0.0)
    repeated = bool(freedom.sum() > 0)
    if repeated:
        pooled, total = float((variance * freedom).sum() / freedom.sum()), float(freedom.sum())
    else:
        pooled, total = _roughness(sizes, runs.means())
    mixed = (POOLED_WORTH * pooled + freedom * variance) / (POOLED_WORTH + freedom)
    items = item_covariance(runs.items, runs.size) if runs.items is not None else np.zeros((len(sizes), len(sizes)))
    return Noise(items, np.where(sizes > 0, mixed, 0.0), repeats, max(total, 1.0), repeated)


def _roughness(sizes: np.ndarray, means: Floats) -> tuple[float, float]:
    """Variance of single runs from second differences over log size, and its degrees of freedom."""
    place = np.log1p(sizes / max(1, sizes[sizes > 0].min() if (sizes > 0).any() else 1))
    if len(sizes) < 3:
        return 0.0, 1.0
    share = (place[1:-1] - place[:-2]) / (place[2:] - place[:-2])
    bend = means[1:-1] - (1 - share) * means[:-2] - share * means[2:]
    return float((bend**2 / (1 + share**2 + (1 - share) ** 2)).mean()), float(len(bend))


def item_covariance(items: Items, size: np.ndarray, draws: int = _BOOTSTRAP_DRAWS) -> Floats:
    """Covariance of the size means (in points squared) over a bootstrap of units.

    Units that lie in one group only are drawn within it, so that group sizes stay; units with items in several
    groups (pages) are drawn together.
    """
    rng = np.random.default_rng(FIXED_SEED)
    units = np.unique(items.unit)
    weight = np.zeros((draws, len(units)))
    pairs = np.unique(np.stack([items.unit, items.group]), axis=1)
    groups_of = np.bincount(pairs[0], minlength=len(units))
    only = np.zeros(len(units), dtype=np.int64)
    only[pairs[0]] = pairs[1]
    stratum = np.where(groups_of > 1, -1, only)
    for one in np.unique(stratum):
        (members,) = np.nonzero(stratum == one)
        count = len(members)
        drawn = rng.integers(count, size=(draws, count)) + count * np.arange(draws)[:, None]
        weight[:, members] = np.bincount(drawn.ravel(), minlength=draws * count).reshape(draws, count)
    runs = np.atleast_2d(np.cov(100 * items.scores(weight[:, items.unit]), rowvar=False))
    return _psd(_shared(runs, size)) + np.diag(_unseen(items, size))


def _shared(runs: Floats, size: Ints) -> Floats:
    """Mean covariance between runs of two sizes; within a size that has several, between different runs."""
    sizes = np.unique(size)
    member = (size == sizes[:, None]).astype(np.float64)
    count = member.sum(axis=1)
    total = member @ runs @ member.T
    found: Floats = total / np.outer(count, count)
    own, several = member @ np.diag(runs), count > 1
    between = (np.diag(total) - own) / np.maximum(count * (count - 1), 1)
    np.fill_diagonal(found, np.where(several, between, np.diag(found)))
    return found


def _psd(covariance: Floats) -> Floats:
    """The nearest matrix that is a covariance: negative eigenvalues are noise of the estimate."""
    values, vectors = np.linalg.eigh(covariance)
    found: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return found


def _unseen(items: Items, size: Ints) -> Floats:
    """Variance (in points squared) that a bootstrap cannot see: of groups all right, or all wrong, at a size.

    Their share is taken as Jeffreys' (right + 1/2) / (n + 1), n the items of the group. With nothing to tell by, the
    items of a unit count as one (n less by Kish's factor for units that are all alike).
    """
    names, sizes = np.unique(items.group), np.unique(size)
    count = np.ones_like(items.right) if items.count is None else items.count
    found = np.zeros(len(sizes))
    for name in names:
        here = items.group == name
        in_unit = np.unique(items.unit[here], return_counts=True)[1]
        of_all = float(in_unit.sum() / (in_unit**2).sum())
        for at, one in enumerate(sizes):
            n = float(count[size == one][:, here].sum(axis=1).mean())
            right = float(items.right[size == one][:, here].sum(axis=1).mean())
            if right in (0.0, n):
                own = n * of_all
                found[at] += 1e4 * (0.5 / (own + 1)) * (1 - 0.5 / (own + 1)) / max(own, 1.0) / len(names) ** 2
    return found
