"""What plain draws state of their levels is what fresh probes find: sampled and adaptive, few facts and many."""

from __future__ import annotations

import numpy as np
import pytest

from recollect.probe.agreement import level_distribution
from recollect.probe.levels import Floats, level_of
from recollect.probe.stopping import stopping_rule

TEMPLATES, SAMPLES, TOTAL = 21, 10, 210


def world(seed: int, facts: int, late: float, alike: float, own: bool = False) -> tuple[Floats, Floats]:
    """(probability at once, rate in the rest) [facts, templates]; a quarter of the facts is hardly known.

    `late`: share of the right answers that come late; of every fact, or (`own`) all of some facts. `alike`: how alike
    the templates of a fact are.
    """
    random = np.random.default_rng(seed)
    known = random.beta(0.5, 0.8, size=facts)
    hardly = random.random(facts) < 0.25
    known[hardly] = random.beta(0.3, 300, size=hardly.sum())
    right = random.beta((known * alike)[:, None] + 1e-9, ((1 - known) * alike)[:, None] + 1e-9, (facts, TEMPLATES))
    share = (random.random((facts, 1)) < late).astype(float) if own else late
    at_once = (1 - share) * right
    return at_once, np.clip((right - at_once) / np.maximum(1 - at_once, 1e-12), 0, 1)


def fresh(random: np.random.Generator, rates: Floats) -> np.ndarray:
    """The levels of a fresh probe of the studies."""
    return level_of(random.binomial(SAMPLES, rates).sum(axis=1) / TOTAL, TOTAL)


def plain(random: np.random.Generator, rates: Floats, settled: float | None) -> tuple[Floats, Floats]:
    """(hits, draws) [facts, templates] of a sampled probe (None), or of an adaptive one."""
    rule = stopping_rule(TEMPLATES, SAMPLES, 1.0 if settled is None else settled)
    hits, draws = np.zeros_like(rates), np.zeros_like(rates)
    going, before = np.ones(len(rates), dtype=bool), 0
    for ended, end in enumerate(rule.ends):
        hits[going] += random.binomial(end - before, rates[going])
        draws[going] = end
        going &= ~np.array([rule.stop(ended, int(count)) for count in hits.sum(axis=1)]) if end < SAMPLES else False
        before = end
    return hits, draws


@pytest.mark.parametrize("late", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("settled", [None, 0.8, 0.95])
@pytest.mark.parametrize(("facts", "runs"), [(30, 40), (60, 25), (400, 4)])
def test_plain_draws_state_the_agreement_that_fresh_probes_find(
    facts: int, runs: int, settled: float | None, late: float
) -> None:
    for alike in (2.0, 20.0):
        stated, agreed, none, found = [], [], [], []
        for seed in range(runs):
            at_once, rest = world(seed, facts, late, alike)
            rates = at_once + (1 - at_once) * rest
            random = np.random.default_rng(1000 + seed)
            hits, draws = plain(random, rates, settled)
            level = level_of((hits / draws).mean(axis=1), TOTAL)
            chances = level_distribution(np.zeros_like(rates), hits, draws, SAMPLES)
            stated.append(chances[np.arange(facts), level].mean())
            none.append(chances[:, 0].mean())
            again = [fresh(random, rates) for _ in range(4)]
            agreed.append(np.mean([level == one for one in again]))
            found.append(np.mean([one == 0 for one in again]))
        assert np.mean(stated) == pytest.approx(np.mean(agreed), abs=0.03)
        assert np.mean(none) == pytest.approx(np.mean(found), abs=0.03)


def test_every_level_carries_its_own_probability() -> None:
    """Also of the facts that stopped at 42 draws, of those without a hit, and by how sure it is said to be."""
    at_once, rest = world(7, 4000, 0.6, 5.0)
    rates = at_once + (1 - at_once) * rest
    random = np.random.default_rng(8)
    hits, draws = plain(random, rates, 0.8)
    level = level_of((hits / draws).mean(axis=1), TOTAL)
    stated = level_distribution(np.zeros_like(rates), hits, draws, SAMPLES)[np.arange(4000), level]
    agreed = np.mean([level == fresh(random, rates) for _ in range(5)], axis=0)
    groups = [level == 0, (draws[:, 0] == 2), (draws[:, 0] == 5) & (level == 0), stated < 0.75, stated >= 0.95]
    for group in groups:
        assert group.sum() > 100
        assert stated[group].mean() == pytest.approx(agreed[group].mean(), abs=0.03)
