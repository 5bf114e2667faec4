"""The front door of a search: one seed, or several and what they agree on."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from recollect.core.estimates import CONFIDENCE, spread_of
from recollect.core.workspace import DEFAULT_ROOT, open_step
from recollect.experiments.found import Stage, no_stage, unheard
from recollect.experiments.search.once import Say, Watch, Watching, search_once, warn
from recollect.experiments.search.prepare import Prepared, prepare
from recollect.experiments.search.results import BEST, Mean, OverSeeds, SearchFound, SearchResult
from recollect.experiments.search.settings import SearchSettings
from recollect.experiments.search.validation import Points
from recollect.facts import FactSet


def run_search(
    settings: SearchSettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    *,
    stage: Stage | None = None,
    watch: Watch | None = None,
    facts: FactSet | None = None,
    say: Say | None = None,
) -> SearchResult:
    """Search, resume a search, or find it done. `watch` is called at every finished rung; `say` with a line about what
    was repaired when a search is resumed (default: a warning of Python's).

    Raises InputError for a space, budget or section that cannot be used, StepError when the folder is of another search
    or busy, RecollectError when no trial could be finished, and what the steps raise; nothing finished is lost.

    Examples:
        `few` is the folder of a `run_facts` with 40 facts.

        >>> from recollect import SearchSettings, run_search
        >>> settings = SearchSettings.make(
        ...     facts=str(few), space={"learning_rate": [1e-3, 3e-3]}, levels=None, trials=2, finalists=1,
        ...     select={"size": 4, "level": "random"}, train={"preset": "pocket", "max_steps": 2})
        >>> result = run_search(settings)
        >>> result.report.name
        'report.html'
    """
    prepared = prepare(settings, facts)
    with_ = Watching(stage or no_stage, watch, say or warn, say or unheard)
    if settings.repeats > 1:
        return run_several(prepared, out, root, with_)
    return search_once(prepared, out, root, with_)


def run_several(prepared: Prepared, out: Path | None, root: Path, with_: Watching) -> SearchResult:
    """One search per seed in `seeds/SEED`; the answer is that of the seed whose best gains most on validation over its
    baseline, and `over_seeds` has the means of all with 95 % intervals."""
    settings = prepared.settings
    budget = {"trials": settings.most_trials, "steps": settings.budget_steps, "hours": settings.budget_hours}
    values = {**settings.fingerprint_values(), "repeats": settings.repeats, "budget": budget}
    with open_step("search", values, prepared.inputs, out, root) as step:
        if not step.done:
            results: list[SearchResult] = []
            for seed in range(settings.seed, settings.seed + settings.repeats):
                one = settings.model_copy(update={"repeats": 1, "seed": seed, "resume": False})
                place = step.folder / "seeds" / str(seed)
                place.parent.mkdir(exist_ok=True)
                ready = replace(prepare(one, prepared.facts), handed_over=prepared.handed_over)
                results.append(search_once(ready, place, root, with_, step.path / "seeds" / str(seed)))
            best = max(results, key=lambda result: _validation_gain(result.found))
            for name in (BEST, "report.html"):
                shutil.copy(best.path / name, step.folder / name)
            over = over_seeds([result.found for result in results], settings.seed)
            more = {"report": str(step.path / "report.html"), "over_seeds": over}
            step.finish(best.found.model_copy(update=more))
        return SearchResult(step.path, SearchFound.read(step.path))


def over_seeds(found: Sequence[SearchFound], first: int) -> OverSeeds:
    """Means over the seeds, each with its 95 % interval and the number of seeds that have it.

    Of scores and gains the interval holds the spread over the seeds and the noise of the questions, which does not
    shrink with the seeds: their tests are cut from the same facts. Of the others it holds the spread alone.
    """
    return OverSeeds(
        seeds=tuple(range(first, first + len(found))),
        level=CONFIDENCE,
        cost_fraction=mean([_alone(one.cost_fraction) for one in found]),
        early_final_correlation=mean([_alone(one.early_final_correlation) for one in found]),
        top5_overlap=mean([_alone(one.top5_overlap) for one in found]),
        test=mean([_finalist(one, one.best_trial) for one in found]),
        baseline_test=mean([_finalist(one, 0) for one in found if one.baseline_test is not None]),
        gain_over_baseline=mean([one.gain_over_baseline for one in found]),
    )


def _alone(value: float | None) -> Points | None:
    """A number without noise of its own."""
    return None if value is None else Points(value=value, low=value, high=value, n=1)


def _finalist(found: SearchFound, trial: int) -> Points | None:
    """A finalist's test score with its interval."""
    return next((one.test for one in found.finalists if one.trial == trial), None)


def mean(found: Sequence[Points | None]) -> Mean:
    """The mean; half-widths of independent errors add up by their squares (Zou and Donner 2008)."""
    known = [one for one in found if one is not None]
    values = [one.value for one in known]
    spread = spread_of([values])
    if spread is None:
        return Mean(value=values[0] if values else None, n=len(values))
    value, half = fmean(values), spread.half(len(values))
    below, above = fmean(one.value - one.low for one in known), fmean(one.high - one.value for one in known)
    return Mean(value=value, low=value - math.hypot(half, below), high=value + math.hypot(half, above), n=len(values))


def _validation_gain(found: SearchFound) -> float:
    """Seeds have different validation questions, so their bests are compared by what each gains there."""
    first = {one.trial: one.validation.value for one in found.finalists}
    return found.validation - first.get(0, found.validation)
