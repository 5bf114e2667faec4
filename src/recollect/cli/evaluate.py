"""The command `evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from recollect.cli.judges import YesOption, agree_to_pay, judges_in_json, print_judges
from recollect.cli.label import page_score_tables
from recollect.cli.options import ProgressLine, answer, command, console_out, machine_line, print_table
from recollect.cli.printing import print_notes
from recollect.core.numbers import estimate
from recollect.engines import asking_machine
from recollect.evaluate import EvaluateSettings
from recollect.match import DEFAULT_JUDGE

if TYPE_CHECKING:
    from recollect.core.estimates import Estimate
    from recollect.evaluate import Accuracy, EvaluateFound
    from recollect.facts import Part


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "evaluate", EvaluateSettings, _evaluate, {"yes": (YesOption, False)})


def _evaluate(settings: EvaluateSettings, out: Path | None, as_json: bool, yes: bool) -> None:
    from recollect.evaluate import check_evaluate, judge_estimate, run_evaluate

    check_evaluate(settings)
    if (bound := judge_estimate(settings)) is not None:
        agree_to_pay(bound, settings.server, "answers", yes=yes)
    machine_line(("asking", asking_machine(settings)))
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        print_notes([text])

    with ProgressLine("asking", "questions") as progress:
        result = run_evaluate(settings, out=out, progress=progress, tell=tell)
    found = result.found
    if not as_json:
        print_notes(text for text in found.notes if text not in told)
        if found.prompt == "chat":
            console_out.print("asked in the model's own chat template")
        if found.pages:
            page_score_tables(found.pages)
        else:
            _score_table(found.accuracy, found.judge)
            print_judges(found)
        console_out.print(str(result.path), soft_wrap=True)
    answer({"ood": None, **_flat(found), "notes": found.notes, "out": str(result.path)}, as_json)


def _flat(found: EvaluateFound) -> dict[str, object]:
    """The numbers of the JSON answer, in percent: the first part's at the top, the others by name."""
    if found.pages:
        return found.pages.in_percent()
    words: dict[str, float | None] = {}
    for part, one in found.accuracy.items():
        for mean, value in (("macro", one.word_macro), ("micro", one.word_micro)):
            words[mean if part == found.part else f"{part}_{mean}"] = None if value is None else 100 * value
    parts: dict[str, dict[str, object]] = {part: _flat_part(one) for part, one in found.accuracy.items()}
    others = {part: numbers for part, numbers in parts.items() if part != "test"}
    return {"part": found.part, **parts.get(found.part, {}), **others, "word": words, **judges_in_json(found)}


def _flat_part(one: Accuracy) -> dict[str, object]:
    def named(found: Estimate | None, *names: str) -> dict[str, float | None]:
        return dict(zip(names, found.percent if found else (None, None, None), strict=True))

    return {
        **named(one.macro, "macro", "macro_low", "macro_high"),
        **named(one.micro, "micro", "micro_low", "micro_high"),
        "n": one.n,
        "macro_n": one.macro.n if one.macro else 0,
        "without_level": one.without_level,
        "by_level": {level: {**named(e, "accuracy", "low", "high"), "n": e.n} for level, e in one.by_level.items()},
        "macro_levels": one.macro_levels,
        "levels_left_out": one.left_out,
        "missing_levels": one.missing,
        **({"note": one.note} if one.note else {}),
    }


def _score_table(accuracy: Mapping[Part, Accuracy], judge: str) -> None:
    names: dict[Part, str] = {"test": "in-domain test", "ood": "out-of-domain", "train": "train"}
    shown = {name: accuracy[part] for part, name in names.items() if part in accuracy}
    by = "" if judge == DEFAULT_JUDGE else f" by {judge}"
    table = Table(title=f"accuracy in %{by} (95 % interval)", title_justify="left", title_style="bold")
    leveled = any(part.by_level or part.macro for part in shown.values())
    table.add_column("memory level" if leveled else "")
    for name in shown:
        table.add_column("facts", justify="right")
        table.add_column(name, justify="right")
    for level in map(str, range(5)) if leveled else ():
        row = []
        for part in shown.values():
            found = part.by_level.get(level)
            row += [f"{found.n if found else 0:,}", estimate(found) + (" *" if level in part.left_out else "")]
        table.add_row(level, *row)
    if leveled and any(part.without_level for part in shown.values()):
        table.add_row("unknown", *(text for part in shown.values() for text in (f"{part.without_level:,}", "")))
    table.add_section()
    macros, micros = [part.macro for part in shown.values()], [part.micro for part in shown.values()]
    for name, means in (("macro", macros), ("micro", micros))[0 if leveled else 1 :]:
        table.add_row(name, *(text for one in means for text in (f"{one.n if one else 0:,}", estimate(one))))
    print_table(table)
    for line in _score_notes(shown):
        console_out.print(line, soft_wrap=True)


def _score_notes(shown: Mapping[str, Accuracy]) -> Iterator[str]:
    """What the macro holds, where that is not all five levels."""
    if any(part.left_out for part in shown.values()):
        yield "* too few facts to enter the macro (--least-per-level)"
    for name, part in shown.items():
        if part.note:
            yield f"{name}: {part.note}"
        elif len(part.macro_levels) < 5:
            yield f"{name}: macro over level {', '.join(part.macro_levels)}; micro over all {part.n:,} facts"
