"""Proposals: the proposers over the scheduler's view."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from recollect.experiments.search import Choice, Float, Int, Space
from recollect.experiments.search.proposals import MODELS, ForecastSampler, View, at_random, by_model, exhausted, unseen
from recollect.experiments.search.trial import Forecast, Trial

LINE = Space({"x": Float(0, 1), "kind": Choice(["a", "b"])}, free=True)


def finished(number: int, score: float, **values: object) -> Trial:
    return Trial(number, values, "finished", 1, {0: score, 1: score})


def test_the_view_gives_each_trial_as_what_it_is() -> None:
    trials = [
        finished(0, 30.0, x=0.5, kind="a"),
        Trial(1, {"x": 0.1, "kind": "a"}, "paused", 0, {0: 20.0}),
        Trial(2, {"x": 0.9, "kind": "b"}, "degenerate", reason="NaN"),
        Trial(3, {"x": 0.7, "kind": "b"}, "running", 1, {0: 25.0}),
        Trial(4, {"x": 0.2, "kind": "b"}, "running"),
        Trial(5, {"x": 0.3, "kind": "b"}, "failed", memory=True),
    ]
    view = View(LINE, trials, {1: Forecast(22.0, 3.0), 3: Forecast(28.0, 2.0)})
    assert [(trial.number, score) for trial, score in view.known()] == [(0, 30.0), (1, 22.0), (2, 22.0), (3, 28.0)]
    assert [trial.number for trial in view.pending()] == [4]


PROPOSERS = {"random": at_random} | {name: partial(by_model, make) for name, make in MODELS.items()}


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_goes_where_it_is_high_and_keeps_away_from_the_degenerate(name: str) -> None:
    space = Space({"x": Float(0, 1), "y": Float(0, 1)}, free=True)
    rng = np.random.default_rng(4)
    trials = []
    for number in range(14):
        x, y = rng.random(2)
        if x > 0.7:
            trials.append(Trial(number, {"x": x, "y": y}, "degenerate"))
        else:
            trials.append(finished(number, 50 - 40 * (x - 0.3) ** 2, x=x, y=y))
    found = [PROPOSERS[name](View(space, trials), seed)["x"] for seed in range(8)]
    assert np.median(np.abs(np.asarray(found) - 0.3)) < 0.15
    assert max(found) < 0.75


@pytest.mark.parametrize("name", list(PROPOSERS))
def test_every_proposer_gives_a_point_of_the_space_and_the_same_again(name: str) -> None:
    space = Space({"x": Float(1e-4, 1, log=True), "k": Int(1, 9), "kind": Choice(["a", "b", "c"])}, free=True)
    trials = [
        finished(number, float(number), x=10.0**-number, k=1 + number, kind="abc"[number % 3]) for number in range(4)
    ]
    trials += [
        Trial(4, {"x": 0.5, "k": 5, "kind": "a"}, "paused", 0, {0: 3.0}),
        Trial(5, {"x": 0.6, "k": 6, "kind": "b"}),
    ]
    view = View(space, trials, {4: Forecast(3.5, 1.0)})
    first = PROPOSERS[name](view, 7)
    assert space.contains(first)
    assert PROPOSERS[name](view, 7) == first


def test_caps_hold_for_every_proposer() -> None:
    space = Space.of("batch_size: [4, 8, 16, 32]\nlora_r: {low: 4, high: 64, log: true}").narrowed({"batch_size": 8})
    trials = [
        Trial(n, {"batch_size": b, "lora_r": r}, "finished", 1, {0: s, 1: s})
        for n, (b, r, s) in enumerate([(4, 8, 1.0), (4, 32, 2.0), (4, 60, 5.0)])
    ]
    for propose in PROPOSERS.values():
        for seed in range(3):
            assert space.contains(propose(View(space, trials), seed))


@pytest.mark.parametrize("sampler", ["auto", "tpe", "random"])
def test_conditional_and_large_spaces_are_proposed_for(sampler: str) -> None:
    conditional = Space.of("method: [full, lora]\nlora_r: {low: 4, high: 64, when: {method: lora}}")
    large = Space({f"x{n}": Float(0, 1) for n in range(30)}, free=True)
    known = [finished(n, float(n), method="lora", lora_r=r) for n, r in enumerate([4, 8])]
    wide = [finished(n, float(n), **{f"x{at}": 0.1 * (n + 1) for at in range(30)}) for n in range(2)]
    for space, trials in ((conditional, known), (large, wide)):
        for number in (0, 7):
            sample = ForecastSampler(sampler, lambda s=space, t=trials: View(s, t), seed=0, startup=2)  # type: ignore
            assert space.contains(sample.preview(number))


def test_no_point_is_proposed_twice_while_there_is_another() -> None:
    space = Space({"kind": Choice(["a", "b", "c"])}, free=True)
    taken = [{"kind": "a"}, {"kind": "b"}]
    trials = [Trial(number, values) for number, values in enumerate([*taken, {"kind": "c"}])]
    assert unseen(View(space), {"kind": "a"}, taken, 1) == {"kind": "c"}
    assert not exhausted(View(space, trials[:2]))
    assert exhausted(View(space, trials))
    assert not exhausted(View(LINE, [Trial(0, {"x": 0.5, "kind": "a"})]))


def test_points_that_train_the_same_are_one_point() -> None:
    space = Space({"size": Int(10, 1000, log=True), "x": Choice(["a", "b"])}, free=True)
    few = lambda values, taken: {**values, "size": min(values["size"], 50)}  # noqa: E731
    trials = [finished(n, 10.0 + size / 10, size=size, x="a") for n, size in enumerate([12, 20, 30, 50])]
    view = View(space, trials, settle=few)
    found = [ForecastSampler("auto", lambda: view, seed).preview(9) for seed in range(6)]
    assert all(values["size"] <= 50 and values not in [trial.values for trial in trials] for values in found)
    both = Space({"size": Int(10, 12), "x": Choice(["a"])}, free=True)
    least = lambda values, taken: {**values, "size": 10}  # noqa: E731
    assert exhausted(View(both, [Trial(0, {"size": 10, "x": "a"})], settle=least))


@pytest.mark.parametrize("name", list(MODELS))
def test_the_place_of_a_paused_trial_is_not_tried_again(name: str) -> None:
    """Scores rise to the corner, where a trial is paused: the best place, but one more trial there tells nothing."""
    space = Space({"x": Float(0, 1), "y": Float(0, 1)}, free=True)
    rng = np.random.default_rng(1)
    places = [*rng.random((9, 2)).tolist(), [1.0, 1.0]]
    trials = [
        Trial(n, {"x": x, "y": y}, "finished", 1, {0: 20 * (x + y), 1: 21 * (x + y) + rng.normal()})
        for n, (x, y) in enumerate(places[:-1])
    ]
    trials.append(Trial(9, {"x": 1.0, "y": 1.0}, "paused", 0, {0: 40.0}))
    view = View(space, trials, {9: Forecast(42.0, 2.0)})
    for seed in range(6):
        found = PROPOSERS[name](view, seed)
        assert max(abs(found["x"] - 1), abs(found["y"] - 1)) > 0.02
