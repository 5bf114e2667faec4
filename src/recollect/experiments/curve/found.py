"""What a curve found: one verdict for each part of the test items, with its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from recollect.core.results import Result
from recollect.experiments.curve.verdict import Verdict
from recollect.experiments.found import ExperimentFound


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


def _verdict(old: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a Verdict from those that a command's answer has."""

    def estimate(value: float, low: float, high: float) -> dict[str, Any]:
        return {"value": value, "low": low, "high": high, "n": 0, "method": "", "confidence": old["confidence"]}

    def gain(one: Mapping[str, Any]) -> dict[str, Any]:
        return {**one, "points": estimate(one["points"], one["low"], one["high"])}

    same = ("sizes", "repeats", "family", "run_spread", "margin", "confidence", "notes")
    return {
        **{name: old[name] for name in same},
        "name": old["verdict"],
        "n_sat": estimate(old["n_sat"], old["low"], old["high"]),
        "n_best": estimate(*old["n_best"]),
        "n_hurts": old["n_hurts"] and estimate(*old["n_hurts"]),
        "scores": [estimate(*one) for one in zip(old["scores"], old["scores_low"], old["scores_high"], strict=True)],
        "next": [{"size": size, "why": why} for size, why in zip(old["next"], old["why_next"], strict=True)],
        "doubts": [{**one, "change": one["change"] and estimate(*one["change"])} for one in old["doubts"]],
        "last_doubling": old["last_doubling"] and gain(old["last_doubling"]),
        "loss": estimate(*old["loss"]),
        "gains": [gain(one) for one in old["gains"]],
        "families": [
            {**one, "error": one["left_out_error"], "shape": {"family": one["name"], "parameters": one["shape"]}}
            for one in old["families"]
        ],
    }
