"""Record of the chapter on a fit: what the fit found, as it is."""

from __future__ import annotations

from recollect.core.workspace.fit import FitFound
from recollect.report.page.chapter import Source
from recollect.report.page.record import Record


class Fit(Record):
    """A finished fit."""

    found: FitFound


def collect(source: Source) -> Fit | None:
    """Of a fit; None of anything else."""
    return Fit(found=FitFound.read(source.path)) if source.step == "fit" else None
