"""From a finished search to the report's chapter."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from recollect._version import __version__
from recollect.core.estimates import Estimate
from recollect.core.workspace import Step, read_manifest
from recollect.experiments.search.ending import Ending, Finalist
from recollect.experiments.search.measured import Correlation, Line, line
from recollect.experiments.search.prepare import Prepared
from recollect.experiments.search.rung_file import ASIDE, last_losses
from recollect.experiments.search.schedule import Scheduler
from recollect.experiments.search.score import Estimate as Points
from recollect.experiments.search.trial import TRIALS, Trials, trial_name
from recollect.experiments.search.trials import Trial
from recollect.report import Results, make_results
from recollect.report.chapters.search.record import Finalist as FinalistRecord
from recollect.report.chapters.search.record import Importance, RungPoint, Search, SearchTrial

_LEAST_FOR_IMPORTANCE = 4
_MOST_LOSSES = 200


def collect(
    step: Step,
    prepared: Prepared,
    trials: Trials,
    scheduler: Scheduler,
    ending: Ending,
    metrics: dict[str, Any],
    best_yaml: str,
) -> Results:
    """The report's results."""
    settings, loaded = prepared.settings, trials.base
    return make_results(
        {
            "title": f"Search for settings: {metrics['trials']} tried, {metrics['finished']} trained to the end",
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "version": __version__,
            "model": {
                "name": settings.model,
                "fingerprint": loaded.fingerprint,
                "parameters": sum(parameter.numel() for parameter in loaded.model.parameters()),
            },
            "facts": {
                "name": prepared.facts.name,
                "fingerprint": prepared.facts.fingerprint(),
                **prepared.facts.counts(),
            },
            "search": _search(step, prepared, scheduler, ending, metrics, best_yaml),
            "settings": [
                {
                    "step": "search",
                    "name": name,
                    "value": value,
                    "origin": "given" if name in settings.model_fields_set else "default",
                }
                for name, value in settings.model_dump(mode="json").items()
            ],
            "steps": _steps(step),
            "machine": loaded.machine.line(),
            "notes": metrics["warnings"],
        }
    )


def _search(
    step: Step, prepared: Prepared, scheduler: Scheduler, ending: Ending, metrics: dict[str, Any], best_yaml: str
) -> Search:
    rungs = prepared.plan.rungs
    correlation = scheduler.summary().correlation
    lines = [line(scheduler.trials, len(rungs) - 1, rung) for rung in range(len(rungs) - 1)]
    return Search(
        trials=[_trial(trial, rungs, step.folder, lines) for trial in scheduler.trials],
        rungs=list(rungs),
        best=ending.best.trial.number,
        best_yaml=best_yaml,
        baseline=None if ending.baseline is None else ending.baseline.trial.number,
        finalists=[_finalist(one) for one in ending.finalists],
        promoted=metrics["promoted"],
        cost_fraction=metrics["cost_fraction"],
        correlation=_correlation(correlation),
        rank_correlation=None if correlation is None else correlation.spearman,
        pairs=metrics["early_final_pairs"],
        early_trials=metrics["early_final_trials"],
        top_k=metrics["top_k"] or 5,
        top_overlap=metrics["top5_overlap"],
        top_overlap_by_chance=metrics["top_overlap_by_chance"],
        importance=importance(scheduler),
        validation_items=ending.best.validation.n,
        test_items=ending.best.test.n,
        ood_items=0 if ending.best.ood is None else ending.best.ood.n,
        base_test=ending.base_test.value,
        scored_as=ending.scored[1],
        validated_as=ending.scored[0],
        base_validation=ending.base_validation.value,
        warnings=list(ending.warnings),
    )


def _correlation(found: Correlation | None) -> Estimate | None:
    if found is None or found.pearson is None or found.low is None or found.high is None:
        return None
    return Estimate(found.pearson, found.low, found.high, found.pairs, "Pearson, a straight line through the finished")


def importance(scheduler: Scheduler) -> list[Importance]:
    """Each setting's share of the differences between finished scores, by Optuna's fANOVA; none where
    there is too little to tell."""
    import optuna

    finished = [trial for trial in scheduler.trials if trial.state == "finished"]
    common = set.intersection(*(set(trial.values) for trial in finished)) if finished else set()
    varied = [name for name in common if len({str(trial.values[name]) for trial in finished}) > 1]
    if len(finished) < _LEAST_FOR_IMPORTANCE or not varied:
        return []
    try:
        found = optuna.importance.get_param_importances(
            scheduler.study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0), params=sorted(varied)
        )
    except (ValueError, RuntimeError, ZeroDivisionError):  # all scores alike
        return []
    return [Importance(name=name, share=min(1.0, max(0.0, share))) for name, share in found.items()]


def _trial(trial: Trial, rungs: tuple[float, ...], folder: Path, lines: list[Line]) -> SearchTrial:
    losses = last_losses(folder / TRIALS / trial_name(trial.number))
    every = max(1, len(losses) // _MOST_LOSSES)
    return SearchTrial(
        number=trial.number,
        settings=dict(trial.values),
        state=trial.state,
        why=trial.why,
        reason=trial.reason,
        rungs=[RungPoint(share=rungs[rung], score=score) for rung, score in sorted(trial.scores.items())],
        forecast=_final(trial, lines),
        losses=[(update / trial.total_steps, loss) for update, loss in losses[::every]] if trial.total_steps else [],
        steps=trial.steps,
        total_steps=trial.total_steps,
    )


def _final(trial: Trial, lines: list[Line]) -> Estimate | None:
    """Where the final score of a paused trial may fall, by what the finished trials measured."""
    if trial.state != "paused" or trial.rung not in trial.scores:
        return None
    found = lines[trial.rung].final(trial.scores[trial.rung])
    return None if found is None else Estimate(found[1], found[0], found[2], 0, "prediction by a straight line")


def _fraction(points: Points | None) -> Estimate | None:
    if points is None:
        return None
    return Estimate(points.value / 100, points.low / 100, points.high / 100, points.n, "questions")


def _finalist(one: Finalist) -> FinalistRecord:
    return FinalistRecord(
        trial=one.trial.number,
        validation=one.validation.value,
        test=_fraction(one.test),
        ood=_fraction(one.ood),
        gain=_fraction(one.gain),
    )


def _steps(step: Step) -> list[dict[str, Any]]:
    found = []
    for manifest in sorted(step.folder.rglob("manifest.json")):
        if ASIDE in manifest.relative_to(step.folder).as_posix():
            continue
        read = read_manifest(manifest.parent)
        found.append(
            {
                "step": read["step"],
                "path": manifest.parent.relative_to(step.folder).as_posix(),
                "fingerprint": read["fingerprint"],
                "seconds": read["metrics"].get("seconds"),
            }
        )
    return found
