"""Results of an invented search, for the tests of its chapter."""

import math
from typing import Any

from recollect.report import Results, make_results


def search_values(trials: int = 12) -> dict[str, Any]:
    """A search in which trial 0 is the baseline, every fourth is degenerate, and the best halves are finished."""
    made = []
    for number in range(trials):
        rate = 10 ** (-4.5 + 2.5 * ((number * 7) % trials) / trials)
        early = 40 - 8 * (math.log10(rate) + 3.2) ** 2
        settings = {
            "learning_rate": rate,
            "epochs": 1 + number % 4,
            "batch_size": [4, 8, 16][number % 3],
            "level": "random",
        }
        trial: dict[str, Any] = {"number": number, "settings": settings, "total_steps": 100}
        if number % 4 == 3:
            losses = [(0.01 * n, 2.0 + 0.2 * n) for n in range(1, 21)]
            trial |= {
                "state": "degenerate",
                "reason": "the loss exploded: 2.0 at the start, 6.0 at update 20",
                "losses": losses,
            }
        elif number % 2 == 0:
            why = "baseline" if number == 0 else "random" if number == 2 else "forecast"
            losses = [(0.01 * n, 2.5 * math.exp(-rate * 20 * n) + 0.3) for n in range(1, 101)]
            rungs = [{"share": 0.2, "score": early}, {"share": 1.0, "score": early + 6 + number % 3}]
            trial |= {"state": "finished", "why": why, "rungs": rungs, "losses": losses, "steps": 100}
        else:
            losses = [(0.01 * n, 2.5 * math.exp(-rate * 20 * n) + 0.3) for n in range(1, 21)]
            forecast = {"value": early + 5, "low": early - 1, "high": early + 11}
            trial |= {
                "state": "paused",
                "rungs": [{"share": 0.2, "score": early}],
                "losses": losses,
                "steps": 20,
                "forecast": forecast,
            }
        made.append(trial)
    finished = [trial for trial in made if trial["state"] == "finished"]
    best = max(finished, key=lambda trial: trial["rungs"][-1]["score"])
    finalists = [
        {
            "trial": trial["number"],
            "validation": trial["rungs"][-1]["score"],
            "test": {"value": trial["rungs"][-1]["score"] - 1, "low": 20.0, "high": 60.0},
            "ood": {"value": 30.0, "low": 20.0, "high": 40.0},
            "gain": {} if trial["number"] == 0 else {"value": 3.1, "low": 0.4, "high": 5.8},
        }
        for trial in finished
    ]
    return {
        "trials": made,
        "rungs": [0.2, 1.0],
        "best": best["number"],
        "best_yaml": "learning_rate: 0.0005\nepochs: 3\n",
        "baseline": 0,
        "finalists": finalists,
        "promoted": len(finished),
        "cost_fraction": 0.48,
        "correlation": {"value": 0.81, "low": 0.4, "high": 0.95},
        "rank_correlation": 0.77,
        "pairs": len(finished),
        "early_trials": len([trial for trial in made if trial.get("rungs")]),
        "top_overlap": 4,
        "top_overlap_by_chance": 2.5,
        "importance": [
            {"name": "learning_rate", "share": 0.7},
            {"name": "epochs", "share": 0.2},
            {"name": "batch_size", "share": 0.1},
        ],
        "validation_items": 300,
        "test_items": 310,
        "ood_items": 150,
        "base_test": 0.0,
        "base_validation": 1.0,
        "warnings": ["validation and test part ways: their order among the finalists has correlation 0.1"],
    }


def search_results(**changes: Any) -> Results:
    """The invented search as results; `changes` replace its values."""
    values = {**search_values(), **changes}
    return make_results({"title": "Search", "created": "2026-01-01T00:00:00+00:00", "version": "0", "search": values})
