"""From the verdicts to the report's chapter."""

from __future__ import annotations

import datetime
import math
from pathlib import Path

import polars as pl

from recollect._version import __version__
from recollect.core.workspace import Step, read_manifest
from recollect.experiments.curve.fit import Band
from recollect.experiments.curve.found import CurveFound, PartFound
from recollect.experiments.curve.settings import CurveSettings
from recollect.facts import FactSet
from recollect.report import AskedPages, Attributes, Results, collect_attributes, make_results
from recollect.report.chapters.curve.record import Curve, CurveBand, CurveFamily, CurveGain, CurvePoint

PARTS = {"test": "In-domain", "ood": "Out-of-domain"}


def collect(step: Step, settings: CurveSettings, found: CurveFound, facts: FactSet | None) -> Results:
    """The report's results."""
    runs = pl.read_parquet(step.folder / "curve.parquet", glob=False)
    what = f"trained on {_choice(settings.level)}" if facts else "scores of a file"
    return make_results(
        {
            "title": f"Data curve: how many examples are enough ({what})",
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "version": __version__,
            "model": None
            if facts is None
            else {
                "name": settings.model,
                "fingerprint": step.inputs["model"],
                "parameters": found.parameters,
            },
            "facts": None
            if facts is None
            else {"name": facts.name, "fingerprint": step.inputs["facts"], **facts.counts()},
            "curves": [
                _curve(part, one, runs.filter(part=part), settings, found.scored) for part, one in found.parts.items()
            ],
            "attributes": _attributes(step.folder / "steps", runs, facts),
            "settings": [
                {
                    "step": "curve",
                    "name": name,
                    "value": getattr(settings, name).given() if settings.section(name) else value,
                    "origin": "given" if name in settings.model_fields_set else "default",
                }
                for name, value in settings.model_dump(mode="json").items()
            ],
            "steps": _steps(step),
            "machine": found.machine,
            "notes": list(found.notes),
        }
    )


def _curve(part: str, found: PartFound, runs: pl.DataFrame, settings: CurveSettings, scored: str) -> Curve:
    """One part's curve as the report stores it."""
    verdict, sign = found.verdict, -1 if settings.lower_is_better else 1
    hurts = verdict.n_hurts
    return Curve(
        part=PARTS.get(part, part),
        trained_on=_choice(settings.level) if settings.scores is None else "",
        scored=scored,
        unit="score units" if settings.lower_is_better else "points",
        negated=settings.lower_is_better,
        items=found.items,
        groups=found.groups,
        verdict=verdict.name,
        lines=list(found.lines),
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
                runs=[sign * score for score in runs.filter(size=size)["score"]],
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


def _attributes(steps: Path, runs: pl.DataFrame, facts: FactSet | None) -> Attributes | None:
    """The chapter on attributes, when the task is about pages."""
    if facts is None:
        return None
    places = runs.filter(part="test").select("size", "seed").rows()
    asked = [
        AskedPages(steps / f"evaluate-{size}-seed{seed}", f"{size:,} examples", "tuned", size, seed)
        if size
        else AskedPages(steps / "base", "untouched base", "base")
        for size, seed in places
    ]
    return collect_attributes(asked, (fact.object for fact in facts if fact.part == "train"))


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
        "step": manifest.step,
        "path": folder.relative_to(root).as_posix(),
        "fingerprint": manifest.fingerprint,
        "seconds": manifest.metrics.get("seconds"),
    }
