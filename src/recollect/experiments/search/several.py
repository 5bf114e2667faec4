"""The same search with several seeds, and what they agree on."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from recollect.core.estimates import CONFIDENCE, spread_of
from recollect.core.workspace import open_step
from recollect.experiments.search.once import BEST, Say, SearchResult, Stage, Watch, search_once
from recollect.experiments.search.prepare import prepare
from recollect.experiments.search.settings import SearchSettings
from recollect.facts import FactSet, load_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
    baseline, and `over_seeds` has the means of all with 95 % intervals."""
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
                found.append(search_once(one, place, stage=stage, watch=watch, facts=facts, say=say))
            best = max(found, key=_validation_gain)
            for name in (BEST, "report.html"):
                shutil.copy(best.path / name, step.folder / name)
            final = step.path / "seeds" / best.path.name
            moved = {"report": str(step.path / "report.html"), "model": _moved(best, final)}
            step.finish({**best.metrics, **moved, "over_seeds": over_seeds(found, settings.seed)})
        return SearchResult(step.path, step.metrics)


def over_seeds(found: Sequence[SearchResult], first: int) -> dict[str, Any]:
    """Means over the seeds, each with its 95 % interval and the number of seeds that have it.

    Of scores and gains the interval holds the spread over the seeds and the noise of the questions, which does not
    shrink with the seeds: their tests are cut from the same facts. Of the others it holds the spread alone.
    """
    rows: dict[str, dict[str, Any]] = {}
    for name in ("cost_fraction", "early_final_correlation", "top5_overlap"):
        rows[name] = _mean([_alone(one.metrics[name]) for one in found])
    rows["test"] = _mean([_finalist(one, one.metrics["best_trial"]) for one in found])
    rows["baseline_test"] = _mean([_finalist(one, 0) for one in found if one.metrics["baseline_test"] is not None])
    rows["gain_over_baseline"] = _mean([one.metrics["gain_over_baseline"] for one in found])
    return {"seeds": list(range(first, first + len(found))), "level": CONFIDENCE, **rows}


def _alone(value: float | None) -> dict[str, Any] | None:
    """A number without noise of its own."""
    return None if value is None else {"value": value, "low": value, "high": value}


def _finalist(one: SearchResult, trial: int) -> dict[str, Any] | None:
    """A finalist's test score with its interval."""
    found: dict[str, Any] | None = next(
        (row["test"] for row in one.metrics["finalists"] if row["trial"] == trial), None
    )
    return found


def _mean(found: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """The mean; half-widths of independent errors add up by their squares (Zou and Donner 2008)."""
    known = [one for one in found if one is not None]
    values = [float(one["value"]) for one in known]
    spread = spread_of([values])
    if spread is None:
        return {"value": values[0] if values else None, "low": None, "high": None, "n": len(values)}
    value, half = fmean(values), spread.half(len(values))
    below, above = (fmean(abs(one[end] - one["value"]) for one in known) for end in ("low", "high"))
    return {
        "value": value,
        "low": value - math.hypot(half, below),
        "high": value + math.hypot(half, above),
        "n": len(values),
    }


def _validation_gain(one: SearchResult) -> float:
    """Seeds have different validation questions, so their bests are compared by what each gains there."""
    first = {row["trial"]: row["validation"]["value"] for row in one.metrics["finalists"]}
    return float(one.metrics["validation"]) - float(first.get(0, one.metrics["validation"]))


def _moved(best: SearchResult, final: Path) -> str:
    return str(final / Path(best.metrics["model"]).relative_to(best.path))
