"""A finished search as numbers, and its best settings as a file for `recollect train`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import yaml

from recollect.experiments.search.ending import Ending, Finalist
from recollect.experiments.search.measured import LEVEL
from recollect.experiments.search.settings import SearchSettings
from recollect.experiments.search.summary import Summary
from recollect.experiments.search.trial import Trials
from recollect.train import TrainSettings


def metrics_of(summary: Summary, ending: Ending, size: int | None, level: str) -> dict[str, Any]:
    """The numbers of the manifest and of the command's JSON answer; points, with n and 95 % bounds."""
    best, correlation, overlap = ending.best, summary.correlation, summary.overlap
    return {
        "best": dict(best.trial.values),
        "best_trial": best.trial.number,
        "best_size": size,
        "best_level": level,
        "validation": best.validation.value,
        "test": best.test.value,
        "baseline_test": None if ending.baseline is None else ending.baseline.test.value,
        "base_test": ending.base_test.value,
        "base_validation": ending.base_validation.value,
        "gain_over_baseline": None if best.gain is None else best.gain.json(),
        "gain_over_base": ending.gain_over_base.json(),
        "ood": None if best.ood is None else best.ood.value,
        "ood_gain_over_baseline": None if best.ood_gain is None else best.ood_gain.json(),
        "trials": summary.trials,
        "promoted": summary.promoted,
        "finished": summary.finished,
        "degenerate": summary.degenerate,
        "failed": summary.failed,
        "steps": summary.steps,
        "full_steps": summary.full_steps,
        "cost_fraction": summary.cost_fraction,
        "early_final_correlation": None if correlation is None else correlation.pearson,
        "early_final_rank_correlation": None if correlation is None else correlation.spearman,
        "early_final_correlation_low": None if correlation is None else correlation.low,
        "early_final_correlation_high": None if correlation is None else correlation.high,
        "early_final_correlation_level": LEVEL,
        "early_final_pairs": 0 if correlation is None else correlation.pairs,
        "early_final_trials": 0 if correlation is None else correlation.trials,
        "top5_overlap": None if overlap is None else overlap.shared,
        "top_k": None if overlap is None else overlap.k,
        "top_overlap_by_chance": None if overlap is None else overlap.by_chance,
        "scored_as": ending.scored[1],
        "validated_as": ending.scored[0],
        "finalists": [_finalist(one) for one in ending.finalists],
        "finalists_rank_correlation": ending.rank_correlation,
        "validation_over_test": None if ending.drop is None else ending.drop.json(),
        "warnings": list(ending.warnings),
    }


def _finalist(one: Finalist) -> dict[str, Any]:
    return {
        "trial": one.trial.number,
        "settings": dict(one.trial.values),
        "validation": one.validation.json(),
        "test": one.test.json(),
        "ood": None if one.ood is None else one.ood.json(),
        "gain": None if one.gain is None else one.gain.json(),
    }


def best_yaml(
    settings: SearchSettings, trials: Trials, ending: Ending, size: int | None, folder: Path, tried: int
) -> str:
    """The best trial's settings as YAML for `recollect train --config`, and above them the commands to use it with."""
    best = ending.best.trial
    chosen = trials.selection(best.values)
    made = trials.settings(best.values)
    defaults = TrainSettings()
    values: dict[str, Any] = {"model": settings.model}
    for name, value in made.model_dump(mode="json").items():
        if name in ("model", "preset", "save_every"):
            continue
        if name in best.values or value != getattr(defaults, name):
            values[name] = value
    select = ["recollect", "select", "--facts", settings.facts, "--level", chosen.level, "--size", str(size)]
    levels = str(folder / "probe") if settings.levels == "probe" and not trials.task.in_json else settings.levels
    if trials.task.levels is not None:
        select += ["--levels", levels]
    if chosen.min_level_confidence:
        select += ["--min-level-confidence", str(chosen.min_level_confidence)]
    select += ["--seed", str(chosen.seed), "--out", "selection"]
    head = [
        f"# The best on validation of a search over {tried} settings: trial {best.number}, trained once.",
        *(["# But the untouched base scored as well on validation."] if ending.base_ahead else []),
        "# Choose the examples as it did, then train:",
        f"#   {shlex.join(select)}",
        "#   recollect train --config best.yaml --selection selection --out tuned",
    ]
    plain = json.loads(json.dumps(values))  # tuples as lists
    return "\n".join(head) + "\n" + yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
