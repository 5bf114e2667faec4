"""A judged best choice for tests of the report."""

from __future__ import annotations

from typing import Any


def gap(levels, value, low=None, high=None, *, size=60, score=20.0):
    return {
        "levels": levels,
        "size": size if levels else 0,
        "score": score,
        "value": value,
        "low": low,
        "high": high,
        "n": 50,
    }


def best(**changes: Any) -> dict[str, Any]:
    """60 examples of level 2, a clear gain against random and the base."""
    values = {
        "levels": "2",
        "size": 60,
        "seeds": 2,
        "mean": "macro",
        "macro_levels": [0, 1, 2, 3, 4],
        "candidates": 13,
        "chosen_on": 49,
        "chosen_score": 33.0,
        "judged_on": 51,
        "score": 30.0,
        "low": 25.0,
        "high": 35.0,
        "base": gap(None, 20.0, 14.0, 26.0, score=10.0),
        "random": gap("random", 6.0, 1.0, 11.0, score=24.0),
        "rival": gap("3", 0.5, -4.0, 5.0, score=29.5),
    }
    return {**values, **changes}
