"""The command `facts`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recollect.cli.options import answer, command, note
from recollect.cli.printing import print_pairs
from recollect.facts import FactsSettings

_CSV: dict[str, tuple[Any, Any]] = {
    "csv": (
        Annotated[Path | None, typer.Option("--csv", help="Also write the facts as a table, which can be read again.")],
        None,
    ),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "facts", FactsSettings, _facts, _CSV)


def _facts(settings: FactsSettings, out: Path | None, as_json: bool, csv: Path | None) -> None:
    from recollect.facts import run_facts, write_csv

    result = run_facts(settings, out)
    if csv is not None:
        write_csv(result.facts, csv)
    summary = {**result.facts.counts(), **result.report.plain(), "out": str(result.path)}
    if not as_json:
        print_pairs("facts", {key: value for key, value in summary.items() if not isinstance(value, dict | list)})
        nested = {key: value for key, value in summary.items() if isinstance(value, dict)}
        for key, value in nested.items():
            flat = {name: item for name, item in value.items() if not isinstance(item, dict | list)}
            if flat:
                print_pairs(key.replace("_", " "), flat)
    for line in (*result.report.notes, *result.report.traps):
        note(line)
    answer(summary, as_json)
