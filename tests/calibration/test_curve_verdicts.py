"""How often the data curve's verdicts are wrong and its intervals hold, on simulated curves of every shape.

The shapes and the table are those of benchmarks/curve_verdicts.py; the fast part draws fewer curves and skips the fits,
on which no verdict rests.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recollect.experiments.curve.verdict as verdict_module
from helpers_script import load_script
from recollect.experiments.curve.fit import Fitted


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_script("benchmarks/curve_verdicts.py")


@pytest.fixture
def without_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_module, "fit_means", lambda *_: Fitted((), {}, None, None))


@given(st.lists(st.floats(0, 100), min_size=4, max_size=12), st.floats(0.1, 20))
def test_the_truth_is_that_of_the_definitions(bench: ModuleType, scores: list[float], margin: float) -> None:
    places = np.arange(1.0, len(scores) + 1)
    kind, n_sat = bench.classify(places, np.asarray(scores), margin)
    enough = [n for at, n in enumerate(places) if max(scores[at:]) - scores[at] <= margin]
    assert n_sat == enough[0]
    if max(scores) - scores[-1] > margin:
        assert kind == "peaked"
    else:
        assert kind == ("rising" if n_sat > max(places[-1] / 2, places[0]) else "saturated")


@pytest.mark.usefixtures("without_fits")
def test_few_verdicts_are_wrong_and_intervals_hold(bench: ModuleType) -> None:
    """At most 10 % wrong over all shapes together, whatever noise, sizes and repeats; scores alone, so it is fast."""
    total = bench.Count()
    for shape in bench.SHAPES:
        count = bench.simulate(shape, bench.Bench(items=None), 30, seed=11)
        assert count.wrong <= 6, (shape, count)  # of 30: over 6 happens in 1 of 100 shapes that are wrong in 10 %
        total.add(count)
    assert total.wrong <= 0.05 * total.curves
    assert total.sat >= 0.9 * total.curves
    assert total.half_held >= 0.85 * total.half
    assert total.right >= 0.3 * total.curves


@pytest.mark.usefixtures("without_fits")
def test_one_training_of_each_size_is_never_a_verdict(bench: ModuleType) -> None:
    for shape in bench.SHAPES:
        count = bench.simulate(shape, bench.Bench(seeds=(1, 1), items=None), 5, seed=12)
        assert count.undecided == count.curves


@pytest.mark.usefixtures("without_fits")
def test_clear_curves_are_mostly_decided(bench: ModuleType) -> None:
    total = bench.Count()
    for shape in ("flat", "saturating", "logarithm", "steep, then falling", "peak at any place", "late step"):
        total.add(bench.simulate(shape, bench.CLEAR, 8, seed=13))
    assert total.right >= 0.6 * total.curves
    assert total.wrong <= 0.05 * total.curves


@pytest.mark.usefixtures("without_fits")
def test_going_on_until_decided_decides_more_and_stays_right(bench: ModuleType) -> None:
    counts = []
    for most in (0, 60):
        total = bench.Count()
        for shape in ("saturating", "logarithm", "late step", "steep, then falling"):
            total.add(
                bench.simulate(shape, bench.Bench(spread=(0.5, 1.5), items=None, most_trainings=most), 8, seed=14)
            )
        counts.append(total)
    grid, until = counts
    assert until.undecided < 0.7 * grid.undecided
    assert until.wrong <= 0.1 * until.curves


@pytest.mark.slow
def test_no_shape_is_wrong_in_more_than_one_of_ten(bench: ModuleType) -> None:
    """The table of docs/curve.md: items and fits included, 150 curves of every shape."""
    total = bench.Count()
    for shape in bench.SHAPES:
        count = bench.simulate(shape, bench.Bench(), 150, seed=15)
        assert count.wrong <= 0.1 * count.curves, (shape, count)
        assert count.sat >= 0.88 * count.curves, (shape, count)
        total.add(count)
    assert total.half_held >= 0.87 * total.half
    assert total.double_held >= 0.8 * total.double
