"""The studies of a grid, each with its base's score, its best model's and its own report; and what failed."""

from __future__ import annotations

from pydantic import Field

from recollect.core.estimates import Estimate
from recollect.core.workspace.experiment import GridFound
from recollect.report.chapters.attributes.charts import MACRO, part_rows
from recollect.report.chapters.attributes.collect import collect as collect_attributes
from recollect.report.chapters.elicits.record import collect as collect_scores
from recollect.report.page.chapter import Source
from recollect.report.page.record import Count, Difference, Fraction, Record
from recollect.report.scores.parts import Part, parts_of
from recollect.report.scores.record import Best, Choice


class PartScores(Record):
    """One study. Scores are of the in-domain test facts."""

    name: str
    model: str
    """As the grid's file calls it, else as it is named."""
    data: str
    """Likewise."""
    method: str
    report: str
    """Its own page, seen from the grid's folder."""
    models: Count
    """Models trained."""
    base: Fraction | None = None
    """Macro accuracy of the untouched base on all questions; null without levels."""
    best: Fraction | None = None
    """That of the best choice of examples, on questions that did not choose it; null where none was trained."""
    gain: Difference | None = None
    """What that choice is better than the base, on those questions."""
    levels: Choice | None = None
    """What the best choice trains on; null for the base itself."""
    size: Count | None = None
    chosen: Best | None = None
    """The best choice as the study's own page judges it, without the ids of the questions."""
    pages: bool = False
    """Scores are means over the attributes of pages; best is the largest training set, which nothing had to choose."""

    @property
    def base_beside(self) -> Estimate | None:
        """The base's score on the questions that `best` is of; None where that is not stored."""
        if self.pages:
            return self.base
        if self.chosen is None:
            return None
        if self.chosen.levels is None:
            return self.chosen.score
        return self.chosen.base.scored if self.chosen.base else None


class FailedPart(Record):
    """What has no result."""

    name: str
    reason: str


class Parts(Record):
    """All parts of a grid."""

    parts: list[PartScores] = Field(default_factory=list)
    failed: list[FailedPart] = Field(default_factory=list)


def collect(source: Source) -> Parts | None:
    """Of a grid; None of anything else."""
    if source.step != "grid":
        return None
    failed = GridFound.read(source.path).failed
    return Parts(
        parts=[_scores(part, source) for part in parts_of(source)],
        failed=[FailedPart(name=one.name, reason=one.reason) for one in failed],
    )


def _scores(part: Part, grid: Source) -> PartScores:
    found = collect_scores(part.source)
    told = {"name": part.name, "model": part.model_said, "data": part.data_said, "method": part.method}
    told["report"] = f"{part.path.relative_to(grid.path).as_posix()}/report.html"
    if found is None:
        return _of_pages(part, told)
    best = found.best
    return PartScores(
        **told,
        models=len(found.cells),
        base=found.base.test.macro if found.base else None,
        best=best.score if best else None,
        gain=best.base.interval if best and best.base else None,
        levels=best.levels if best else None,
        size=best.size if best else None,
        chosen=best.model_copy(update={"judged_facts": []}) if best else None,
    )


def _of_pages(part: Part, told: dict[str, str]) -> PartScores:
    found = collect_attributes(part.source)
    rows = part_rows(found, "test") if found else []
    base = next((row for row in rows if row.system.kind == "base"), None)
    tuned = [row for row in rows if row.system.kind == "tuned"]
    last = tuned[-1] if tuned else None
    return PartScores(
        **told,
        models=sum(len(row.runs) for row in tuned),
        base=base.scores[MACRO] if base else None,
        best=last.scores[MACRO] if last else None,
        levels="random" if last else None,
        size=last.system.size if last else None,
        pages=True,
    )
