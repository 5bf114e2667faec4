"""The scores of a study as results of schema 2 held them."""

from __future__ import annotations

from typing import Any

from recollect.core.json_object import JsonObject
from recollect.report.page.older import accuracy, by_name, each, estimate, hundredth, nested


def scores(values: Any) -> Any:
    """Of one model on one part."""
    found = nested(values, "macro", "micro")
    if isinstance(found, dict):
        levels = by_name(found.get("by_level"), accuracy)
        found["by_level"] = (
            {level: one for level, one in levels.items() if one is not None} if isinstance(levels, dict) else levels
        )
        hundredth(found, "word_macro")
    return found


def older(values: JsonObject) -> JsonObject:
    """Base, cells and best, which stood beside the frame."""
    found = dict(values)
    if isinstance(found.get("base"), dict):
        found["base"] = _parts(found["base"])
    found["cells"] = each(found.get("cells") or [], _parts)
    if isinstance(found.get("best"), dict):
        found["best"] = _best(found["best"])
    return found


def _parts(values: Any) -> Any:
    return {name: scores(value) if name in ("test", "ood") else value for name, value in values.items()}


def _best(values: JsonObject) -> JsonObject:
    found = dict(values)
    low, high = found.pop("ood_low", None), found.pop("ood_high", None)
    found["ood_score"] = estimate(found.get("ood_score"), low, high, 0)
    found["score"] = estimate(
        found.get("score"), found.pop("low", None), found.pop("high", None), found.get("judged_on")
    )
    hundredth(found, "chosen_score")
    for name in ("base", "random", "rival", "ood_base"):
        if isinstance(found.get(name), dict):
            found[name] = _compared(found[name])
    return found


def _compared(values: JsonObject) -> JsonObject:
    found = dict(values)
    low, high = found.pop("low", None), found.pop("high", None)
    if low is not None:
        found["interval"] = estimate(found.get("value"), low, high, found.get("n", 0))
    hundredth(found, "value", "score")
    return found
