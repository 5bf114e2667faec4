"""What a curve found: one verdict for each part of the test items, with its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from recollect.core.estimates import Estimate
from recollect.core.workspace.experiment import ExperimentFound
from recollect.core.workspace.result import Result
from recollect.experiments.curve.decide import Doubt, Next
from recollect.experiments.curve.fit import FamilyFit, Shape
from recollect.experiments.curve.verdict import Gain, Verdict


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
