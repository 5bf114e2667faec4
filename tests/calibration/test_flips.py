"""Two models on the same questions, by simulation: the interval of the difference, McNemar's size, flips by chance."""

from __future__ import annotations

import numpy as np
import pytest

from recollect.compare import count_flips
from recollect.core.estimates import Pairs, holm, mcnemar, paired

# shares of questions that only the first has right, only the second, both
TRUTHS = ((0.0, 0.0, 0.5), (0.02, 0.02, 0.3), (0.1, 0.1, 0.4), (0.3, 0.3, 0.2), (0.05, 0.25, 0.3), (0.0, 0.4, 0.3))


def counts(random: np.random.Generator, truth: tuple[float, float, float], n: int, times: int) -> list[Pairs]:
    only_first, only_second, both = truth
    drawn = random.multinomial(n, (only_first, only_second, both, 1 - sum(truth)), size=times)
    return [Pairs(int(b), int(a), int(c), int(d)) for a, b, c, d in drawn]


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("n", [8, 50, 300])
def test_the_paired_difference_covers(truth: tuple[float, float, float], n: int) -> None:
    """At least 93 of 100, as all intervals here promise (docs/statistics.md)."""
    true = truth[1] - truth[0]
    found = [paired([one]) for one in counts(np.random.default_rng(n), truth, n, 600)]
    assert np.mean([one.low - 1e-12 <= true <= one.high + 1e-12 for one in found]) >= 0.93


@pytest.mark.parametrize("truth", [truth for truth in TRUTHS if truth[0] == truth[1]])
@pytest.mark.parametrize("n", [8, 50, 300])
def test_two_equal_models_are_called_different_in_one_of_twenty_at_most(
    truth: tuple[float, float, float], n: int
) -> None:
    """An exact test; of 2,000 samples more than 6.5 % would be three standard errors above 5."""
    values = np.array([mcnemar(one) for one in counts(np.random.default_rng(n), truth, n, 2000)])
    assert np.mean(values <= 0.05) <= 0.065
    if n * truth[0] > 20:
        assert np.mean(values <= 0.05) >= 0.015  # and not so careful as to say nothing


def test_several_equal_models_are_called_different_in_one_of_twenty_at_most() -> None:
    """Five models as good as the base, which they share: without Holm over 8 % of such families make a claim."""
    random = np.random.default_rng(3)
    hardness = random.normal(0, 1.5, 200)
    claims, uncorrected = [], []
    for _ in range(800):
        runs = random.random((6, 200)) < 1 / (1 + np.exp(-hardness))
        values = [mcnemar(Pairs.of(runs[0].tolist(), other.tolist())) for other in runs[1:]]
        claims.append(min(holm(values)) <= 0.05)
        uncorrected.append(min(values) <= 0.05)
    assert np.mean(claims) <= 0.073
    assert np.mean(uncorrected) > 0.08


@pytest.mark.parametrize(("known", "choices"), [(0.0, 4), (0.25, 4), (0.5, 4), (0.75, 4), (0.5, 2), (0.5, 10)])
def test_two_runs_of_one_model_flip_by_chance_alone(known: float, choices: int) -> None:
    """The table of docs/compare.md: what flips, what is left of it, and what the published form leaves."""
    random = np.random.default_rng(choices + int(100 * known))
    n, rows = 1000, []
    for _ in range(100):
        knows = random.random(n) < known
        first, second = ((knows | (random.random(n) < 1 / choices)).tolist() for _ in range(2))
        flip = count_flips(first, second, [1 / choices] * n).right_to_wrong
        rows.append((flip.count / n, flip.share.value, flip.study, flip.share.low == 0))
    seen, left, published, none = np.mean(rows, axis=0)
    print(f"| {100 * known:.0f} % | {choices} | {100 * seen:.1f} | {100 * left:.1f} | {100 * published:.1f} |")
    assert seen == pytest.approx((1 - known) / choices * (1 - 1 / choices), abs=0.004)
    assert left < 0.012
    assert none >= 0.93
    if known >= 0.25:
        assert published > left


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 66, 200, 1000])
def test_long_coverage_and_size(n: int) -> None:
    random = np.random.default_rng(n)
    for truth in TRUTHS:
        found = counts(random, truth, n, 4000)
        true = truth[1] - truth[0]
        differences = [paired([one]) for one in found]
        covers = np.mean([one.low - 1e-12 <= true <= one.high + 1e-12 for one in differences])
        width = np.mean([one.high - one.low for one in differences])
        claims = np.mean([mcnemar(one) <= 0.05 for one in found])
        excludes = np.mean([one.sign != 0 for one in differences])
        print(
            f"| {n} | {' / '.join(f'{100 * share:.0f}' for share in truth)} | {100 * covers:.1f} | {width:.3f} "
            f"| {100 * claims:.1f} | {100 * excludes:.1f} |"
        )
        assert covers >= 0.93
