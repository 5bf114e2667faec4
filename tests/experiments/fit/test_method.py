"""What a fit tries, how many updates it may make, and which model it takes: the decisions, without a model."""

from collections.abc import Callable, Mapping

import pytest

from recollect.core.workspace.fit import Candidate
from recollect.experiments.fit import first
from recollect.experiments.fit.choose import choose
from recollect.experiments.fit.first import First
from recollect.experiments.fit.settings import FitSettings
from recollect.experiments.fit.space import (
    KNOWN,
    LEAST_SIZE,
    LEVELS,
    exhaustive,
    fit_space,
    fit_starts,
    plain_values,
    settled,
)
from recollect.experiments.search.parameters import Choice
from recollect.experiments.search.trial import TrialValues
from recollect.experiments.search.validation import Knowledge
from recollect.train import TrainSettings
from recollect.train.auto import updates_of

PAGES = TrainSettings.make(preset="pocket-shop")


def candidate(name: str, value: float, kind: str, averaged: bool = False) -> Candidate:
    return Candidate.model_validate(
        {"name": name, "kind": kind, "score": value, "forgot": 0, "value": value, "averaged": averaged}
    )


def chosen(*candidates: Candidate, error: float = 5.5) -> str:
    return next(one.name for one in choose(candidates, lambda *_: error) if one.chosen)


def test_a_repair_of_one_training_has_no_claim_over_it():
    """The page world 201: a single training of 76.7 gave way to 71.3, 80 % of its own change."""
    plain, repair = candidate("plain", 76.7, "plain"), candidate("plain, 80 % kept", 71.3, "repair")
    assert chosen(plain, repair) == "plain"
    mean, of_mean = candidate("mean", 71, "mean", True), candidate("mean, 80 % kept", 71.3, "repair", True)
    assert chosen(plain, mean, of_mean) == "mean, 80 % kept"
    assert chosen(plain, mean, of_mean, error=5.0) == "plain"


def test_a_mean_that_averaging_harmed_has_none_either():
    assert chosen(candidate("plain", 79.4, "plain"), candidate("mean", 75, "mean")) == "plain"


ERROR = 5.0


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> Callable[..., First]:
    """What validation takes, of contenders with these values; any two differ by a standard error of 5 points."""
    monkeypatch.setattr(first, "error_of", lambda one, other: ERROR)

    def taken(averaged: bool = False, **values: float) -> First:
        monkeypatch.setattr(first, "worth", lambda name, answers, knowledge: answers)
        named = {name.replace("_", "-"): value for name, value in values.items()}
        return first.first_choice(Knowledge(), named, averaged=averaged)  # type: ignore[arg-type]

    return taken


def test_a_training_is_taken_over_a_prompt_that_validation_cannot_tell_from_it(validated: Callable[..., First]):
    """The chats on SmolLM2: a prompt of 52.9 against 50.3, by 34 questions, of which the test had it the other way."""
    took = validated(base=29.4, few_shot=52.9, plain=38.9, random=44.6, ours=50.3)
    assert (took.name, took.ahead) == ("ours", "few-shot")
    assert "could not tell" in took.why("")
    assert "2.6 points" in took.why("")
    assert validated(base=29.4, few_shot=56, ours=50.3) == First("few-shot")
    assert validated(base=46, few_shot=52.9, ours=50.3) == First("few-shot")  # not shown to be better than the base
    assert validated(base=54, few_shot=52.9, ours=53) == First("base")


def test_a_single_training_needs_an_error_more_than_an_average_of_several(validated: Callable[..., First]):
    took = validated(True, base=0, plain=50, ours=47)
    assert (took.name, took.ahead) == ("ours", "plain")
    assert "made of several" in took.why("")
    assert validated(False, base=0, plain=50, ours=47) == First("plain")
    assert validated(True, base=0, plain=53, ours=47) == First("plain")


def starts_of(model: str, train: TrainSettings, gentle: bool, levels: bool) -> list[TrialValues]:
    plain = plain_values(train, 140, 1e-3)
    return fit_starts(fit_space(FitSettings.make(model=model), 140, levels, plain), plain, 140, gentle)


@pytest.mark.parametrize("model", ["pocket-shop", "some/folder"])
def test_a_start_is_as_long_as_the_plain_fine_tuning_and_none_is_the_plain_one(model: str):
    plain = plain_values(PAGES, 140, 1e-3)
    assert plain["epochs"] == 6
    found = starts_of(model, PAGES, gentle=False, levels=False)
    assert found[0]["epochs"] == 6
    assert {updates_of(PAGES, int(str(one["size"])), float(str(one["epochs"]))) for one in found} >= {108}
    assert all(any(one[name] != plain[name] for name in plain if name in one) for one in found)


def test_starts_are_slower_where_something_was_forgotten_and_faster_where_nothing_could_be():
    train = TrainSettings.make(preset="pocket")
    slower = {one["learning_rate"] for one in starts_of("some/folder", train, gentle=True, levels=True)}
    assert slower == {2.5e-4, 5e-4}
    assert starts_of("some/folder", train, gentle=False, levels=False)[0]["learning_rate"] == pytest.approx(1.5e-3)
    unknown = starts_of("some/folder", train, gentle=True, levels=False)[0]
    assert (unknown["learning_rate"], unknown["epochs"]) == (5e-4, 2)  # as far in all, slower


def test_the_choices_of_epochs_hold_those_of_the_plain_fine_tuning():
    train = TrainSettings.make(preset="pocket-shop", epochs=10)
    epochs = fit_space(FitSettings.make(model="some/folder"), 140, False, plain_values(train, 140, 1e-3)).parameters
    assert isinstance(one := epochs["epochs"], Choice)
    assert one.options == (1, 2, 3, 4, 6, 10)


@pytest.mark.parametrize(
    ("pools", "left"),
    [
        ({"mixed": 210, "2,3,4": 40, "2,3": 2, "3,4": LEAST_SIZE - 1, "random": 210}, ("mixed", "2,3,4", "random")),
        (None, LEVELS),
    ],
)
def test_a_level_with_a_handful_of_examples_is_no_choice(pools: Mapping[str, int] | None, left: tuple[str, ...]):
    plain = plain_values(TrainSettings.make(preset="pocket"), 210, 5e-4)
    space = fit_space(FitSettings(), 210, True, plain, pools)
    assert isinstance(level := space.parameters["level"], Choice)
    assert level.options == left
    assert {one["level"] for one in fit_starts(space, plain, 210, True)} <= set(left)


def test_a_point_that_is_too_long_is_tried_with_fewer_epochs():
    plain = plain_values(PAGES, 140, 1e-3)
    space = fit_space(FitSettings.make(model="some/folder"), 140, False, plain)
    point = space.clip({**plain, "size": 140, "batch_size": 4, "epochs": 6})

    def updates(values: TrialValues) -> int:
        batch = TrainSettings.make(batch_size=values["batch_size"])
        return updates_of(batch, int(str(values["size"])), float(str(values["epochs"])))

    assert updates(point) == 210
    assert settled(point, space, updates, 300) == point
    assert settled(point, space, updates, 150) == {**point, "epochs": 4}
    assert settled(point, space, updates, 1)["epochs"] == 1


@pytest.mark.parametrize(("pool", "epochs"), [(161, (2, 3)), (78, (4, 6)), (280, (1, 2))])
def test_fewer_examples_of_what_is_known_are_read_more_times(pool: int, epochs: tuple[int, int]):
    """Half as far as the plain one of 280 examples in all: half of its rate once, or a quarter of it twice as long."""
    plain = plain_values(TrainSettings.make(preset="pocket"), 280, 5e-4)
    pools = {**dict.fromkeys(LEVELS, 280), KNOWN: pool}
    first, _, third, *_ = fit_starts(fit_space(FitSettings(), 280, True, plain, pools), plain, 280, True, pools)
    assert (first["level"], third["level"]) == (KNOWN, KNOWN)
    assert (first["epochs"], third["epochs"]) == epochs


def test_an_exhaustive_search_trains_nothing_twice_and_no_examples_that_there_are_not():
    """280, 140, 70 and 35 examples in batches of 8 are 35, 18, 9 and 5 updates, for each of 4 rates."""
    train = TrainSettings.make(preset="pocket")
    plain = plain_values(train, 280, 5e-4)
    without = fit_space(FitSettings.make(model="some/folder"), 280, False, plain)
    assert exhaustive(without, train, 280) == (16, 4 * (35 + 18 + 9 + 5))
    pools = {"mixed": 280, "2,3,4": 161, "2,3": 56, "3,4": 137, "random": 280}
    space = fit_space(FitSettings(), 280, True, plain, pools)
    known, some, sure = (21 + 18 + 9 + 5, 4), (7 + 5, 2), (18 + 9 + 5, 3)
    drawn = (35 + 2 * (18 + 9 + 5), 7)  # mixed and at random, all of them once
    updates, trainings = (sum(column) for column in zip(known, some, sure, drawn, strict=True))
    assert exhaustive(space, train, 280, pools) == (4 * trainings, 4 * updates)
