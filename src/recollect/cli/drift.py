"""The commands `drift` and `restore`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from recollect.cli.options import ProgressLine, answer, command, console, console_out, machine_line, print_table
from recollect.cli.printing import print_notes
from recollect.core.machine import prepare
from recollect.core.numbers import estimate
from recollect.drift.settings import DriftSettings
from recollect.errors import InputError
from recollect.restore.settings import LadderSettings, RestoreSettings

if TYPE_CHECKING:
    from recollect.core.estimates import Estimate
    from recollect.drift import DriftFound
    from recollect.drift.compare import KindFound
    from recollect.restore import LadderFound

BaseArgument = Annotated[str, typer.Argument(metavar="BASE", help="The model before fine-tuning.")]
TunedArgument = Annotated[str, typer.Argument(metavar="TUNED", help="The model after it; a LoRA adapter is merged.")]


def register(app: typer.Typer) -> None:
    """Add `drift` and `restore`."""
    pair = {"base": (BaseArgument, ...), "tuned": (TunedArgument, ...)}
    command(app, "drift", DriftSettings, _drift, pair)
    command(app, "restore", RestoreSettings, _restore, pair)


def _drift(settings: DriftSettings, out: Path | None, as_json: bool, base: str, tuned: str) -> None:
    from recollect.drift import run_drift

    machine_line(("asking", prepare(settings.device, settings.dtype)))
    with ProgressLine("reading weights", "weights") as line:

        def progress(done: int, total: int) -> None:
            line(done, total)
            if done == total and settings.tokens:  # the models have no progress of their own, and take longer
                line.then("running both models")

        result = run_drift(settings, base, tuned, out=out, progress=progress)
    found = result.found
    if not as_json:
        _drift_tables(found)
        console_out.print(str(result.path))
    print_notes([*found.notes, *found.warnings])
    answer({**found.plain(), "out": str(result.path)}, as_json)


def _restore(settings: RestoreSettings, out: Path | None, as_json: bool, base: str, tuned: str) -> None:
    if settings.ladder is not None:
        if settings.percent is not None:
            raise InputError("give --percent to write one model, or --ladder to compare several, not both.")
        values = settings.model_dump(exclude={"percent"})
        _ladder(LadderSettings.make(**values), out, as_json, base, tuned)
        return
    from recollect.restore import run_restore

    with ProgressLine("restoring", "weights") as progress:
        result = run_restore(settings, base, tuned, out=out, progress=progress)
    found = result.found
    if not as_json:
        console_out.print(
            f"restored {found.restored:,} of {found.of:,} weights ({result.percent:g} %), of which "
            f"{found.changed:,} had changed; {found.seconds:.1f} s, {found.peak_rss_mb:,.0f} MB at most\n"
            f"{result.path}",
            soft_wrap=True,
        )
    print_notes(found.warnings)
    answer(result.answer(), as_json)


def _ladder(settings: LadderSettings, out: Path | None, as_json: bool, base: str, tuned: str) -> None:
    from recollect.restore import run_ladder

    machine_line(("asking", prepare(settings.device, settings.dtype)))
    with ProgressLine("climbing", "rungs") as progress:
        result = run_ladder(settings, base, tuned, out=out, progress=progress)
    found = result.found
    if not as_json:
        _ladder_table(found)
        _choice_table(found)
        console_out.print(f"{found.note}\n{result.path}", soft_wrap=True)
    print_notes(found.warnings)
    if result.exported:
        console.print(f"written: {result.exported}", soft_wrap=True)
    else:
        console.print("no model was written; --export PERCENT writes one", soft_wrap=True)
    exported = str(result.exported) if result.exported else None
    answer({**found.plain(), "exported": exported, "out": str(result.path)}, as_json)


def _drift_tables(drift: DriftFound) -> None:
    tokens = drift.tokens
    kinds = {"answers": tokens.answers, "general text": tokens.general}
    found = {name: kind for name, kind in kinds.items() if kind}
    title = "next-token distributions, tuned from base (KL in nats)"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("after each token of")
    for name in found:
        table.add_column(name, justify="right")

    def row(label: str, text: Callable[[KindFound], str]) -> None:
        table.add_row(label, *(text(kind) for kind in found.values()))

    row("tokens", lambda kind: f"{kind.forward.n:,}")
    row("mean KL", lambda kind: f"{_short(kind.forward.mean)} ± {_short(kind.forward.se)} (se)")
    row("median", lambda kind: _short(kind.forward.median))
    row("90 %", lambda kind: _short(kind.forward.p90))
    row("99 %", lambda kind: _short(kind.forward.p99))
    row("99.9 %", lambda kind: _short(kind.forward.p99_9))
    row("largest", lambda kind: _short(kind.forward.max))
    row("same likeliest token", lambda kind: f"{100 * (kind.forward.same_top or 0):.1f} %")
    row("mean KL, base from tuned", lambda kind: _short(kind.backward.mean))
    row("floor: base from itself", lambda kind: _short(kind.floor.mean))
    row("loss, base → tuned", lambda kind: f"{kind.base_loss:.3f} → {kind.tuned_loss:.3f}")
    if found:
        print_table(table)
    if drift.kl_paper is not None:
        console_out.print(
            f"KL as in Token and Parameter Levels (ten logits of the first token, level-4 facts): {drift.kl_paper:.4f}"
        )
    known = tokens.known
    if known and known.base and known.tuned:
        console_out.print(
            f"facts the base knows: {known.base.percent[0]:.1f} % answered correctly before, "
            f"{known.tuned.percent[0]:.1f} % after (n = {known.base.n})"
        )
    shares = ", ".join(f"{percent} %: {100 * share:.1f}" for percent, share in drift.share_top.items())
    console_out.print(f"share of the relative change in the top … of the weights, in %: {shares}", soft_wrap=True)
    console_out.print(
        f"unchanged {100 * drift.unchanged:.2f} %, moved by one unit in the last place {100 * drift.one_ulp:.2f} % of "
        f"{drift.parameters.of:,} weights ({drift.parameters.region})"
    )


def _ladder_table(found: LadderFound) -> None:
    rungs = {(rung.order, rung.percent): rung for rung in found.rungs}
    orders = list(dict.fromkeys(order for order, _ in rungs if order not in ("base", "tuned")))
    table = Table(title=f"{found.mean} accuracy in %, test / ood", title_justify="left", title_style="bold")
    table.add_column("restored", justify="right")
    for order in orders:
        table.add_column(order, justify="right")

    def scores(order: str, percent: float) -> str:
        rung = rungs[order, percent]
        both = (rung.macro, rung.ood) if found.mean == "macro" else (rung.micro, rung.ood_micro)
        return " / ".join(f"{value.percent[0]:.1f}" if value else "–" for value in both)

    table.add_row("tuned", *[scores("tuned", 0.0)] * len(orders))
    for percent in sorted({percent for order, percent in rungs if order in orders}):
        table.add_row(f"{percent:g} %", *(scores(order, percent) for order in orders))
    table.add_row("base", *[scores("base", 100.0)] * len(orders))
    print_table(table)


def _choice_table(found: LadderFound) -> None:
    if found.best is None:
        return
    table = Table(title="chosen on one half, judged on the other (points)", title_justify="left", title_style="bold")
    for name in ("order", "percent", "gain, test half", "gain, ood"):
        table.add_column(name, justify="left" if name == "order" else "right")
    for choice in (found.best, *found.controls):
        table.add_row(choice.order, f"{choice.percent:g} %", _points(choice.gain), _points(choice.ood_gain))
    print_table(table)


def _points(difference: Estimate | None) -> str:
    return estimate(difference, sign=True)


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
