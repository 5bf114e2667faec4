"""How often the stated interval of the correlation of early and final scores holds the true one.

    python benchmarks/search_correlation.py                    # every case, 2,000 searches each: two minutes
    python benchmarks/search_correlation.py --scheduler 200    # and 200 whole searches per case by the real scheduler

Early and final scores are bivariate normal with the true correlation. `n of N`: the best k by early score, r drawn at
random and the baseline are finished, n in all; the interval is for all N. With --scheduler the product's own scheduler
decides who is finished, from forecasts that learn from the final scores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from recollect.core.estimates import Line
from recollect.experiments.search import Float, Job, Outcome, Plan, Scheduler, Space
from recollect.experiments.search.correlation import line

TRUE = (-0.9, -0.5, 0.0, 0.3, 0.6, 0.8, 0.9, 0.95)
CASES = ((4, 4, 0), (6, 2, 2), (8, 3, 2), (10, 3, 1), (16, 5, 2), (20, 4, 2), (40, 13, 2), (40, 40, 0), (60, 38, 2))
"""Trials, best by early score, drawn at random."""


def scores(random: np.random.Generator, trials: int, rho: float) -> tuple[list[float], list[float]]:
    """Early and final scores of all trials: means 50 and 55, standard deviation 10."""
    early = random.standard_normal(trials)
    final = rho * early + np.sqrt(1 - rho**2) * random.standard_normal(trials)
    return (50 + 10 * early).tolist(), (55 + 10 * final).tolist()


def chosen(random: np.random.Generator, early: list[float], best: int, drawn: int) -> list[int]:
    """The best by early score, some at random, and the baseline (trial 0)."""
    order = np.argsort(-np.asarray(early)).tolist()
    rest = [int(at) for at in random.permutation(order[best:])[:drawn]]
    return list(dict.fromkeys([*order[:best], *rest, *([0] if best < len(early) else [])]))


def simulated(random: np.random.Generator, case: tuple[int, int, int], rho: float) -> Line:
    """One search whose finishers are chosen as `case` says."""
    trials, best, drawn = case
    early, final = scores(random, trials, rho)
    return Line(early, [(early[at], final[at]) for at in chosen(random, early, best, drawn)])


def scheduled(random: np.random.Generator, trials: int, rho: float) -> Line:
    """One search by the product's scheduler, in which every point is as good as any."""
    early, final = scores(random, trials, rho)
    space = Space({"x": Float(0, 1)}, free=True)
    scheduler = Scheduler(space, Plan(trials=trials, sampler="random"), 0, starts=[{"x": 0.5}], steps=lambda _: 100)
    while (job := scheduler.next()) is not None:
        scheduler.tell(_outcome(job, early, final))
    return line(scheduler.trials, 1)


def _outcome(job: Job, early: list[float], final: list[float]) -> Outcome:
    score = (final if job.rung else early)[job.trial]
    return Outcome(job.trial, job.rung, "scored", score, steps=80 if job.rung else 20, total_steps=100, seconds=1.0)


def held(make: Callable[[np.random.Generator], Line], rho: float, searches: int, draws: int = 2_000) -> float:
    """The share of searches whose 95 % interval holds the true correlation, of those that state one."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(searches):
        made = make(random)
        if made.measured:
            low, high = np.quantile(made.draws(random, draws), [0.025, 0.975])
            found.append(low <= rho <= high)
    return float(np.mean(found))


def main() -> None:
    """Print one row per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=2_000)
    parser.add_argument("--scheduler", type=int, default=0)
    asked = parser.parse_args()
    print(f"| finished of all | {' | '.join(map(str, TRUE))} |\n|{'---|' * (len(TRUE) + 1)}")
    for case in CASES:
        shares = [held(lambda random: simulated(random, case, rho), rho, asked.searches) for rho in TRUE]  # noqa: B023
        print(
            f"| {min(sum(case[1:]) + 1, case[0])} of {case[0]} | {' | '.join(f'{100 * s:.1f}' for s in shares)} |",
            flush=True,
        )
    for trials in (10, 16, 30) if asked.scheduler else ():
        shares = [held(lambda random: scheduled(random, trials, rho), rho, asked.scheduler) for rho in TRUE]  # noqa: B023
        print(f"| scheduler, {trials} trials | {' | '.join(f'{100 * s:.1f}' for s in shares)} |", flush=True)


if __name__ == "__main__":
    main()
