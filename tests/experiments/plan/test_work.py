"""How much work a step is, against arithmetic by hand."""

from __future__ import annotations

import pytest

from recollect.errors import InputError
from recollect.experiments.plan.calibrate import Rates, stated
from recollect.experiments.plan.known import read_counts
from recollect.experiments.plan.work import (
    Lengths,
    Work,
    asking_work,
    assumed_draws,
    ladder_work,
    probe_work,
    train_work,
)
from recollect.probe import ProbeSettings
from recollect.probe.settings import Candidate, Choice
from recollect.restore import LadderSettings
from recollect.train import TrainSettings

LENGTHS = Lengths(prompt=10, question=20, answer=5)


def test_the_full_probe_of_entityquestions_is_20_million_completions() -> None:
    work = probe_work(ProbeSettings.make(method="sampled"), 97_112, LENGTHS)
    assert work.completions == 97_112 * 21 * 10 == 20_393_520
    assert work.read == 97_112 * 21 * 10  # 21 prompts of 10 tokens, read once


@pytest.mark.parametrize(
    ("values", "completions", "forms"),
    [
        ({"method": "closed-form"}, 0, 100 * 21),
        ({"method": "hybrid", "residual_samples": 4}, 100 * 21 * 4, 100 * 21),
        ({"method": "sampled", "prompt": "both"}, 2 * 100 * 210, 0),
        ({"method": "adaptive"}, 0.42 * 100 * 210, 0),
        ({"method": "auto"}, 0.42 * 16 * 210 + 84 * 21 * 2, 100 * 21),  # 16 first facts, hybrid for the others
        ({"method": "auto", "pilot": 100}, 0.42 * 100 * 210, 0),  # nothing left to choose a way for
    ],
)
def test_what_a_probe_draws(values: dict[str, object], completions: float, forms: float) -> None:
    work = probe_work(ProbeSettings.make(**values), 100, LENGTHS)
    assert work.completions == pytest.approx(completions)
    assert work.forms == forms


@pytest.mark.parametrize(
    ("values", "reads"),
    [
        ({"method": "sampled"}, 1.0),
        ({"method": "hybrid"}, 1.0),  # the closed form and the draws go on from one reading
        ({"method": "closed-form"}, 1.0),
        ({"method": "auto"}, (16 * (1.6 + 1) + 84) / 100),  # 16 first facts in rounds, and for their closed form
    ],
)
def test_how_often_a_probe_reads_a_prompt(values: dict[str, object], reads: float) -> None:
    work = probe_work(ProbeSettings.make(**values), 100, LENGTHS)
    assert work.read == pytest.approx(reads * 100 * 21 * 10)


def test_auto_is_taken_to_choose_as_it_did_in_an_earlier_probe_of_the_base() -> None:
    settings = ProbeSettings.make(method="auto")
    taken = Candidate(way="hybrid", residual_samples=1, agreement=0.9, error=0.02, tokens=100)
    hybrid = assumed_draws(settings, 100, Choice(taken=taken, way="hybrid", why="", pilot=16))
    assert probe_work(settings, 100, LENGTHS, hybrid).completions == pytest.approx(0.42 * 16 * 210 + 84 * 21)
    assert "as in an earlier probe" in hybrid.said
    full = Candidate(way="sampled", agreement=0.9, error=0.02, tokens=100)
    sampled = assumed_draws(settings, 100, Choice(taken=full, way="sampled", why="", pilot=16))
    assert probe_work(settings, 100, LENGTHS, sampled).completions == pytest.approx(0.42 * 16 * 210 + 84 * 210)


@pytest.mark.parametrize(
    ("values", "examples", "updates", "tokens"),
    [
        ({"learning_rate": 1e-4, "batch_size": 16}, 60, 4, 60 * 25),  # one epoch: 16 + 16 + 16 + 12
        ({"learning_rate": 1e-4, "batch_size": 16, "epochs": 12}, 60, 48, 12 * 60 * 25),
        ({"learning_rate": 1e-4, "batch_size": 16, "max_steps": 5}, 60, 5, 5 * 16 * 25),
        ({}, 15, 6, 3 * 15 * 25),  # auto: three epochs of 8 + 7
    ],
)
def test_what_a_training_does(values: dict[str, object], examples: int, updates: int, tokens: float) -> None:
    work = train_work(TrainSettings.make(**values), examples, LENGTHS)
    assert (work.updates, work.trained, work.trainings) == (updates, tokens, 1)


def test_a_ladder_asks_after_every_rung() -> None:
    work = ladder_work(LadderSettings.make(ladder="20,40"), 100, 500, 1000.0, LENGTHS)
    rungs = 2 + 5 * 2  # base and tuned; four orders and the interpolation, two percentages each
    assert work.questions == rungs * 100
    assert work.read == rungs * (100 * 20 + 500)
    assert work.weights == pytest.approx(1000 * ((rungs - 1) * 0.2 + 4 * 0.3))  # the base's are as they were loaded


def test_seconds_are_the_sum_of_the_parts_and_unknown_where_one_is() -> None:
    work = Work(completions=10, read=100, loads=2) + asking_work(3, LENGTHS)
    rates = Rates(load=4.0, read=0.01, completion=0.5, answered=0.1)
    assert rates.seconds(work) == pytest.approx(2 * 4 + (100 + 60) * 0.01 + 10 * 0.5 + 15 * 0.1)
    assert rates.seconds(Work(updates=1)) is None


def test_a_stated_throughput_counts_a_trained_token_three_times() -> None:
    assert stated(100, 32).seconds(Work(trained=1000, updates=7)) == pytest.approx(30)


def test_counts_of_facts() -> None:
    assert read_counts("97112") == {"train": 75_944, "test": 9_555, "ood": 11_613}
    assert read_counts("train=60,test=20") == {"train": 60, "test": 20, "ood": 0}
    for wrong in ("many", "train=x", "valid=3", "-4", "train=60,train=20"):
        with pytest.raises(InputError, match="facts-count must be a number"):
            read_counts(wrong)
