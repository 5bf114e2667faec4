"""What a curve found: one verdict for each part of the test items, with its words; data alone.

Here, below the report, so that the experiment writes it and the report reads it by attribute. How a verdict comes about
is in `experiments.curve`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import model_validator

from recollect.core.estimates import Estimate
from recollect.core.workspace.experiment import ExperimentFound
from recollect.core.workspace.result import Result

VerdictName = Literal["saturated", "rising", "peaked", "undecided"]
FamilyName = Literal["saturating", "power law", "sigmoid", "peaked"]


@dataclass(frozen=True)
class Gain:
    """What going from one size to another brings."""

    start: int
    end: int
    points: Estimate
    measured: bool
    """True between two measured sizes, from their means alone. False beyond the largest: fitted, an extrapolation."""

    @property
    def per_label(self) -> float:
        """Expected score units per additional label."""
        return self.points.value / (self.end - self.start)


@dataclass(frozen=True)
class Doubt:
    """Why no verdict is given: what may have happened from size `first` to size `last`."""

    kind: Literal["rise", "fall", "gap", "single"]
    """A rise or fall over the margin is not excluded; N/2 lies in a gap in which the score rose or may have risen; no
    size was trained twice."""
    first: int = 0
    last: int = 0
    change: Estimate | None = None


@dataclass(frozen=True)
class Next:
    """A size worth running."""

    size: int
    why: str


@dataclass(frozen=True)
class Shape:
    """One point of a family's grid."""

    family: FamilyName
    parameters: tuple[float, ...]
    """saturating: n0, p. power law: c, d. sigmoid: h, q. peaked: n0, n1, p, or h, q, n1, p with a sigmoid rise."""


@dataclass(frozen=True)
class FamilyFit:
    """One family on these size means."""

    name: FamilyName
    error: float
    """Root mean square error of the prediction for a left-out size, in score units."""
    weight: float
    """Share among the families that are used, by marginal likelihood; 0 for one that misses a mean."""
    misses: int | None
    """The size whose measured mean it misses most beyond its interval; None when it passes through all."""
    shape: Shape
    """The shape that explains the means best."""
    coefficients: tuple[float, ...]
    """a, b (and e) of that shape, with each column scaled to at most 1 within the range."""


@dataclass(frozen=True)
class Band:
    """The fitted curve over the range: sizes, and the middle and ends of the score there."""

    sizes: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


class Verdict(Result):
    """What one curve says. Scores are in points, or in the unit of a user's own numbers, higher is better."""

    name: VerdictName
    doubts: tuple[Doubt, ...] = ()
    """Why it is undecided; empty otherwise."""
    n_sat: Estimate
    """The saturation size: above `low`, at most `high`, both measured sizes; `value` is interpolated."""
    n_best: Estimate
    """The best measured size, with the smallest and largest that may be as good."""
    n_hurts: Estimate | None
    """Where a peaked curve begins to hurt, between measured sizes likewise; None when it is not peaked."""
    sizes: tuple[int, ...]
    scores: tuple[Estimate, ...]
    repeats: tuple[int, ...]
    gains: tuple[Gain, ...]
    families: tuple[FamilyFit, ...]
    family: str | None
    """The family with the largest weight; None when all miss a measured mean."""
    band: Band | None = None
    """The fitted curve; None likewise."""
    family_curves: dict[str, tuple[float, ...]] = {}
    """The mean curve of each family that is used, at the band's sizes."""
    last_doubling: Gain | None
    """The measured change from the smallest size in the last doubling; None when no size lies there."""
    loss: Estimate
    """How far the score at the largest size lies below the best measured one."""
    next: tuple[Next, ...]
    margin: float
    confidence: float
    run_spread: float
    """Standard deviation of a single run between seeds, pooled over sizes; a guess where no size has repeats."""
    notes: tuple[str, ...] = ()


class PartFound(Result):
    """The curve of one part of the test items."""

    verdict: Verdict
    lines: tuple[str, ...]
    """The verdict in words."""
    items: int | None = None
    """Test items behind every score; None when only scores are known."""
    groups: int | None = None
    """Groups whose means are averaged; None likewise."""


class CurveFound(ExperimentFound):
    """The curves by part, the main one first."""

    parts: dict[str, PartFound]
    trained_on: str = ""
    """In words; empty for a user's own scores."""
    scored: str = ""
    """What is scored, in words; empty for a user's own scores."""
    trainings: int = 0

    @property
    def main(self) -> str:
        """The part that is told first: test, or the first of a user's own."""
        return next(iter(self.parts))

    @property
    def verdict(self) -> Verdict:
        """The main part's."""
        return self.parts[self.main].verdict

    @model_validator(mode="before")
    @classmethod
    def _read_flat(cls, values: Any) -> Any:
        """Curves of earlier versions hold the main part's numbers at the top, the others by name."""
        if not isinstance(values, Mapping) or "n_sat" not in values:
            return values
        names = [name for name in values["lines"] if name == values["part"] or values.get(name)]
        parts = {
            name: {
                "verdict": _verdict(values if name == values["part"] else values[name]),
                "lines": values["lines"][name],
            }
            for name in names
        }
        return {"parts": parts, **{name: values[name] for name in cls.model_fields if name in values}}


def _verdict(old: Any) -> Verdict:
    """From the names that a command's answer has; the drawn fits were not stored."""

    def estimate(value: float, low: float, high: float) -> Estimate:
        return Estimate(value, low, high, 0, "", old["confidence"])

    def gain(one: Any) -> Gain:
        return Gain(one["start"], one["end"], estimate(one["points"], one["low"], one["high"]), one["measured"])

    def family(one: Any) -> FamilyFit:
        shape, coefficients = Shape(one["name"], tuple(one["shape"])), tuple(one["coefficients"])
        return FamilyFit(one["name"], one["left_out_error"], one["weight"], one["misses"], shape, coefficients)

    same = ("sizes", "repeats", "family", "run_spread", "margin", "confidence", "notes")
    scores = zip(old["scores"], old["scores_low"], old["scores_high"], strict=True)
    return Verdict(
        **{name: old[name] for name in same},
        name=old["verdict"],
        n_sat=estimate(old["n_sat"], old["low"], old["high"]),
        n_best=estimate(*old["n_best"]),
        n_hurts=estimate(*old["n_hurts"]) if old["n_hurts"] else None,
        scores=tuple(estimate(*one) for one in scores),
        next=tuple(Next(size, why) for size, why in zip(old["next"], old["why_next"], strict=True)),
        doubts=tuple(
            Doubt(one["kind"], one["first"], one["last"], estimate(*one["change"]) if one["change"] else None)
            for one in old["doubts"]
        ),
        last_doubling=gain(old["last_doubling"]) if old["last_doubling"] else None,
        loss=estimate(*old["loss"]),
        gains=tuple(gain(one) for one in old["gains"]),
        families=tuple(family(one) for one in old["families"]),
    )
