"""The chapter on attributes as results of schema 2 held it."""

from __future__ import annotations

from typing import Any

from recollect.core.json_object import JsonObject
from recollect.report.page.older import accuracy, by_name, each, estimate, nested


def older(values: JsonObject) -> JsonObject:
    """The whole chapter."""

    def system(one: JsonObject) -> JsonObject:
        return {**one, **{part: each(one[part], attribute_run) for part in ("test", "ood") if part in one}}

    return {**values, "systems": each(values.get("systems") or [], system)}


def attribute_run(values: Any) -> Any:
    """One model's scores on one part of the pages."""
    found = nested(values, "macro")
    if isinstance(found, dict):
        found["invalid"] = accuracy(found.get("invalid"))
        found["by_attribute"] = by_name(found.get("by_attribute"), attribute_score)
    return found


def attribute_score(values: Any) -> Any:
    """The scores of one attribute."""
    found = nested(values, "precision", "f1")
    if isinstance(found, dict) and not isinstance(found.get("accuracy"), dict):
        low, high = found.pop("low", None), found.pop("high", None)
        found["accuracy"] = estimate(found.get("accuracy"), low, high, found.pop("n", 0))
    return found
