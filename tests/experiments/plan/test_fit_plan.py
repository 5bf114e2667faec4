"""The plan of a fit: what it counts, and that a budget in time decides how many trials there are."""

from recollect.experiments.fit import FitSettings
from recollect.experiments.plan import Assume, plan_fit

FAST = Assume(tokens_per_second=1e6, price_per_hour=36.0)


def rows(budget: str, assume: Assume = FAST) -> dict[str, int]:
    return {row.what: row.steps for row in plan_fit(FitSettings.make(budget=budget), assume=assume).rows}


def test_every_stage_is_a_row_and_trials_are_those_of_the_budget():
    found = rows("9 trials")
    assert list(found) == [
        *("probe", "base asked", "base asked with examples", "plain fine-tuning", "trials judged early"),
        *("trials trained to the end", "more seeds", "means and repairs", "a random draw of equal size", "the test"),
    ]
    assert found["trials judged early"] == 2 * 9
    assert found["trials trained to the end"] == 2 * 3
    assert found["the test"] == 5


def test_more_time_has_room_for_more_trials():
    slow = Assume(tokens_per_second=2e4)
    assert rows("10m", slow)["trials judged early"] < rows("30m", slow)["trials judged early"]


def test_time_and_price_follow_from_a_stated_speed():
    plan = plan_fit(FitSettings.make(budget="4 trials"), assume=FAST)
    assert plan.seconds is not None
    assert plan.price == round(plan.seconds / 100, 4)
    assert plan.completions == 0  # the closed form draws nothing


def test_a_budget_that_is_smaller_than_the_plan_says_what_gives_way():
    plan = plan_fit(FitSettings.make(budget="1m"), assume=Assume(tokens_per_second=500))
    assert any("left out" in note for note in plan.notes)
