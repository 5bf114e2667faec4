"""When a fact needs no more draws: the stopping rule of the adaptive probe, and what it does to R.

A fact is drawn from in rounds, after all templates alike. It is *settled* when all the draws of a full probe would most
probably leave its level as it is: with h hits so far, the hits of the draws to come are beta-binomial, and their
chance to end in the same level is at least `settled`.

Notable choices
- The rule is fixed before the first draw: it knows the reference distribution of rates (see `agreement`) and the
  own hits of the fact, nothing of others. So batches, order and resumption change nothing, and what it does to R can be
  computed.
- R is hits / draws. Stopping because of hits biases that mean: a fact of level 1 that hit early keeps its lucky round.
  `largest_bias` computes by how much, over all rates, from the rule itself (no simulation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from recollect.probe.agreement import reference_rates
from recollect.probe.levels import Floats, Ints, level_of

_SHARES = (0.2, 0.5, 1.0)  # of the full probe's draws, at the end of each round


@dataclass(frozen=True)
class StoppingRule:
    """Draws per template at the end of each round, and whether to stop there with so many hits in all."""

    ends: tuple[int, ...]
    stops: tuple[tuple[bool, ...], ...]
    """By round and hits so far; always true in the last round."""
    templates: int

    def stop(self, ended: int, hits: int) -> bool:
        """Whether a fact with so many hits is done after round `ended`."""
        return self.stops[ended][hits]


@lru_cache(maxsize=32)
def stopping_rule(templates: int, samples: int, settled: float) -> StoppingRule:
    """The rule for a full probe of templates x samples draws: stop when its level is this probable from here on."""
    ends = tuple(sorted({max(1, math.ceil(share * samples)) for share in _SHARES}))
    stops = [
        (np.ones(end * templates + 1, dtype=bool) if end == samples else _chance(end, templates, samples) >= settled)
        for end in ends
    ]
    return StoppingRule(ends, tuple(tuple(stop.tolist()) for stop in stops), templates)


def _chance(end: int, templates: int, samples: int) -> Floats:
    """By hits so far: the probability that the draws to come leave the level as it is, [end * templates + 1]."""
    from scipy.stats import binom

    rates, share = reference_rates()
    drawn, full = end * templates, samples * templates
    hits, more = np.arange(drawn + 1), np.arange(full - drawn + 1)
    posterior = binom.pmf(hits[:, None], drawn, rates) * share
    posterior /= posterior.sum(axis=1, keepdims=True)
    coming = posterior @ binom.pmf(more, full - drawn, rates[:, None])
    now: Ints = level_of(hits / drawn, full)
    after = level_of((hits[:, None] + more) / full, full)
    chance: Floats = (coming * (after == now[:, None])).sum(axis=1)
    return chance


@lru_cache(maxsize=32)
def largest_bias(rule: StoppingRule) -> tuple[float, float]:
    """(the largest |expected R - true R| over all rates, the rate it belongs to), for templates of equal rates."""
    rates = np.concatenate([np.geomspace(1e-4, 0.02, 40), np.linspace(0.025, 0.995, 195)])
    biases = np.array([_expected(rule, float(rate)) - rate for rate in rates])
    worst = int(np.abs(biases).argmax())
    return float(abs(biases[worst])), float(rates[worst])


def _expected(rule: StoppingRule, rate: float) -> float:
    """Expected R of a fact of this rate: the distribution of its hits, carried from round to round."""
    from scipy.stats import binom

    going, before, expected = np.ones(1), 0, 0.0
    for end, stops in zip(rule.ends, rule.stops, strict=True):
        drawn = (end - before) * rule.templates
        going = np.convolve(going, binom.pmf(np.arange(drawn + 1), drawn, rate))
        stop, scores = np.array(stops), np.arange(len(going)) / (end * rule.templates)
        expected += float((going * scores)[stop].sum())
        going = np.where(stop, 0.0, going)
        before = end
    return expected
