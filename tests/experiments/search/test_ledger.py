"""The study as ledger: what Optuna sees, going on after any stop, and one loop at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from helpers_schedule import SPACE, STARTS, WHOLE, drive, hill, make, scored
from recollect.errors import InputError, StepError
from recollect.experiments.search import Choice, Job, Outcome, Plan, Scheduler, Space
from recollect.experiments.search import storage as storage_module
from recollect.experiments.search.storage import open_storage, quiet

PLAN = Plan(trials=10, sampler="random")


def sometimes_bad(job: Job) -> Outcome:
    """Trial 3 degenerates, trial 4 fails, trial 5 runs out of memory."""
    kinds = {3: "degenerate", 4: "failed", 5: "memory"}
    if job.trial in kinds:
        return Outcome(job.trial, job.rung, kinds[job.trial], reason="why", steps=2, total_steps=WHOLE)  # type: ignore[arg-type]
    return hill(job)


def test_optuna_sees_every_trial_as_what_it_is(tmp_path: Path) -> None:
    with make(PLAN, tmp_path / "journal.log") as scheduler:
        drive(scheduler, sometimes_bad)
        trials = scheduler.trials
    with quiet():
        study = optuna.load_study(study_name="recollect", storage=open_storage(tmp_path / "journal.log"))
    states = {"finished": "COMPLETE", "degenerate": "PRUNED", "failed": "FAIL", "paused": "RUNNING"}
    for trial, frozen in zip(trials, study.trials, strict=True):
        assert frozen.state == TrialState[states[trial.state]]
        assert frozen.params == trial.values
        assert frozen.user_attrs["state"] == trial.state and frozen.user_attrs["steps"] == trial.steps
        assert frozen.intermediate_values == {(20, 100)[rung]: score for rung, score in trial.scores.items()}
        assert frozen.user_attrs.get("score_20") == trial.scores.get(0)
        if trial.state == "finished":
            assert frozen.value == trial.scores[1]
        if trial.state == "paused":
            assert frozen.user_attrs["forecast"]["sd"] > 0
    assert (
        study.best_trial.number
        == max((trial for trial in trials if trial.state == "finished"), key=lambda trial: trial.scores[1]).number
    )
    assert study.user_attrs["seed"] == 0 and "learning" not in study.user_attrs["space"]
    assert set(optuna.importance.get_param_importances(study)) == {"x", "y", "kind"}


def test_the_dashboard_reads_our_studies(tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    with make(PLAN, tmp_path / "journal.log") as scheduler:
        drive(scheduler, sometimes_bad)
    app = dashboard.wsgi(open_storage(tmp_path / "journal.log"))
    import io
    import json

    def get(path: str) -> dict:  # type: ignore[type-arg]
        status: list[str] = []
        where, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": where,
            "QUERY_STRING": query,
            "SERVER_NAME": "here",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
        }
        body = b"".join(app(environ, lambda line, headers, error=None: status.append(line)))
        assert status[0].startswith("200"), (path, status, body[:200])
        return json.loads(body)  # type: ignore[no-any-return]

    [summary] = get("/api/studies")["study_summaries"]
    assert summary["study_name"] == "recollect"
    detail = get(f"/api/studies/{summary['study_id']}?after=0")
    assert len(detail["trials"]) == 10
    assert {trial["state"] for trial in detail["trials"]} == {"Complete", "Pruned", "Fail", "Running"}


@settings(max_examples=15, deadline=None)
@given(stops=st.lists(st.integers(0, 25), max_size=6), sampler=st.sampled_from(["gp", "tpe", "random"]))
def test_stopped_anywhere_and_made_anew_it_goes_on_as_if_it_had_not(stops: list[int], sampler: str) -> None:
    plan = Plan.make(trials=9, sampler=sampler)
    whole = make(plan)
    drive(whole, sometimes_bad)
    storage = InMemoryStorage()
    scheduler, step = make(plan, storage), 0
    ran: list[tuple[int, int]] = []
    while not scheduler.done:
        job = scheduler.next()
        assert job is not None
        if step in stops:  # the job is lost with the process
            stops = [at for at in stops if at != step]
            scheduler.close()
            scheduler = make(plan, storage)
            continue
        step += 1
        ran.append((job.trial, job.rung))
        scheduler.tell(sometimes_bad(job))
    assert len(ran) == len(set(ran))
    assert scheduler.trials == whole.trials
    assert scheduler.space == whole.space
    assert make(plan, storage).trials == whole.trials


def test_a_kill_between_any_two_writes_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(trials=5, sampler="tpe")
    whole = make(plan)
    drive(whole, sometimes_bad)

    class Killed(Exception):
        pass

    storage, left = InMemoryStorage(), [0]
    for name in ("create_new_trial", "set_trial_param", "set_trial_user_attr", "set_trial_intermediate_value"):
        inner = getattr(storage, name)

        def write(*args: object, inner: object = inner, **named: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return inner(*args, **named)  # type: ignore[operator]

        monkeypatch.setattr(storage, name, write)
    kills = 0
    for after in range(5, 10_000, 7):
        left[0] = after % 41 + 3
        try:
            scheduler = make(plan, storage)
            drive(scheduler, sometimes_bad)
        except Killed:
            kills += 1
            continue
        break
    assert kills > 3
    assert scheduler.trials == whole.trials


def test_a_raised_budget_goes_on_and_anything_else_is_refused() -> None:
    journal = InMemoryStorage()
    with make(PLAN, journal) as scheduler:
        drive(scheduler)
    with make(PLAN.model_copy(update={"trials": 14}), journal) as scheduler:
        assert not scheduler.done
        drive(scheduler)
        assert len(scheduler.trials) == 14
    with pytest.raises(StepError, match="begun with plan"):
        make(PLAN.model_copy(update={"promote": 0.5}), journal)
    with pytest.raises(StepError, match="begun with seed 0"):
        make(PLAN, journal, seed=1)
    with pytest.raises(StepError, match="another search space"):
        make(PLAN, journal, space=Space({**SPACE.parameters, "kind": Choice(["a", "c"])}, free=True))


def test_a_study_of_others_is_refused() -> None:
    storage = InMemoryStorage()
    with quiet():
        optuna.create_study(storage=storage, study_name="recollect").ask()
    with pytest.raises(StepError, match="not ours"):
        make(PLAN, storage)


def test_a_storage_that_cannot_be_opened_is_said_so() -> None:
    with pytest.raises(InputError, match="grpc://host:port"):
        open_storage("grpc://nowhere")
    with pytest.raises(InputError, match="needs psycopg.*not installed.*another driver"):
        open_storage("postgresql+psycopg://nobody@nowhere/nothing")
    with pytest.raises(InputError, match="cannot be opened"):
        open_storage("nosuchdatabase://here")


def test_two_loops_on_one_journal_are_refused(tmp_path: Path) -> None:
    first = make(PLAN, tmp_path / "journal.log")
    with pytest.raises(StepError, match="another search is at work"):
        make(PLAN, tmp_path / "journal.log")
    first.close()
    make(PLAN, tmp_path / "journal.log").close()


def test_the_lock_of_a_killed_loop_is_free(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    code = (
        "import sys, time; from pathlib import Path; from helpers_schedule import make; "
        "from recollect.experiments.search import Plan; "
        "s = make(Plan(trials=10, sampler='random'), Path(sys.argv[1])); "
        "print(s.next().trial, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(journal)], stdout=subprocess.PIPE, env=environment, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "0\n"
        with pytest.raises(StepError, match="another search"):
            make(PLAN, journal)
        other.send_signal(signal.SIGKILL)
    with make(PLAN, journal) as scheduler:
        job = scheduler.next()
        assert job is not None and (job.trial, job.rung, job.values) == (0, 0, STARTS[0])


def test_two_loops_on_one_database_are_refused_until_the_lease_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    few = Plan(trials=2, sampler="random", random_finishers=0)
    first = make(few, url)
    with pytest.raises(StepError, match="its lease ends"):
        make(few, url)
    drive(first)
    first.close()
    second = make(few, url)
    assert second.done and second.trials == first.trials
    now = time.time()
    monkeypatch.setattr(storage_module.time, "time", lambda: now + 2 * storage_module.LEASE)
    third = make(few, url)  # the second was killed long ago, for all that is known
    third.close()
    second.close()


def test_narrowing_is_found_again_in_the_ledger() -> None:
    storage = InMemoryStorage()
    space = Space({"batch_size": Choice([2, 4, 8]), "k": Choice(list(range(9)))}, free=True)

    def fresh() -> Scheduler:
        return Scheduler(space, PLAN, 0, storage, starts=[{"batch_size": 8, "k": 0}])

    scheduler = fresh()
    job = scheduler.next()
    assert job is not None
    scheduler.tell(Outcome(0, 0, "memory", reason="out of memory"))
    assert fresh().space.caps == scheduler.space.caps == {"batch_size": 4}


def test_scores_of_other_rungs_have_their_own_names() -> None:
    rungs = (0.1, 0.3, 1.0)
    scheduler = make(Plan(trials=6, rungs=rungs, sampler="random"))
    drive(scheduler, lambda job: scored(job, hill(job).score or 0.0, rungs))
    first = scheduler.study.trials[0]
    assert set(first.intermediate_values) == {10, 30, 100}
    assert {"score_10", "score_30", "score_100"} <= set(first.user_attrs)
