"""What a fit gives back: its folder, and the answer for programs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from recollect.core.estimates import Estimate
from recollect.core.workspace.fit import FitFound, RuleFound


@dataclass(frozen=True)
class FitResult:
    """The folder of a finished fit: `model/`, `report.html`, and what was found."""

    path: Path
    found: FitFound

    @property
    def model(self) -> Path:
        """The folder of the model, whole."""
        return self.path / "model"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @cached_property
    def answer(self) -> dict[str, object]:
        """The answer for --json."""
        found = self.found

        def test(name: str) -> float | None:
            one = found.contender(name)
            return None if one is None or one.test is None else round(one.test.percent[0], 2)

        def forgot(name: str) -> float | None:
            one = found.contender(name)
            if one is not None and name in ("base", "few-shot") and found.known_test:
                return 0.0  # untouched weights
            return None if one is None or one.forgot is None else round(one.forgot.percent[0], 2)

        best = found.best.test
        value, low, high = (None, None, None) if best is None else (round(end, 2) for end in best.percent)
        return {
            "model": str(self.model),
            "chosen": found.chosen,
            "test": value,
            "low": low,
            "high": high,
            "base": test("base"),
            "few_shot": test("few-shot"),
            "plain_sft": test("plain"),
            "random_same_size": test("random"),
            "used_examples": found.best.examples,  # of one training
            "of": found.sets.train,
            "seconds": round(found.seconds, 1),
            "foretold_seconds": found.foretold_seconds,
            "cost_vs_full_search": round(found.updates / found.full_updates, 4) if found.full_updates else None,
            "forgetting_plain": forgot("plain"),
            "forgetting": forgot(found.chosen),
            "advice": list(found.advice),
            "left_out": list(found.left_out),
            "forgetting_of": "own words" if found.by_words else "questions",
            "over_plain": _over(found, "plain"),
            "over_random": _over(found, "random"),
            "worth_it": found.worth_it,
            **_rule(found.rule),
        }


def _over(found: FitFound, name: str) -> dict[str, object]:
    """What the taken one has more, over these questions and also over the luck of a training where seeds show it."""
    one = found.contender(name)
    if one is None or one.gap is None:
        return {}
    alone = one.over_questions or one.gap
    luck = _points(one.gap)[1:] if one.over_questions is not None else None
    return {
        "value": _points(alone)[0],
        "over_questions": _points(alone)[1:],
        "also_over_luck": luck,
        "confidence": round(alone.confidence, 4),
    }


def _rule(rule: RuleFound | None) -> dict[str, object]:
    """What the commonest answers have, over all and by kind of question; nothing of pages and chats."""
    if rule is None:
        return {"commonest": None, "over_commonest": None, "over_joined": [], "by_relation": []}
    return {
        "commonest": _points(rule.test)[0],
        "over_commonest": _points(rule.over),
        "over_joined": _points(rule.joined.over) if rule.joined else [],
        "by_relation": [
            {
                "name": one.name,
                "n": one.n,
                "base": _points(one.base),
                "commonest": _points(one.rule),
                "test": _points(one.chosen),
                "over_commonest": _points(one.over),
                "one_answer": one.one_answer,
            }
            for one in rule.kinds
        ],
    }


def _points(found: Estimate | None) -> list[float]:
    """Value, low and high in percent; empty for None."""
    return [] if found is None else [round(end, 2) for end in found.percent]
