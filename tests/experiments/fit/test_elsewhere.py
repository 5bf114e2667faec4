"""A fit whose trials run elsewhere: the same result as here, others who join, who dies or stops it, what is refused."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

import recollect
from helpers_fit import TINY, world
from helpers_world import tables
from recollect.cli.main import main
from recollect.core.workspace import read_manifest
from recollect.core.workspace.lease import Leases
from recollect.core.workspace.shared import WORKER, WORKERS, queue_in
from recollect.errors import InputError, MissingExtra, StepError
from recollect.experiments.fit import FitResult, FitSettings, run_fit
from recollect.experiments.fit.elsewhere import at_once, check_place
from recollect.experiments.search.runner import Task
from recollect.experiments.search.shared_trials import SharedTrials, as_json, task_of
from recollect.experiments.search.trial import Job, Outcome
from recollect.experiments.search.validation import Knowledge
from recollect.experiments.study import WorkSettings, run_work
from recollect.train import TrainSettings
from recollect.watch.process import at_work

OWN = {"seconds", "used", "foretold_seconds", "given"}
"""What is each fit's own: its times, and which settings were given."""
WORK = "import sys; from recollect.cli.main import main; sys.argv = ['recollect', 'work', sys.argv[1]]; main()"
FIT = """
    import sys
    from pathlib import Path
    import json
    from helpers_fit import world
    from recollect.experiments.fit import FitSettings, run_fit

    if __name__ == "__main__":
        settings = FitSettings.make(executor="workers", **json.loads(sys.argv[2]))
        run_fit(settings, Path(sys.argv[1]), facts=world())
"""


SMALL = {
    "budget": "3 trials",
    "most_cost": 10,
    "seeds": 1,
    **TINY,
    "train": {"batch_size": 8, "warmup_ratio": 0.0},  # else a trial may be too short for its warm-up
}


def settings(**more: object) -> FitSettings:
    return FitSettings.make(**{**SMALL, **more})


@pytest.fixture(scope="module", name="here")
def _here(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    """A fit of one process."""
    fit = run_fit(settings(), tmp_path_factory.mktemp("fit") / "here", facts=world())
    assert len(fit.found.trials) == 3
    return fit


def same(fit: FitResult, other: FitResult) -> None:
    """The same result, the same steps, and in them the same tables."""
    assert fit.found.model_dump(exclude=OWN) == other.found.model_dump(exclude=OWN)
    names = {str(file.relative_to(other.path)) for file in other.path.rglob("*")}
    assert {str(file.relative_to(fit.path)) for file in fit.path.rglob("*")} == names
    for file in other.path.rglob("manifest.json"):
        place = file.parent.relative_to(other.path)
        assert tables(fit.path / place) == tables(file.parent), place


@pytest.fixture(name="started")
def _started(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Starts Python with this code; what still runs is killed at the end."""
    source = Path(recollect.__file__).resolve().parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{source}{os.pathsep}{Path(__file__).resolve().parents[2]}")
    running: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True))
        return running[-1]

    yield start
    for one in running:
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGKILL)
        one.communicate()


def until(true: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_workers_make_the_same_fit(here: FitResult, tmp_path: Path):
    out, said = tmp_path / "shared", list[str]()
    same(run_fit(settings(executor="workers"), out, facts=world(), say=said.append), here)
    assert f"`recollect work {out}` on any machine that sees the folder takes trials of this search, too" in said
    with pytest.raises(StepError, match="is finished: there is nothing to do"):
        run_work(WorkSettings.make(study=str(out)))


@pytest.mark.slow
def test_who_joins_does_a_part_and_is_told_when_it_is_over(  # type: ignore[no-untyped-def]
    here: FitResult, tmp_path: Path, started
):
    out, joined = tmp_path / "shared", []

    def stage(what, unit, detail=None):  # type: ignore[no-untyped-def]
        if what == "plain fine-tuning":  # there is no search yet, and it waits for that
            joined.append(started(WORK, out))
        return nullcontext(None)

    same(run_fit(settings(executor="workers"), out, facts=world(), stage=stage), here)
    _, told = joined[0].communicate(timeout=300)
    assert joined[0].returncode == 0
    assert "waiting: the search of this fit has not begun" in told
    assert "takes trial" in told
    assert "left: the search of this fit is over." in told


@pytest.mark.slow
def test_ctrl_c_takes_the_work_from_the_others_and_the_same_command_goes_on_elsewhere(here: FitResult, tmp_path: Path):
    out, scored = tmp_path / "shared", []

    def stage(what, unit, detail=None):  # type: ignore[no-untyped-def]
        def pressed(done: int, total: int) -> None:
            if what == "searching":
                scored.extend((out.with_name("shared.partial") / "steps" / "search").glob("trials/*/rung-0.json"))
                raise KeyboardInterrupt

        return nullcontext(pressed)

    with pytest.raises(KeyboardInterrupt):
        run_fit(settings(executor="processes", workers=2), out, facts=world(), stage=stage)
    assert scored
    assert read_manifest(out).metrics["stopped"]
    assert (out / "model" / "model.safetensors").is_file()
    same(run_fit(settings(), out, facts=world()), here)


@pytest.mark.slow
def test_a_fit_that_is_killed_finds_what_its_workers_did_meanwhile(  # type: ignore[no-untyped-def]
    here: FitResult, tmp_path: Path, started
):
    out = tmp_path / "shared"
    search = tmp_path / "shared.partial" / "steps" / "search"
    killed = started(FIT, out, json.dumps(SMALL))
    until(lambda: queue_in(out).is_dir())
    worker = started(WORK, out)
    until(lambda: list(search.glob("trials/*/train.partial")))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not out.exists()
    same(run_fit(settings(executor="workers"), out, facts=world()), here)
    _, told = worker.communicate(timeout=300)
    assert worker.returncode == 0, told
    assert "left: the search of this fit is over." in told


@pytest.mark.slow
def test_slurm_starts_the_workers_and_ends_them(here: FitResult, tmp_path: Path, started) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("submitit")
    said: list[str] = []
    slurm = {"executor": "slurm", "workers": 2, "slurm": {"cluster": "local"}}
    same(run_fit(settings(**slurm), tmp_path / "shared", facts=world(), say=said.append), here)
    assert said[0].startswith("submitted 2 workers")


@pytest.mark.slow
@pytest.mark.timeout(1500)  # Ray's actors are nice to all else
def test_a_ray_cluster_makes_the_same_fit(here: FitResult, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    same(run_fit(settings(executor="ray", workers=1), tmp_path / "ray", facts=world()), here)


def test_where_it_runs_is_no_part_of_what_it_is():
    slurm = settings(executor="slurm", workers=9, slurm={"partition": "gpu"})
    assert slurm.fingerprint_values() == settings().fingerprint_values()
    assert [at_once(one) for one in (slurm, settings(), settings(executor="processes", workers=3))] == [9, 1, 3]


@pytest.mark.parametrize("name", ["workers", "slurm"])
def test_workers_need_a_folder_that_all_of_them_see(name: str):
    with pytest.raises(InputError, match=f"executor {name} wants --out: a folder that all workers share"):
        check_place(settings(executor=name), None)


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_what_is_not_installed_is_told_before_any_work(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"recollect\[{name}\]"):
        check_place(settings(executor=name), tmp_path / "out")


def test_a_fit_of_one_process_has_no_work_for_others(here: FitResult, tmp_path: Path, monkeypatch, capsys):  # type: ignore[no-untyped-def]
    def stage(what, unit, detail=None):  # type: ignore[no-untyped-def]
        if what == "loading the model":
            raise RuntimeError("killed")
        return nullcontext(None)

    with pytest.raises(RuntimeError, match="killed"):
        run_fit(settings(), tmp_path / "alone", facts=world(), stage=stage)
    monkeypatch.setattr("sys.argv", ["recollect", "work", str(tmp_path / "alone")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert "recollect fit --executor workers --out" in capsys.readouterr().err


def test_the_watch_page_knows_the_workers(tmp_path: Path):
    folder = queue_in(tmp_path / "fit") / WORKERS
    folder.mkdir(parents=True)
    with Leases(folder) as workers:
        workers.take(f"{WORKER}me")
        assert [one.pid for one in at_work(tmp_path / "fit")] == [os.getpid()]
    assert at_work(tmp_path / "fit") == []


def test_a_task_is_the_same_after_its_way_to_another_machine(tmp_path: Path):
    (tmp_path / "probe").mkdir()
    given = settings(train={"max_steps": 3, "learning_rate": 1e-4}, evaluate={"max_new_tokens": 4})
    task = Task(
        folder=str(tmp_path),
        facts=str(tmp_path / "facts.parquet"),
        facts_fingerprint="1f",
        levels=str(tmp_path / "probe"),
        train=given.train.over(preset="pocket", seed=3),
        select=recollect.SelectSettings.make(level="mixed"),
        evaluate=given.evaluate.model_copy(update={"parts": "test,ood"}),
        in_json=False,
        base_broken=1 / 3,
        knowledge=Knowledge(frozenset({"b", "a"}), 0.5),
    )
    again = task_of(as_json(task), tmp_path, tmp_path / "facts.parquet", tmp_path / "probe")
    assert again == task
    assert again.train.model_fields_set == task.train.model_fields_set
    assert replace(again, train=TrainSettings()) != task


def test_what_came_of_a_trial_that_raised_goes_with_its_lease(tmp_path: Path):
    work = SharedTrials(replace(_task(tmp_path), folder=str(tmp_path)))
    job = Job(3, 1, 1.0, {"size": 7})
    failed = Outcome(3, 1, "failed", None, "InputError: no")
    assert work.found(job, work.word(job, failed)) == failed
    assert work.found(job, work.word(job, Outcome(3, 1, "scored", 50.0))) is None, "its folder tells, and has nothing"
    assert work.name(job) != work.name(replace(job, values={"size": 8}))


def _task(folder: Path) -> Task:
    train, evaluate = settings().train, settings().evaluate
    return Task(str(folder), "facts", "1f", None, train, recollect.SelectSettings.make(), evaluate, in_json=False)
