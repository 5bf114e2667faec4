"""Worlds of facts whose templates answer as those of a real model do, and probes of them, without the model.

The rates are those of SmolLM2-135M-Instruct on 66 EntityQuestions facts, from 200 draws after each of 21 templates.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

from recollect.probe.levels import Floats, Ints, level_of
from recollect.probe.stopping import stopping_rule

TEMPLATES, SAMPLES, TOTAL = 21, 10, 210


@lru_cache(maxsize=1)
def measured() -> tuple[Floats, Floats]:
    """(probability at once, rate of hits) [66, 21]."""
    table = json.loads((Path(__file__).parent / "smollm2_rates.json").read_text(encoding="utf-8"))
    return np.array(table["at_once"]) / 10_000, np.array(table["hits"]) / 200


def real_world(random: np.random.Generator, facts: int, spread: float, shift: float) -> tuple[Floats, Floats]:
    """(probability at once, rate in the rest) [facts, templates] of facts drawn from the measured ones.

    `spread`: of each fact's odds around the measured ones (standard deviation of their logarithm), without which 300
    facts would share 66 rates. `shift`: of all their log-odds: a model that knows more or less.
    """
    at_once, rates = measured()
    which = random.integers(len(rates), size=facts)
    moved = expit(logit(np.clip(rates[which], 1e-6, 1 - 1e-6)) + shift + random.normal(0, spread, (facts, 1)))
    share = at_once[which] / np.maximum(rates[which], 1e-9)
    start = np.minimum(share, 1) * moved
    return start, np.clip((moved - start) / np.maximum(1 - start, 1e-12), 0, 1)


def fresh_levels(random: np.random.Generator, at_once: Floats, rest: Floats) -> Ints:
    """The levels of a fresh probe of the studies."""
    hits = random.binomial(SAMPLES, at_once + (1 - at_once) * rest).sum(axis=1)
    return level_of(hits / TOTAL, TOTAL)


def plain_draws(
    random: np.random.Generator, at_once: Floats, rest: Floats, settled: float | None
) -> tuple[Floats, Floats, Floats]:
    """(draws at once, late hits, draws) [facts, templates] of a sampled probe (None), or of an adaptive one."""
    rule = stopping_rule(TEMPLATES, SAMPLES, 1.0 if settled is None else settled)
    starts, late, draws = (np.zeros_like(rest) for _ in range(3))
    going, before = np.ones(len(rest), dtype=bool), 0
    for ended, end in enumerate(rule.ends):
        began = random.binomial(end - before, at_once[going])
        starts[going] += began
        late[going] += random.binomial(end - before - began, rest[going])
        draws[going] = end
        hits = (starts + late).sum(axis=1)
        going &= np.array([not rule.stop(ended, int(count)) for count in hits]) | ((settled is None) & (end < SAMPLES))
        before = end
    return starts, late, draws
