"""The chapter on attributes as results of schema 2 held it, and the scores.json of its steps."""

from __future__ import annotations

from typing import Any

from recollect.report.page.older import Values, accuracy, each, estimate, nested


def older(values: Values) -> Values:
    """The whole chapter."""

    def system(one: Values) -> Values:
        return {**one, **{part: each(one[part], attribute_run) for part in ("test", "ood") if part in one}}

    return {**values, "systems": each(values.get("systems") or [], system)}


def attribute_run(values: Any) -> Any:
    """One model's scores on one part of the pages."""
    found = nested(values, "macro")
    if isinstance(found, dict):
        found["invalid"] = accuracy(found.get("invalid"))
        found["by_attribute"] = {name: attribute_score(one) for name, one in (found.get("by_attribute") or {}).items()}
    return found


def attribute_score(values: Any) -> Any:
    """The scores of one attribute."""
    found = nested(values, "precision", "f1")
    if isinstance(found, dict) and not isinstance(found.get("accuracy"), dict):
        low, high = found.pop("low", None), found.pop("high", None)
        found["accuracy"] = estimate(found.get("accuracy"), low, high, found.pop("n", 0))
    return found
