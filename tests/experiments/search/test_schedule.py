"""The scheduler's policy: who is trained on, what it may cost, and that nobody is lost."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_schedule import SPACE, STARTS, WHOLE, drive, hill, make, scored
from recollect.errors import InputError
from recollect.experiments.search import Choice, Job, Outcome, Plan, Scheduler, Space


def plan(**values: object) -> Plan:
    return Plan.make(**{"sampler": "random", "trials": 16, **values})


def test_the_baseline_is_first_and_finished_first() -> None:
    jobs = drive(make(plan()))
    assert [(job.trial, job.rung, job.share) for job in jobs[:2]] == [(0, 0, 0.2), (0, 1, 1.0)]
    assert jobs[0].values == STARTS[0]
    assert next(job for job in jobs if job.trial == 1).values == STARTS[1]


def test_a_search_costs_about_half_and_finishes_the_best_by_forecast() -> None:
    scheduler = make(plan())
    drive(scheduler)
    summary = scheduler.summary()
    assert summary.trials == summary.scored == 16
    assert summary.cost_fraction is not None and 0.3 <= summary.cost_fraction <= 0.6
    best_early = max(scheduler.trials, key=lambda trial: trial.scores[0])
    assert best_early.state == "finished"
    assert summary.best is not None and summary.best.scores[1] == max(
        trial.scores[1] for trial in scheduler.trials if 1 in trial.scores
    )
    assert summary.baseline is not None and summary.baseline.state == "finished"
    assert Counter(trial.why for trial in scheduler.trials)["random"] == 2
    assert {trial.state for trial in scheduler.trials} == {"finished", "paused"}


def test_the_share_follows_the_measured_correlation() -> None:
    def alike(job: Job) -> Outcome:
        return scored(job, 50 + 40 * float(job.values["y"]) + job.rung)

    def unlike(job: Job) -> Outcome:
        return scored(job, 50 + 40 * float(job.values["y"]) if job.rung == 0 else 50 + 40 * (job.trial * 0.618 % 1))

    shares, promoted = [], []
    for result in (alike, unlike):
        scheduler = make(plan(trials=24, least_chance=0.0))
        drive(scheduler, result)
        shares.append(scheduler.share())
        promoted.append(scheduler.summary().promoted)
    assert shares[0] < 0.25 < 1 / 3 < shares[1]
    assert promoted[0] < promoted[1]
    fixed = make(plan(adapt=False))
    drive(fixed)
    assert fixed.share() == 1 / 3


def test_of_a_budget_in_steps_fewer_are_promoted_since_every_promotion_costs_trials() -> None:
    given = {"least_chance": 0.0, "random_finishers": 0}
    budget = make(plan(trials=None, budget_steps=12 * WHOLE, **given))
    assert budget.share() < 1 / 3  # at once, by the correlation expected
    drive(budget)
    of_trials = make(plan(trials=len(budget.trials), **given))
    assert of_trials.share() == 1 / 3
    drive(of_trials)
    assert budget.summary().promoted < of_trials.summary().promoted
    three = make(plan(trials=None, budget_steps=12 * WHOLE, rungs=(0.1, 0.3, 1.0), **given))
    assert three.share() == pytest.approx(make(plan(trials=None, budget_steps=12 * WHOLE)).share() ** 0.5)


def test_what_is_promoted_keeps_to_the_share_of_the_cost_too() -> None:
    """A few trainings are twelve times as long as the others, and look a little better."""

    def result(job: Job) -> Outcome:
        whole = 1200 if float(job.values["y"]) > 0.85 else 100
        found = hill(job)
        assert found.score is not None
        score = 80 + found.score / 100 if whole > 100 and not job.rung else found.score
        return replace(found, score=score, steps=round(whole * (0.8 if job.rung else 0.2)), total_steps=whole)

    scheduler = make(plan(trials=40, adapt=False, random_finishers=0, least_chance=0.0))
    drive(scheduler, result)
    long = [trial for trial in scheduler.trials if trial.total_steps > 100]
    promoted = [trial for trial in scheduler.trials if trial.why == "forecast"]
    assert len(long) >= 3 and {trial.state for trial in long} == {"paused", "finished"}
    assert 3 <= len(promoted) <= 13
    mean = sum(trial.total_steps for trial in scheduler.trials) / 40
    assert sum(trial.total_steps for trial in promoted) <= mean * (14 + 1)


def test_a_training_longer_than_the_share_is_finished_where_no_other_was_worth_it() -> None:
    def result(job: Job) -> Outcome:
        whole = 1000 if job.trial == 2 else 100
        score = {0: 60.0, 2: 90.0}.get(job.trial, 10.0)
        return replace(scored(job, score), steps=round(whole * (0.8 if job.rung else 0.2)), total_steps=whole)

    scheduler = make(plan(trials=4, random_finishers=0, least_chance=0.4))
    drive(scheduler, result)
    assert [trial.number for trial in scheduler.trials if trial.why == "forecast"] == [2]


def long_and_best(job: Job) -> Outcome:
    """Trial 2 is six times as long as the others, and far better."""
    whole, score = (600, 90.0) if job.trial == 2 else (100, 11 + job.trial / 10)
    before = 0.2 if job.rung else 0.0
    return replace(scored(job, score), steps=round(whole * (job.share - before)), total_steps=whole)


@pytest.mark.parametrize("trials", [16, 32])
def test_a_long_training_that_leads_waits_for_its_share_and_gets_it(trials: int) -> None:
    scheduler = make(plan(trials=trials))
    drive(scheduler, long_and_best)
    assert scheduler.trials[2].state == "finished" and scheduler.summary().best == scheduler.trials[2]
    assert scheduler.summary().cost_fraction < 0.65


def test_a_long_training_does_not_stop_at_a_middle_rung_with_nothing_finished() -> None:
    rungs = (0.1, 0.3, 1.0)

    def result(job: Job) -> Outcome:
        if job.trial == 0:
            return Outcome(0, 0, "degenerate", reason="NaN", steps=1, total_steps=100)
        whole, score = (1000, 90.0) if job.trial == 2 else (100, 10.0)
        done = rungs[job.rung - 1] if job.rung else 0.0
        return replace(scored(job, score, rungs), steps=round(whole * (job.share - done)), total_steps=whole)

    scheduler = make(plan(trials=4, rungs=rungs, random_finishers=0))
    drive(scheduler, result)
    assert scheduler.trials[2].state == "finished"


def test_a_long_training_that_breaks_gives_its_share_back() -> None:
    def result(job: Job) -> Outcome:
        if job.trial == 2 and job.rung:
            return Outcome(2, 1, "degenerate", reason="NaN", steps=10, total_steps=600)
        return long_and_best(job) if job.trial else replace(long_and_best(job), score=1.0)

    scheduler = make(plan(trials=9, random_finishers=0))
    drive(scheduler, result)
    assert scheduler.trials[2].state == "degenerate"
    assert [trial for trial in scheduler.trials if trial.why == "forecast" and trial.state == "finished"]


def test_what_is_left_of_a_budget_goes_to_those_it_affords() -> None:
    def length(values: object) -> int:
        return 1000 if float(values["y"]) > 0.6 else 100  # type: ignore[index]

    def result(job: Job) -> Outcome:
        whole = length(job.values)
        score = 50.0 + 30 * float(job.values["y"])
        return replace(scored(job, score), steps=round(whole * (0.8 if job.rung else 0.2)), total_steps=whole)

    scheduler = Scheduler(SPACE, plan(trials=None, budget_steps=6000), 0, starts=STARTS, steps=length)
    drive(scheduler, result)
    left = 6000 - sum(trial.steps for trial in scheduler.trials)
    short = [trial for trial in scheduler.trials if trial.state == "paused" and trial.total_steps == 100]
    assert left < 80 or not short


def test_no_budget_is_kept_for_a_random_finisher_that_is_too_long() -> None:
    """Of a budget of 400, the fifth trial costs 420. It is drawn first, and must not keep the others from it."""
    lengths = {0.1: 30, 0.2: 90, 0.3: 60, 0.4: 16}
    starts = [{"x": 0.1, "y": y, "kind": "a"} for y in lengths]

    def length(values: object) -> int:
        return lengths.get(values["y"], 420)  # type: ignore[index]

    def result(job: Job) -> Outcome:
        whole = length(job.values)
        score = {0: 38.9, 1: 46.0, 2: 21.2, 3: 31.0}.get(job.trial, 46.5) - 2 * job.rung
        return replace(scored(job, score), steps=round(whole * (0.8 if job.rung else 0.2)), total_steps=whole)

    for seed in range(6):
        scheduler = Scheduler(SPACE, plan(trials=None, budget_steps=400), seed, starts=starts, steps=length)
        drive(scheduler, result)
        assert all(trial.total_steps == 420 for trial in scheduler.trials if trial.state == "paused")


# seeds with which it stayed paused while the budget was kept for a training of mean length
@pytest.mark.parametrize(
    ("kind", "seed"), [*[("steps", seed) for seed in (32, 42, 47, 54)], *[("trials", seed) for seed in (19, 63, 66)]]
)
def test_the_best_early_is_finished_at_the_end(kind: str, seed: int) -> None:
    """Trainings of 50 to 150 updates, by their points; the early score tells of the final one."""
    at = random.Random(seed)

    def length(values: object) -> int:
        own = random.Random(round(float(values["y"]) * 1e6) + seed)  # type: ignore[index]
        return max(10, round(100 * own.uniform(0.5, 1.5)))

    def result(job: Job) -> Outcome:
        own, whole = random.Random(f"{seed} {job.trial}"), length(job.values)
        final = own.gauss(50, 10)
        score = final if job.rung else final - 8 + own.gauss(0, 5)
        steps = max(1, round(job.share * whole)) - (max(1, round(0.2 * whole)) if job.rung else 0)
        return Outcome(job.trial, job.rung, "scored", score, steps=steps, total_steps=whole, seconds=float(steps))

    drawn = [at.randrange(900), at.randrange(900), at.randrange(15), at.randrange(900)]
    updates, trials = (600 + drawn[0], None) if kind == "steps" else (None, 6 + drawn[2])
    settings = plan(trials=trials, budget_steps=updates, random_finishers=at.choice([0, 2]))
    scheduler = Scheduler(SPACE, settings, seed, starts=STARTS, steps=length)
    drive(scheduler, result)
    best = max(scheduler.trials, key=lambda trial: trial.scores[0])
    assert best.state == "finished"
    assert updates is None or sum(trial.steps for trial in scheduler.trials) <= updates
    assert trials is None or len(scheduler.trials) == trials


@pytest.mark.parametrize("kind", ["failed", "memory"])
def test_a_budget_ends_though_what_fails_costs_nothing(kind: str) -> None:
    def result(job: Job) -> Outcome:
        return hill(job) if job.trial < 2 else Outcome(job.trial, job.rung, kind, reason="no")  # type: ignore[arg-type]

    scheduler = make(plan(trials=None, budget_steps=1000))
    drive(scheduler, result)
    assert len(scheduler.trials) < 20 and scheduler.trials[0].state == "finished"


def test_starts_that_are_one_point_are_tried_once() -> None:
    few = lambda values, taken: {**values, "y": 0.5, "kind": "a", "x": 0.1}  # noqa: E731
    scheduler = Scheduler(SPACE, plan(trials=4), 0, starts=STARTS, steps=lambda _: WHOLE, settle=few)
    drive(scheduler)
    assert [trial.start for trial in scheduler.trials][:2] == [True, False]


def test_nobody_without_a_chance_is_promoted() -> None:
    def hopeless(job: Job) -> Outcome:
        return scored(job, 90.0 if job.trial == 0 else 10 + job.trial / 10)

    scheduler = make(plan())
    drive(scheduler, hopeless)
    assert not [trial for trial in scheduler.trials if trial.why == "forecast"]


def test_a_degenerate_trial_is_never_promoted_and_counts_as_the_worst() -> None:
    def half_bad(job: Job) -> Outcome:
        if float(job.values["y"]) > 0.6:
            return Outcome(job.trial, job.rung, "degenerate", reason="loss is NaN", steps=3, total_steps=WHOLE)
        return hill(job)

    scheduler = make(plan())
    jobs = drive(scheduler, half_bad)
    bad = {trial.number for trial in scheduler.trials if trial.state == "degenerate"}
    assert bad and not [job for job in jobs if job.trial in bad and job.rung > 0]
    assert scheduler.summary().degenerate == len(bad)
    assert all(scheduler.trials[number].reason == "loss is NaN" for number in bad)


def test_out_of_memory_narrows_the_space_and_the_search_goes_on() -> None:
    space = Space({"batch_size": Choice([2, 4, 8, 16]), "x": SPACE.parameters["x"]}, free=True)

    def small(job: Job) -> Outcome:
        if int(job.values["batch_size"]) > 4:
            return Outcome(job.trial, job.rung, "memory", reason="out of memory")
        return scored(job, float(job.values["x"]))

    scheduler = Scheduler(space, plan(trials=20), 0, starts=[{"batch_size": 4, "x": 0.1}])
    drive(scheduler, small)
    failed = [trial for trial in scheduler.trials if trial.memory]
    assert failed and len(failed) <= 2  # 16, then 8
    assert scheduler.space.caps["batch_size"] <= 4
    after = [trial.values["batch_size"] for trial in scheduler.trials[failed[-1].number + 1 :]]
    assert after and max(after) <= 4


def test_several_rungs() -> None:
    rungs = (0.1, 0.3, 1.0)
    scheduler = make(plan(rungs=rungs, trials=27))
    drive(scheduler, lambda job: scored(job, hill(job).score or 0.0, rungs))
    reached = Counter(max(trial.scores) for trial in scheduler.trials)
    assert reached[0] > reached[1] + reached[2] > reached[2] >= 3
    assert all(trial.steps == round(WHOLE * rungs[max(trial.scores)]) for trial in scheduler.trials)
    assert {trial.state for trial in scheduler.trials if trial.why in ("baseline", "random")} == {"finished"}


def test_one_rung_is_training_everyone_to_the_end() -> None:
    scheduler = make(plan(rungs=(1.0,), trials=5))
    jobs = drive(scheduler, lambda job: scored(job, hill(job).score or 0.0, (1.0,)))
    assert [(job.trial, job.share) for job in jobs] == [(number, 1.0) for number in range(5)]
    assert scheduler.summary().cost_fraction == 1 and scheduler.summary().correlation is None


def test_a_paused_trial_can_be_resumed_after_the_end_and_again_after_a_restart() -> None:
    scheduler = make(plan())
    drive(scheduler)
    loser = min((t for t in scheduler.trials if t.state == "paused"), key=lambda t: t.scores[0])
    scheduler.resume(loser.number)
    assert not scheduler.done
    assert drive(scheduler) == [Job(loser.number, 1, 1.0, dict(loser.values))]
    assert scheduler.trials[loser.number].state == "finished" and scheduler.trials[loser.number].why == "asked"
    with pytest.raises(InputError, match="only a paused trial"):
        scheduler.resume(loser.number)
    with pytest.raises(InputError, match="unknown"):
        scheduler.resume(99)


def test_what_was_not_given_out_is_not_taken() -> None:
    scheduler = make(plan())
    job = scheduler.next()
    assert job is not None
    for wrong in (Outcome(5, 0, "scored", 1.0), Outcome(0, 1, "scored", 1.0), Outcome(-1, 0, "scored", 1.0)):
        with pytest.raises(InputError, match="no job"):
            scheduler.tell(wrong)
    for score in (None, float("nan"), float("inf")):
        with pytest.raises(InputError, match="finite score"):
            scheduler.tell(Outcome(0, 0, "scored", score))
    scheduler.tell(hill(job))
    with pytest.raises(InputError, match="paused at rung 0"):
        scheduler.tell(hill(job))


def test_a_budget_below_the_baseline_is_refused_and_one_of_it_gives_the_baseline() -> None:
    with pytest.raises(InputError, match="at least 100"):
        make(plan(trials=None, budget_steps=99))
    scheduler = make(plan(trials=None, budget_steps=100))
    assert [(job.trial, job.rung) for job in drive(scheduler)] == [(0, 0), (0, 1)]
    with pytest.raises(InputError, match="a budget must be given"):
        plan(trials=None)
    with pytest.raises(InputError, match="must ascend from above 0 to 1"):
        plan(rungs=(0.2, 0.5))
    with pytest.raises(InputError, match="must ascend"):
        plan(rungs=(0.5, 0.2, 1.0))


def test_a_budget_in_hours_is_kept_by_what_was_measured() -> None:
    scheduler = make(plan(trials=None, budget_hours=20 / 3600))
    drive(scheduler, lambda job: scored(job, hill(job).score or 0.0))
    assert 12 <= sum(trial.seconds for trial in scheduler.trials) <= 22


def test_a_gaussian_process_over_conditional_settings_is_refused() -> None:
    space = Space.of("method: [full, lora]\nlora_r: {options: [4, 8], when: {method: lora}}")
    with pytest.raises(InputError, match="conditional"):
        Scheduler(space, plan(sampler="gp"), 0)


def test_a_finite_space_ends_the_search() -> None:
    space = Space({"kind": Choice(["a", "b", "c"]), "k": Choice([1, 2])}, free=True)
    scheduler = Scheduler(space, plan(trials=50), 0, starts=[{"kind": "b", "k": 2}])
    drive(scheduler, lambda job: scored(job, float(job.values["k"]) + job.rung))
    points = [tuple(trial.values.items()) for trial in scheduler.trials]
    assert len(points) == len(set(points)) == 6


@pytest.mark.parametrize("sampler", ["gp", "tpe", "random"])
def test_models_find_the_hill_better_than_chance(sampler: str) -> None:
    found = []
    for seed in range(3):
        scheduler = make(plan(sampler=sampler, trials=20), seed=seed)
        drive(scheduler, workers=2)
        best = scheduler.summary().best
        assert best is not None
        found.append(best.scores[1])
    assert min(found) > (62 if sampler == "random" else 65)


KINDS = st.lists(
    st.sampled_from(["scored", "scored", "scored", "scored", "degenerate", "failed", "memory"]), min_size=1
)


@settings(max_examples=60, deadline=None)
@given(
    kinds=KINDS,
    order=st.lists(st.integers(0, 7), min_size=1),
    workers=st.integers(1, 8),
    budget=st.one_of(st.none(), st.integers(100, 300), st.integers(100, 1200)),
    trials=st.one_of(st.none(), st.integers(1, 20)),
    finishers=st.integers(0, 3),
)
def test_whatever_comes_back_in_whatever_order(
    kinds: list[str], order: list[int], workers: int, budget: int | None, trials: int | None, finishers: int
) -> None:
    if budget is None and trials is None:
        trials = 8
    scheduler = make(plan(trials=trials, budget_steps=budget, random_finishers=finishers))
    turn, told = iter(range(10**6)), Counter()

    def result(job: Job) -> Outcome:
        kind = kinds[(3 * job.trial + job.rung) % len(kinds)]
        told[job.trial, job.rung] += 1
        good = hill(job)
        return good if kind == "scored" else Outcome(job.trial, job.rung, kind, reason=kind, steps=good.steps // 2)  # type: ignore[arg-type]

    def watch(running: list[Job]) -> None:
        assert len(running) <= workers
        assert len({job.trial for job in running}) == len(running)
        if budget is not None:
            under_way = sum(hill(job).steps for job in running)
            assert sum(trial.steps for trial in scheduler.trials) + under_way <= budget

    drive(scheduler, result, workers, lambda n: order[next(turn) % len(order)] % n, watch)
    found = scheduler.trials
    assert [trial.number for trial in found] == list(range(len(found)))
    assert trials is None or len(found) <= trials
    assert set(told.values()) <= {1}  # every job once
    for trial in found:
        assert trial.state in ("paused", "finished", "degenerate", "failed")
        assert (trial.state == "finished") == (1 in trial.scores)
        assert trial.steps > 0 or trial.state in ("degenerate", "failed")
    assert found[0].state != "paused"  # the baseline is finished, or ended badly
    drawn = [trial for trial in found if trial.why == "random" and trial.state == "finished"]
    left = [trial for trial in found if trial.state == "paused" and not trial.why]
    room = budget is None or budget - sum(trial.steps for trial in found) >= 80
    assert len(drawn) >= finishers or not left or not room
