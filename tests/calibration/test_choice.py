"""Chosen on one half, scored on the other: the ladder's verdicts where nothing is better than the tuned model.

The table of docs/statistics.md: pytest -m slow -s tests/calibration/test_choice.py
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from recollect.restore.choose import Choice, ahead, choose, judging

UNEQUAL = (120, 40, 16, 6, 2)
"""Facts per level before halving."""


def null_ladder(
    sizes: tuple[int, ...], rungs: int, changed: float, random: np.random.Generator
) -> dict[float, pl.DataFrame]:
    """A tuned model and rungs that are neither better nor worse: in every level as many answers are won as lost."""
    level = np.repeat(np.arange(len(sizes)), sizes)
    ids = [f"f{number:04d}" for number in range(len(level))]
    knows = random.random(len(level)) < np.linspace(0.2, 0.8, len(sizes))[level]

    def outputs(right: np.ndarray) -> pl.DataFrame:
        return pl.DataFrame({"fact_id": ids, "part": "test", "level": level, "contains": right})

    share = np.array([knows[level == one].mean() for one in range(len(sizes))])[level]
    chance = changed * np.where(knows, 1 - share, share)
    made = {percent: knows ^ (random.random(len(level)) < chance) for percent in range(1, rungs + 1)}
    return {0.0: outputs(knows)} | {float(percent): outputs(right) for percent, right in made.items()}


def claims(draws: int, sizes: tuple[int, ...], least: int, random: np.random.Generator) -> tuple[float, float]:
    """How often a null ladder of seven rungs "beats the tuned model", and is "ahead" of another such ladder."""
    beats = leads = 0
    for _ in range(draws):
        first, second = (null_ladder(sizes, 7, 0.5, random) for _ in range(2))
        second[0.0] = first[0.0]
        how = judging(first[0.0], 0, least)
        one, other = choose("relative", first, how), choose("random", second, how)
        assert isinstance(one, Choice) and isinstance(other, Choice)
        beats += one.beats_tuned
        leads += ahead(first[one.percent], second[other.percent], how).low > 0
    return beats / draws, leads / draws


@pytest.mark.parametrize("least", [1, 10])
def test_a_ladder_of_equals_beats_nothing(least):
    beats, leads = claims(60, UNEQUAL, least, np.random.default_rng(1))
    assert max(beats, leads) <= 0.03 + 3 * np.sqrt(0.03 / 60)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [UNEQUAL, (80,) * 5, (60, 20, 8, 4, 2)])
@pytest.mark.parametrize("least", [1, 10])
def test_long_a_ladder_of_equals_beats_nothing(sizes, least):
    beats, leads = claims(600, sizes, least, np.random.default_rng(11))
    print(f"\n| {sizes} | {least} | {100 * beats:.1f} | {100 * leads:.1f} |")
    assert max(beats, leads) <= 0.03 + 2 * np.sqrt(0.03 / 600)
