"""The plan of a fit: what it counts, and that a budget in time decides how many trials there are."""

import pytest

from recollect.experiments.fit import FitSettings
from recollect.experiments.fit.budget import read_budget
from recollect.experiments.fit.stages import REPAIRS
from recollect.experiments.plan import Assume, plan_fit

FAST = Assume(tokens_per_second=1e6, price_per_hour=36.0)


def rows(budget: str, assume: Assume = FAST, **more: object) -> dict[str, int]:
    return {row.what: row.steps for row in plan_fit(FitSettings.make(budget=budget, **more), assume=assume).rows}


def trials(found: dict[str, int]) -> int:
    """Trials of a plan, judged early or trained to the end at once."""
    return found.get("trials judged early", found.get("trials trained to the end", 0)) // 2


def test_every_stage_is_a_row_and_trials_are_those_of_the_budget():
    found = rows("9 trials", most_cost=9)
    assert list(found) == [
        *("probe", "base asked", "base asked with examples", "plain fine-tuning", "trials judged early"),
        *("trials trained to the end", "more seeds", "means and repairs", "a random draw of equal size", "the test"),
    ]
    assert found["trials judged early"] == 2 * 9
    assert found["trials trained to the end"] == 2 * 3
    assert found["the test"] == 5


def test_trials_are_held_to_a_share_of_an_exhaustive_search():
    held, free = rows("50 trials"), rows("50 trials", most_cost=9)
    assert 1 <= trials(held) < trials(free) == 50
    assert trials(rows("50 trials", most_cost=0.5)) > trials(held)


def test_more_time_has_room_for_more_trials():
    slow = Assume(tokens_per_second=2e4)
    assert trials(rows("10m", slow)) < trials(rows("30m", slow))


def test_more_workers_have_time_for_more_trials():
    speed = Assume(tokens_per_second=2e4)
    alone, four = (rows("3m", speed, **more) for more in ({}, {"executor": "workers", "workers": 4}))
    assert 3.8 < trials(four) / trials(alone) < 4.2


def test_time_and_price_follow_from_a_stated_speed():
    plan = plan_fit(FitSettings.make(budget="4 trials"), assume=FAST)
    assert plan.seconds is not None
    assert plan.price == round(plan.seconds / 100, 4)
    assert plan.completions == 0  # the closed form draws nothing


def test_a_budget_that_is_too_short_for_what_is_always_done_says_so():
    plan = plan_fit(FitSettings.make(budget="1m"), assume=Assume(tokens_per_second=500))
    assert any("too short" in note for note in plan.notes)
    assert not trials({row.what: row.steps for row in plan.rows})


@pytest.mark.parametrize("budget", ["60s", "90s", "3m", "10m"])
def test_the_plan_is_what_fits_into_the_budget_and_says_what_does_not(budget: str):
    plan = plan_fit(FitSettings.make(budget=budget), assume=Assume(tokens_per_second=2e4))
    assert plan.seconds is not None
    seconds = read_budget(budget).seconds
    assert seconds is not None
    shown = {row.what: row.steps for row in plan.rows}
    short = [note for note in plan.notes if "too short" in note]
    assert plan.seconds <= seconds or short

    def said(words: str) -> bool:
        return any(words in note for note in plan.notes)

    assert (shown.get("more seeds", 0) < 6) == said("further seed")
    if said("means and repairs"):
        assert shown.get("means and repairs", 0) < 2 * REPAIRS
    drawn = "a random draw of equal size" in shown
    assert drawn != said("the random draw") if trials(shown) else not drawn  # all data: no other training


def test_a_budget_in_updates_leaves_out_what_it_has_no_room_for():
    plan = plan_fit(FitSettings.make(budget="60 steps"), assume=FAST)
    shown = {row.what: row.steps for row in plan.rows}
    assert "more seeds" not in shown
    assert any("2 of 2 further seeds" in note for note in plan.notes)
