"""`recollect fit`: its plan, and what it refuses before any work."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from recollect.cli.main import main


@pytest.fixture(name="run")
def _run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["recollect", "fit", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(
        "--dry-run", "--tokens-per-second", 20_000, "--budget", "3 trials", "--price-per-hour", 2, "--json"
    )
    answer = json.loads(out.splitlines()[-1])
    assert code == 0
    assert answer["seconds"] > 0
    assert answer["price"] == pytest.approx(answer["seconds"] / 1800, abs=1e-4)
    assert "the test" in run("--dry-run", "--no-calibrate")[1]
    spent = run("--dry-run", "--tokens-per-second", 20_000, "--budget", "$0.05", "--price-per-hour", 2, "--json")
    assert json.loads(spent[1].splitlines()[-1])["seconds"] <= 1.1 * 90
    assert not list(tmp_path.iterdir())


def test_a_finished_fit_says_that_another_budget_changes_nothing(run, tmp_path, monkeypatch):
    found = SimpleNamespace(budget="12 trials", stopped=False, foretold_seconds=None, seconds=1.0)
    done = SimpleNamespace(found=found, path=tmp_path, model=tmp_path, report=tmp_path, answer={})
    monkeypatch.setattr("recollect.experiments.fit.fit_begun", lambda *_: True)
    monkeypatch.setattr("recollect.experiments.fit.run_fit", lambda *_, **__: done)
    assert "finished with its budget of 12 trials" in " ".join(run("--budget", "30m", "--json")[2].split())
    assert "finished with its budget" not in run("--json")[2]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--budget", "soon"), "such as 30m"),
        (("--budget", "$3"), "price_per_hour"),
        (("--budget", "0m"), "more than nothing"),
        (("--model", "no-such-model"), "recollect models list"),
        (("--data", "nowhere.csv"), "nowhere.csv"),
        (("--executor", "slurm"), "a folder that all workers share"),
        (("--executor", "elsewhere"), "must be one of here, processes, ray, workers, slurm"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(run, tmp_path, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("recollect.cli.fit._first_screen", lambda settings: pytest.fail("the machine was measured"))
    code, _, err = run(*flags, "--yes")
    assert code == 2
    assert said in err
    assert "--facts-count" not in err
    assert not list(tmp_path.iterdir())
