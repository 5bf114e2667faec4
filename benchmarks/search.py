"""How good a setting the search finds, and at what cost.

    python benchmarks/search.py replay --data FOLDER [--seeds 30] [--workers 1 8] [--budget 20] [--jobs 2] [--out FILE]
    python benchmarks/search.py real --task facts|pages --out FOLDER [--seeds 3] [--trials 16] [--levels PROBE]
                                   [--to-the-end]

`replay` runs the scheduler and its peers over real training curves (FOLDER holds TaskSet's *.json.gz) with a simulated
clock, so nothing is trained. The budget is in whole trainings. Printed are Markdown tables; --out gets all courses as
JSON, which `--read FILE` prints again, and to which more methods or seeds are added.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def _run(job: tuple[str, str, int, int, float]) -> list[tuple[int, float, int]]:
    """One method on one table: (steps spent, regret, rank) at every change."""
    import optuna
    from search_methods import METHODS, VARIANTS
    from search_table import Table, replay

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    path, method, workers, seed, budget = job
    if path not in _TABLES:
        _TABLES[path] = Table.read(Path(path))
    table: Table = _TABLES[path]  # type: ignore[assignment]
    steps = round(budget * table.last)
    course = replay(table, (METHODS | VARIANTS)[method](table, steps, seed), workers, steps)
    kept: list[tuple[int, float, int]] = []
    for spent, best in course:
        point = (spent, table.regret(best), table.rank(best))
        if not kept or kept[-1][1:] != point[1:] or spent == course[-1][0]:
            kept.append(point)
    return kept


_TABLES: dict[str, object] = {}


def run_replay(given: argparse.Namespace) -> None:
    """Run what is missing from --out, then print the tables."""
    from search_methods import METHODS, VARIANTS
    from search_report import report

    found: dict[str, list[tuple[int, float, int]]] = {}
    if given.out and given.out.is_file():
        found = json.loads(given.out.read_text())
    files = sorted(Path(given.data).glob("*.json.gz"))
    files = [files[at] for at in given.tasks] if given.tasks else files
    if not files:
        raise SystemExit(f"no *.json.gz in {given.data}. Give TaskSet's folder with --data.")
    names = given.methods or list(METHODS)
    if unknown := [name for name in names if name not in METHODS | VARIANTS]:
        raise SystemExit(f"unknown method {unknown[0]!r}. Known: {', '.join(METHODS | VARIANTS)}.")
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    jobs = [
        (str(path), name, workers, seed, budget)
        for name in names
        for workers in given.workers
        for budget in (given.budget, *([given.share * given.budget] if name.startswith("ours") else []))
        for path in files
        for seed in seeds
    ]
    key = {job: "|".join([Path(job[0]).name, *map(str, job[1:])]) for job in jobs}
    missing = [job for job in jobs if key[job] not in found]
    print(f"{len(jobs)} searches, {len(missing)} to run", file=sys.stderr)
    with ProcessPoolExecutor(given.jobs) as pool:
        running = {pool.submit(_run, job): job for job in missing}
        for number, future in enumerate(as_completed(running), 1):
            found[key[running[future]]] = future.result()
            if given.out and (number % 200 == 0 or number == len(missing)):
                given.out.write_text(json.dumps(found))
            if number % 100 == 0:
                print(f"{number} of {len(missing)}", file=sys.stderr, flush=True)
    print(report({key[job]: found[key[job]] for job in jobs}, given.budget, given.share, 50))


def _run_real(given: argparse.Namespace) -> None:
    from search_real import run_real

    run_real(given)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    replay = modes.add_parser("replay", help="real curves, simulated clock")
    replay.add_argument("--data", required=True)
    replay.add_argument("--seeds", type=int, default=30)
    replay.add_argument("--first-seed", type=int, default=0)
    replay.add_argument("--tasks", type=int, nargs="*", help="numbers of the files in order of name; default all")
    replay.add_argument("--workers", type=int, nargs="+", default=[1, 8])
    replay.add_argument("--budget", type=float, default=20, help="in whole trainings")
    replay.add_argument("--share", type=float, default=0.4, help="ours is also run with this share of the budget")
    replay.add_argument("--methods", nargs="*", help="default: the seven of the table")
    replay.add_argument("--jobs", type=int, default=1)
    replay.add_argument("--out", type=Path)
    replay.set_defaults(run=run_replay)
    real = modes.add_parser("real", help="real searches on the pocket (facts) or the pocket shop (pages)")
    real.add_argument("--task", choices=["facts", "pages"], default="facts")
    real.add_argument("--seeds", type=int, default=3)
    real.add_argument("--first-seed", type=int, default=0)
    real.add_argument("--trials", type=int, default=16)
    real.add_argument("--sampler", default="auto")
    real.add_argument("--levels", help="a probe step directory; without it each search probes the base")
    real.add_argument("--to-the-end", action="store_true", help="then train what was left paused too, and compare")
    real.add_argument("--out", type=Path, required=True)
    real.set_defaults(run=_run_real)
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
