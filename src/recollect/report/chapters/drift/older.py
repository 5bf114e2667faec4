"""The drift chapter as results of schema 2 held it, and the metrics of drift and ladder steps of that time."""

from __future__ import annotations

from typing import Any

from recollect.report.page.older import Values, accuracy, each, hundredth, nested, share


def ladder_rung(values: Any) -> Any:
    """One rung of a ladder; level_0 to level_4 become `by_level`."""
    if not isinstance(values, dict):
        return values
    found = dict(values)
    if "by_level" not in found:
        found["by_level"] = [found.get(f"level_{level}") for level in range(5)]
    found = {name: value for name, value in found.items() if "level_" not in name}
    found["by_level"] = [share(value) for value in found["by_level"]]
    if found.get("known_low") is None:
        found["known"] = None  # of a version that gave it no interval
    return nested(found, "macro", "micro", "ood", "ood_micro", "known")


def ladder_choice(values: Any) -> Any:
    """The choice of one order."""
    found = nested(values, "gain", "ood_gain", "ahead")
    if isinstance(found, dict):
        hundredth(found, "validation", "test", "tuned_test")
    return found


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
    """A whole ladder."""
    found = dict(values)
    found["rungs"] = each(found.get("rungs") or [], ladder_rung)
    found["controls"] = each(found.get("controls") or [], ladder_choice)
    if found.get("best") is not None:
        found["best"] = ladder_choice(found["best"])
    if isinstance(found.get("counts"), dict):
        found["counts"] = {kind.replace("woken", "elicited"): n for kind, n in found["counts"].items()}
    return found
