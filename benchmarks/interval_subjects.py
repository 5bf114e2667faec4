"""How often the intervals of an evaluation's table hold the truth where several questions are about one subject.

    python benchmarks/interval_subjects.py [--samples 500]

A share of right answers, and the mean over four memory levels: by question, by the design effect (until 2026-11-28) and
with the subject as the unit (`by_cluster`, what tables say); the difference of two models by their mean over levels
likewise. How often the best of seven equal rungs seems better than the tuned model, when questions or subjects are
halved into those that choose and those that judge. And how many questions are said to tell two models apart, by a large
test, and how often so many do. The tables are those of docs/statistics.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

import numpy as np
from interval_clusters import by_design_effect
from numpy.typing import NDArray
from scipy.special import ndtri

from recollect.core.estimates import (
    Estimate,
    Pairs,
    by_cluster,
    clustered_difference,
    macro_mean,
    paired,
    proportion,
    questions_needed,
    units_needed,
)
from recollect.core.random import halves

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
LEVELS = 4
SIZES = {"two each": (2,), "one to eight": (1, 1, 1, 2, 2, 3, 5, 8), "ten each": (10,)}
"""Questions of a subject, in turn."""


def subjects_of(sizes: Sequence[int], questions: int) -> Ints:
    """The subject of each question."""
    found: list[int] = []
    while len(found) < questions:
        subject = found[-1] + 1 if found else 0
        found += [subject] * sizes[subject % len(sizes)]
    return np.asarray(found[:questions])


def draw(rng: np.random.Generator, subjects: Ints, rates: NDArray[np.float64], alike: float) -> Bools:
    """Right or wrong; alike: the correlation of a subject's questions on the normal scale."""
    own = rng.normal(size=subjects.max() + 1)[subjects]
    shared = math.sqrt(alike) * own + math.sqrt(1 - alike) * rng.normal(size=len(subjects))
    found: Bools = shared < ndtri(rates)
    return found


def told(ends: Sequence[tuple[float, float]], truth: float) -> str:
    """Coverage in percent, and half the width in points."""
    low, high = np.asarray(ends).T
    held = (low <= truth + 1e-9) & (truth - 1e-9 <= high)
    return f"{100 * held.mean():.1f} (±{50 * np.mean(high - low):.1f})"


def _ends(one: Estimate) -> tuple[float, float]:
    return one.low, one.high


def shares_table(samples: int) -> None:
    """Print it."""
    rng = np.random.default_rng(31)
    sys.stdout.write(
        "| questions | | right | ρ | by question | by design effect | as pages |\n|---|---|---|---|---|---|---|\n"
    )
    for questions in (20, 60, 240):
        for name, sizes in SIZES.items():
            for rate in (0.05, 0.5, 0.9):
                for alike in (0.0, 0.5, 0.95):
                    if alike != 0.5 and rate == 0.9:
                        continue
                    subjects = subjects_of(sizes, questions)
                    found: tuple[list[tuple[float, float]], ...] = ([], [], [])
                    for _ in range(samples):
                        right = draw(rng, subjects, np.full(questions, rate), alike).tolist()
                        alone = proportion(sum(right), questions)
                        found[0].append(_ends(alone))
                        found[1].append(_ends(by_design_effect(alone, right, subjects.tolist())))
                        found[2].append(_ends(by_cluster(alone, right, subjects.tolist())))
                    cells = " | ".join(told(one, rate) for one in found)
                    sys.stdout.write(f"| {questions} | {name} | {100 * rate:.0f} % | {alike:g} | {cells} |\n")
                    sys.stdout.flush()


def macro_table(samples: int) -> None:
    """Print it: a mean over levels, and a difference of two such."""
    rng = np.random.default_rng(32)
    ways = "by question | by design effect | as pages"
    sys.stdout.write(f"\n| questions | | ρ | mean: {ways} | difference: {ways} |\n|{'---|' * 9}\n")
    rates = np.array([0.1, 0.4, 0.7, 0.9])
    for questions in (60, 240):
        for name, sizes in SIZES.items():
            for alike in (0.0, 0.5, 0.95):
                subjects = subjects_of(sizes, questions)
                found: tuple[list[tuple[float, float]], ...] = ([], [], [], [], [], [])
                for _ in range(samples):
                    level = rng.permutation(np.arange(questions) % LEVELS)
                    own = rng.normal(size=questions)
                    first, second = (draw(rng, subjects, rates[level], alike) for _ in range(2))
                    same = own < 0  # of half of the questions both models say the same
                    second = np.where(same, first, second)
                    at = [level == one for one in range(LEVELS)]
                    mean = macro_mean([int(first[one].sum()) for one in at], [int(one.sum()) for one in at])
                    gap = paired([Pairs.of(first[one].tolist(), second[one].tolist()) for one in at])
                    names, groups = subjects.tolist(), level.tolist()
                    change = (second.astype(float) - first).tolist()
                    for place, one in enumerate(
                        (
                            mean,
                            by_design_effect(mean, first.tolist(), names, groups),
                            by_cluster(mean, first.tolist(), names, groups),
                            gap,
                            by_design_effect(gap, change, names, groups),
                            by_cluster(gap, change, names, groups, least=-1.0),
                        )
                    ):
                        found[place].append(_ends(one))
                cells = [told(one, float(rates.mean())) for one in found[:3]] + [told(one, 0.0) for one in found[3:]]
                sys.stdout.write(f"| {questions} | {name} | {alike:g} | {' | '.join(cells)} |\n")
                sys.stdout.flush()


def ladder_table(samples: int) -> None:
    """Print it: the gain of the best of seven rungs that are worth as much as the tuned model."""
    rng = np.random.default_rng(33)
    ways = ("halved and counted by question", "counted by subject", "halved and counted by subject")
    sys.stdout.write(f"\n| subjects | ρ | {' | '.join(ways)} |\n|---|---|---|---|---|\n")
    for name, sizes in (("two each", (2,)), ("ten each", (10,))):
        for alike in (0.0, 0.5, 0.95):
            subjects = subjects_of(sizes, 200)
            ids = [f"{at:03}" for at in range(200)]
            found: list[list[tuple[float, bool]]] = [[], [], []]
            for _ in range(samples):
                rungs = [draw(rng, subjects, np.full(200, 0.5), alike) for _ in range(8)]
                seed = int(rng.integers(1 << 30))
                for place, units in enumerate((None, None, subjects.tolist())):
                    chosen, _ = halves(ids, [0] * 200, seed, units)
                    choosing = np.asarray([one in chosen for one in ids])
                    best = max(range(1, 8), key=lambda at: float(rungs[at][choosing].mean()))
                    first, second, own = rungs[0][~choosing], rungs[best][~choosing], subjects[~choosing]
                    gain = paired([Pairs.of(first.tolist(), second.tolist())])
                    if place:
                        gain = by_cluster(gain, (second.astype(float) - first).tolist(), own.tolist(), least=-1.0)
                    found[place].append((gain.value, gain.low > 0))
            cells = []
            for one in found:
                value, said = np.asarray(one, dtype=float).T
                cells.append(f"{100 * value.mean():+.1f}, {100 * said.mean():.1f} %")
            sys.stdout.write(f"| {name} | {alike:g} | {' | '.join(cells)} |\n")
            sys.stdout.flush()


def changes(rng: np.random.Generator, subjects: Ints, alike: float) -> NDArray[np.int64]:
    """Changes of an 8 points better model: won 20 %, lost 12 %; alike: of subjects with one outcome for all."""
    own, shared = (rng.choice([-1, 0, 1], size, p=[0.12, 0.68, 0.2]) for size in (len(subjects), subjects.max() + 1))
    found: NDArray[np.int64] = np.where((rng.random(subjects.max() + 1) < alike)[subjects], shared[subjects], own)
    return found


def power_table(samples: int) -> None:
    """Print it: 80 % are promised."""
    rng = np.random.default_rng(34)
    sys.stdout.write("\n| questions of a subject | alike | by question: said, seen | by subject: said, seen |\n")
    sys.stdout.write("|---|---|---|---|\n")
    for each in (2, 4):
        for alike in (0.0, 0.5, 1.0):
            pilot = subjects_of((each,), 200_000)
            change = changes(rng, pilot, alike)
            pairs = Pairs.of((change < 0).tolist(), (change > 0).tolist())
            wide = clustered_difference((change < 0).tolist(), (change > 0).tolist(), pilot.tolist())
            asked = (questions_needed(pairs) or 0) // each, units_needed(wide, len(set(pilot.tolist()))) or 0
            cells = []
            for number in asked:
                subjects, seen = subjects_of((each,), each * number), 0
                for _ in range(samples):
                    found = changes(rng, subjects, alike)
                    sides = (found < 0).tolist(), (found > 0).tolist()
                    seen += clustered_difference(*sides, subjects.tolist()).low > 0
                cells.append(f"{each * number}, {100 * seen / samples:.0f} %")
            sys.stdout.write(f"| {each} | {alike:g} | {' | '.join(cells)} |\n")
            sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """All tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=500)
    samples = parser.parse_args(arguments).samples
    shares_table(samples)
    macro_table(samples)
    ladder_table(max(100, samples // 4))
    power_table(max(100, samples // 2))


if __name__ == "__main__":
    main()
