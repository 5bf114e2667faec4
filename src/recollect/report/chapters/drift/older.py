"""The drift chapter as results of schema 2 held it, and the metrics of drift and ladder steps of that time."""

from __future__ import annotations

from recollect.report.page.older import Values, accuracy, each


def older(values: Values) -> Values:
    """The whole chapter."""
    found = dict(values)
    found["cells"] = each(found.get("cells") or [], _drift_cell)
    found["ladders"] = each(found.get("ladders") or [], ladder)
    return found


def _drift_cell(values: Values) -> Values:
    found = dict(values)
    for name in ("kl_paper", "kl_full", "kl_general"):
        value, error, n = found.get(name), found.pop(f"{name}_se", None), found.pop(f"{name}_n", 0)
        if isinstance(value, int | float):
            found[name] = None if error is None else divergence(value, error, n)
    for name in ("known_base", "known_tuned"):
        found[name] = accuracy(found.get(name))
    return found


def divergence(mean: float, error: float, n: int) -> Values:
    """A mean divergence with the interval of 1.96 standard errors."""
    low, high = max(mean - 1.96 * error, 0.0), mean + 1.96 * error
    return {"value": mean, "low": low, "high": high, "n": n, "method": "1.96 standard errors"}


def ladder(values: Values) -> Values:
    """A whole ladder; its rungs and choices read their older form themselves."""
    found = dict(values)
    found["rungs"] = each(found.get("rungs") or [], _rung)
    if isinstance(found.get("counts"), dict):
        found["counts"] = {kind.replace("woken", "elicited"): n for kind, n in found["counts"].items()}
    return found


def _rung(values: Values) -> Values:
    """Without the accuracy on known facts, where it has no interval: so did the first versions."""
    return {**values, "known": None} if values.get("known_low") is None else values
