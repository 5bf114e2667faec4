"""The stopping rule against its own definition, and its bias against a simulation."""

from __future__ import annotations

import numpy as np
import pytest

from recollect.probe.agreement import reference_rates
from recollect.probe.levels import level_of
from recollect.probe.stopping import StoppingRule, largest_bias, stopping_rule

TEMPLATES, SAMPLES, TOTAL = 21, 10, 210


def drawn_by(rule: StoppingRule, rates: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(hits when stopped, draws when stopped, hits of the full probe) of facts with such rates [facts, templates]."""
    random = np.random.default_rng(seed)
    hits, draws, full = (np.zeros(len(rates), dtype=int) for _ in range(3))
    going, before = np.ones(len(rates), dtype=bool), 0
    for ended, end in enumerate(rule.ends):
        full += random.binomial(end - before, rates).sum(axis=1)
        hits[going], draws[going] = full[going], end * TEMPLATES
        going &= np.array(
            [not rule.stop(ended, int(count)) if on else False for count, on in zip(full, going, strict=True)]
        )
        before = end
    return hits, draws, full


@pytest.mark.parametrize("settled", [0.7, 0.8, 0.9])
def test_a_stopped_fact_keeps_its_level_as_often_as_is_said(settled: float) -> None:
    """Facts of the reference distribution, by what they had drawn when they stopped."""
    rates, share = reference_rates()
    rule = stopping_rule(TEMPLATES, SAMPLES, settled)
    own = np.random.default_rng(1).choice(rates, 60_000, p=share)
    hits, draws, full = drawn_by(rule, np.repeat(own[:, None], TEMPLATES, axis=1), 2)
    kept = level_of(hits / draws, TOTAL) == level_of(full / TOTAL, TOTAL)
    for end in rule.ends[:-1]:
        for count in np.unique(hits[draws == end * TEMPLATES]):
            those = (draws == end * TEMPLATES) & (hits == count)
            assert kept[those].mean() >= settled - 4 * np.sqrt(settled * (1 - settled) / those.sum())
    assert kept[draws == TOTAL].all()
    assert draws.mean() < 0.6 * TOTAL


def test_the_largest_bias_is_the_one_that_simulation_finds() -> None:
    rule = stopping_rule(TEMPLATES, SAMPLES, 0.8)
    bias, rate = largest_bias(rule)
    hits, draws, _ = drawn_by(rule, np.full((200_000, TEMPLATES), rate), 3)
    assert abs((hits / draws).mean() - rate) == pytest.approx(bias, abs=4e-4)
    assert 0.002 < bias < 0.02
    for other in (0.004, 0.05, 0.25, 0.45, 0.8):
        hits, draws, _ = drawn_by(rule, np.full((50_000, TEMPLATES), other), 4)
        assert abs((hits / draws).mean() - other) < bias + 5e-4


def test_templates_that_differ_do_not_add_to_the_bias() -> None:
    rule = stopping_rule(TEMPLATES, SAMPLES, 0.8)
    random = np.random.default_rng(5)
    rates = random.beta(0.5, 1.5, size=(60, TEMPLATES))
    found = np.zeros(len(rates))
    for seed in range(2000):
        hits, draws, _ = drawn_by(rule, rates, 100 + seed)
        found += hits / draws
    noise = 0.04 / np.sqrt(2000)
    assert (np.abs(found / 2000 - rates.mean(axis=1)) < largest_bias(rule)[0] + 4 * noise).all()


def test_sure_of_every_level_means_drawing_on_where_a_level_can_still_change() -> None:
    rule = stopping_rule(TEMPLATES, SAMPLES, 1.0)
    assert not any(rule.stops[0])
    assert all(rule.stops[-1])
    few = stopping_rule(2, 1, 0.8)
    assert few.ends == (1,) and few.stops == ((True, True, True),)
    assert largest_bias(few)[0] == pytest.approx(0, abs=1e-12)
