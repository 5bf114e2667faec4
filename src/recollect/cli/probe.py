"""The commands `probe` and `slick`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from recollect.cli.options import ProgressLine, answer, command, console_out, machine_line, print_table
from recollect.cli.plan import DRY_RUN, with_plan
from recollect.cli.printing import print_notes, print_pairs
from recollect.core.numbers import estimate
from recollect.engines import asking_machine
from recollect.probe import ProbeFound, ProbeSettings, SlickSettings
from recollect.probe.prompts import OtherPrompt

if TYPE_CHECKING:
    from recollect.experiments.plan import Plan


def register(app: typer.Typer) -> None:
    """Add `probe` and `slick`."""
    command(app, "probe", ProbeSettings, with_plan(_probe, _plan), DRY_RUN)
    command(app, "slick", SlickSettings, _slick)


def _plan(settings: ProbeSettings, **given: Any) -> Plan:
    from recollect.experiments.plan import plan_probe

    return plan_probe(settings, **given)


def _probe(settings: ProbeSettings, out: Path | None, as_json: bool) -> None:
    from recollect.probe import run_probe

    machine_line(("probing", asking_machine(settings)))
    with ProgressLine("probing", "prompts") as progress:
        result = run_probe(settings, out=out, progress=progress)
    if not as_json:
        _level_table(result.found.levels_by_part, f"memory levels ({result.found.method}, {result.found.prompt})")
        if result.found.other_prompt is not None:
            console_out.print(_other_prompt(result.found.other_prompt), soft_wrap=True)
        if result.found.choice is not None:
            console_out.print(f"chosen: {result.found.choice.words}")
        print_notes(result.found.notes)
        console_out.print(f"{result.found.facts:,} facts in {result.found.seconds:.1f} s; {_agreement(result.found)}")
        if result.found.largest_bias:
            console_out.print(
                f"{result.found.draws:,} draws; because a settled fact is drawn from no more, the expected R of a fact "
                f"is off by at most {result.found.largest_bias:.3f}"
            )
        console_out.print(str(result.path), soft_wrap=True)
    answer({**result.found.plain(), "out": str(result.path)}, as_json)


def _other_prompt(other: OtherPrompt) -> str:
    counts = ", ".join(map(str, other.levels.values()))
    same = estimate(other.same_level)
    kappa = (
        ""
        if other.kappa is None
        else f", kappa {other.kappa.value:.2f} ({other.kappa.low:.2f} to {other.kappa.high:.2f})"
    )
    return (
        f"levels come from plain completion; in the model's chat template {counts} facts have levels 0 to 4: "
        f"{same} % have the same level{kappa}; {other.higher:,} a higher one there, {other.lower:,} a lower one"
    )


def _agreement(found: ProbeFound) -> str:
    agreement, expected = found.expected_repeat_agreement, found.levels_expected
    if agreement is None or expected is None:
        return f"how far a fresh probe would agree is not stated: {found.unstated}"
    counts = ", ".join(f"{count:.0f}" for count in expected.values())
    return (
        f"{found.borderline:,} borderline; a fresh probe would agree on about {100 * agreement:.0f} % of "
        f"the levels, and is expected to find {counts} facts in levels 0 to 4"
    )


def _level_table(by_part: Mapping[str, list[int]], title: str) -> None:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("part")
    for level in range(5):
        table.add_column(f"level {level}", justify="right")
    for part, counts in by_part.items():
        if sum(counts):
            table.add_row(part, *(f"{count:,}" for count in counts))
    print_table(table)


def _slick(settings: SlickSettings, out: Path | None, as_json: bool) -> None:
    from recollect.probe import run_slick

    machine_line(("grading", asking_machine(settings)))
    with ProgressLine("grading", "facts") as progress:
        result = run_slick(settings, out=out, progress=progress)
    if not as_json:
        print_notes(result.found.notes)
        print_pairs("SliCK categories", {**result.found.categories, "out": str(result.path)})
    answer({**result.found.plain(), "out": str(result.path)}, as_json)
