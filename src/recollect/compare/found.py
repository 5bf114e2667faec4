"""What a comparison found: the models side by side, and of each pair which answers flipped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from recollect.compare.flips import Flips
from recollect.compare.settings import Kind
from recollect.core.estimates import Estimate
from recollect.core.workspace.result import Result
from recollect.facts import Part


class Contender(Result):
    """One model of a comparison."""

    name: str
    """As tables call it."""
    kind: Kind
    model: str
    """Where it came from."""
    evaluation: str
    """The folder of its answers; of those that the comparison asked for itself, within its own."""
    right: int
    """Questions answered correctly, of those that all were asked."""
    accuracy: Estimate
    by_part: dict[Part, Estimate] = {}


class Comparison(Result):
    """Two models on the same questions."""

    first: str
    second: str
    flips: Flips
    """Over all questions."""
    by_part: dict[Part, Flips] = {}
    p_holm: float
    """`flips.p`, corrected for the number of models that are compared with the first (Holm); that of the few-shot
    prompt, which is no trained model, stands alone."""


class CompareFound(Result):
    """What a comparison found."""

    contenders: tuple[Contender, ...]
    """The first, the first with examples before each question, and the others."""
    comparisons: tuple[Comparison, ...]
    """Every other model against the first; then each of those against the few-shot prompt, where that was asked."""
    judge: str
    """By whose verdict."""
    notes: tuple[str, ...] = ()
    sources: dict[str, str] = {}

    @property
    def main(self) -> Comparison:
        """The first named model after the first against it."""
        few = {one.name for one in self.contenders if one.kind == "few-shot"}
        return next((one for one in self.comparisons if one.second not in few), self.comparisons[0])

    def answer(self) -> dict[str, float | int]:
        """For `--json`: the main comparison, shares as fractions; p is the corrected one."""
        found = self.main
        difference = found.flips.difference
        return {
            "n": found.flips.n,
            "right_to_wrong": found.flips.right_to_wrong.count,
            "wrong_to_right": found.flips.wrong_to_right.count,
            "difference": difference.value,
            "low": difference.low,
            "high": difference.high,
            "p": found.p_holm,
        }


@dataclass(frozen=True)
class CompareResult:
    """The step directory; what was found and its tables are read on demand."""

    path: Path

    @cached_property
    def found(self) -> CompareFound:
        """The numbers, and notes on them."""
        return CompareFound.read(self.path)

    def flips(self) -> pl.DataFrame:
        """One row per comparison and question whose verdict flipped, with both outputs."""
        return pl.read_parquet(self.path / "flips.parquet", glob=False)

    def answers(self) -> pl.DataFrame:
        """One row per question and model: the output, and whether it is right."""
        return pl.read_parquet(self.path / "answers.parquet", glob=False)
