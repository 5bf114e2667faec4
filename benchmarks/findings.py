"""How often the findings' verdicts are wrong, and how often clear worlds are decided, on simulated studies.

    python benchmarks/findings.py [--studies 100] [--models 1]

Every world says what is true of it; a verdict is wrong when it confirms what is not so, or refutes what is. A study
counts as wrong when any of its verdicts is: that may happen in 5 % of studies. The table is in docs/statistics.md.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers_findings import World, exact, study
from recollect.report.chapters.findings.judge import judge
from recollect.report.scores.findings import CheckFound, Findings

PAPER = {  # Token and Parameter Levels, LLaMA-3-8B, 1,920 examples: by training level, accuracy on test level 0 to 4
    "0": (0.0175, 0.1607, 0.5503, 0.7106, 0.8346),
    "1": (0.0098, 0.4012, 0.6393, 0.7419, 0.8422),
    "2": (0.0078, 0.3656, 0.7561, 0.8398, 0.9071),
    "3": (0.0064, 0.2720, 0.7033, 0.8590, 0.9166),
    "4": (0.0064, 0.2426, 0.6828, 0.8329, 0.9319),
    "random": (0.0090, 0.3300, 0.7000, 0.8200, 0.9000),
}
SHAPE = {60: -0.04, 240: 0.0, 960: -0.08}


def as_published(choice: str, size: int, level: int) -> float:
    """As in the paper, with a peak at 240."""
    return max(PAPER[choice][level] + 0.08 + SHAPE[size], 0.005)


WORLDS = {
    "no effect": World(),
    "no effect, two seeds": World(seeds=2),
    "no effect, few facts": World(facts=15),
    "no effect, trainings far apart": World(spread=0.1),
    "no effect, largest size three times as far apart": World(uneven=3.0),
    "no effect, one seed's trainings alike over sizes": World(nested=0.95, spread=0.06),
    "no effect, rare answers": World(
        accuracy=lambda *_: 0.03, base=lambda _: 0.03, few_shot=lambda _: 0.03, rung=lambda *_: 0.03
    ),
    "at every margin": World(
        accuracy=lambda choice, size, level: {60: 0.50, 240: 0.52, 960: 0.52}[size],
        few_shot=lambda level: 0.48,
        rung=lambda order, percent: 0.52 if order == "interpolation" else 0.5,
        memory=(0.2,) * 5,
    ),
    "as published": World(
        accuracy=as_published,
        base=lambda level: 0.1 * level,
        few_shot=lambda level: as_published("random", 60, level) - 0.01,
        kl=lambda choice, size: {60: 0.5, 240: 0.2, 960: 0.6}[size] + 0.06 * (4 - int(choice if choice < "5" else 2)),
        share_top=0.93,
        rung=lambda order, percent: _published_rung(order, percent),
    ),
    "the opposite": World(
        accuracy=lambda choice, size, level: 0.75 - 0.1 * level + {60: -0.3, 240: -0.15, 960: 0.0}[size] / 2
        + (0.08 if choice == "0" else -0.06 if choice == str(level) else 0.0),
        base=lambda level: 0.7,
        few_shot=lambda level: 0.2,
        kl=lambda choice, size: {60: 0.3, 240: 0.5, 960: 0.2}[size],
        share_top=0.6,
        rung=lambda order, percent: {"relative": 0.35, "interpolation": 0.65}.get(order, 0.5),
    ),
}  # fmt: skip


def _published_rung(order: str, percent: float) -> float:
    if order == "relative":
        return {0: 0.55, 1: 0.56, 5: 0.6, 10: 0.63, 20: 0.67, 40: 0.5, 60: 0.02}[percent]
    return {"interpolation": 0.52, "tuned": 0.5, "base": 0.1}.get(order, 0.5)


@dataclass
class Count:
    """What became of some studies of one world."""

    studies: int = 0
    wrong: int = 0
    """Studies with any wrong verdict."""
    tested: int = 0
    right: int = 0
    """Checks decided, and rightly."""
    named: Counter[str] = field(default_factory=Counter)
    """Wrong verdicts by finding."""
    decided: Counter[str] = field(default_factory=Counter)
    """Right verdicts by finding and check."""


def simulate(world: World, studies: int, seed: int, models: int = 1) -> Count:
    """Draw studies of a world and count their verdicts."""
    names = [(f"m{at}" if models > 1 else "", f"model {at}") for at in range(models)]
    truth = _truth(judge([exact(world, *name) for name in names]))
    random, count = np.random.default_rng(seed), Count()
    for _ in range(studies):
        found = judge([study(world, random, *name) for name in names])
        count.studies += 1
        wrong = False
        for key, check in _checks(found):
            if check.effect is None:
                continue
            count.tested += 1
            if check.verdict == "not decided here":
                continue
            if _is_wrong(check, truth[key]):
                wrong = True
                count.named[key] += 1
            else:
                count.right += 1
                count.decided[f"{key} {check.verdict}"] += 1
        count.wrong += wrong
    return count


def _checks(found: Findings) -> Sequence[tuple[str, CheckFound]]:
    return [
        (f"{one.id}.{at} {one.part}".strip(), check) for one in found.findings for at, check in enumerate(one.checks)
    ]


def _truth(found: Findings) -> dict[str, float]:
    return {key: check.value for key, check in _checks(found) if check.value is not None}


def _is_wrong(check: CheckFound, truth: float) -> bool:
    above = (check.verdict == "confirmed") == (check.side == "above")
    return not (truth > check.boundary + 1e-9 if above else truth < check.boundary - 1e-9)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--models", type=int, default=1, help="so many in each study: a grid")
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    print("| world | studies | any false verdict | checks decided rightly |\n|---|---|---|---|")
    for name, world in WORLDS.items():
        if asked.only and asked.only not in name:
            continue
        count = simulate(world, asked.studies, seed=1, models=asked.models)
        rate, right = 100 * count.wrong / count.studies, 100 * count.right / count.tested
        print(f"| {name} | {count.studies} | {rate:.1f} % | {right:.0f} % |", flush=True)
        print("<!--", dict(count.named), dict(count.decided), "-->", flush=True)


if __name__ == "__main__":
    main()
