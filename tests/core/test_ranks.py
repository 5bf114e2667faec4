"""How alike two models rank the same cells: by hand, when nothing can be said, and with an interval that covers."""

from __future__ import annotations

import numpy as np
import pytest

from recollect.core.estimates import LEAST_PAIRS, rank_agreement
from recollect.errors import InputError


def twice(values: list[float], apart: float = 0.2) -> list[list[float]]:
    return [[value - apart / 2, value + apart / 2] for value in values]


def test_by_hand() -> None:
    # ranks 1 2 3 4 5 6 and 2 1 3 4 6 5: squared differences 1 1 0 0 1 1, ρ = 1 − 6·4 / (6·35)
    found = rank_agreement(twice([1, 2, 3, 4, 5, 6]), twice([2, 1, 3, 4, 6, 5]))
    assert found.value == pytest.approx(1 - 24 / 210) and found.n == 6
    assert found.interval is not None and found.interval.low < found.value < found.interval.high <= 1


def test_a_model_ranks_as_itself_and_against_its_mirror() -> None:
    cells = twice([3, 1, 4, 1.5, 9, 2.6, 5])
    itself, mirror = rank_agreement(cells, cells), rank_agreement(cells, [[-x for x in cell] for cell in cells])
    assert itself.value == pytest.approx(1) and mirror.value == pytest.approx(-1)
    assert itself.interval is not None and itself.interval.low > 0.3
    assert mirror.interval is not None and mirror.interval.high < -0.3
    other = twice([1, 5, 2, 8, 3, 4, 2.5])
    assert rank_agreement(cells, other).value == pytest.approx(rank_agreement(other, cells).value)


def test_noise_of_trainings_widens_it_and_lowers_the_ceiling() -> None:
    means, others = [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 4, 3, 5, 6, 8, 7]
    quiet, loud = (rank_agreement(twice(means, apart), twice(others, apart)) for apart in (0.1, 3.0))
    assert quiet.interval is not None and loud.interval is not None
    assert loud.interval.low < quiet.interval.low
    assert quiet.ceiling is not None and loud.ceiling is not None and loud.ceiling < quiet.ceiling <= 1


def test_inside_groups_what_all_cells_of_a_size_share_is_taken_off() -> None:
    sizes = [60] * 4 + [240] * 4
    first = twice([1, 2, 3, 4, 11, 12, 13, 14], 0.1)
    second = twice([4, 3, 2, 1, 14, 13, 12, 11], 0.1)
    assert rank_agreement(first, second).value == pytest.approx(1 - 6 * 40 / (8 * 63))
    inside = rank_agreement(first, second, sizes)
    assert inside.value == pytest.approx(-1) and inside.interval is not None and inside.interval.high < 0


def test_with_too_little_nothing_is_said() -> None:
    few = rank_agreement(twice([1, 2, 3, 4, 5]), twice([1, 2, 3, 4, 5]))
    assert few.value == pytest.approx(1) and few.interval is None and "5 cells are too few" in few.reason
    once = [[float(at)] for at in range(8)]
    assert "one training per cell" in rank_agreement(once, once).reason
    alike = rank_agreement(twice([1.0] * 7), twice([1, 2, 3, 4, 5, 6, 7]))
    assert alike.value is None and alike.interval is None
    grouped = rank_agreement(twice([1, 2, 3, 4, 5, 6, 7]), twice([1, 2, 3, 4, 5, 6, 7]), [1, 1, 1, 2, 2, 2, 2])
    assert grouped.interval is not None
    assert rank_agreement([], []).value is None
    with pytest.raises(InputError):
        rank_agreement(once, once[:-1])
    with pytest.raises(InputError):
        rank_agreement([[]], [[1.0]])


@pytest.mark.slow
@pytest.mark.parametrize(("n", "rho", "noise"), [(6, 0.0, 1.0), (6, 0.9, 0.3), (14, 0.5, 0.7), (21, 0.9, 0.5)])
def test_the_interval_covers_what_further_cells_and_trainings_would_show(n: int, rho: float, noise: float) -> None:
    random, samples, covered = np.random.default_rng(n), 60, 0
    seen = rho / (1 + noise**2 / 2)
    truth = 6 / np.pi * np.arcsin(seen / 2)  # Spearman's of normal pairs
    for _ in range(samples):
        pair = random.multivariate_normal([0, 0], [[1, rho], [rho, 1]], n)
        sides = [(pair[:, [at]] + noise * random.standard_normal((n, 2))).tolist() for at in (0, 1)]
        found = rank_agreement(*sides).interval
        assert found is not None
        covered += found.low <= truth <= found.high
    assert covered / samples >= 0.9


def test_from_how_many_cells_on_full_agreement_decides_ten_claims() -> None:
    sides = {n: [[float(at)] * 2 for at in range(n)] for n in (LEAST_PAIRS - 1, LEAST_PAIRS)}
    found = {n: rank_agreement(side, side, confidence=1 - 0.05 / 10).interval for n, side in sides.items()}
    lows = {n: interval.low for n, interval in found.items() if interval is not None}
    assert lows[LEAST_PAIRS - 1] < 0 < lows[LEAST_PAIRS]
