"""From a finished data step to its page, in the frame that all pages share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect._version import __version__
from recollect.chat.findings import findings
from recollect.core.workspace import update_checksums, write_atomic
from recollect.report.page.render import Shown, fill, style

if TYPE_CHECKING:
    from recollect.chat.found import DataReport, Spread
    from recollect.chat.step import DataResult

PAGE = "data.html"


def write_data_page(result: DataResult) -> Path:
    """Write data.html into the step's folder; returns its path. Equal results give equal bytes."""
    page = render_data_page(result)
    write_atomic(result.path / PAGE, lambda file: file.write(page.encode()))
    update_checksums(result.path)
    return result.path / PAGE


def render_data_page(result: DataResult) -> str:
    """The page as HTML text, self-contained."""
    found, report = result.found, result.report
    said = findings(found, report)
    body = _fill("found", found=found, d=report, findings=said, spreads=_spreads(report))
    chapters = [Shown("found", "What is there", body)]
    if report.preview:
        chapters.append(Shown("preview", "What is learned of it", _fill("preview", d=report)))
    if dropped := [*report.bad_rows.first, *report.test_bad_rows.first]:
        chapters.append(Shown("dropped", "Rows that are dropped", _fill("dropped", d=report, rows=dropped)))
    title = Path(report.path).name or report.path
    return str(_fill("page", version=__version__, title=title, style=style(), chapters=chapters, d=report))


def _fill(template: str, **context: object) -> Markup:
    return fill(f"recollect.report.data:{template}.html.j2", **context)


def _spreads(report: DataReport) -> list[tuple[str, Spread]]:
    named = (("turns", report.turns), ("tokens", report.tokens), ("tokens learned", report.learned))
    return [(name, spread) for name, spread in named if spread is not None]
