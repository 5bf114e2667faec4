"""From a finished curve's own files to its chapter."""

from __future__ import annotations

import math

import polars as pl

from recollect.core.estimates import Estimate
from recollect.core.workspace import MANIFEST, Manifest, read_manifest
from recollect.core.workspace.curve import CurveFound
from recollect.report.chapters.curve.record import Curve, CurveBand, CurveFamily, CurveGain, CurvePoint, Curves
from recollect.report.page.chapter import Source

PARTS = {"test": "In-domain", "ood": "Out-of-domain"}


def collect(source: Source) -> Curves | None:
    """Of a curve, or a study with one, one for each part of the test items; None of anything else."""
    path = source.path if source.step == "curve" else source.path / "steps" / "curve"
    if source.step not in ("curve", "study") or not (path / MANIFEST).is_file():
        return None
    manifest, found = read_manifest(path), CurveFound.read(path)
    runs = pl.read_parquet(path / "curve.parquet", glob=False)
    curves = [_curve(part, found, runs.filter(part=part), manifest) for part in found.parts]
    return Curves(curves=curves)


def _curve(part: str, found: CurveFound, runs: pl.DataFrame, manifest: Manifest) -> Curve:
    one = found.parts[part]
    verdict, negated = one.verdict, bool(manifest.settings.get("lower_is_better"))
    sign = -1 if negated else 1
    n_sat, n_sat_low, n_sat_high = _sizes(verdict.n_sat)
    return Curve(
        part=PARTS.get(part, part),
        trained_on=found.trained_on,
        scored=found.scored,
        unit="score units" if negated else "points",
        negated=negated,
        items=one.items,
        groups=one.groups,
        verdict=verdict.name,
        lines=list(one.lines),
        margin=verdict.margin,
        confidence=verdict.confidence,
        n_sat=n_sat,
        n_sat_low=n_sat_low,
        n_sat_high=n_sat_high,
        n_hurts=_sizes(verdict.n_hurts) if verdict.n_hurts else None,
        run_spread=verdict.run_spread,
        points=[
            CurvePoint(
                size=size,
                score=score.value,
                low=score.low,
                high=score.high,
                runs=[sign * run for run in runs.filter(size=size)["score"]],
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
                name=family.name,
                left_out_error=family.error,
                weight=family.weight,
                misses=family.misses,
                scores=list(verdict.family_curves.get(family.name, ())),
            )
            for family in verdict.families
        ],
        band=None if verdict.band is None else CurveBand.model_validate(verdict.band, from_attributes=True),
        next=[one.size for one in verdict.next],
    )


def _sizes(found: Estimate) -> tuple[int, int, int]:
    """A size and the ends of its interval, in whole examples."""
    return math.ceil(found.value), math.ceil(found.low), math.ceil(found.high)
