"""The commands `label` and `score`, and the table of scores by attribute that `evaluate` prints for pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from recollect.cli.options import ProgressLine, answer, command, console_out, note, print_table
from recollect.core.numbers import estimate, number, thousands
from recollect.extraction.labels import LabelSettings
from recollect.extraction.values import ScoreSettings

if TYPE_CHECKING:
    from recollect.evaluate import PagesAsked
    from recollect.extraction.labels import LabelFound
    from recollect.extraction.values import PageScores


def register(app: typer.Typer) -> None:
    """Add `label` and `score`."""
    command(app, "label", LabelSettings, _label)
    command(app, "score", ScoreSettings, _score)


def _label(settings: LabelSettings, out: Path | None, as_json: bool) -> None:
    from recollect.extraction.labels import label_estimate, run_label

    if settings.source == "llm":
        bound = label_estimate(settings)
        note(
            f"cost: at most {bound.cost:.2f} for {bound.pages - bound.cached:,} pages ({bound.tokens_in:,} tokens in, "
            f"{bound.tokens_out:,} out; {bound.cached:,} answers are in the cache); "
            f"--max-cost is {settings.max_cost:.2f}"
        )
        if settings.estimate:
            answer(bound.plain(), as_json)
            return
    with ProgressLine("labelling", "pages") as progress:
        result = run_label(settings, out=out, progress=progress)
    if not as_json:
        _label_table(result.found)
        console_out.print(str(result.path), soft_wrap=True)
    answer({**result.found.plain(), "out": str(result.path)}, as_json)


def _label_table(found: LabelFound) -> None:
    title = f"{found.labelled:,} of {found.pages:,} pages labelled"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("attribute")
    for name in ("accepted", "of these in the prompt", "rejected"):
        table.add_column(name, justify="right")
    for name, one in found.by_attribute.items():
        table.add_row(name, *map(thousands, (one.accepted, one.in_prompt, one.rejected)))
    print_table(table)
    for reason, count in found.reasons.items():
        console_out.print(f"rejected {count:,}: {reason}", soft_wrap=True)
    console_out.print(f"examples: {', '.join(f'{count:,} {part}' for part, count in found.examples.items())}")


def _score(settings: ScoreSettings, out: Path | None, as_json: bool) -> None:
    from recollect.extraction.values import run_score

    result = run_score(settings, out=out)
    if not as_json:
        page_score_table(result.found, f"{settings.predictions.name}, {result.found.pages:,} pages")
        if result.found.rejected_truth:
            rejected = _counted(result.found.rejected_truth)
            console_out.print(f"labels that were rejected, so no truth: {rejected}", soft_wrap=True)
        console_out.print(str(result.path), soft_wrap=True)
    answer({**result.found.in_percent(), "out": str(result.path)}, as_json)


def page_score_tables(found: PagesAsked) -> None:
    """The tables of an evaluation on pages: known shops, new shops, and the repaired reading where asked for."""
    for parts, said in ((found.parts, ""), (found.repaired, ", JSON repaired")):
        for part, shops in (("test", "known shops (test)"), ("ood", "new shops (ood)")):
            if part in parts:
                page_score_table(parts[part], shops + said)


def page_score_table(found: PageScores, title: str) -> None:
    """Scores of one part by attribute, in percent with 95 % intervals."""
    if not found.n:
        return
    table = Table(title=f"{title}, in %", title_justify="left", title_style="bold")
    for name in ("attribute", "right", "precision", "F1", "n"):
        table.add_column(name, justify="left" if name == "attribute" else "right", no_wrap=True)
    for name, one in found.by_attribute.items():
        table.add_row(name, *map(estimate, (one.accuracy, one.precision, one.f1)), thousands(one.accuracy.n))
    table.add_section()
    f1 = None if found.macro_f1 is None else 100 * found.macro_f1
    table.add_row("macro", estimate(found.macro), "", number(f1), thousands(found.n))
    print_table(table)
    if found.without_truth:
        given = ", ".join(f"{name} ({count:,} given)" for name, count in found.without_truth.items())
        console_out.print(f"without a true value, so left out: {given}", soft_wrap=True)
    if found.unread_truth:
        unread = _counted(found.unread_truth)
        console_out.print(f"true values that cannot be read, so compared as text: {unread}", soft_wrap=True)
    if found.invalid:
        console_out.print(f"no JSON object: {estimate(found.invalid)} % of {found.answers:,} answers")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in counts.items())
