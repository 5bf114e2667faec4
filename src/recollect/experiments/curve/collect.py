"""From the verdicts to the report's chapter."""

from __future__ import annotations

import datetime
import math
from pathlib import Path

from recollect._version import __version__
from recollect.core.workspace import Step, read_manifest
from recollect.experiments.curve.fitted import Band
from recollect.experiments.curve.observations import Observations
from recollect.experiments.curve.settings import CurveSettings
from recollect.experiments.curve.verdict import Verdict
from recollect.experiments.curve.words import verdict_lines
from recollect.facts import FactSet
from recollect.models import LoadedModel
from recollect.report import (
    AskedPages,
    Attributes,
    Curve,
    CurveBand,
    CurveFamily,
    CurveGain,
    CurvePoint,
    Results,
    collect_attributes,
)

PARTS = {"test": "In-domain", "ood": "Out-of-domain"}


def collect(
    step: Step,
    settings: CurveSettings,
    runs: dict[str, Observations],
    verdicts: dict[str, Verdict],
    notes: list[str],
    loaded: LoadedModel | None,
    facts: FactSet | None,
) -> tuple[Results, dict[str, list[str]]]:
    """The report's results, and the verdict of each part in words."""
    unit = "score units" if settings.lower_is_better else "points"
    lines = {part: verdict_lines(verdict, unit) for part, verdict in verdicts.items()}
    curves = [curve_record(runs[part], verdict, lines[part], settings, unit) for part, verdict in verdicts.items()]
    seen = list(dict.fromkeys([*notes, *(note for verdict in verdicts.values() for note in verdict.notes)]))
    what = f"trained on {_choice(settings.level)}" if loaded else "scores of a file"
    results = Results.make(
        title=f"Data curve: how many examples are enough ({what})",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        version=__version__,
        model=None
        if loaded is None
        else {
            "name": settings.model,
            "fingerprint": loaded.fingerprint,
            "parameters": sum(parameter.numel() for parameter in loaded.model.parameters()),
        },
        facts=None if facts is None else {"name": facts.name, "fingerprint": facts.fingerprint(), **facts.counts()},
        curves=curves,
        attributes=_attributes(step.folder / "steps", runs, facts),
        settings=[
            {
                "step": "curve",
                "name": name,
                "value": value,
                "origin": "given" if name in settings.model_fields_set else "default",
            }
            for name, value in settings.model_dump(mode="json").items()
        ],
        steps=_steps(step),
        machine=loaded.machine.line() if loaded else "",
        notes=seen,
    )
    return results, lines


def curve_record(runs: Observations, verdict: Verdict, lines: list[str], settings: CurveSettings, unit: str) -> Curve:
    """One part's curve as the report stores it."""
    items, hurts = None if runs.items is None else len(runs.items.group), verdict.n_hurts
    groups = None if runs.items is None else len(set(runs.items.group.tolist()))
    return Curve(
        part=PARTS.get(runs.name, runs.name),
        trained_on=_choice(settings.level) if settings.scores is None else "",
        scored=scored_by(settings),
        unit=unit,
        negated=settings.lower_is_better,
        items=items,
        groups=groups,
        verdict=verdict.name,
        lines=lines,
        margin=verdict.margin,
        confidence=verdict.confidence,
        n_sat=_ceil(verdict.n_sat.value),
        n_sat_low=_ceil(verdict.n_sat.low),
        n_sat_high=_ceil(verdict.n_sat.high),
        n_hurts=(_ceil(hurts.value), _ceil(hurts.low), _ceil(hurts.high)) if hurts else None,
        run_spread=verdict.run_spread,
        points=[
            CurvePoint(
                size=size,
                score=score.value,
                low=score.low,
                high=score.high,
                runs=[float(value) for value in runs.score[runs.size == size]],
            )
            for size, score in zip(verdict.sizes, verdict.scores, strict=True)
        ],
        gains=[
            CurveGain(
                start=gain.start,
                end=gain.end,
                points=gain.points.value,
                low=gain.points.low,
                high=gain.points.high,
                per_label=gain.per_label,
                measured=gain.measured,
            )
            for gain in verdict.gains
        ],
        families=[
            CurveFamily(
                name=one.name,
                left_out_error=one.error,
                weight=one.weight,
                misses=one.misses,
                scores=list(verdict.family_curves.get(one.name, ())),
            )
            for one in verdict.families
        ],
        band=_band(verdict.band),
        next=[one.size for one in verdict.next],
    )


def _band(band: Band | None) -> CurveBand | None:
    if band is None:
        return None
    return CurveBand(sizes=list(band.sizes), middle=list(band.middle), low=list(band.low), high=list(band.high))


def _attributes(steps: Path, runs: dict[str, Observations], facts: FactSet | None) -> Attributes | None:
    """The chapter on attributes, when the task is about pages."""
    if facts is None:
        return None
    places = [(int(size), int(seed)) for size, seed in zip(runs["test"].size, runs["test"].seed, strict=True)]
    asked = [
        AskedPages(steps / f"evaluate-{size}-seed{seed}", f"{size:,} examples", "tuned", size, seed)
        if size
        else AskedPages(steps / "base", "untouched base", "base")
        for size, seed in places
    ]
    return collect_attributes(asked, (fact.object for fact in facts if fact.part == "train"))


def scored_by(settings: CurveSettings) -> str:
    """The score in words; empty for a user's own."""
    if settings.scores is not None:
        return ""
    metric = {"accuracy": "accuracy", "word": "accuracy by whole words", "f1": "F1"}[settings.metric]
    return metric if settings.group is None else f"{metric} of group {settings.group} alone"


def _ceil(n: float) -> int:
    return math.ceil(n)


def _choice(level: str) -> str:
    return {"random": "a random draw", "mixed": "an even mix of levels"}.get(level, f"level {level}")


def _steps(step: Step) -> list[dict[str, object]]:
    folders = sorted((step.folder / "steps").glob("*")) if (step.folder / "steps").is_dir() else []
    return [_record(folder, step.folder) for folder in folders if (folder / "manifest.json").is_file()]


def _record(folder: Path, root: Path) -> dict[str, object]:
    manifest = read_manifest(folder)
    return {
        "step": manifest["step"],
        "path": folder.relative_to(root).as_posix(),
        "fingerprint": manifest["fingerprint"],
        "seconds": manifest["metrics"].get("seconds"),
    }
