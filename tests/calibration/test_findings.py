"""How often any verdict on a finding is wrong, on simulated studies: those of benchmarks/findings.py."""

from __future__ import annotations

from types import ModuleType

import pytest

from helpers_script import load_script


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_script("benchmarks/findings.py")


def test_without_any_effect_few_studies_have_a_false_verdict(bench: ModuleType) -> None:
    """Of 12 studies more than 3 are wrong in 1 of 400 cases where 5 % may be."""
    count = bench.simulate(bench.WORLDS["no effect, two seeds"], 12, seed=2)
    assert count.wrong <= 3 and count.tested >= 12 * 15


def test_a_clear_world_is_mostly_decided(bench: ModuleType) -> None:
    count = bench.simulate(bench.WORLDS["as published"], 3, seed=3)
    assert count.wrong == 0
    assert count.right >= 0.5 * count.tested


@pytest.mark.slow
def test_no_world_has_a_false_verdict_in_more_than_one_of_twenty_studies(bench: ModuleType) -> None:
    """60 studies of every world; where 5 % may be wrong, more than 8 are in 1 of 250 cases."""
    for name, world in bench.WORLDS.items():
        count = bench.simulate(world, 60, seed=4)
        assert count.wrong <= 8, (name, count)


@pytest.mark.slow
def test_three_models_without_any_effect_have_few_false_verdicts(bench: ModuleType) -> None:
    """The same of a grid, whose checks are all corrected together, those between models among them."""
    for name in ("no effect", "no effect, two seeds"):
        count = bench.simulate(bench.WORLDS[name], 40, seed=5, models=3)
        assert count.wrong <= 6, (name, count)
