"""From a finished search to the report's chapter."""

from __future__ import annotations

import datetime
from pathlib import Path

from recollect._version import __version__
from recollect.core.estimates import Correlation, Estimate, Line
from recollect.core.workspace import Step, read_manifest
from recollect.experiments.search.correlation import line
from recollect.experiments.search.held_out_test import Finalist, HeldOut
from recollect.experiments.search.prepare import Prepared
from recollect.experiments.search.results import SearchFound
from recollect.experiments.search.rung_file import ASIDE, last_losses
from recollect.experiments.search.runner import TRIALS, TrialRunner
from recollect.experiments.search.schedule import Scheduler
from recollect.experiments.search.trial import Trial, trial_name
from recollect.experiments.search.validation import Points
from recollect.report.chapters.search.record import Finalist as FinalistRecord
from recollect.report.chapters.search.record import Importance, RungPoint, Search, SearchTrial
from recollect.report.chapters.search.view import CHAPTER
from recollect.report.page.results import Facts, Model, Results, SettingValue, StepRecord

_LEAST_FOR_IMPORTANCE = 4
_MOST_LOSSES = 200


def collect(
    step: Step,
    prepared: Prepared,
    runner: TrialRunner,
    scheduler: Scheduler,
    held_out: HeldOut,
    found: SearchFound,
    best_yaml: str,
) -> Results:
    """The report's results."""
    settings, facts, loaded = prepared.settings, prepared.facts, runner.base.load()
    return Results(
        title=f"Search for settings: {found.trials} tried, {found.finished} trained to the end",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        version=__version__,
        model=Model(
            name=settings.model,
            fingerprint=loaded.fingerprint,
            parameters=sum(parameter.numel() for parameter in loaded.model.parameters()),
        ),
        facts=Facts(name=facts.name, fingerprint=facts.fingerprint(), **facts.counts()),
        chapters={CHAPTER.id: _search(step, prepared, scheduler, held_out, found, best_yaml)},
        settings=[
            SettingValue(
                step="search",
                name=name,
                value=value,
                origin="given" if name in settings.model_fields_set else "default",
            )
            for name, value in settings.model_dump(mode="json").items()
        ],
        steps=_steps(step),
        machine=loaded.machine.line(),
        notes=list(found.warnings),
    )


def _search(
    step: Step, prepared: Prepared, scheduler: Scheduler, held_out: HeldOut, found: SearchFound, best_yaml: str
) -> Search:
    rungs = prepared.settings.rungs
    correlation = scheduler.summary().correlation
    lines = [line(scheduler.trials, len(rungs) - 1, rung) for rung in range(len(rungs) - 1)]
    return Search(
        trials=[_trial(trial, rungs, step.folder, lines) for trial in scheduler.trials],
        rungs=list(rungs),
        best=held_out.best.trial.number,
        best_yaml=best_yaml,
        baseline=None if held_out.baseline is None else held_out.baseline.trial.number,
        finalists=[_finalist(one) for one in held_out.finalists],
        promoted=found.promoted,
        cost_fraction=found.cost_fraction,
        correlation=_correlation(correlation),
        rank_correlation=None if correlation is None else correlation.spearman,
        pairs=found.early_final_pairs,
        early_trials=found.early_final_trials,
        top_k=found.top_k or 5,
        top_overlap=found.top5_overlap,
        top_overlap_by_chance=found.top_overlap_by_chance,
        importance=importance(scheduler),
        validation_items=held_out.best.validation.n,
        test_items=held_out.best.test.n,
        ood_items=0 if held_out.best.ood is None else held_out.best.ood.n,
        base_test=held_out.base_test.value,
        scored_as=held_out.scored[1],
        validated_as=held_out.scored[0],
        base_validation=held_out.base_validation.value,
        warnings=list(held_out.warnings),
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


def _steps(step: Step) -> list[StepRecord]:
    found = []
    for manifest in sorted(step.folder.rglob("manifest.json")):
        if ASIDE in manifest.relative_to(step.folder).as_posix():
            continue
        read = read_manifest(manifest.parent)
        found.append(
            StepRecord(
                step=read.step,
                path=manifest.parent.relative_to(step.folder).as_posix(),
                fingerprint=read.fingerprint,
                seconds=read.metrics.get("seconds"),
            )
        )
    return found
