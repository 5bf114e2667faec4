"""The level that a fresh probe of the studies would give, as a probability over the five, whatever was drawn.

A probe knows how often an answer comes at once (hybrid, closed form; nothing of it where draws are plain), and has some
draws of the rest; a fresh probe draws 10 times after each of 21 prompts. 42 misses are not 210 misses, so what the
fresh probe finds is predicted.

Notable choices
- The rate of hits in the rest after a template is Beta distributed around the fact's own rate m. Its concentration is
  s / (m (1 - m)) ** g, with one s and g for all facts, of a short list, each with the weight of its likelihood. g = 0:
  one concentration for all. On SmolLM2 and the pocket g is 1: templates differ by one factor (in odds), whatever m is.
  With g = 0 there, hardly known facts would be taken to hang on one or two templates, and every level to be surer than
  it is (adaptive stated 91 % on SmolLM2 and had 87). It takes two draws after a template to see the spread.
- The fact's own rate has no assumed shape: its distribution is fitted to the facts themselves, on a grid, by maximum
  a posteriori (expectation-maximisation, stopped early, which keeps it smooth) beside a few imagined facts, which carry
  it where there are few facts: half of them of the reference distribution, half of a Beta fitted to the facts. Facts
  whose answers come at once equally often are fitted together: late and immediate answers go together in one model and
  not in another.
- Facts may have different numbers of draws. When a probe stopped drawing because of what it had drawn, that changes
  nothing here: the likelihood of the draws is the same.
- Hits of the fresh probe: none at all is worked out exactly, the other borders by a normal distribution with the exact
  mean and variance (a sum over templates, whose rates differ).
- Nothing is stated where it is not calibrated (see `score`); tests/calibration/test_levels.py measures where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from recollect.probe.levels import Floats, Ints, level_bounds

Mask = np.ndarray[Any, np.dtype[np.bool_]]

_RATES = np.concatenate(
    [
        [1e-5, 3e-5, 1e-4, 2e-4, 4e-4],
        np.geomspace(7e-4, 0.045, 21),
        np.linspace(0.05, 0.95, 37),
        [0.965, 0.98, 0.99, 0.999],
    ]
)
_REFERENCE = (0.3, 1.2)  # Beta: most facts of most models are hardly known
_IMAGINED = 5.0  # facts beside those of the run
_SPREADS = (  # (s, g) of a template's rate around the fact's; 400: no spread to speak of
    *((s, 0.0) for s in (0.3, 0.6, 0.9, 1.4, 2.0, 3.0, 5.0, 8.0, 14.0, 40.0, 400.0)),
    *((s, 0.5) for s in (0.2, 0.4, 0.8, 1.4, 2.2, 3.5, 7.0)),
    *((s, 1.0) for s in (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.5, 6.0)),
)
_UNSEEN = (0.7, 1.0)  # where no template was drawn from twice; as on SmolLM2
_IMPROBABLE = 0.01  # beside the likeliest spread
_ENOUGH = 2000  # facts by which the spread is judged
_SHAPES = tuple((a, b) for a in (0.05, 0.1, 0.2, 0.3, 0.5, 1.0) for b in (0.6, 1.2, 3.0, 10.0))
_ROUNDS = 120
_FACTS_OF_A_STRATUM = 50
_STRATA = 6


FEW_FACTS = 200
LITTLE_LATE = 0.1


def why_unstated(p0: Floats, score: Floats, draws: int) -> str:
    """Why what is known beside the closed form cannot say how far a fresh probe agrees, in words; empty where it can.

    `draws`: from the rest after a template; 0 where only some facts were drawn from. Where right answers seldom come
    late (under a tenth of them, from `p0` and `score` [facts]), little hangs on the rest. Else it takes facts enough to
    see how late answers are distributed, and two draws a template to see how templates differ.
    """
    total = float(score.sum())
    late = 1 - float(p0.sum()) / total if total > 0 else 1.0
    if draws == 0:
        return "the closed form sees no late answers, and the first facts alone do not say how many the others have"
    if len(score) < FEW_FACTS:
        return (
            f"{len(score):,} facts are too few to see how late answers are distributed beside those at once (from "
            f"{FEW_FACTS} on it is stated; adaptive and sampled draws state it for any number)"
        )
    if draws < 2 and late > LITTLE_LATE:
        return (
            f"{100 * late:.0f} % of the right answers come late, and one draw a template does not show how templates "
            "differ (--residual-samples 2 does)"
        )
    return ""


def reference_rates() -> tuple[Floats, Floats]:
    """The grid of rates, and how often the reference distribution has each."""
    return _RATES, _on_grid(*_REFERENCE)


def _on_grid(a: float, b: float) -> Floats:
    """How often Beta(a, b) has each rate of the grid."""
    from scipy.stats import beta

    edges = np.concatenate([[0.0], (_RATES[1:] + _RATES[:-1]) / 2, [1.0]])
    share: Floats = np.diff(beta.cdf(edges, a, b))
    return share


@lru_cache(maxsize=1)
def _shapes() -> Floats:
    """The distributions of `_SHAPES` [shapes, rates]."""
    return np.array([_on_grid(*shape) for shape in _SHAPES])


def level_distribution(p0: Floats, hits: Floats, draws: Floats, samples: int) -> Floats:
    """Probability of each level 0..4 in a fresh probe of `samples` draws a template, [facts, 5].

    `p0`: probability of an answer at once; `hits` of `draws` from the rest; all [facts, templates]. Of a fact without
    draws its rest is taken to be like that of the facts with draws.
    """
    rest = _Rest.of(p0, hits, draws)
    found = np.zeros((len(p0), 5))
    for one in _fits(rest, p0, draws, samples):
        tables = _Tables.of(one.concentration, rest.kinds, samples)
        found += one.weight * _predict(rest, tables, one.posterior, samples, p0.shape[1])
    return found


def rest_rates(
    p0: Floats, hits: Floats, draws: Floats, samples: int, random: np.random.Generator, count: int
) -> Floats:
    """Possible rates of hits in the rest after each template, given what was drawn: [count, facts, templates]."""
    fits = _fits(_Rest.of(p0, hits, draws), p0, draws, samples)
    which = random.choice(len(fits), size=count, p=[one.weight for one in fits])
    found = np.empty((count, *p0.shape))
    for number, one in enumerate(fits):
        those = np.flatnonzero(which == number)
        upto = one.posterior.cumsum(axis=1)
        picked = (random.random((len(those), len(p0), 1)) > upto[None] / upto[None, :, -1:]).sum(axis=2)
        picked = np.minimum(picked, len(_RATES) - 1)[:, :, None]
        own, alike = _RATES[picked], one.concentration[picked]
        found[those] = random.beta(own * alike + hits, (1 - own) * alike + draws - hits)
    return found


@dataclass(frozen=True)
class _Fit:
    """The facts under one spread of templates."""

    weight: float
    """How probable this spread is."""
    concentration: Floats
    """Of a template's rate around the fact's, by the fact's [rates]."""
    posterior: Floats
    """Over the rates of each fact [facts, rates]."""


def _fits(rest: _Rest, p0: Floats, draws: Floats, samples: int) -> list[_Fit]:
    """The facts under each spread of templates that is not improbable."""
    drawn: Mask = draws.max(axis=1) > 0
    at_once, hardly_ever = p0.mean(axis=1), 0.5 / (samples * p0.shape[1])
    some = np.flatnonzero(drawn)
    some = some[:: max(1, len(some) // _ENOUGH)]
    strata = _strata(at_once[some], drawn[some], hardly_ever)
    spreads = _SPREADS if draws.max() >= 2 else (_UNSEEN,)
    concentrations = [scale / (_RATES * (1 - _RATES)) ** power for scale, power in spreads]
    tables = [_Tables.of(one, rest.kinds, samples).log_likelihood for one in concentrations]
    likelihood = np.array([_fit(rest.classes[some] @ table, strata, drawn[some])[0] for table in tables])
    weights = np.exp(likelihood - likelihood.max())
    weights[weights < _IMPROBABLE] = 0.0
    strata = _strata(at_once, drawn, hardly_ever)
    return [
        _Fit(float(weight / weights.sum()), concentration, _fit(rest.classes @ table, strata, drawn)[1])
        for weight, concentration, table in zip(weights, concentrations, tables, strict=True)
        if weight
    ]


@dataclass(frozen=True)
class _Rest:
    """Sums over the templates of each fact, by what was drawn after them: one column per kind, [facts, kinds]."""

    kinds: Ints  # [kinds, 2]: draws, hits
    classes: Floats  # templates
    weight: Floats  # w = 1 - p0
    mixed: Floats  # w * p0
    squared: Floats  # w * w
    at_once: Floats  # [facts]: sum of p0
    log_rest: Floats  # [facts]: sum of ln w

    @classmethod
    def of(cls, p0: Floats, hits: Floats, draws: Floats) -> _Rest:
        width = int(draws.max()) + 1
        code = (draws * width + hits).astype(np.int64)
        present = np.unique(code)
        left = 1 - p0

        def sums(values: Floats) -> Floats:
            return np.stack([(values * (code == one)).sum(axis=1) for one in present], axis=1)

        return cls(
            np.stack([present // width, present % width], axis=1),
            sums(np.ones_like(p0)),
            sums(left),
            sums(left * p0),
            sums(left**2),
            p0.sum(axis=1),
            np.log(np.maximum(left, 1e-300)).sum(axis=1),
        )


@dataclass(frozen=True)
class _Tables:
    """For a template of a fact with the rate m, by what was drawn after it: [kinds, rates]."""

    log_likelihood: Floats
    mean: Floats  # of the template's rate r, given the hits
    spread: Floats  # expected r (1 - r)
    variance: Floats  # of r
    log_none: Floats  # ln of the expected (1 - r) ** samples

    @classmethod
    def of(cls, concentration: Floats, kinds: Ints, samples: int) -> _Tables:
        from scipy.special import betaln

        draws, hits = kinds[:, :1].astype(np.float64), kinds[:, 1:].astype(np.float64)
        a, b = _RATES * concentration, (1 - _RATES) * concentration
        right, wrong = a + hits, b + draws - hits
        total = right + wrong
        return cls(
            betaln(right, wrong) - betaln(a, b),
            right / total,
            right * wrong / (total * (total + 1)),
            right * wrong / (total**2 * (total + 1)),
            betaln(right, wrong + samples) - betaln(right, wrong),
        )


def _strata(at_once: Floats, drawn: Mask, hardly_ever: float) -> list[Ints]:
    """Row numbers of facts alike in how often their answers come at once; those of hardly ever are one stratum.

    Each stratum has so many facts that were drawn from, or it is the only one.
    """
    order = np.argsort(at_once, kind="stable")
    seen = np.cumsum(drawn[order])
    never = int((at_once < hardly_ever).sum())
    before = int(seen[never - 1]) if never else 0
    others = int(drawn.sum()) - before
    count = max(1, min(_STRATA, others // _FACTS_OF_A_STRATUM))
    ends = before + np.arange(1, count) * others / count
    parts: list[Ints] = [order[:never], *np.split(order[never:], np.searchsorted(seen[never:], ends))]
    small = [part for part in parts if len(part) > 0 and drawn[part].sum() < _FACTS_OF_A_STRATUM]
    large = [part for part in parts if drawn[part].sum() >= _FACTS_OF_A_STRATUM]
    if not large:
        return [order]
    if small:
        large[0] = np.concatenate([large[0], *small])
    return large


def _fit(log_likelihood: Floats, strata: list[Ints], drawn: Mask) -> tuple[float, Floats]:
    """The total log-likelihood, and the posterior over the rates of every fact [facts, rates]."""
    total = 0.0
    posterior = np.empty_like(log_likelihood)
    for rows in strata:
        highest = log_likelihood[rows].max(axis=1, keepdims=True)
        given = np.exp(log_likelihood[rows] - highest)
        known = given[drawn[rows]]
        expected = _expected_rates(known)
        share = expected
        for _ in range(_ROUNDS if len(known) else 0):
            found = known * share
            found /= found.sum(axis=1, keepdims=True)
            share = (found.sum(axis=0) + _IMAGINED * expected) / (len(known) + _IMAGINED)
        found = given * share
        sums = found.sum(axis=1, keepdims=True)
        posterior[rows] = found / sums
        total += float((np.log(sums) + highest).sum())
    return total, posterior


def _expected_rates(known: Floats) -> Floats:
    """What the fit starts from and the imagined facts have: half the reference, half the Beta that fits these facts.

    The latter is the mean over `_SHAPES` by their likelihood.
    """
    likelihood = np.log(np.maximum(known @ _shapes().T, 1e-300)).sum(axis=0)
    weights = np.exp(likelihood - likelihood.max())
    fitting = weights @ _shapes() / weights.sum()
    share: Floats = (fitting + _on_grid(*_REFERENCE)) / 2
    return share


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
