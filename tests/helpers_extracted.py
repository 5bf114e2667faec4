"""Invented data curves on pages, and searches for settings, of which the truth is known, for the findings' verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from helpers_findings import Facts
from recollect.core.estimates import Estimate, Trainings
from recollect.report.chapters.findings.checks.extracted import Curved, Extracted, Searched, Tried
from recollect.report.chapters.findings.checks.studied import BASE, UNTRAINED

ATTRIBUTES = {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0, 4: 0.5, 5: 0.25}
"""The share of the pages that have each."""
SIZES = (0, 50, 200, 1000, 2000, 6500, 10000)


@dataclass
class Pages:
    """What is true, and how noisy it is. The defaults are a world without any effect."""

    score: Callable[[int, int], float] = lambda size, attribute: 0.5
    """The true score by number of examples and attribute."""
    sizes: tuple[int, ...] = SIZES
    seeds: int = 3
    pages: int = 80
    alike: float = 1.0
    """How much the values of one page share: spread of the pages' own rates."""
    spread: float = 0.03
    nested: float = 0.5
    uneven: float = 1.0
    """How much larger the spread between trainings is at the largest size."""


@dataclass
class Trials:
    """The same of searches."""

    score: Callable[[Mapping[str, float | str]], float] = lambda settings: 60.0
    """The true final score in points by settings."""
    broken: Callable[[Mapping[str, float | str]], float] = lambda settings: 0.1
    """The chance that such a trial breaks."""
    noise: float = 4.0
    """Luck of a trial, in points."""
    early: float = 0.0
    """Correlation of a trial's luck early and at its end; of the true score too where that is not 0."""
    gain: float = 0.0
    trials: int = 20
    searches: int = 3


def curve(world: Pages, random: np.random.Generator) -> Curved:
    """A data curve drawn from a world."""
    has = random.random((world.pages, len(ATTRIBUTES))) < np.array(list(ATTRIBUTES.values()))
    has[:12, 5] = True  # enough values of the rarest
    page, attribute = np.nonzero(has)
    own = Facts(random, attribute, 1.0, len(ATTRIBUTES))
    scores = {}
    shared = random.normal(0, world.spread, world.seeds)
    pages = random.normal(0, world.alike, world.pages)[page]
    for size in world.sizes:
        alone = random.normal(0, world.spread, world.seeds)
        times = world.uneven if size == world.sizes[-1] else 1.0
        luck = times * (np.sqrt(world.nested) * shared + np.sqrt(1 - world.nested) * alone) if size else np.zeros(1)
        of_page = pages + random.normal(0, world.alike / 2, world.pages)[page]  # and what it does at this size alone
        scores[_cell(size)] = own.answers(lambda at, size=size: world.score(size, at), luck, of_page)
    asked = Trainings(scores, attribute, UNTRAINED, units=page, shared=4.0)
    return Curved(asked, {at: f"attribute {at}" for at in ATTRIBUTES}, dict(ATTRIBUTES))


def exact_curve(world: Pages) -> Curved:
    """The same without any noise: what its numbers come to is the truth."""
    levels = np.repeat(np.arange(len(ATTRIBUTES)), 12)
    scores = {
        _cell(size): np.array([world.score(size, at) for at in range(len(ATTRIBUTES))])[levels][None]
        for size in world.sizes
    }
    asked = Trainings(scores, levels, UNTRAINED, units=np.arange(len(levels)))
    return Curved(asked, {at: f"attribute {at}" for at in ATTRIBUTES}, dict(ATTRIBUTES))


def search(world: Trials, random: np.random.Generator) -> Searched:
    """A search drawn from a world: it proposes near the best so far, and finishes the best early, two and the first."""
    tried: list[Tried] = []
    for _ in range(world.trials):
        settings = _propose(tried, random)
        if random.random() < world.broken(settings):
            tried.append(Tried(settings, None, broken=True))
            continue
        luck = random.normal(0, world.noise)
        rest = np.sqrt(1 - world.early**2) * random.normal(0, world.noise)
        true = world.score(settings)
        early = (0.0 if world.early == 0 else np.sign(world.early) * true) + luck
        tried.append(Tried(settings, float(early), float(true + world.early * luck + rest)))
    whole = [at for at, one in enumerate(tried) if not one.broken]
    best = sorted(whole, key=lambda at: -(tried[at].early or 0.0))[: max(4, world.trials // 3)]
    finished = {*best, *random.choice(whole, 2, replace=False).tolist(), whole[0]}
    trials = [
        one if at in finished else Tried(one.settings, one.early, None, one.broken) for at, one in enumerate(tried)
    ]
    common = random.normal(0, 0.015)
    gains = []
    for _ in range(world.searches):
        seen = world.gain + random.normal(0, 0.02) + common + random.normal(0, 0.01)
        gains.append(Estimate(seen, seen - 1.96 * 0.018, seen + 1.96 * 0.018, 200, "questions"))
    return Searched(0.2, trials, gains)


def _propose(tried: list[Tried], random: np.random.Generator) -> dict[str, float | str]:
    good = [one for one in tried if not one.broken]
    near = max(good, key=lambda one: one.early or 0.0).settings if len(tried) > 4 and good else None
    if near is not None and random.random() < 0.6:
        rate, alpha = (np.log(float(near[name])) + random.normal(0, 0.3) for name in ("learning_rate", "lora_alpha"))
    else:
        rate, alpha = random.uniform(np.log(2e-5), np.log(1e-3)), random.uniform(np.log(8), np.log(128))
    return {
        "learning_rate": float(np.exp(np.clip(rate, np.log(2e-5), np.log(1e-3)))),
        "lora_alpha": float(np.exp(np.clip(alpha, np.log(8), np.log(128)))),
        "lora_dropout": float(random.uniform(0, 0.2)),
        "batch_size": float(random.choice([4, 8, 16, 32])),
        "schedule": str(random.choice(["cosine", "linear"])),
        "size": float(random.integers(30, 2000)),
    }


def extracted(pages: Pages, trials: Trials, random: np.random.Generator, name: str = "") -> Extracted:
    """A study with both."""
    return Extracted(name, curve(pages, random), search(trials, random))


def _cell(size: int) -> tuple[str, int]:
    return ("trained", size) if size else BASE
