"""The tables of a finished search: trials, rungs, losses, test. No times, so that equal searches write equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from recollect.experiments.search.ending import Ending
from recollect.experiments.search.plan import Plan
from recollect.experiments.search.rung_file import last_losses
from recollect.experiments.search.space import Space
from recollect.experiments.search.trial import TRIALS, trial_name
from recollect.experiments.search.trials import Trial


def trials_table(trials: Sequence[Trial], space: Space, plan: Plan, folder: Path) -> pl.DataFrame:
    """One row per trial: trial, state, why, reason, its settings as `set_NAME`, size_used, early, final, forecast,
    forecast_sd, steps, total_steps, start."""
    last = len(plan.rungs) - 1
    columns: dict[str, list[Any]] = {
        "trial": [one.number for one in trials],
        "state": [one.state for one in trials],
        "why": [one.why for one in trials],
        "reason": [one.reason for one in trials],
        **{f"set_{name}": [one.values.get(name) for one in trials] for name in space.parameters},
        "size_used": [size_used(folder, one.number) for one in trials],
        "early": [one.early for one in trials],
        "final": [one.scores.get(last) for one in trials],
        "forecast": [one.forecast.mean if one.forecast else None for one in trials],
        "forecast_sd": [one.forecast.sd if one.forecast else None for one in trials],
        "steps": [one.steps for one in trials],
        "total_steps": [one.total_steps for one in trials],
        "start": [one.start for one in trials],
    }
    kinds = {"early": pl.Float64, "final": pl.Float64, "forecast": pl.Float64, "forecast_sd": pl.Float64}
    return pl.DataFrame(columns, strict=False).with_columns(pl.col(name).cast(kind) for name, kind in kinds.items())


def rungs_table(trials: Sequence[Trial], plan: Plan) -> pl.DataFrame:
    """One row per scored rung: trial, rung, share, score."""
    rows = [(one.number, rung, plan.rungs[rung], score) for one in trials for rung, score in sorted(one.scores.items())]
    schema = {"trial": pl.Int64, "rung": pl.Int64, "share": pl.Float64, "score": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def losses_table(trials: Sequence[Trial], folder: Path) -> pl.DataFrame:
    """One row per update: trial, update, share, loss."""
    rows = []
    for one in trials:
        for update, loss in last_losses(folder / TRIALS / trial_name(one.number)):
            rows.append((one.number, update, update / one.total_steps if one.total_steps else None, loss))
    schema = {"trial": pl.Int64, "update": pl.Int64, "share": pl.Float64, "loss": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_table(ending: Ending) -> pl.DataFrame:
    """One row per finalist and part (validation, test, ood): trial, part, score, low, high, items, gain, gain_low,
    gain_high (over the baseline)."""
    rows = []
    for one in ending.finalists:
        parts = (("validation", one.validation, None), ("test", one.test, one.gain), ("ood", one.ood, one.ood_gain))
        for part, score, gain in parts:
            if score is not None:
                over = (None, None, None) if gain is None else (gain.value, gain.low, gain.high)
                rows.append((one.trial.number, part, score.value, score.low, score.high, score.n, *over))
    numbers = dict.fromkeys(("score", "low", "high"), pl.Float64)
    gains = dict.fromkeys(("gain", "gain_low", "gain_high"), pl.Float64)
    schema = {"trial": pl.Int64, "part": pl.String, **numbers, "items": pl.Int64, **gains}
    return pl.DataFrame(rows, schema=schema, orient="row")


def size_used(folder: Path, trial: int) -> int | None:
    """How many examples a trial was trained on; None for one that did not come so far."""
    file = folder / TRIALS / trial_name(trial) / "select" / "selection.parquet"
    return pl.scan_parquet(file, glob=False).select(pl.len()).collect().item() if file.is_file() else None
