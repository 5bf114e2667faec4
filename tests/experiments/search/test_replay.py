"""The benchmark's replay: a small table whose answers are known by hand, and the real one where it is there."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from recollect.experiments.search import Job, Outcome

FOLDER = Path(__file__).parents[3] / "benchmarks"
REAL = Path(__file__).parents[3].parent / "shared" / "data" / "taskset"


@pytest.fixture(scope="module", autouse=True)
def on_the_path() -> None:
    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))


def write_table(path: Path, settings: int = 60) -> Path:
    """Curves that fall to a floor which the learning rate decides; the highest rates diverge at evaluation 5 or 20."""
    rng = np.random.default_rng(0)
    rows = []
    for rate in np.logspace(-6, 0, settings):
        floor = 0.3 + 0.1 * (np.log10(rate) + 3) ** 2
        loss = 0.7 + (min(floor, 0.7) - 0.7) * (1 - np.exp(-np.arange(51) / 15))
        if rate > 0.1:
            loss[5 if rate > 0.3 else 20 :] = np.nan
        hp = {"learning_rate": rate} | {name: 10 ** rng.uniform(-6, -1) for name in ("epsilon", "l1", "l2")}
        hp |= {"linear_decay": 10 ** rng.uniform(-7, -4), "exponential_decay": 10 ** rng.uniform(-6, -3)}
        hp |= {"beta1": 1 - 10 ** rng.uniform(-3, -1), "beta2": 1 - 10 ** rng.uniform(-5, -1)}
        rows.append({"hp": hp, "valid": {"loss": loss.tolist()}})
    with gzip.open(path, "wt") as file:
        json.dump(rows, file)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    from search_replay import Table

    return Table.read(write_table(tmp_path_factory.mktemp("table") / "small.json.gz"))


def test_a_job_costs_its_part_of_the_curve_and_a_divergence_ends_it(table) -> None:  # type: ignore[no-untyped-def]
    good, late, soon = table.values[30], table.values[52], table.values[58]
    first = table.outcome(Job(0, 0, 0.2, good), 0)
    assert (first.kind, first.steps) == ("scored", 10)
    assert first.score == pytest.approx(table.scores[30, 10])
    assert table.outcome(Job(0, 1, 1.0, good), 10).steps == 40
    assert (table.outcome(Job(1, 0, 0.2, soon), 0).kind, table.outcome(Job(1, 0, 0.2, soon), 0).steps) == (
        "degenerate",
        5,
    )
    assert table.outcome(Job(2, 0, 0.2, late), 0).kind == "scored"
    assert table.outcome(Job(2, 1, 1.0, late), 10).steps == 10


def test_regret_by_hand(table) -> None:  # type: ignore[no-untyped-def]
    best = int(np.argmax(table.scores[:, -1]))
    assert table.regret(best) == 0.0
    assert table.regret(0) == table.regret(None) == 1.0
    other = best + 3
    by_hand = (table.scores[best, -1] - table.scores[other, -1]) / (table.scores[best, -1] + 0.7)
    assert table.regret(other) == pytest.approx(by_hand)


def test_snapping_takes_the_nearest_free_setting(table) -> None:  # type: ignore[no-untyped-def]
    assert table.snap(table.values[7], []) == table.values[7]
    second = table.snap(table.values[7], [table.values[7]])
    assert second != table.values[7] and second in table.values


def test_the_clock_runs_workers_side_by_side(table) -> None:  # type: ignore[no-untyped-def]
    from search_replay import replay

    class Fixed:
        """Ten full trainings in the order of the table."""

        def __init__(self) -> None:
            self.given, self.told = 0, []

        def next(self) -> Job:
            self.given += 1
            return Job(self.given - 1, 0, 1.0, table.values[20 + self.given])

        def tell(self, outcome: Outcome) -> None:
            self.told.append(outcome.trial)

    method = Fixed()
    course = replay(table, method, 4, 500)
    assert method.told == list(range(10))
    assert [spent for spent, _ in course] == list(range(50, 501, 50))
    assert course[-1][1] == max(range(21, 31), key=lambda row: table.scores[row, -1])


@pytest.mark.filterwarnings("ignore:.*WilcoxonPruner:UserWarning")  # of a best trial that diverged early
def test_every_method_keeps_the_budget_and_finishes_something(table) -> None:  # type: ignore[no-untyped-def]
    import optuna
    from search_peers import METHODS
    from search_replay import replay

    from recollect.experiments.search.storage import quiet

    here = [name for name in METHODS if not name.startswith(("Syne Tune", "NePS"))]
    assert {"ours", "random", "Optuna GP, to the end", "Optuna TPE, SuccessiveHalvingPruner"} <= set(here)
    assert optuna.__version__ >= "5"
    for name in here:
        for workers in (1, 3):
            with quiet():
                course = replay(table, METHODS[name](table, 300, 0), workers, 300)
            assert course[-1][1] is not None, name
            slack = 0 if name == "ours" else 50
            assert course[-1][0] <= 300 + slack, name


def test_ours_finds_a_good_setting_and_random_a_worse_one(table) -> None:  # type: ignore[no-untyped-def]
    from search_peers import METHODS
    from search_replay import replay

    ends = {
        name: np.mean(
            [table.regret(replay(table, METHODS[name](table, 300, seed), 1, 300)[-1][1]) for seed in range(4)]
        )
        for name in ("ours", "random")
    }
    assert ends["ours"] < 0.1
    assert ends["ours"] <= ends["random"]


def test_the_report_reads_courses_at_a_cost() -> None:
    from search_replay import at_cost, report

    course = [(50, 0.5), (120, 0.2)]
    assert [at_cost(course, cost) for cost in (49, 50, 119, 120)] == [1.0, 0.5, 0.5, 0.2]
    found = {
        f"task{task}|{name}|1|{seed}|{budget}": [(50, regret), (1000, regret / 2)]
        for task in "ab"
        for name, regret, budget in (("ours", 0.1, 20), ("ours", 0.2, 8), ("random", 0.4, 20))
        for seed in range(3)
    }
    text = report(found, [8, 20])
    assert "| ours | 0.200 [0.200, 0.200] |  | 0.050 [0.050, 0.050] |  |" in text
    assert "| random | 0.400 [0.400, 0.400] | +0.200 [+0.200, +0.200] | 0.200" in text
    assert "n = 3 seeds on each of 2 tasks" in text


def test_the_real_table() -> None:
    if not REAL.is_dir():
        pytest.skip("the TaskSet curves are not at ../shared/data/taskset")
    from search_replay import ADAM, Table

    table = Table.read(min(REAL.glob("*.json.gz")))
    assert table.scores.shape == (1000, 51) and (table.broken <= 50).sum() == 84
    assert table.snap(ADAM, []) in table.values
    assert table.guess == pytest.approx(-np.log(2), abs=0.01)
