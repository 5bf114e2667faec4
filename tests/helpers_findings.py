"""Invented studies of which the truth is known, for the findings' verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from recollect.compare import Graded
from recollect.core.estimates import Trainings
from recollect.report.chapters.findings.checks.studied import (
    BASE,
    FEW_SHOT,
    UNTRAINED,
    Climbed,
    Drifted,
    Ladders,
    Studied,
)

Accuracy = Callable[[str, int, int], float]
"""The true accuracy by training choice, size and test level."""
CHOICES = ("0", "1", "2", "3", "4", "random")


@dataclass
class World:
    """What is true, and how noisy it is. The defaults are a world without any effect."""

    accuracy: Accuracy = lambda choice, size, level: 0.5
    base: Callable[[int], float] = lambda level: 0.5
    few_shot: Callable[[int], float] = lambda level: 0.5
    kl: Callable[[str, int], float] = lambda choice, size: 0.3
    share_top: float = 0.9
    rung: Callable[[str, float], float] = lambda order, percent: 0.5
    memory: tuple[float, ...] = (0.2,) * 5
    choices: tuple[str, ...] = CHOICES
    sizes: tuple[int, ...] = (60, 240, 960)
    seeds: int = 3
    facts: int = 60
    """Of each level."""
    spread: float = 0.03
    """Standard deviation between trainings, in accuracy."""
    nested: float = 0.5
    """Correlation of one seed's trainings on one choice at several sizes."""
    uneven: float = 1.0
    """How much larger the spread is at the largest size."""
    ability: float = 1.0
    """How unlike the facts of a level are: spread of their own rates."""
    percents: tuple[float, ...] = (1, 5, 10, 20, 40, 60)
    orders: tuple[str, ...] = field(default=("relative", "absolute", "bottom", "random", "interpolation"))


def study(world: World, random: np.random.Generator, name: str = "", model: str = "pocket") -> Studied:
    """A study drawn from a world."""
    levels = np.repeat(np.arange(5), world.facts)
    own = Facts(random, levels, world.ability)
    scores = {BASE: own.answers(world.base, np.zeros(1)), FEW_SHOT: own.answers(world.few_shot, np.zeros(1))}
    kl, drifted = {}, {}
    fact_kl = random.gamma(2.0, 0.5, world.facts)
    for choice in world.choices:
        shared, shared_kl = random.normal(0, world.spread, world.seeds), random.normal(0, 0.1, world.seeds)
        for size in world.sizes:
            times = world.uneven if size == world.sizes[-1] else 1.0
            alone = random.normal(0, world.spread, world.seeds)
            luck = times * (np.sqrt(world.nested) * shared + np.sqrt(1 - world.nested) * alone)
            scores[choice, size] = own.answers(lambda level, c=choice, s=size: world.accuracy(c, s, level), luck)
            own_kl = random.normal(0, 0.1, world.seeds)
            moved = np.sqrt(world.nested) * shared_kl + np.sqrt(1 - world.nested) * own_kl
            mean = world.kl(choice, size) * np.exp(times * moved)
            kl[choice, size] = mean[:, None] * fact_kl * np.exp(random.normal(0, 0.3, (world.seeds, world.facts)))
            known = scores[choice, size][:, levels >= 3].mean(axis=1)
            drifted[choice, size] = [
                Drifted(
                    kl_task=float(m * np.exp(random.normal(0, 0.05))),
                    change=float(np.exp(random.normal(0, 0.1))),
                    known=float(k),
                    share_top=float(np.clip(random.normal(world.share_top, 0.005), 0, 1)),
                )
                for m, k in zip(mean, known, strict=True)
            ]
    return Studied(
        name,
        model,
        "facts",
        Trainings(scores, levels, UNTRAINED),
        Trainings({cell: found.copy() for cell, found in _again(world, random).items()}, levels, UNTRAINED),
        Trainings(kl, np.full(world.facts, 4), least=None, most=None),
        drifted,
        _ladders(world, random, levels),
        graded(random.choice(5, 500, p=world.memory)),
    )


def exact(world: World, name: str = "", model: str = "pocket") -> Studied:
    """The same study without any noise: what its numbers come to is the truth."""
    levels, cells = np.repeat(np.arange(5), 20), [(choice, size) for choice in world.choices for size in world.sizes]

    def of(rate: Callable[[int], float]) -> np.ndarray:
        return np.array([rate(level) for level in range(5)])[levels][None]

    scores = {BASE: of(world.base), FEW_SHOT: of(world.few_shot)}
    scores |= {(c, s): of(lambda level, c=c, s=s: world.accuracy(c, s, level)) for c, s in cells}
    asked = Trainings(scores, levels, UNTRAINED)
    kl = {cell: np.full((1, 20), world.kl(*cell)) for cell in cells}
    drifted = {
        cell: [Drifted(float(kl[cell].mean()), 1.0, float(scores[cell][:, levels >= 3].mean()), world.share_top)]
        for cell in cells
    }
    named = [("tuned", 0.0), ("base", 100.0), *((order, p) for order in world.orders for p in world.percents)]
    rungs = {rung: of(lambda level, rung=rung: world.rung(*rung)) for rung in named}
    ladders = Ladders({cells[-1]: Climbed(rungs)}, levels, np.arange(100) % 2 == 0)
    return Studied(
        name,
        model,
        "facts",
        asked,
        asked,
        Trainings(kl, np.full(20, 4), least=None, most=None),
        drifted,
        ladders,
        graded(np.repeat(np.arange(5), np.round(1000 * np.array(world.memory)).astype(int))),
    )


def graded(levels: np.ndarray) -> Graded:
    """Levels drawn once; a second probe finds one in ten facts a level away, as often above as below."""
    used = np.eye(5)[levels]
    away = np.clip(np.stack([levels - 1, levels + 1]), 0, 4)
    fresh = 0.9 * used + 0.05 * np.eye(5)[away[0]] + 0.05 * np.eye(5)[away[1]]
    return Graded([f"f{at}" for at in range(len(levels))], used, fresh)


def _again(world: World, random: np.random.Generator) -> dict[tuple[str, int], np.ndarray]:
    """Out-of-domain answers: other facts."""
    own = Facts(random, np.repeat(np.arange(5), world.facts), world.ability)
    found = {BASE: own.answers(world.base, np.zeros(1)), FEW_SHOT: own.answers(world.few_shot, np.zeros(1))}
    for choice in world.choices:
        for size in world.sizes:
            luck = random.normal(0, world.spread, world.seeds)
            found[choice, size] = own.answers(lambda level, c=choice, s=size: world.accuracy(c, s, level), luck)
    return found


@dataclass
class Facts:
    """Facts that are unlike: each has a rate of its own, about that of its level."""

    random: np.random.Generator
    levels: np.ndarray
    ability: float
    count: int = 5
    """Levels there are."""

    def __post_init__(self) -> None:
        self.own = self.random.normal(0, self.ability, len(self.levels))
        at = np.linspace(-12, 12, 241)
        drawn = self.ability * norm.ppf((np.arange(400) + 0.5) / 400)
        self.at, self.rates = at, (1 / (1 + np.exp(-(at[:, None] + drawn)))).mean(axis=1)

    def answers(self, rate: Callable[[int], float], luck: np.ndarray, of_unit: np.ndarray | float = 0.0) -> np.ndarray:
        """Trainings x facts. `of_unit`: what each fact has in common with those that it was drawn with."""
        rates = np.array([rate(level) for level in range(self.count)])
        wanted = np.clip(rates[None, :] + luck[:, None], 0.005, 0.995)
        shift = np.interp(wanted, self.rates, self.at)[:, self.levels]  # so that the mean over the facts is the rate
        chance = 1 / (1 + np.exp(-(shift + self.own[None, :] + of_unit)))
        return self.random.random(chance.shape) < chance


def _ladders(world: World, random: np.random.Generator, levels: np.ndarray) -> Ladders:
    rungs = {}
    own = Facts(random, levels, world.ability)
    luck = random.normal(0, world.spread, world.seeds)
    named = [("tuned", 0.0), ("base", 100.0), *((order, p) for order in world.orders for p in world.percents)]
    for order, percent in named:
        rate = world.rung(order, percent)
        rungs[order, percent] = own.answers(
            lambda level, rate=rate: rate, 0.7 * luck + random.normal(0, 0.02, world.seeds)
        )
    choosing = np.zeros(len(levels), dtype=bool)
    choosing[::2] = True
    return Ladders({("random", world.sizes[-1]): Climbed(rungs)}, levels, choosing)
