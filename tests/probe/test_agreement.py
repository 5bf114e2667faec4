"""The stated agreement of a hybrid probe is the measured one, in simulated worlds with few and many late answers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from recollect.facts import Fact, FactSet
from recollect.probe.agreement import level_distribution, why_unstated
from recollect.probe.levels import level_bounds, level_of
from recollect.probe.score import score_facts

TEMPLATES, SAMPLES = 21, 10
TOTAL = TEMPLATES * SAMPLES


def world(seed: int, facts: int, late: float, style: str, alike: float) -> tuple[np.ndarray, np.ndarray]:
    """(probability at once, rate in the rest) [facts, templates] of facts whose answers come late in a share of cases.

    A quarter of the facts is hardly known. `alike` says how alike a fact's templates are; `style` whether lateness is
    the same for all facts ("uniform") or a fact's own, all or nothing ("fact").
    """
    rng = np.random.default_rng(seed)
    known = rng.beta(0.5, 0.8, size=facts)
    hardly = rng.random(facts) < 0.25
    known[hardly] = rng.beta(0.3, 300, size=hardly.sum())
    right = rng.beta((known * alike)[:, None] + 1e-9, ((1 - known) * alike)[:, None] + 1e-9, size=(facts, TEMPLATES))
    share = late if style == "uniform" else (rng.random((facts, 1)) < late).astype(float)
    at_once = (1 - share) * right
    return at_once, np.clip((right - at_once) / np.maximum(1 - at_once, 1e-12), 0, 1)


def fresh_levels(seed: int, at_once: np.ndarray, rest: np.ndarray) -> np.ndarray:
    hits = np.random.default_rng(seed).binomial(SAMPLES, at_once + (1 - at_once) * rest).sum(axis=1)
    return level_of(hits / TOTAL, TOTAL)


def hybrid(seed: int, at_once: np.ndarray, rest: np.ndarray, each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(hits, draws, R) of a hybrid probe."""
    draws = np.where(1 - at_once > 1e-6, float(each), 0.0)
    hits = np.random.default_rng(seed).binomial(draws.astype(int), rest).astype(float)
    return hits, draws, (at_once + (1 - at_once) * hits / each).mean(axis=1)


CASES = [
    *(
        (2, late, style, alike)
        for late in (0.0, 0.3, 0.6, 1.0)
        for style in ("uniform", "fact")
        for alike in (2.0, 20.0)
    ),
    *((1, late, style, 10.0) for late in (0.0, 0.05) for style in ("uniform", "fact")),
]


@pytest.mark.parametrize(("each", "late", "style", "alike"), CASES)
def test_stated_agreement_and_level_0_are_calibrated(each: int, late: float, style: str, alike: float) -> None:
    stated, agreed, none, found = [], [], [], []
    for seed in range(3):
        at_once, rest = world(seed, 700, late, style, alike)
        hits, draws, score = hybrid(seed + 50, at_once, rest, each)
        assert not why_unstated(at_once.mean(axis=1), score, each)
        level = level_of(score, TOTAL)
        chances = level_distribution(at_once, hits, draws, SAMPLES)
        assert np.allclose(chances.sum(axis=1), 1) and (chances >= 0).all()
        stated.append(chances[np.arange(len(level)), level].mean())
        none.append(chances[:, 0].mean())
        for repeat in range(3):
            again = fresh_levels(100 + 10 * seed + repeat, at_once, rest)
            agreed.append((level == again).mean())
            found.append((again == 0).mean())
    assert np.mean(stated) == pytest.approx(np.mean(agreed), abs=0.03)
    assert np.mean(none) == pytest.approx(np.mean(found), abs=0.03)


def test_42_misses_are_not_210_misses() -> None:
    """Where all answers come late, fewer facts are at level 0 than have no hit in 42 draws, and that is said."""
    at_once, rest = world(3, 700, 1.0, "uniform", 2.0)
    hits, draws, score = hybrid(9, at_once, rest, 2)
    no_hit = (score == 0).mean()
    fresh = np.mean([(fresh_levels(seed, at_once, rest) == 0).mean() for seed in range(5)])
    said = level_distribution(at_once, hits, draws, SAMPLES)[:, 0].mean()
    assert no_hit > fresh + 0.02
    assert said == pytest.approx(fresh, abs=0.03)


def test_the_chance_of_no_hit_is_exact_where_answers_come_at_once() -> None:
    at_once = np.full((300, TEMPLATES), 0.0)
    at_once[:, 0] = np.linspace(0, 0.3, 300)
    nothing, many = np.zeros_like(at_once), np.full_like(at_once, 20_000.0)
    chances = level_distribution(at_once, nothing, many, SAMPLES)
    assert chances[:, 0] == pytest.approx((1 - at_once[:, 0]) ** SAMPLES, abs=2e-3)


def test_a_full_draw_of_equal_templates_says_what_the_binomial_says() -> None:
    """Many facts of one known rate: the fresh probe's hits are binomial, whatever this probe found."""
    from scipy.stats import binom

    for rate in (0.002, 0.1, 0.24, 0.6):
        hits = np.random.default_rng(1).binomial(SAMPLES, rate, size=(4000, TEMPLATES)).astype(float)
        chances = level_distribution(np.zeros_like(hits), hits, np.full_like(hits, SAMPLES), SAMPLES).mean(axis=0)
        bounds = [0, *(last for _, last in level_bounds(TOTAL))]
        upto = np.array([0.0, *binom.cdf(bounds[1:], TOTAL, rate)])
        assert chances == pytest.approx(np.diff(upto), abs=0.03)


@pytest.mark.parametrize(
    ("facts", "late", "each", "why"),
    [
        (700, 0.6, 2, ""),
        (700, 0.6, 1, "one draw a template does not show how templates differ"),
        (700, 0.05, 1, ""),
        (100, 0.6, 2, "100 facts are too few"),
        (100, 0.0, 2, "100 facts are too few"),
    ],
)
def test_nothing_is_stated_where_it_would_not_be_calibrated(facts: int, late: float, each: int, why: str) -> None:
    at_once, rest = world(0, facts, late, "uniform", 10.0)
    _, _, score = hybrid(1, at_once, rest, each)
    said = why_unstated(at_once.mean(axis=1), score, each)
    assert why in said and bool(why) == bool(said)


def rows_of(at_once: np.ndarray, hits: np.ndarray, draws: np.ndarray) -> tuple[pl.DataFrame, FactSet]:
    facts = FactSet(tuple(Fact("R", f"s{number}", f"o{number}", f"q{number}") for number in range(len(at_once))))
    places = [(fact, template) for fact in range(len(at_once)) for template in range(TEMPLATES)]
    rows = pl.DataFrame(
        {
            "fact": [fact for fact, _ in places],
            "template": [template for _, template in places],
            "p0": at_once.ravel(),
            "draws": draws.ravel().astype(int),
            "hits": hits.ravel().astype(int),
            "at_once": [None] * len(places),
        }
    )
    return rows, facts


def test_the_closed_form_states_no_agreement_and_only_a_lower_bound_of_r() -> None:
    at_once, _ = world(0, 30, 0.6, "uniform", 10.0)
    rows, facts = rows_of(at_once, np.zeros_like(at_once), np.zeros_like(at_once))
    levels = score_facts(rows, facts, "closed-form", SAMPLES)
    for column in ("level_probability", "borderline", "level_probabilities"):
        assert levels[column].null_count() == 30
    assert levels["low"].to_list() == levels["score"].to_list()
    assert set(levels["high"]) == {1.0}


def test_hybrid_tables_hold_the_probability_of_their_level() -> None:
    at_once, rest = world(0, 300, 0.6, "fact", 5.0)
    hits, draws, _ = hybrid(1, at_once, rest, 2)
    rows, facts = rows_of(at_once, hits, draws)
    levels = score_facts(rows, facts, "hybrid", SAMPLES)
    for row in levels.iter_rows(named=True):
        assert row["level_probability"] == row["level_probabilities"][row["level"]]
        assert row["borderline"] == (row["level_probability"] < 0.9)
