"""The command `compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from recollect.cli.judges import YesOption, agree_to_pay
from recollect.cli.options import ProgressLine, answer, command, console_out, machine_line, print_table
from recollect.cli.printing import print_notes
from recollect.compare.settings import CompareSettings
from recollect.core.numbers import estimate, number, percent
from recollect.errors import InputError
from recollect.models import machine_of

if TYPE_CHECKING:
    from recollect.compare import CompareFound, CompareResult, Comparison

ModelsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="BASE TUNED [MORE]...",
        help="The models, the untouched one first; with --evaluations finished evaluate steps.",
    ),
]
EvaluationsOption = Annotated[
    bool, typer.Option("--evaluations", help="The arguments are finished evaluate steps; no model is asked.")
]
_SHOWN = 10
"""Flips of a kind that the terminal shows; all are in flips.parquet."""
_PARTS = {"test": "in-domain", "ood": "out-of-domain", "train": "train"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    more = {"models": (ModelsArgument, ...), "evaluations": (EvaluationsOption, False), "yes": (YesOption, False)}
    command(app, "compare", CompareSettings, _compare, more)


def _compare(
    settings: CompareSettings, out: Path | None, as_json: bool, models: Sequence[str], evaluations: bool, yes: bool
) -> None:
    result = _of_evaluations(settings, models, out) if evaluations else _of_models(settings, models, out, yes)
    found = result.found
    if not as_json:
        _print(result)
    print_notes(found.notes)
    answer(found.answer(), as_json)


def _of_models(settings: CompareSettings, models: Sequence[str], out: Path | None, yes: bool) -> CompareResult:
    from recollect.compare import check_compare, run_compare
    from recollect.evaluate import judge_estimate

    given = [settings.model, *models] if "model" in settings.model_fields_set and len(models) == 1 else list(models)
    if "model" in settings.model_fields_set and len(models) > 1:
        raise InputError(
            "the models are the arguments, the base first; leave --model out, or give it and one argument."
        )
    check_compare(settings, given)
    if (bound := judge_estimate(settings.asking(given[0]))) is not None:
        times = len(given) + bool(settings.few_shot)
        agree_to_pay(bound, settings.server, f"answers of each of {times} rounds", yes=yes)
    machine_line(("asking", machine_of(settings.asking(given[0]))))
    with ProgressLine("asking", "questions") as progress:
        return run_compare(settings, given, out=out, progress=progress)


def _of_evaluations(settings: CompareSettings, folders: Sequence[str], out: Path | None) -> CompareResult:
    from recollect.compare import compare_evaluations

    asking = sorted(settings.model_fields_set - {"chance", "seed"})
    if asking:
        raise InputError(f"with --evaluations nothing is asked, so {', '.join(asking)} must not be given.")
    return compare_evaluations([Path(folder) for folder in folders], settings.chance, out=out)


def _print(result: CompareResult) -> None:
    found = result.found
    _contenders(found)
    _comparisons(found)
    _flips(result)
    console_out.print(str(result.path), soft_wrap=True)


def _contenders(found: CompareFound) -> None:
    parts = list(found.contenders[0].by_part)
    table = Table(title=f"right answers in % (95 % interval), by {found.judge}", title_justify="left")
    table.title_style = "bold"
    table.add_column("model", overflow="fold")
    for part in parts if len(parts) > 1 else ():
        table.add_column(_PARTS[part], justify="right")
    table.add_column("all" if len(parts) > 1 else _PARTS[parts[0]], justify="right")
    for one in found.contenders:
        cells = [estimate(one.by_part[part]) for part in parts] if len(parts) > 1 else []
        table.add_row(one.name, *cells, estimate(one.accuracy))
    print_table(table)


def _comparisons(found: CompareFound) -> None:
    flips = found.main.flips
    less = ", less chance" if flips.chance else ""
    for first in dict.fromkeys(one.first for one in found.comparisons):
        title = f"against {first}: how many of {flips.n:,} flipped (in %{less}), difference in points"
        table = Table(title=title, title_justify="left", title_style="bold")
        table.add_column("model", overflow="fold")
        for name in ("right→wrong", "wrong→right", "difference", "p"):
            table.add_column(name, justify="right", no_wrap=True)
        for one in found.comparisons:
            if one.first == first:
                table.add_row(one.second, *_row(one))
        print_table(table)
    for line in _notes(found):
        console_out.print(line, soft_wrap=True)


def _row(one: Comparison) -> list[str]:
    flips = one.flips
    shares = [
        f"{flip.count:,} ({number(100 * flip.share.value)})" for flip in (flips.right_to_wrong, flips.wrong_to_right)
    ]
    return [*shares, estimate(flips.difference, sign=True), f"{one.p_holm:.2g}"]


def _notes(found: CompareFound) -> list[str]:
    """What the numbers are, in a line each."""
    corrected = any(one.p_holm != one.flips.p for one in found.comparisons)
    several = ", corrected for the number of models (Holm)" if corrected else ""
    lines = [f"difference with its 95 % interval, paired by question; p: McNemar's exact test, two-sided{several}"]
    if chance := found.main.flips.chance:
        lines.append(
            f"less chance: less what two guesses would give, each right with {percent(chance, 1)} on average (--chance)"
        )
    return lines


def _flips(result: CompareResult) -> None:
    main = result.found.main
    flips = result.flips().filter(first=main.first, second=main.second)
    for flip, title in (("right_to_wrong", "right → wrong"), ("wrong_to_right", "wrong → right")):
        rows = flips.filter(flip=flip)
        if not rows.height:
            continue
        table = Table(title=f"{title}: {rows.height:,}", title_justify="left", title_style="bold", show_lines=True)
        for name in ("question", "accepted", main.first, main.second):
            table.add_column(name, overflow="fold", ratio=1)
        for row in rows.head(_SHOWN).iter_rows(named=True):
            accepted = " | ".join(row["accepted"])
            texts = (row["question"], accepted, row["first_output"], row["second_output"])
            table.add_row(*(Text(_short(text)) for text in texts))
        console_out.print(table)
        if rows.height > _SHOWN:
            console_out.print(f"… and {rows.height - _SHOWN:,} more in flips.parquet")


def _short(text: str, most: int = 200) -> str:
    """A text in one table cell: line ends shown, and at most `most` characters."""
    text = text.strip().replace("\n", " ⏎ ")
    return text if len(text) <= most else text[: most - 1] + "…"
