"""Weighted sums of many cells: known answers, what cancels, what repeats are for, and how many claims are decided."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from recollect.core.estimates import (
    Claimed,
    Contrast,
    CorrelationDifference,
    Estimate,
    Extreme,
    Pairs,
    RankCorrelation,
    Trainings,
    decide,
    macro,
    paired,
    proportion,
    spearman,
)
from recollect.core.estimates.measures import Source
from recollect.errors import InputError

BASE = ("base", 0)


def trainings(scores: dict[tuple[str, int], list[list[float]]], levels: list[int], **bounds: float | None) -> Trainings:
    return Trainings(
        {cell: np.array(rows, dtype=float) for cell, rows in scores.items()},
        np.array(levels),
        frozenset({BASE}),
        **bounds,  # type: ignore[arg-type]
    )


def test_one_untrained_cell_is_a_proportion_and_two_are_a_paired_difference() -> None:
    first, second = [1, 0, 0, 1, 0, 0], [1, 1, 1, 0, 0, 0]
    asked = Trainings(
        {BASE: np.array([first]), ("other", 0): np.array([second])}, np.zeros(6), frozenset({BASE, ("other", 0)})
    )
    alone = Contrast(asked, {BASE: {0: 1.0}}).at(0.95)
    assert (alone.value, alone.low, alone.high) == pytest.approx(
        (proportion(2, 6).value, proportion(2, 6).low, proportion(2, 6).high), abs=1e-6
    )
    both = Contrast(asked, {("other", 0): {0: 1.0}, BASE: {0: -1.0}}).at(0.9)
    wanted = paired([Pairs.of([bool(x) for x in first], [bool(x) for x in second])], 0.9)
    assert (both.value, both.low, both.high) == pytest.approx((wanted.value, wanted.low, wanted.high), abs=1e-6)


def test_the_macro_weighs_levels_not_facts() -> None:
    asked = trainings({BASE: [[1, 1, 1, 0]]}, [0, 0, 0, 4])
    assert Contrast(asked, {BASE: macro((0, 4))}).value == 0.5


def test_the_trainings_part_is_that_of_students_t_by_hand() -> None:
    """Facts that all trainings answer alike but for their luck: what is left is t s sqrt(1/r + 1/r)."""
    rng = np.random.default_rng(0)
    scores = {cell: 0.1 * rng.random((3, 1)) * np.ones(4) for cell in (("1", 60), ("2", 60))}
    found = Contrast(Trainings(scores, np.zeros(4)), {("2", 60): {0: 1.0}, ("1", 60): {0: -1.0}}, over_facts=False).at(
        0.95
    )
    means = [scores[cell][:, 0] for cell in scores]
    deviation = math.sqrt(sum(((one - one.mean()) ** 2).sum() for one in means) / 4)
    half = stats.t.ppf(0.975, 4) * deviation * math.sqrt(2 / 3)
    assert found.value == pytest.approx(means[1].mean() - means[0].mean())
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


def test_one_choices_sizes_add_up_before_they_are_squared_and_other_choices_do_not() -> None:
    names = [("1", 60), ("1", 240), ("2", 60), ("2", 240)]
    asked = Trainings({cell: np.array([[0.495] * 3, [0.505] * 3]) for cell in names}, np.zeros(3))

    def half(*cells: tuple[str, int]) -> float:
        found = Contrast(asked, {cell: {0: 0.5} for cell in cells}, over_facts=False).at(0.95)
        return found.high - found.value

    assert half(("1", 60), ("1", 240)) == pytest.approx(math.sqrt(2) * half(("1", 60), ("2", 240)))
    rise = Contrast(asked, {("1", 240): {0: 0.5}, ("1", 60): {0: -0.5}}, over_facts=False).at(0.95)
    assert rise.high - rise.value == pytest.approx(half(("1", 60), ("2", 240)))


def test_a_size_whose_trainings_scatter_more_has_the_wider_interval() -> None:
    """By hand: of its own size's four trainings, two degrees of freedom; a sum over both sizes has Welch's."""
    apart = {60: 0.01, 240: 0.03}
    asked = Trainings(
        {(name, size): np.array([[0.5 - gap] * 3, [0.5 + gap] * 3]) for name in "12" for size, gap in apart.items()},
        np.zeros(3),
    )

    def half(*cells: tuple[str, int]) -> float:
        found = Contrast(asked, {cell: {0: 1 / len(cells)} for cell in cells}, over_facts=False).at(0.95)
        return found.high - found.value

    t = stats.t.ppf(0.975, 2)
    assert [half(("1", size)) for size in apart] == pytest.approx([t * gap for gap in apart.values()])  # 2 gap^2 / 2
    parts = [0.01**2 / 4, 0.03**2 / 4]
    freedom = sum(parts) ** 2 / sum(part**2 / 2 for part in parts)
    wanted = stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    assert half(("1", 60), ("2", 240)) == pytest.approx(wanted)


def test_what_cells_share_by_fact_cancels() -> None:
    """Two cells that answer the same facts right differ by nothing, however unlike the facts are."""
    row = [1.0, 0.0] * 40
    asked = trainings({("1", 60): [row, row], ("2", 60): [row, row]}, [0] * 80)
    found = Contrast(asked, {("1", 60): {0: 1.0}, ("2", 60): {0: -1.0}}).at(0.95)
    alone = Contrast(asked, {("1", 60): {0: 1.0}}).at(0.95)
    assert found.value == 0 and found.high - found.low < 0.5 * (alone.high - alone.low)


def test_repeats_are_those_of_the_trained_cell_with_the_fewest() -> None:
    asked = trainings({BASE: [[1, 0]], ("1", 60): [[1, 0]], ("2", 60): [[1, 0], [0, 1]]}, [0, 0])
    assert Contrast(asked, {("2", 60): {0: 1.0}, BASE: {0: -1.0}}).repeats == 2
    assert Contrast(asked, {("2", 60): {0: 1.0}, ("1", 60): {0: -1.0}}).repeats == 1


def test_what_an_interval_is_mostly_made_of() -> None:
    rng = np.random.default_rng(6)
    alike = rng.random((4, 20)) < 0.5
    apart = np.array([[0.0] * 19 + [1.0], [1.0] * 20, [0.0] * 20, [1.0] * 20])
    for scores, wanted in ((np.repeat(alike[:1], 4, axis=0), "facts"), (apart, "trainings")):
        asked = Trainings({("1", 60): scores}, np.zeros(20))
        contrast = Contrast(asked, {("1", 60): {0: 1.0}})
        assert contrast.mostly(0.95) == Extreme("smallest", [contrast]).mostly(0.95) == wanted


def test_scores_without_bounds_have_the_interval_of_a_mean() -> None:
    values = [0.1, 0.4, 2.0, 0.7]
    asked = trainings({BASE: [values]}, [4] * 4, least=None, most=None)
    found = Contrast(asked, {BASE: {4: 1.0}}).at(0.95)
    half = stats.t.ppf(0.975, 3) * np.std(values, ddof=1) / 2
    assert (found.low, found.high) == pytest.approx((np.mean(values) - half, np.mean(values) + half))


def test_a_level_without_facts_is_refused() -> None:
    with pytest.raises(InputError, match="no fact has level 3"):
        Contrast(trainings({BASE: [[1.0]]}, [0]), {BASE: {3: 1.0}}).at(0.95)


class Fixed:
    """A normal estimate with a known error."""

    repeats = 2

    def __init__(self, value: float, error: float = 1.0) -> None:
        self.value, self.error = value, error

    def at(self, confidence: float) -> Estimate:
        half = float(stats.norm.ppf((1 + confidence) / 2)) * self.error
        return Estimate(self.value, self.value - half, self.value + half, 1, "normal", confidence)

    def mostly(self, confidence: float) -> Source:
        return "facts"


def test_the_smallest_needs_every_lower_bound_and_any_upper_one() -> None:
    found = Extreme("smallest", [Fixed(1.0), Fixed(3.0)]).at(0.95)
    assert found.value == 1.0
    assert found.low == pytest.approx(1 - stats.norm.ppf(0.975))
    assert found.high == pytest.approx(1 + stats.norm.ppf(1 - 0.05 / 4))
    mirror = Extreme("largest", [Fixed(-1.0), Fixed(-3.0)]).at(0.95)
    assert (mirror.low, mirror.high) == pytest.approx((-found.high, -found.low))


@pytest.mark.parametrize("side", ["smallest", "largest"])
def test_an_extremes_interval_holds(side: str) -> None:
    """Of four equal numbers, where picking the most extreme errs most."""
    rng, missed = np.random.default_rng(2), 0
    for _ in range(300):
        found = Extreme(side, [Fixed(x) for x in rng.normal(0, 1, 4)]).at(0.95)  # type: ignore[arg-type]
        missed += not found.low <= 0 <= found.high
    assert missed <= 0.07 * 300


def test_holms_steps_widen_for_the_open_claims_only() -> None:
    claims = [Claimed(Fixed(z), "above") for z in (3.5, 2.1, 0.3)]
    found = decide(claims)
    assert [verdict for _, verdict in found] == ["confirmed", "not decided here", "not decided here"]
    assert found[0][0].confidence == pytest.approx(1 - 0.05 / 3)
    assert found[1][0].confidence == found[2][0].confidence == pytest.approx(1 - 0.05 / 2)
    assert [verdict for _, verdict in decide(claims[:2])] == ["confirmed", "confirmed"]  # 2.1 alone at 95 %
    assert decide([]) == []


def test_a_claim_is_refuted_on_the_other_side_of_its_boundary() -> None:
    assert decide([Claimed(Fixed(-4.0), "above")])[0][1] == "refuted"
    assert decide([Claimed(Fixed(-4.0), "below")])[0][1] == "confirmed"
    assert decide([Claimed(Fixed(0.0, 0.005), "below", 0.02)])[0][1] == "confirmed"  # equivalence: little
    assert decide([Claimed(Fixed(0.0, 0.05), "below", 0.02)])[0][1] == "not decided here"


def cells(values: object) -> list[list[float]]:
    """Two trainings of each cell, all but alike."""
    return [[float(one) - 1e-3, float(one) + 1e-3] for one in values]  # type: ignore[attr-defined]


def test_rank_correlations_by_hand() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(0.8)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0.0
    with pytest.raises(InputError, match="at least 8 pairs"):
        RankCorrelation([[1.0], [2.0]], [[1.0], [2.0]])
    ten = RankCorrelation(cells(range(10)), cells(range(10)))
    assert ten.value == pytest.approx(1.0) and ten.at(0.95).low > 0 and ten.repeats == 2
    with pytest.raises(InputError, match="at least 12 pairs"):
        CorrelationDifference(ten, ten)


def test_a_correlation_of_what_never_changes_is_not_measured() -> None:
    found = RankCorrelation(cells([1.0] * 9), cells(range(9))).at(0.95)
    assert (found.value, found.low, found.high) == (0.0, -1.0, 1.0)


def test_two_correlations_of_one_outcome_are_rarely_told_apart_by_chance() -> None:
    rng, wrong = np.random.default_rng(4), 0
    for _ in range(40):
        outcome = rng.normal(size=15)
        one, other = (outcome + rng.normal(size=15) for _ in range(2))
        pair = RankCorrelation(cells(outcome), cells(one)), RankCorrelation(cells(outcome), cells(other))
        wrong += CorrelationDifference(*pair, spearman(one.tolist(), other.tolist())).at(0.95).sign != 0
    assert wrong <= 6  # of 40: more in 1 of 300 cases


def test_a_correlation_is_that_of_its_interval_where_means_differ_by_rounding_alone() -> None:
    first = [[value] * 2 for value in (0.1 + 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)]
    second = [[float(at)] * 2 for at in (1, 0, 2, 3, 4, 5, 6, 7)]
    found = RankCorrelation(first, second)
    assert found.value == pytest.approx(found.at(0.95).value) and found.value < 1


def paired_cells(first: np.ndarray, second: np.ndarray, units: object) -> Contrast:
    """The gain of one untrained cell over another, all facts of one level."""
    scores = {BASE: first[None].astype(float), ("other", 0): second[None].astype(float)}
    asked = Trainings(scores, np.zeros(len(first)), frozenset(scores), units=units)
    return Contrast(asked, {("other", 0): {0: 1.0}, BASE: {0: -1.0}})


def test_values_of_a_page_are_one_and_the_interval_is_no_wider_than_it_must_be() -> None:
    """120 pages of six values that go together: by value it is too narrow, with a page that always changes too wide."""
    rng, gains, alone, wide = np.random.default_rng(8), [], [], []
    pages = np.repeat(np.arange(120), 6)
    for _ in range(400):
        page = rng.normal(0, 1, (2, 120))[:, pages]
        first, second = (page[at] + rng.normal(0, 0.6, 720) < 0 for at in (0, 1))
        gains.append(float(second.mean() - first.mean()))
        alone.append(paired_cells(first, second, None).at(0.95))
        wide.append(paired_cells(first, second, pages).at(0.95))
    assert np.mean([one.low <= 0 <= one.high for one in alone]) < 0.8
    assert 0.93 <= np.mean([one.low <= 0 <= one.high for one in wide]) <= 0.98
    assert np.mean([one.high - one.low for one in wide]) < 1.12 * 2 * 1.96 * np.std(gains)


def test_one_value_a_page_is_the_paired_difference_and_a_share_is_that_of_the_pages() -> None:
    first, second = np.arange(40) < 12, np.arange(40) > 25
    found, wanted = paired_cells(first, second, np.arange(40)).at(0.95), paired([Pairs.of(first, second)])  # type: ignore[arg-type]
    assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high), abs=1e-6)
    twice = Trainings({BASE: np.repeat(first, 2)[None]}, np.zeros(80), frozenset({BASE}), units=np.repeat(range(40), 2))
    share, whole = Contrast(twice, {BASE: {0: 1.0}}).at(0.95), proportion(12, 40)
    assert (share.low, share.high) == pytest.approx((whole.low, whole.high))
