"""How often the verdicts of Attribute Extraction's findings are wrong, on simulated data curves and searches.

    python benchmarks/findings_pages.py [--studies 300]

Each check alone at 95 % and at 99.5 % (as among ten checks), and all checks of a study together by Holm's steps. A
verdict is wrong when it confirms what is not so, or refutes what is. The table is in docs/statistics.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers_extracted import Pages, Trials, exact_curve, extracted
from recollect.core.estimates import decide
from recollect.report.chapters.findings.checks import amount
from recollect.report.chapters.findings.checks.check import Check
from recollect.report.chapters.findings.checks.extracted import Extracted
from recollect.report.chapters.findings.judge import EXTRACTED

Settings = Mapping[str, float | str]
BY_CURVE = {13: amount.few_hundred, 14: amount.saturated, 15: amount.rare_late}


def as_published(size: int, attribute: int) -> float:
    """70 % with none, 88 % with 200, best at 6,500; the rare attribute comes late."""
    if attribute == 5:
        return {0: 0.3, 50: 0.4, 200: 0.5, 1000: 0.55, 2000: 0.65, 6500: 0.85, 10000: 0.85}[size]
    return {0: 0.7, 50: 0.85, 200: 0.92, 1000: 0.93, 2000: 0.94, 6500: 0.96, 10000: 0.96}[size]


def turned_round(size: int, attribute: int) -> float:
    """The examples cost at first, then all comes at the end, on common attributes."""
    if attribute == 5:
        return 0.4
    return {0: 0.5, 50: 0.45, 200: 0.4, 1000: 0.45, 2000: 0.45, 6500: 0.35, 10000: 0.8}[size]


def _log(settings: Settings, name: str, low: float, high: float) -> float:
    """From 0 to 1 within the range."""
    return (math.log(float(settings[name])) - math.log(low)) / (math.log(high) - math.log(low))


def _both_high(settings: Settings) -> bool:
    return _log(settings, "learning_rate", 2e-5, 1e-3) > 0.5 and _log(settings, "lora_alpha", 8, 128) > 0.5


def by_rate(settings: Settings) -> float:
    """The best rate lies inside; the others hardly count."""
    return 70 - 60 * (_log(settings, "learning_rate", 2e-5, 1e-3) - 0.4) ** 2 * 4


def by_alpha(settings: Settings) -> float:
    """The same of alpha."""
    return 70 - 60 * (_log(settings, "lora_alpha", 8, 128) - 0.4) ** 2 * 4


Truth = Mapping[str, int]
NOTHING: Truth = {"16.0": 0, "16.1": 0, "17.0": 0, "18.0": 0, "19.0": 0}
"""Of a search's checks on which side of its boundary the truth lies: 1 above, -1 below, 0 on it."""
HOLDS: Truth = dict.fromkeys(NOTHING, 1)
WORLDS: Mapping[str, tuple[Pages, Trials, Truth]] = {
    "no effect": (Pages(), Trials(), NOTHING),
    "no effect, two seeds and searches": (Pages(seeds=2), Trials(searches=2), NOTHING),
    "no effect, 40 pages, 12 trials": (Pages(pages=40), Trials(trials=12), NOTHING),
    "no effect, 40 trials": (Pages(), Trials(trials=40), NOTHING),
    "no effect, values of a page alike": (Pages(alike=3.0), Trials(), NOTHING),
    "no effect, trainings far apart": (Pages(spread=0.1), Trials(noise=20.0), NOTHING),
    "no effect, largest size three times as far apart": (Pages(uneven=3.0), Trials(), NOTHING),
    "no effect, one seed's trainings alike over sizes": (Pages(nested=0.95, spread=0.06), Trials(), NOTHING),
    "no effect, rare answers": (Pages(score=lambda *_: 0.03), Trials(broken=lambda _: 0.0), NOTHING),
    "no effect, half of the trials broken": (Pages(), Trials(broken=lambda _: 0.5), NOTHING),
    "at every margin": (
        Pages(score=lambda size, _: {0: 0.48, 50: 0.49, 200: 0.5, 10000: 0.52}.get(size, 0.5)),
        Trials(),
        NOTHING,
    ),
    "as published": (
        Pages(score=as_published),
        Trials(by_rate, lambda one: 0.9 if _both_high(one) else 0.02, early=0.8, gain=0.1),
        HOLDS,
    ),
    "the opposite": (
        Pages(score=turned_round),
        Trials(by_alpha, lambda one: 0.02 if _both_high(one) else 0.6, early=-0.8, gain=-0.1, trials=40),
        dict.fromkeys(NOTHING, -1),
    ),
}


def checks_of(study: Extracted) -> list[tuple[str, Check]]:
    """All checks by finding and place."""
    return [(f"{number}.{at}", one) for number, test in EXTRACTED.items() for at, one in enumerate(test(study))]


def truth_of(pages: Pages, of_search: Truth) -> dict[str, int]:
    """Of every check on which side of its boundary the truth lies."""
    study, found = Extracted("", exact_curve(pages)), dict(of_search)
    for number, test in BY_CURVE.items():
        for at, one in enumerate(test(study)):
            if one.claimed is not None:
                away = one.claimed.measure.value - one.claimed.boundary
                found[f"{number}.{at}"] = 0 if abs(away) < 1e-9 else (1 if away > 0 else -1)
    return found


def wrong(check: Check, verdict: str, truth: int) -> bool:
    """Whether a verdict is."""
    if verdict == "not decided here" or check.claimed is None:
        return False
    return truth != (1 if (verdict == "confirmed") == (check.claimed.side == "above") else -1)


def simulate(
    world: str, studies: int, seed: int = 1
) -> tuple[dict[float, Counter[str]], Counter[str], Counter[str], int]:
    """Wrong verdicts of each check alone by confidence; of all together: wrong and right by check; studies with any."""
    pages, trials, of_search = WORLDS[world]
    truth, random = truth_of(pages, of_search), np.random.default_rng(seed)
    alone: dict[float, Counter[str]] = {0.95: Counter(), 0.995: Counter()}
    false, right, any_wrong = Counter[str](), Counter[str](), 0
    for _ in range(studies):
        every = [(key, one, one.decidable) for key, one in checks_of(extracted(pages, trials, random))]
        claims = [(key, one, claim) for key, one, claim in every if claim is not None]
        for level, count in alone.items():
            count.update(
                key for key, one, claim in claims if wrong(one, claim.verdict(claim.measure.at(level)), truth[key])
            )
        before = false.total()
        for (key, one, _), (_, verdict) in zip(claims, decide([claim for _, _, claim in claims]), strict=True):
            if wrong(one, verdict, truth[key]):
                false[key] += 1
            elif verdict != "not decided here":
                right[key] += 1
        any_wrong += false.total() > before
    return alone, false, right, any_wrong


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--only", default="")
    asked = parser.parse_args(arguments)
    heads = ("world", "one check at 95 %, at most", "at 99.5 %", "any false verdict", "rightly decided")
    print(f"| {' | '.join(heads)} |\n|---|---|---|---|---|")
    for name in WORLDS:
        if asked.only and asked.only not in name:
            continue
        alone, false, right, any_wrong = simulate(name, asked.studies)
        most = [100 * max(count.values(), default=0) / asked.studies for count in alone.values()]
        told = 100 * right.total() / asked.studies / 10
        line = f"| {name} | {most[0]:.1f} | {most[1]:.1f} | {100 * any_wrong / asked.studies:.1f} | {told:.0f} |"
        print(line, flush=True)
        print(
            "<!--", {level: dict(count) for level, count in alone.items()}, dict(false), dict(right), "-->", flush=True
        )


if __name__ == "__main__":
    main()
