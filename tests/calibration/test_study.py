"""False claims of a study's verdict where nothing differs: choices of equal worth, trainings that scatter."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from recollect.report.chapters.elicits.judge import judge

CHOICES = ("0", "1", "2", "3", "4", "random")


def null_study(
    random: np.random.Generator, ns: tuple[int, ...], repeats: int, spread: float, sizes: tuple[int, ...]
) -> tuple[bool, bool]:
    """Whether a study of equal choices calls one clear difference between choices, and one against a base as good."""
    levels = np.repeat(np.arange(5), ns)
    hardness = random.normal(np.linspace(-2.5, 1.5, 5)[levels], 1.2)  # of a fact, the same for every training
    ids = [f"f{n}" for n in range(len(levels))]

    def table(shift: float) -> pl.DataFrame:
        right = random.random(len(levels)) < 1 / (1 + np.exp(-(hardness + shift)))
        return pl.DataFrame({"fact_id": ids, "part": "test", "level": levels, "contains": right})

    # a shift of 1 on this scale is about 15 points of the macro score
    cells = [
        (choice, size, table(random.normal(0, spread / 15)))
        for size in sizes
        for choice in CHOICES
        for _ in range(repeats)
    ]
    found = judge(table(0.0), cells, seed=int(random.integers(1 << 30)), least=10)
    assert found is not None
    signs = [one.sign for one in (found.random, found.rival) if one is not None]
    return any(sign for sign in signs), bool(found.base is not None and found.base.sign)


@pytest.mark.parametrize("spread", [0.0, 4.0])
def test_with_one_training_each_nothing_is_claimed(spread: float) -> None:
    random = np.random.default_rng(1)
    assert not any(any(null_study(random, (40, 30, 20, 20, 20), 1, spread, (15, 60))) for _ in range(20))


@pytest.mark.parametrize("spread", [0.0, 2.0, 4.0])
def test_a_null_study_makes_few_false_claims(spread: float) -> None:
    """At most 5 % of studies claim a difference: of 60 more than 8 do so with a chance of 0.3 %."""
    random = np.random.default_rng(int(10 * spread))
    false = sum(any(null_study(random, (60, 40, 30, 20, 20), 2, spread, (60,))) for _ in range(60))
    assert false <= 8


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [1, 2, 3])
@pytest.mark.parametrize("spread", [0.0, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("ns", [(130, 130, 130, 130, 130), (60, 40, 30, 20, 20), (150, 30, 22, 8, 1)])
def test_long_false_claims_of_null_studies(repeats: int, spread: float, ns: tuple[int, ...]) -> None:
    random = np.random.default_rng(7)
    found = [null_study(random, ns, repeats, spread, (15, 60, 150)) for _ in range(400)]
    between, base = (np.mean(side) for side in zip(*found, strict=True))
    print(f"| {', '.join(map(str, ns))} | {repeats} | {spread:g} | {100 * between:.1f} | {100 * base:.1f} |")
    assert max(between, base) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
