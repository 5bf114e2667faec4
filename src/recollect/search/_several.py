"""The same search with several seeds, and what they agree on."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from recollect.facts import FactSet, load_facts
from recollect.search._prepare import prepare
from recollect.search._run import BEST, Say, SearchResult, Stage, Watch, run_search
from recollect.search._settings import SearchSettings
from recollect.workspace import open_step

if TYPE_CHECKING:
    from collections.abc import Sequence


def run_several(
    settings: SearchSettings,
    out: Path | None,
    root: Path,
    *,
    stage: Stage | None,
    watch: Watch | None,
    facts: FactSet | None,
    say: Say | None = None,
) -> SearchResult:
    """One search per seed in `seeds/SEED`; the answer is that of the seed whose best gains most on validation over its
    baseline, and `over_seeds` has the means of all with 95 % intervals (Student's t over the seeds)."""
    facts = facts if facts is not None else load_facts(settings.facts)
    prepared = prepare(settings, facts)
    budget = {"trials": settings.most_trials, "steps": settings.budget_steps, "hours": settings.budget_hours}
    values = {**prepared.fingerprint_values(), "repeats": settings.repeats, "budget": budget}
    with open_step("search", values, prepared.inputs, out, root) as step:
        if not step.done:
            found: list[SearchResult] = []
            for seed in range(settings.seed, settings.seed + settings.repeats):
                one = settings.model_copy(update={"repeats": 1, "seed": seed, "resume": False})
                place = step.folder / "seeds" / str(seed)
                place.parent.mkdir(exist_ok=True)
                found.append(run_search(one, place, stage=stage, watch=watch, facts=facts, say=say))
            best = max(found, key=_validation_gain)
            for name in (BEST, "report.html"):
                shutil.copy(best.path / name, step.folder / name)
            final = step.path / "seeds" / best.path.name
            moved = {"report": str(step.path / "report.html"), "model": _moved(best, final)}
            step.finish({**best.metrics, **moved, "over_seeds": over_seeds(found, settings.seed)})
        return SearchResult(step.path, step.metrics)


def over_seeds(found: Sequence[SearchResult], first: int) -> dict[str, Any]:
    """Means over the seeds, each with its interval and the number of seeds that have it."""
    names = ("test", "baseline_test", "cost_fraction", "early_final_correlation", "top5_overlap")
    rows: dict[str, list[float | None]] = {name: [one.metrics[name] for one in found] for name in names}
    rows["gain_over_baseline"] = [(one.metrics["gain_over_baseline"] or {}).get("value") for one in found]
    return {"seeds": list(range(first, first + len(found)))} | {name: _mean(values) for name, values in rows.items()}


def _mean(values: Sequence[float | None]) -> dict[str, Any]:
    from scipy import stats

    known = [float(value) for value in values if value is not None]
    if len(known) < 2:
        return {"value": known[0] if known else None, "low": None, "high": None, "n": len(known)}
    half = float(stats.t.ppf(0.975, len(known) - 1)) * stdev(known) / math.sqrt(len(known))
    return {"value": fmean(known), "low": fmean(known) - half, "high": fmean(known) + half, "n": len(known)}


def _validation_gain(one: SearchResult) -> float:
    """Seeds have different validation questions, so their bests are compared by what each gains there."""
    first = {row["trial"]: row["validation"]["value"] for row in one.metrics["finalists"]}
    return float(one.metrics["validation"]) - float(first.get(0, one.metrics["validation"]))


def _moved(best: SearchResult, final: Path) -> str:
    return str(final / Path(best.metrics["model"]).relative_to(best.path))
