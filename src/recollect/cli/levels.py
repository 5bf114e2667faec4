"""The command `levels`: what models know, side by side, from their finished probes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from recollect.cli.options import OutOption, answer, console_out, print_table
from recollect.cli.printing import print_notes
from recollect.core.numbers import estimate, many, number, with_interval

if TYPE_CHECKING:
    from recollect.compare import LevelPair, LevelsFound
    from recollect.core.estimates import Estimate


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("levels", help="Compare what models know: finished probes of the same facts, with no model.")(_levels)


def _levels(
    probes: Annotated[
        list[Path], typer.Argument(metavar="PROBE PROBE [MORE]...", help="Finished probe steps of the same facts.")
    ],
    names: Annotated[
        str, typer.Option("--names", help="What to call the models, separated by commas. Default: the folders' names.")
    ] = "",
    out: OutOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Taken for uniformity; nothing here is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    from recollect.compare import compare_levels

    called = [name.strip() for name in names.split(",")] if names.strip() else []
    result = compare_levels(probes, called, out=out)
    found = result.found
    if not as_json:
        _models(found)
        for pair in found.pairs:
            _pair(found, pair)
        console_out.print(str(result.path), soft_wrap=True)
    print_notes(found.notes)
    answer({**found.answer(), "out": str(result.path)}, as_json)


def _models(found: LevelsFound) -> None:
    """The level distribution of each model."""
    title = f"share of {found.n:,} facts at each level in % (95 % interval over facts)"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    for one in found.models:
        table.add_column(one.name, justify="right")
    for level in range(5):
        table.add_row(f"level {level}", *(estimate(one.shares[level]) for one in found.models))
    table.add_row("mean level", *(number(one.mean_level, 2) for one in found.models))
    print_table(table)
    if any(one.grades == "expected" for one in found.models):
        names = ", ".join(one.name for one in found.models if one.grades == "expected")
        console_out.print(f"{names}: expected shares, of the levels that a fresh probe would give", soft_wrap=True)


def _pair(found: LevelsFound, pair: LevelPair) -> None:
    first, second = found.shares(pair.first), found.shares(pair.second)
    table = Table(title=f"{pair.first} against {pair.second}", title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("two probes of one model", justify="right")
    again = pair.by_draws(first, second)
    table.add_row("total variation", _plain(pair.total_variation), again["total_variation"])
    table.add_row("apart, in levels", _plain(pair.levels_apart), again["levels_apart"])
    table.add_row(f"{pair.second} less {pair.first}, in levels", _plain(pair.difference, sign=True), "")
    table.add_row("kappa, known or not", _plain(pair.kappa_known), again["kappa_known"])
    table.add_row("kappa, levels (weighted)", _plain(pair.kappa_levels), again["kappa_levels"], end_section=True)
    for name, share in (
        ("both know, %", pair.both),
        (f"{pair.first} alone, %", pair.first_alone),
        (f"{pair.second} alone, %", pair.second_alone),
        ("neither, %", pair.neither),
    ):
        table.add_row(name, estimate(share), "")
    print_table(table)
    console_out.print(pair.verdict(first, second))
    _relations(pair)


def _relations(pair: LevelPair) -> None:
    """The relations with enough facts; of the others how many they are."""
    told = [one for one in pair.relations if one.difference is not None]
    title = "by relation: share known in %, and the difference in levels"
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in ("relation", "facts", pair.first, pair.second, "both", "difference"):
        table.add_column(name, justify="left" if name == "relation" else "right")
    for one in told:
        known = [number(100 * share, 0) for share in (one.known_first.value, one.known_second.value, one.both)]
        table.add_row(one.name, f"{one.n:,}", *known, _plain(one.difference, sign=True))
    if told:
        print_table(table)
    if few := [one for one in pair.relations if one.difference is None]:
        which = many(len(few), "relation") if told else f"all {many(len(few), 'relation')}"
        console_out.print(
            f"by relation: too few facts for a difference in {which} (at most {max(one.n for one in few):,} each)",
            soft_wrap=True,
        )


def _plain(found: Estimate | None, *, sign: bool = False) -> str:
    """An estimate in its own unit; what it is without where nothing can vary."""
    return "not defined" if found is None else with_interval(found.value, found.low, found.high, 2, sign=sign)
