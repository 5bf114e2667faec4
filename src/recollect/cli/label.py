"""The commands `label` and `score`, and the table of scores by attribute that `evaluate` prints for pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from recollect.cli.options import ProgressLine, answer, command, console_out, note
from recollect.core.numbers import number, with_interval
from recollect.extraction.labels import LabelSettings
from recollect.extraction.values import ScoreSettings


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
            answer(asdict(bound), as_json)
            return
    with ProgressLine("labelling", "pages") as progress:
        result = run_label(settings, out=out, progress=progress)
    summary = {**result.summary(), "out": str(result.path)}
    if not as_json:
        _label_table(summary)
        console_out.print(str(result.path), soft_wrap=True)
    answer(summary, as_json)


def _label_table(summary: Mapping[str, Any]) -> None:
    title = f"{summary['labelled']:,} of {summary['pages']:,} pages labelled"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("attribute")
    for name in ("accepted", "of these in the prompt", "rejected"):
        table.add_column(name, justify="right")
    for name, counts in summary["by_attribute"].items():
        table.add_row(name, *(f"{counts[key]:,}" for key in ("accepted", "in_prompt", "rejected")))
    console_out.print(table)
    for reason, count in summary["reasons"].items():
        console_out.print(f"rejected {count:,}: {reason}", soft_wrap=True)
    examples = ", ".join(f"{count:,} {part}" for part, count in summary["examples"].items())
    console_out.print(f"examples: {examples}")


def _score(settings: ScoreSettings, out: Path | None, as_json: bool) -> None:
    from recollect.extraction.values import run_score

    result = run_score(settings, out=out)
    summary = {**result.summary(), "out": str(result.path)}
    if not as_json:
        page_score_table(summary, f"{settings.predictions.name}, {summary['pages']:,} pages")
        console_out.print(str(result.path), soft_wrap=True)
    answer(summary, as_json)


def page_score_tables(summary: Mapping[str, Any]) -> None:
    """The tables of an evaluation on pages: known shops, new shops, and the repaired reading where asked for."""
    page_score_table(summary, "known shops (test)")
    if summary.get("ood"):
        page_score_table(summary["ood"], "new shops (ood)")
    if summary.get("repaired"):
        page_score_table(summary["repaired"], "known shops (test), JSON repaired")
        if summary["repaired"].get("ood"):
            page_score_table(summary["repaired"]["ood"], "new shops (ood), JSON repaired")


def page_score_table(summary: Mapping[str, Any], title: str) -> None:
    """Scores of one part by attribute, in percent with 95 % intervals."""
    if not summary["n"]:
        return
    table = Table(title=f"{title}, in %", title_justify="left", title_style="bold")
    for name in ("attribute", "right", "precision", "F1", "n"):
        table.add_column(name, justify="left" if name == "attribute" else "right", no_wrap=True)
    for name, row in summary["by_attribute"].items():
        right = with_interval(row["accuracy"], row["low"], row["high"])
        precision = with_interval(row["precision"], row["precision_low"], row["precision_high"])
        table.add_row(name, right, precision, with_interval(row["f1"], row["f1_low"], row["f1_high"]), f"{row['n']:,}")
    table.add_section()
    macro = with_interval(summary["macro"], summary["macro_low"], summary["macro_high"])
    table.add_row("macro", macro, "", number(summary["macro_f1"]), f"{summary['n']:,}")
    console_out.print(table)
    if summary["without_truth"]:
        given = ", ".join(f"{name} ({count:,} given)" for name, count in summary["without_truth"].items())
        console_out.print(f"without a true value, so left out: {given}", soft_wrap=True)
    if summary.get("unread_truth"):
        unread = ", ".join(f"{name} ({count:,})" for name, count in summary["unread_truth"].items())
        console_out.print(f"true values that cannot be read, so compared as text: {unread}", soft_wrap=True)
    if summary.get("rejected_truth"):
        rejected = ", ".join(f"{name} ({count:,})" for name, count in summary["rejected_truth"].items())
        console_out.print(f"labels that were rejected, so no truth: {rejected}", soft_wrap=True)
    if summary["invalid"] is not None:
        invalid = with_interval(summary["invalid"], summary["invalid_low"], summary["invalid_high"])
        console_out.print(f"no JSON object: {invalid} % of {summary['answers']:,} answers")
