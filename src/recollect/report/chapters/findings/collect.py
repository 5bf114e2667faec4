"""The chapter's record from the step folders of a study, or of all studies of a grid."""

from __future__ import annotations

from recollect.report.chapters.findings.judge import judge
from recollect.report.chapters.findings.read import read
from recollect.report.chapters.findings.read_extras import read_extras
from recollect.report.page.chapter import Source
from recollect.report.scores.findings import Findings
from recollect.report.scores.parts import model_names, parts_of
from recollect.report.scores.steps import is_about_pages


def collect(source: Source) -> Findings | None:
    """Of a study or a grid that trained a model; None of anything else."""
    parts = parts_of(source)
    of_facts = [part for part in parts if not is_about_pages(part.source)]
    names = model_names(of_facts)
    studies = [found for part in of_facts if (found := read(part, names[part.model])) is not None]
    extracted = [extras for part in parts if (extras := read_extras(part)) is not None]
    return judge(studies, extracted) if studies or extracted else None
