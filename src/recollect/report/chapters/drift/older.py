"""The drift chapter as results of schema 2 held it; ladders' choices and the words of repairs read their older form."""

from __future__ import annotations

from dataclasses import asdict

from recollect.core.json_object import JsonObject
from recollect.report.chapters.drift.record import divergence
from recollect.report.page.older import accuracy, each


def older(values: JsonObject) -> JsonObject:
    """The whole chapter."""
    found = dict(values)
    found["cells"] = each(found.get("cells") or [], _drift_cell)
    found["ladders"] = each(found.get("ladders") or [], ladder)
    return found


def _drift_cell(values: JsonObject) -> JsonObject:
    found = dict(values)
    for name in ("kl_paper", "kl_full", "kl_general"):
        value, error, n = found.get(name), found.pop(f"{name}_se", None), found.pop(f"{name}_n", 0)
        if isinstance(value, int | float):
            found[name] = asdict(divergence(value, error, n)) if isinstance(error, int | float) else error
    for name in ("known_base", "known_tuned"):
        found[name] = accuracy(found.get(name))
    return found


def ladder(values: JsonObject) -> JsonObject:
    """A whole ladder; its rungs and choices read their older form themselves."""
    found = dict(values)
    found["rungs"] = each(found.get("rungs") or [], _rung)
    return found


def _rung(values: JsonObject) -> JsonObject:
    """Without the accuracy on known facts, where it has no interval: so did the first versions."""
    return {**values, "known": None} if values.get("known_low") is None else values
