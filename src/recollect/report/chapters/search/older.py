"""The chapter on a search as results of schema 2 held it."""

from __future__ import annotations

from typing import Any

from recollect.core.json_object import JsonObject
from recollect.report.page.older import each, estimate


def older(values: JsonObject) -> JsonObject:
    """The whole chapter."""
    found = dict(values)
    if isinstance(found.get("correlation"), dict):
        found["correlation"] = _bounded(found["correlation"], found.get("pairs"), 1.0)
    found["trials"] = each(found.get("trials") or [], _trial)
    found["finalists"] = each(found.get("finalists") or [], lambda one: _finalist(one, found))
    return found


def _trial(values: JsonObject) -> JsonObject:
    forecast = values.get("forecast")
    return {**values, "forecast": _bounded(forecast, 0, 1.0)} if isinstance(forecast, dict) else values


def _finalist(values: JsonObject, search: JsonObject) -> JsonObject:
    items = {"test": "test_items", "gain": "test_items", "ood": "ood_items"}
    bounded = {name: _bounded(values.get(name), search.get(items[name])) for name in items}
    return {**values, **bounded}


def _bounded(values: Any, n: Any, scale: float = 100.0) -> Any:
    if not isinstance(values, dict) or "method" in values:
        return values
    return estimate(values.get("value"), values.get("low"), values.get("high"), n or 0, scale)
