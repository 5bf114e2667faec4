"""`recollect rescore`: stored texts judged again, by another matcher or a newer version, with no model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from recollect.cli.options import answer, console_out, note
from recollect.core.workspace import step_input, write_parquet
from recollect.errors import InputError
from recollect.match import MATCHER_VERSION, MATCHERS


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rescore", help="Judge the stored texts of a sampled probe or an evaluation again, with no model.")(
        _rescore
    )


def _rescore(
    step: Annotated[Path, typer.Argument(help="A finished evaluate step, or a probe step (method sampled).")],
    facts: Annotated[
        str | None,
        typer.Option("--facts", help="The fact set. Default: pocket for a probe, the stored forms for an evaluation."),
    ] = None,
    matcher: Annotated[str, typer.Option("--matcher", help="contains or word.")] = "word",
    out: Annotated[Path | None, typer.Option("--out", help="Parquet file for the new levels or accuracies.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Taken for uniformity; nothing here is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    if matcher not in MATCHERS:
        raise InputError(f"matcher must be one of {', '.join(MATCHERS)}, but got {matcher!r}.")
    manifest = step_input(step, "probe", "evaluate")
    version = manifest.inputs.get("matcher")
    if version != MATCHER_VERSION:
        note(f"note: judged by version {version} of the matchers when it was made, by version {MATCHER_VERSION} now")
    if manifest.step == "evaluate":
        _answers(step, facts, matcher, out, as_json)
    else:
        _levels(step, facts or "pocket", matcher, out, as_json)


def _levels(step: Path, facts: str, matcher: str, out: Path | None, as_json: bool) -> None:
    from recollect.facts import load_facts
    from recollect.probe import rescore_levels

    levels = rescore_levels(step, load_facts(facts), matcher)
    if out is not None:
        write_parquet(out, levels)
    counts = {str(level): int((levels["level"] == level).sum()) for level in range(5)}
    if not as_json:
        table = Table(title=f"levels by the matcher {matcher}", show_header=False)
        for level, count in counts.items():
            table.add_row(level, f"{count:,}")
        console_out.print(table)
    answer({"facts": len(levels), "levels": counts, "matcher": matcher, "out": str(out or "")}, as_json)


def _answers(step: Path, facts: str | None, matcher: str, out: Path | None, as_json: bool) -> None:
    from recollect.evaluate import rescore_answers
    from recollect.facts import load_facts
    from recollect.match import MatcherName

    name: MatcherName = "word" if matcher == "word" else "contains"
    accuracy = rescore_answers(step, None if facts is None else load_facts(facts), name)
    if out is not None:
        write_parquet(out, accuracy)
    rows = accuracy.select("part", "level", "n", "right", "accuracy").rows(named=True)
    if not as_json:
        table = Table("part", "level", "n", "right in %", title=f"accuracy by the matcher {matcher}")
        for row in rows:
            table.add_row(row["part"], row["level"], f"{row['n']:,}", f"{row['accuracy']:.1f}")
        console_out.print(table)
    answer({"matcher": matcher, "accuracy": rows, "out": str(out or "")}, as_json)
