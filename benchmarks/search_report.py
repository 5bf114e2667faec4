"""The replay's tables: quality over cost, with intervals over seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

Course = Sequence[tuple[int, float, int]]
_DRAWS = 2000


def at_cost(course: Course, steps: float, column: int = 1) -> float:
    """Regret (column 1) or rank (2) of the best finished setting when so many steps were spent."""
    value: float = 1.0 if column == 1 else 1000
    for row in course:
        if row[0] > steps + 1e-9:
            break
        value = row[column]
    return value


def report(found: Mapping[str, Course], budget: float, share: float, last: int) -> str:
    """Markdown. Keys of `found`: file, method, workers, seed, budget, joined by |."""
    runs: dict[tuple[str, int, float], dict[str, dict[int, Course]]] = defaultdict(lambda: defaultdict(dict))
    for key, course in found.items():
        task, method, workers, seed, given = key.split("|")
        runs[method, int(workers), float(given)][task][int(seed)] = course
    lines = []
    full, part = budget, share * budget
    for workers in sorted({key[1] for key in runs}):
        methods = list(dict.fromkeys(key[0] for key in runs if key[1] == workers))
        tasks = sorted({task for key in runs if key[1] == workers for task in runs[key]})
        seeds = len(next(iter(runs[methods[0], workers, full].values())))
        lines += [
            f"\n{workers} worker{'s' * (workers > 1)}, n = {seeds} seeds on each of {len(tasks)} tasks; mean regret "
            "over seeds, median over tasks [95 % interval]\n",
            f"| method | regret at {part:g} trainings | at {full:g} | median rank of 1,000 at {part:g} | at {full:g} |",
            "|---|---|---|---|---|",
        ]
        for method in methods:
            cells, ranks = [], []
            for cost in (part, full):
                source = runs.get((method, workers, cost)) or runs[method, workers, full]
                table = _matrix(source, tasks, cost * last)
                cells.append(_interval(table))
                ranks.append(f"{np.median(_matrix(source, tasks, cost * last, 2)):.0f}")
            lines.append(f"| {method} | " + " | ".join(cells + ranks) + " |")
        for rival, cost in (("GP to the end", full), ("random", part), ("random", full)):
            for method in methods:
                if method.startswith("ours") and (rival, workers, full) in runs:
                    lines += _duel(
                        runs, method, rival, workers, part if rival != "random" else cost, cost, full, tasks, last
                    )
    return "\n".join(lines)


def _matrix(
    source: Mapping[str, Mapping[int, Course]], tasks: Sequence[str], steps: float, column: int = 1
) -> np.ndarray:
    """(tasks, seeds)"""
    return np.asarray(
        [[at_cost(course, steps, column) for _, course in sorted(source[task].items())] for task in tasks]
    )


def _draws(table: np.ndarray) -> np.ndarray:
    """Bootstrap means over seeds: (draws, tasks)."""
    rng = np.random.default_rng(0)
    picks = rng.integers(table.shape[1], size=(_DRAWS, table.shape[1]))
    return table[:, picks].mean(-1).T


def _interval(table: np.ndarray) -> str:
    low, high = np.quantile(np.median(_draws(table), axis=1), [0.025, 0.975])
    return f"{np.median(table.mean(1)):.3f} [{low:.3f}, {high:.3f}]"


def _duel(
    runs: Mapping,
    method: str,
    rival: str,
    workers: int,
    own: float,
    cost: float,
    full: float,
    tasks: Sequence[str],
    last: int,
) -> list[str]:
    mine = _matrix(runs[method, workers, own], tasks, own * last)
    theirs = _matrix(runs[rival, workers, full], tasks, cost * last)
    gap = mine - theirs
    draws = _draws(gap)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    cells = [f"{gap[at].mean():+.3f} [{low[at]:+.3f}, {high[at]:+.3f}]" for at in range(len(tasks))]
    lo, hi = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return [
        f"\n{method} at {own:g} less {rival} at {cost:g} trainings, by task (below 0: {method} is better): "
        + "; ".join(cells)
        + f". Median {np.median(gap.mean(1)):+.3f} [{lo:+.3f}, {hi:+.3f}]."
    ]
