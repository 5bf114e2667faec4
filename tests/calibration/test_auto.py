"""What `auto` promises of the way it takes is what that way gives, on facts known as a real model knows them.

The table of docs/statistics.md: pytest -m slow -s tests/calibration/test_auto.py
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from helpers_smollm2 import SAMPLES, TEMPLATES, TOTAL, fresh_levels, plain_draws, real_world
from recollect.probe import ProbeSettings
from recollect.probe.agreement import level_distribution
from recollect.probe.choose import Pilot, choose
from recollect.probe.levels import Floats, level_of
from recollect.probe.settings import Choice

WORLDS = {"as measured": (0.0, 0.0), "spread": (1.0, 0.0), "less": (1.0, -2.0), "more": (1.0, 2.0)}


@dataclass(frozen=True)
class Found:
    """Of one run of auto; shares of facts."""

    way: str
    expected: float
    stated: float
    agreed: float
    sampled: float
    """Agreement of another full probe."""
    draws: float
    """Of a full probe's."""


def one_run(world: str, facts: int, run: int) -> Found:
    """First facts, the choice, the other facts by it; as `recollect.probe.work` does."""
    random = np.random.default_rng([run, 72])
    at_once, rest = real_world(random, facts, *WORLDS[world])
    starts, late, draws = plain_draws(random, at_once, rest, 0.8)
    order, size = random.permutation(facts), 16
    while True:
        first = order[:size]
        taken = _choice(at_once[first], starts[first], late[first], draws[first], facts)
        if taken.clear or 2 * size > min(64, 2 * facts // 3):
            break
        size *= 2
    plain = taken.way in ("sampled", "adaptive")
    assert taken.taken is not None and taken.way != "closed-form"
    if plain:
        began, hits, made = plain_draws(random, at_once, rest, taken.taken.settled)
        made[first], hits = draws[first], hits + began
        hits[first] = (starts + late)[first]
        seen, score = (np.zeros_like(rest), hits, made), (hits / made).mean(axis=1)
        spent = made.sum()
    else:
        each = taken.taken.residual_samples or 0
        hits, made = random.binomial(each, rest).astype(float), np.full_like(rest, each)
        score = (at_once + (1 - at_once) * hits / each).mean(axis=1)
        score[first] = (at_once + late / draws)[first].mean(axis=1)
        hits[first], made[first] = late[first], (draws - starts)[first]
        spent = each * TEMPLATES * (facts - size) + draws[first].sum()
        seen = (at_once, hits, made)
    level = level_of(score, TOTAL)
    again = [fresh_levels(random, at_once, rest) for _ in range(10)]
    return Found(
        taken.taken.words,
        taken.taken.agreement,
        float(level_distribution(*seen, SAMPLES)[np.arange(facts), level].mean()),
        float(np.mean([level == one for one in again])),
        float(np.mean([again[0] == one for one in again[1:]])),
        float(spent / (TOTAL * facts)),
    )


def _choice(at_once: Floats, starts: Floats, late: Floats, draws: Floats, facts: int) -> Choice:
    # tokens as on SmolLM2
    pilot = Pilot(at_once, late, draws - starts, draws, 300.0, 155.0, 31.0, 31.0, 1.0)
    return choose(pilot, ProbeSettings.make(), facts, True)


def means(found: list[Found]) -> Floats:
    """Expected, stated and actual agreement, that of sampled, and draws."""
    rows = [(one.expected, one.stated, one.agreed, one.sampled, one.draws) for one in found]
    return np.mean(rows, axis=0)


@pytest.mark.parametrize("world", ["spread"])
def test_the_promise_holds_on_average_at_half_the_draws(world: str) -> None:
    expected, stated, agreed, sampled, draws = means([one_run(world, 300, run) for run in range(6)])
    assert expected == pytest.approx(agreed, abs=0.03)
    assert stated == pytest.approx(agreed, abs=0.03)
    assert agreed >= sampled - 0.03  # asked for: 0.02; 6 runs of 300 facts are uncertain by 0.01
    assert draws <= 0.6


@pytest.mark.slow
@pytest.mark.parametrize("facts", [60, 300])
@pytest.mark.parametrize("world", WORLDS)
def test_long_the_promise_holds_on_average(world: str, facts: int) -> None:
    found = [one_run(world, facts, run) for run in range(24)]
    expected, stated, agreed, sampled, draws = 100 * means(found)
    ways = ", ".join(f"{count} {way}" for way, count in Counter(one.way for one in found).most_common())
    print(
        f"\n| {world} | {facts} | {expected:.1f} | {stated:.1f} | {agreed:.1f} | {sampled:.1f} | {draws:.0f} | {ways} |"
    )
    assert expected <= agreed + 2 and stated <= agreed + 2 and agreed >= sampled - 3
