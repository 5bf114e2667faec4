"""The level that a fresh probe would give, as a probability over the five, for a hybrid probe.

A hybrid probe knows how often an answer comes at once, and has a few draws of the rest; a fresh probe of the studies
draws 10 times after each of 21 prompts. 42 misses are not 210 misses, so what the fresh probe finds is predicted.

Notable choices
- The rate of late answers after a template is Beta distributed around the fact's own rate, with one spread for all
  facts: the likeliest of a short list. It takes two draws after a template to see that spread.
- The fact's own rate has no assumed shape: its distribution is fitted to the facts themselves, on a grid, by maximum
  likelihood (expectation-maximisation, stopped early, which keeps it smooth), apart for strata of facts whose answers
  come at once equally often. Late and immediate answers go together in one model and not in another.
- Hits of the fresh probe: none at all is worked out exactly, the other borders by a normal distribution with the exact
  mean and variance (a sum over templates, whose rates differ).
- Nothing is stated where it is not calibrated (see `is_stated`); tests/probe/test_agreement.py measures where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recollect.probe.levels import Floats, Ints, level_bounds

_RATES = np.concatenate(
    [
        [1e-5, 3e-5, 1e-4, 2e-4, 4e-4],
        np.geomspace(7e-4, 0.045, 21),
        np.linspace(0.05, 0.95, 37),
        [0.965, 0.98, 0.99, 0.999],
    ]
)
_CONCENTRATIONS = (0.3, 0.6, 1.2, 2.5, 5.0, 12.0, 40.0, 400.0)  # of a template's rate around the fact's; 400: no spread
_ROUNDS = 120
_FACTS_OF_A_STRATUM = 50
_STRATA = 6
FEW_FACTS = 200
LITTLE_LATE = 0.1


def is_stated(p0: Floats, score: Floats, residual_draws: int) -> bool:
    """Whether a hybrid probe knows enough to say how far a fresh probe agrees.

    It takes facts enough to see how late answers are distributed, and two draws a template to see how templates
    differ; where right answers seldom come late (under a tenth of them, from `p0` and `score` [facts]), one will do.
    """
    total = float(score.sum())
    late = 1 - float(p0.sum()) / total if total > 0 else 1.0
    return len(score) >= FEW_FACTS and (residual_draws >= 2 or late <= LITTLE_LATE)


def level_distribution(p0: Floats, hits: Floats, draws: Floats, samples: int) -> Floats:
    """Probability of each level 0..4 in a fresh probe of `samples` draws a template, [facts, 5].

    `p0`: probability of an answer at once; `hits` of `draws` from the rest; all [facts, templates].
    """
    rest = _Rest.of(p0, hits, draws)
    strata = _strata(p0.mean(axis=1), 0.5 / (samples * p0.shape[1]))
    found: tuple[float, _Tables, Floats] | None = None
    for concentration in _CONCENTRATIONS if rest.most >= 2 else (_CONCENTRATIONS[3],):
        tables = _Tables.of(concentration, rest.most, samples)
        likelihood, weights = _fit(rest.classes @ tables.log_likelihood, strata)
        if found is None or likelihood > found[0] + 1e-9:
            found = (likelihood, tables, weights)
    assert found is not None
    _, tables, weights = found
    return _predict(rest, tables, weights, samples, p0.shape[1])


@dataclass(frozen=True)
class _Rest:
    """Sums over the templates of each fact, by how many hits the rest had (0..most); shapes [facts, most + 1]."""

    most: int
    classes: Floats  # templates
    weight: Floats  # w = 1 - p0
    mixed: Floats  # w * p0
    squared: Floats  # w * w
    at_once: Floats  # [facts]: sum of p0
    log_rest: Floats  # [facts]: sum of ln w

    @classmethod
    def of(cls, p0: Floats, hits: Floats, draws: Floats) -> _Rest:
        most = int(draws.max()) if draws.size else 0
        drawn = draws > 0
        left = np.where(drawn, 1 - p0, 0.0)
        kinds = [(hits == count) & drawn for count in range(most + 1)]

        def sums(values: Floats) -> Floats:
            return np.stack([(values * kind).sum(axis=1) for kind in kinds], axis=1)

        log_rest = np.log(np.maximum(1 - p0, 1e-300)).sum(axis=1)
        squared = sums(left**2)
        return cls(most, sums(np.ones_like(p0)), sums(left), sums(left * p0), squared, p0.sum(axis=1), log_rest)


@dataclass(frozen=True)
class _Tables:
    """For a template of a fact with the rate m, by its hits: [most + 1, rates]."""

    log_likelihood: Floats
    mean: Floats  # of the template's rate r, given the hits
    spread: Floats  # expected r (1 - r)
    variance: Floats  # of r
    log_none: Floats  # ln of the expected (1 - r) ** samples

    @classmethod
    def of(cls, concentration: float, most: int, samples: int) -> _Tables:
        from scipy.special import betaln, gammaln

        hits = np.arange(most + 1, dtype=np.float64)[:, None]
        a, b = _RATES * concentration, (1 - _RATES) * concentration
        ways = gammaln(most + 1) - gammaln(hits + 1) - gammaln(most - hits + 1)
        right, wrong = a + hits, b + most - hits
        total = right + wrong
        return cls(
            ways + betaln(right, wrong) - betaln(a, b),
            right / total,
            right * wrong / (total * (total + 1)),
            right * wrong / (total**2 * (total + 1)),
            betaln(right, wrong + samples) - betaln(right, wrong),
        )


def _strata(at_once: Floats, hardly_ever: float) -> list[Ints]:
    """Row numbers of facts alike in how often their answers come at once; those of hardly ever are one stratum."""
    order = np.argsort(at_once, kind="stable")
    order = np.concatenate([order[at_once[order] < hardly_ever], order[at_once[order] >= hardly_ever]])
    never = int((at_once < hardly_ever).sum())
    others = len(order) - never
    count = max(1, min(_STRATA, others // _FACTS_OF_A_STRATUM))
    parts: list[Ints] = [order[:never], *np.array_split(order[never:], count)]
    small = [part for part in parts if 0 < len(part) < _FACTS_OF_A_STRATUM]
    large = [part for part in parts if len(part) >= _FACTS_OF_A_STRATUM]
    if not large:
        return [order]
    if small:
        large[0] = np.concatenate([large[0], *small])
    return large


def _fit(log_likelihood: Floats, strata: list[Ints]) -> tuple[float, Floats]:
    """The total log-likelihood, and the posterior over the rates of every fact [facts, rates]."""
    total = 0.0
    posterior = np.empty_like(log_likelihood)
    for rows in strata:
        highest = log_likelihood[rows].max(axis=1, keepdims=True)
        given = np.exp(log_likelihood[rows] - highest)
        share = np.full(len(_RATES), 1 / len(_RATES))
        for _ in range(_ROUNDS):
            found = given * share
            share = (found / found.sum(axis=1, keepdims=True)).mean(axis=0)
        found = given * share
        sums = found.sum(axis=1, keepdims=True)
        posterior[rows] = found / sums
        total += float((np.log(sums) + highest).sum())
    return total, posterior


def _predict(rest: _Rest, tables: _Tables, posterior: Floats, samples: int, templates: int) -> Floats:
    from scipy.special import ndtr

    none = np.exp(samples * rest.log_rest[:, None] + rest.classes @ tables.log_none)
    mean = samples * (rest.at_once[:, None] + rest.weight @ tables.mean)
    within = rest.mixed @ (1 - tables.mean) + rest.squared @ tables.spread
    variance = samples * within + samples**2 * (rest.squared @ tables.variance)
    deviation = np.sqrt(np.maximum(variance, 1e-12))
    below = np.zeros_like(mean)
    found = np.empty((len(mean), 5))
    for level, (first, last) in enumerate(level_bounds(samples * templates)):
        if level == 0:
            upto = none
        elif last >= samples * templates:
            upto = np.ones_like(mean)
        else:
            upto = np.maximum(below, ndtr((last + 0.5 - mean) / deviation)) if last >= first else below
        found[:, level] = ((upto - below) * posterior).sum(axis=1)
        below = upto
    total: Floats = found.sum(axis=1, keepdims=True)
    return found / total
