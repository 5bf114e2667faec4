"""The commands `drift` and `restore`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from recollect.cli.options import ProgressLine, answer, command, console, console_out, machine_line
from recollect.cli.printing import print_notes
from recollect.core.machine import prepare
from recollect.drift.settings import DriftSettings, LadderSettings, RestoreSettings
from recollect.errors import InputError

BaseArgument = Annotated[str, typer.Argument(metavar="BASE", help="The model before fine-tuning.")]
TunedArgument = Annotated[str, typer.Argument(metavar="TUNED", help="The model after it; a LoRA adapter is merged.")]
PERCENT = 20.0  # the study's best for most levels


def register(app: typer.Typer) -> None:
    """Add `drift` and `restore`."""
    pair: dict[str, Any] = {"base": (BaseArgument, ...), "tuned": (TunedArgument, ...)}
    command(app, "drift", DriftSettings, _drift, pair)
    command(app, "restore", RestoreSettings, _restore, pair)


def _drift(settings: DriftSettings, out: Path | None, as_json: bool, base: str, tuned: str) -> None:
    from recollect.drift import run_drift

    machine_line(("asking", prepare(settings.device, settings.dtype)))
    with ProgressLine("reading weights", "weights") as progress:
        result = run_drift(settings, base, tuned, out=out, progress=progress)
    summary = result.summary()
    if not as_json:
        _drift_tables(summary)
        console_out.print(str(result.path))
    print_notes([*summary["notes"], *summary["warnings"]])
    answer(summary, as_json)


def _restore(settings: RestoreSettings, out: Path | None, as_json: bool, base: str, tuned: str) -> None:
    if settings.ladder is not None:
        if settings.percent is not None:
            raise InputError("give --percent to write one model, or --ladder to compare several, not both.")
        values = settings.model_dump(exclude={"percent"})
        _ladder(LadderSettings.make(**values), out, as_json, base, tuned)
        return
    from recollect.restore import restore

    with ProgressLine("restoring", "weights") as progress:
        result = restore(
            base,
            tuned,
            PERCENT if settings.percent is None else settings.percent,
            settings.order,
            settings.region,
            settings.per_tensor,
            settings.seed,
            out=out,
            progress=progress,
            revision=settings.revision,
            tuned_revision=settings.tuned_revision,
            trust_remote_code=settings.trust_remote_code,
        )
    if not as_json:
        console_out.print(
            f"restored {result.restored:,} of {result.of:,} weights ({result.percent:g} %), of which "
            f"{result.changed:,} had changed; {result.seconds:.1f} s, {result.peak_rss_mb:,.0f} MB at most\n"
            f"{result.path}",
            soft_wrap=True,
        )
    print_notes(result.warnings)
    answer(result.json(), as_json)


def _ladder(settings: LadderSettings, out: Path | None, as_json: bool, base: str, tuned: str) -> None:
    from recollect.restore import run_ladder

    machine_line(("asking", prepare(settings.device, settings.dtype)))
    with ProgressLine("climbing", "rungs") as progress:
        result = run_ladder(settings, base, tuned, out=out, progress=progress)
    summary = result.summary()
    if not as_json:
        _ladder_table(summary)
        _choice_table(summary)
        console_out.print(f"{summary['note']}\n{result.path}", soft_wrap=True)
    print_notes(summary["warnings"])
    if result.exported:
        console.print(f"written: {result.exported}", soft_wrap=True)
    else:
        console.print("no model was written; --export PERCENT writes one", soft_wrap=True)
    answer(summary, as_json)


def _drift_tables(summary: Mapping[str, Any]) -> None:
    kinds = [kind for kind in ("answers", "general") if kind in summary["tokens"]]
    title = "next-token distributions, tuned from base (KL in nats)"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("after each token of")
    for kind in kinds:
        table.add_column({"answers": "answers", "general": "general text"}[kind], justify="right")
    found = [summary["tokens"][kind] for kind in kinds]
    table.add_row("tokens", *(f"{one['forward']['n']:,}" for one in found))
    table.add_row("mean KL", *(f"{one['forward']['mean']:.4g} ± {_short(one['forward']['se'])} (se)" for one in found))
    for label, name in (
        ("median", "median"),
        ("90 %", "p90"),
        ("99 %", "p99"),
        ("99.9 %", "p99_9"),
        ("largest", "max"),
    ):
        table.add_row(label, *(_short(one["forward"][name]) for one in found))
    table.add_row("same likeliest token", *(f"{100 * one['forward']['same_top']:.1f} %" for one in found))
    table.add_row("mean KL, base from tuned", *(_short(one["backward"]["mean"]) for one in found))
    table.add_row("floor: base from itself", *(_short(one["floor"]["mean"]) for one in found))
    table.add_row("loss, base → tuned", *(f"{one['base_loss']:.3f} → {one['tuned_loss']:.3f}" for one in found))
    if kinds:
        console_out.print(table)
    if summary["kl_paper"] is not None:
        console_out.print(
            f"KL as in the study (ten logits of the first token, level-4 facts): {summary['kl_paper']:.4f}"
        )
    known = summary["tokens"].get("known")
    if known:
        console_out.print(
            f"facts the base knows: {known['base']['accuracy']:.1f} % right before, {known['tuned']['accuracy']:.1f} % "
            f"after (n = {known['base']['n']})"
        )
    shares = ", ".join(f"{percent} %: {100 * share:.1f}" for percent, share in summary["share_top"].items())
    console_out.print(f"share of the relative change in the top … of the weights, in %: {shares}", soft_wrap=True)
    weights = summary["parameters"]
    console_out.print(
        f"unchanged {100 * summary['unchanged']:.2f} %, moved by one unit in the last place "
        f"{100 * summary['one_ulp']:.2f} % of {weights['of']:,} weights ({weights['region']})"
    )


def _ladder_table(summary: Mapping[str, Any]) -> None:
    mean = summary["mean"]
    ood = "ood" if mean == "macro" else "ood_micro"
    rungs = {(rung["order"], rung["percent"]): rung for rung in summary["rungs"]}
    orders = list(dict.fromkeys(order for order, _ in rungs if order not in ("base", "tuned")))
    table = Table(title=f"{mean} accuracy in %, test / ood", title_justify="left", title_style="bold")
    table.add_column("restored", justify="right")
    for order in orders:
        table.add_column(order, justify="right")
    pair = {name: _pair(rungs[name], mean, ood) for name in (("tuned", 0.0), ("base", 100.0))}
    table.add_row("tuned", *[pair["tuned", 0.0]] * len(orders))
    for percent in sorted({percent for order, percent in rungs if order in orders}):
        table.add_row(f"{percent:g} %", *(_pair(rungs[order, percent], mean, ood) for order in orders))
    table.add_row("base", *[pair["base", 100.0]] * len(orders))
    console_out.print(table)


def _choice_table(summary: Mapping[str, Any]) -> None:
    if summary["best"] is None:
        return
    table = Table(title="chosen on one half, judged on the other (points)", title_justify="left", title_style="bold")
    for name in ("order", "percent", "gain, test half", "gain, ood"):
        table.add_column(name, justify="left" if name == "order" else "right")
    for choice in (summary["best"], *summary["controls"]):
        table.add_row(choice["order"], f"{choice['percent']:g} %", _gain(choice, "gain"), _gain(choice, "ood_gain"))
    console_out.print(table)


def _gain(choice: Mapping[str, Any], name: str) -> str:
    if name not in choice:
        return "–"
    return f"{choice[name]:+.1f} ({choice[f'{name}_low']:+.1f} to {choice[f'{name}_high']:+.1f})"


def _pair(rung: Mapping[str, Any], test: str, ood: str) -> str:
    return " / ".join("–" if rung[name] is None else f"{rung[name]:.1f}" for name in (test, ood))


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
