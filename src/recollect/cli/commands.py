"""The commands, one thin function per step: read the inputs, call the step with a progress line, print the answer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from recollect.cli.curve import register_curve
from recollect.cli.demo import DemoSettings, demo
from recollect.cli.drift import register_drift
from recollect.cli.label import page_score_tables, register_label
from recollect.cli.options import ProgressLine, answer, command, console, console_out, machine_line, note
from recollect.cli.pages import register_pages
from recollect.cli.rescore import register_rescore
from recollect.cli.search import register_search
from recollect.cli.shop import register_shop
from recollect.core.machine import prepare
from recollect.core.workspace import read_manifest, update_checksums
from recollect.evaluate import EvaluateSettings
from recollect.experiments.study import StudySettings
from recollect.facts import FactsSettings
from recollect.models import machine_of
from recollect.probe import ProbeResult, ProbeSettings, SlickSettings
from recollect.select import SelectSettings
from recollect.train import TrainSettings
from recollect.worlds.quiz import PocketSettings

SelectionOption = Annotated[Path, typer.Option("--selection", help="A select step directory: the facts to train on.")]


def register(app: typer.Typer, pocket: typer.Typer) -> None:
    """Add every command."""
    command(app, "demo", DemoSettings, demo)
    command(app, "facts", FactsSettings, _facts)
    command(app, "probe", ProbeSettings, _probe)
    command(app, "slick", SlickSettings, _slick)
    command(app, "select", SelectSettings, _select)
    command(app, "train", TrainSettings, _train, {"selection": (SelectionOption, ...)})
    command(app, "evaluate", EvaluateSettings, _evaluate)
    command(app, "study", StudySettings, _study)
    register_curve(app)
    register_drift(app)
    register_label(app)
    register_pages(app)
    register_search(app)
    command(pocket, "build", PocketSettings, _pocket_build)
    register_shop(pocket)
    register_rescore(app)
    app.command("report", help="Write the report page again, or one from evaluations of pages.")(_report)


def _facts(settings: FactsSettings, out: Path | None, as_json: bool) -> None:
    from recollect.facts import run_facts

    result = run_facts(settings, out)
    summary = {**result.summary(), "out": str(result.path)}
    if not as_json:
        _pairs("facts", {key: value for key, value in summary.items() if not isinstance(value, dict | list)})
        nested = {key: value for key, value in summary.items() if isinstance(value, dict)}
        for key, value in nested.items():
            flat = {name: item for name, item in value.items() if not isinstance(item, dict | list)}
            if flat:
                _pairs(key.replace("_", " "), flat)
    for line in (*result.report["notes"], *result.report["traps"]):
        note(line)
    answer(summary, as_json)


def _probe(settings: ProbeSettings, out: Path | None, as_json: bool) -> None:
    from recollect.facts import load_facts
    from recollect.probe import run_probe

    facts = load_facts(settings.facts)
    machine_line(("probing", machine_of(settings)))
    with ProgressLine("probing", "prompts") as progress:
        result = run_probe(settings, facts, out, progress=progress)
    if not as_json:
        _level_table(result.metrics["levels_by_part"], f"memory levels ({settings.method})")
        _notes(result.metrics)
        console_out.print(
            f"{result.metrics['facts']:,} facts in {result.metrics['seconds']:.1f} s; {_agreement(result)}"
        )
        console_out.print(str(result.path), soft_wrap=True)
    answer(result.summary(), as_json)


def _agreement(result: ProbeResult) -> str:
    agreement, expected = result.metrics["expected_repeat_agreement"], result.metrics["levels_expected"]
    if agreement is None:
        return "how far a fresh probe would agree is not stated (see docs/probe.md)"
    counts = ", ".join(f"{count:.0f}" for count in expected.values())
    return (
        f"{result.metrics['borderline']:,} borderline; a fresh probe would agree on about {100 * agreement:.0f} % of "
        f"the levels, and is expected to find {counts} facts in levels 0 to 4"
    )


def _notes(metrics: Mapping[str, Any]) -> None:
    for text in metrics.get("notes", []):
        note(f"note: {text}")


def _slick(settings: SlickSettings, out: Path | None, as_json: bool) -> None:
    from recollect.facts import load_facts
    from recollect.probe import run_slick

    facts = load_facts(settings.facts)
    machine_line(("grading", machine_of(settings)))
    with ProgressLine("grading", "facts") as progress:
        result = run_slick(settings, facts, out, progress=progress)
    if not as_json:
        _notes(result.metrics)
        _pairs("SliCK categories", {**result.metrics["categories"], "out": str(result.path)})
    answer(result.summary(), as_json)


def _select(settings: SelectSettings, out: Path | None, as_json: bool) -> None:
    from recollect.select import run_select

    result = run_select(settings, out=out)
    summary = {**read_manifest(result.path)["metrics"], "out": str(result.path)}
    if not as_json:
        _pairs("selection", {key: value for key, value in summary.items() if not isinstance(value, dict)})
        _pairs("by relation", summary["by_relation"])
        _pairs("by level", summary["by_level"])
    answer(summary, as_json)


def _train(settings: TrainSettings, out: Path | None, as_json: bool, selection: Path) -> None:
    from recollect.train import run_train, training_machine

    machine_line(("training", training_machine(settings)))
    with ProgressLine("training", "steps") as progress:
        result = run_train(settings, selection, out=out, progress=progress)
    if os.environ.get("RANK", "0") != "0":
        return  # one of several processes: the first one answers
    summary = {**result.metrics, "out": str(result.path)}
    if not as_json:
        _notes(summary)
        _pairs("training", {key: value for key, value in summary.items() if not isinstance(value, dict | list)})
    for text in result.metrics.get("warnings", ()):
        console.print(f"warning: {text}", soft_wrap=True)
    answer(summary, as_json)


def _evaluate(settings: EvaluateSettings, out: Path | None, as_json: bool) -> None:
    from recollect.evaluate import run_evaluate

    machine_line(("asking", machine_of(settings)))
    with ProgressLine("asking", "questions") as progress:
        result = run_evaluate(settings, out=out, progress=progress)
    summary = {"ood": None, **result.summary(), "notes": result.notes(), "out": str(result.path)}
    if not as_json:
        _notes(summary)
        (page_score_tables if "by_attribute" in summary else _score_table)(summary)
        console_out.print(str(result.path), soft_wrap=True)
    answer(summary, as_json)


def _study(settings: StudySettings, out: Path | None, as_json: bool) -> None:
    from recollect.experiments.study import machines, run_study

    machine_line(*machines(settings))
    with _stages() as stage:
        result = run_study(settings, out, stage=stage)
    if not as_json:
        _cells_table(result.summary())
        _verdict(result.results)
        for text in result.results.notes:
            console_out.print(f"note: {text}")
    console.print(f"report: {result.report}  ({result.seconds:.0f} s)", soft_wrap=True)
    answer(result.summary(), as_json)


def _pocket_build(settings: PocketSettings, out: Path | None, as_json: bool) -> None:
    from recollect.facts import load_facts
    from recollect.worlds.quiz import run_pocket

    facts = load_facts(settings.facts) if settings.facts else None
    machine_line(("training", prepare()))
    with ProgressLine("training the pocket base", "steps") as progress:
        result = run_pocket(settings, facts, out, progress=progress)
    if not as_json:
        _pairs("pocket base", result.summary())
    answer(result.summary(), as_json)


def _report(
    found: Annotated[
        list[Path],
        typer.Argument(help="A study or curve, a results.json, or evaluate and score steps about pages, side by side."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the page. Default: the study's own; for other steps recollect-report."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Taken for uniformity; nothing here is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    from recollect.report import has_page_scores, report_results, write_report

    results = report_results(found)
    own = found[0] if found[0].is_dir() else found[0].parent
    page = write_report(results, out or (Path("recollect-report") if has_page_scores(found[0]) else own))
    update_checksums(page.parent)  # the page of a finished study was made anew
    if not as_json:
        console_out.print(str(page), soft_wrap=True)
    answer({"report": str(page)}, as_json)


@contextmanager
def _stages() -> Iterator[Any]:
    """Progress lines one after the other, each left on the screen as one line with its time."""
    import time

    @contextmanager
    def stage(what: str, unit: str) -> Iterator[Any]:
        started = time.monotonic()
        with ProgressLine(what, unit or "steps") as progress:
            yield progress
        note(f"  {what}: {time.monotonic() - started:.1f} s")

    yield stage


def _pairs(title: str, values: Mapping[str, Any]) -> None:
    width = max(map(len, values), default=0)
    console_out.print(title, style="bold")
    for key, value in values.items():
        value = round(value, 4) if isinstance(value, float) else value
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        console_out.print(f"  {key:<{width}}  {shown}", soft_wrap=True)  # a path stays in one piece


def _level_table(by_part: Mapping[str, list[int]], title: str) -> None:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("part")
    for level in range(5):
        table.add_column(f"level {level}", justify="right")
    for part, counts in by_part.items():
        if sum(counts):
            table.add_row(part, *(f"{count:,}" for count in counts))
    console_out.print(table)


def _score_table(summary: Mapping[str, Any]) -> None:
    names = {"test": "in-domain test", "ood": "out-of-domain", "train": "train"}
    first = summary.get("part", "test")
    parts = {names[part]: summary if part == first else summary.get(part) for part in names}
    shown = {name: part for name, part in parts.items() if part and part.get("micro") is not None}
    table = Table(title="accuracy in % (95 % interval)", title_justify="left", title_style="bold")
    table.add_column("memory level")
    for name in shown:
        table.add_column("facts", justify="right")
        table.add_column(name, justify="right")
    for level in range(5):
        row = []
        for part in shown.values():
            cell = (part.get("by_level") or {}).get(str(level), {})
            left_out = " *" if str(level) in part.get("levels_left_out", ()) else ""
            row += [f"{cell.get('n', 0):,}", _with_interval(cell, "accuracy", "") + left_out]
        table.add_row(str(level), *row)
    if any(part.get("without_level") for part in shown.values()):
        table.add_row("unknown", *(text for part in shown.values() for text in (f"{part['without_level']:,}", "")))
    table.add_section()
    for name, n in (("macro", "macro_n"), ("micro", "n")):
        values = [
            text for part in shown.values() for text in (f"{part.get(n, 0):,}", _with_interval(part, name, f"{name}_"))
        ]
        table.add_row(name, *values)
    console_out.print(table)
    for line in _score_notes(shown):
        console_out.print(line, soft_wrap=True)


def _score_notes(shown: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What the macro holds, where that is not all five levels."""
    if any(part.get("levels_left_out") for part in shown.values()):
        yield "* too few facts to enter the macro (--least-per-level)"
    for name, part in shown.items():
        if note := part.get("note"):
            yield f"{name}: {note}"
        elif len(entered := part.get("macro_levels", ())) < 5:
            yield f"{name}: macro over level {', '.join(entered)}; micro over all {part['n']:,} facts"


def _cells_table(summary: Mapping[str, Any]) -> None:
    sizes = sorted({cell["size"] for cell in summary["cells"]})
    names = list(dict.fromkeys(cell["levels"] for cell in summary["cells"]))
    base = summary["base"]
    console_out.print("macro accuracy in %, in-domain / out-of-domain (mean over seeds)", style="bold")
    table = Table()
    table.add_column("trained on")
    for size in sizes:
        table.add_column(f"{size:,} facts", justify="right")
    for name in names:
        row = []
        for size in sizes:
            found = [cell for cell in summary["cells"] if cell["levels"] == name and cell["size"] == size]
            pairs = [_mean([cell[key] for cell in found]) for key in ("macro", "ood_macro")]
            row.append(" / ".join(_number(value) for value in pairs) if found else "too few facts")
        table.add_row(f"level {name}" if name.isdigit() else name, *row)
    if sizes:
        console_out.print(table)
    console_out.print(f"untouched base in the same prompt: {_number(base['macro'])} / {_number(base['ood_macro'])}")


def _verdict(results: Any) -> None:
    from recollect.report import verdict

    for line in verdict(results):
        console_out.print(f"• {line}")


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _with_interval(part: Mapping[str, Any], name: str, prefix: str) -> str:
    if part.get(name) is None:
        return "–"
    return f"{part[name]:.1f} ({part[f'{prefix}low']:.1f}–{part[f'{prefix}high']:.1f})"
