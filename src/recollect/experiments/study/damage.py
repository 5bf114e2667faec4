"""What each training of a study changed and broke, and whether restoring helps: its drift and ladder steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recollect.core.workspace import is_finished
from recollect.drift import BaseSide, DriftFound, DriftResult, DriftSettings, run_drift
from recollect.facts import FactSet
from recollect.restore import LadderFound, LadderResult, LadderSettings, run_ladder


def measured_drift(
    settings: DriftSettings, base: str, tuned: Path, facts: FactSet, out: Path, base_side: BaseSide
) -> DriftResult:
    """The drift step of one trained model; found again when it is done, since the weights may be gone by then."""
    if is_finished(out):
        return DriftResult(out, DriftFound.read(out))
    return run_drift(settings, base, str(tuned), facts, out=out, base_side=base_side)


def climbed(
    settings: LadderSettings,
    base: str,
    tuned: Path,
    facts: FactSet,
    out: Path,
    progress: Callable[[int, int], None] | None = None,
) -> LadderResult:
    """The ladder step of one trained model; found again when it is done."""
    if is_finished(out):
        return LadderResult(out, LadderFound.read(out))
    return run_ladder(settings, base, str(tuned), facts, out=out, progress=progress)
