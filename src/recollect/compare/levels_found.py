"""What a comparison of levels found: how much each model knows, and of each pair how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl

from recollect.core.estimates import Estimate
from recollect.core.numbers import number
from recollect.core.workspace.result import Result

Grades = Literal["drawn", "expected", "taken"]
"""Of what a fact's level is: the studies' draws; a probability over the five levels of a fresh probe; or the one level
of a method that does not state those."""

_UNSTATED = "not stated"


class Repeat(Result):
    """By how much a second probe of the same model, on the same facts, would differ by its draws alone."""

    total_variation: float
    """On average."""
    total_variation_most: float
    """In 95 of 100 such probes at most."""
    levels_apart: float
    levels_apart_most: float
    kappa_known: float | None
    """Agreement of the two probes on what is known; None where all facts are, or none."""
    kappa_levels: float | None


class LevelShares(Result):
    """The levels of one model."""

    name: str
    model: str
    """Its fingerprint."""
    grades: Grades
    shares: tuple[Estimate, ...]
    """Of the facts at level 0 to 4."""
    known: Estimate
    """Share of facts of level 1 or higher."""
    mean_level: float
    repeat: Repeat | None = None
    """None where the probe does not say what a fresh one would find."""


class RelationPair(Result):
    """Two models on the facts of one relation."""

    relation: str
    name: str
    n: int
    known_first: Estimate
    known_second: Estimate
    both: float
    """Share of facts that both know."""
    neither: float
    difference: Estimate | None
    """The second's mean level less the first's, paired by fact, −4 to 4; None of too few facts."""


class LevelPair(Result):
    """Two models on the same facts."""

    first: str
    second: str
    n: int
    total_variation: Estimate
    """Of the two level distributions, 0 to 1: the share of facts that would have to change its level."""
    levels_apart: Estimate
    """Earth mover's distance, in levels (0 to 4): by how many levels they would move, on average over all facts."""
    difference: Estimate
    """The second's mean level less the first's, paired by fact, −4 to 4."""
    both: Estimate
    """Share of facts of level 1 or higher in both."""
    first_alone: Estimate
    second_alone: Estimate
    neither: Estimate
    kappa_known: Estimate | None
    """Cohen's, of known (level 1 or higher) or not; None where both know all, or nothing."""
    kappa_levels: Estimate | None
    """Of the levels, weighted by how many lie between."""
    table: tuple[tuple[float, ...], ...]
    """Facts by the first's level and the second's; expected ones where levels are probabilities."""
    relations: tuple[RelationPair, ...] = ()

    def by_draws(self, first: LevelShares, second: LevelShares) -> dict[str, str]:
        """What two probes of one model would show of each distance and kappa, in words; of the model whose probes are
        less alike."""
        repeats = [one.repeat for one in (first, second) if one.repeat is not None]
        distances, kappas = ("total_variation", "levels_apart"), ("kappa_known", "kappa_levels")
        if len(repeats) < 2:
            return dict.fromkeys((*distances, *kappas), _UNSTATED)
        about = "at most" if "expected" in (first.grades, second.grades) else "about"
        told = {name: f"up to {number(max(getattr(one, f'{name}_most') for one in repeats), 2)}" for name in distances}
        for name in kappas:
            values = [getattr(one, name) for one in repeats]
            told[name] = _UNSTATED if None in values else f"{about} {number(min(values), 2)}"
        return told

    def verdict(self, first: LevelShares, second: LevelShares) -> str:
        """Whether the distance is more than the draws of the probes alone would show, in words."""
        repeats = [one.repeat for one in (first, second) if one.repeat is not None]
        if len(repeats) < 2:
            return "cannot tell from the draws' noise"
        most = max(one.levels_apart_most for one in repeats)
        if self.levels_apart.value <= most:
            return "no further apart than two probes of one model"
        if self.levels_apart.low > most:
            return "further apart than two probes of one model"
        return "further apart than two probes of one model on these facts; on other facts it may be otherwise"


class LevelsFound(Result):
    """What a comparison of levels found."""

    models: tuple[LevelShares, ...]
    pairs: tuple[LevelPair, ...]
    n: int
    notes: tuple[str, ...] = ()
    sources: dict[str, str] = {}

    def shares(self, name: str) -> LevelShares:
        """Those of a model."""
        return next(one for one in self.models if one.name == name)

    def answer(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "n": self.n,
            "models": [
                {"name": one.name, "known": one.known.value, "mean_level": one.mean_level, "grades": one.grades,
                 "levels": [share.value for share in one.shares]}
                for one in self.models
            ],
            "pairs": [
                {
                    "first": one.first,
                    "second": one.second,
                    **{
                        name: None if (found := getattr(one, name)) is None else [found.value, found.low, found.high]
                        for name in ("total_variation", "levels_apart", "difference", "kappa_known", "kappa_levels")
                    },
                    **{name: getattr(one, name).value for name in ("both", "first_alone", "second_alone", "neither")},
                    "verdict": one.verdict(self.shares(one.first), self.shares(one.second)),
                }
                for one in self.pairs
            ],
        }  # fmt: skip


@dataclass(frozen=True)
class LevelsResult:
    """The step directory; what was found and its table are read on demand."""

    path: Path

    @cached_property
    def found(self) -> LevelsFound:
        """The numbers, and notes on them."""
        return LevelsFound.read(self.path)

    def facts(self) -> pl.DataFrame:
        """One row per fact: level_1, level_2, … of the models in their order, and expected_1, … where levels are
        probabilities (the mean of the five)."""
        return pl.read_parquet(self.path / "levels.parquet", glob=False)
