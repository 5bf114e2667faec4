"""What commands say of judges: the cost before anything is paid, accuracies by judge, agreement with people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from recollect.cli.options import console_out, heartbeat, note, print_table
from recollect.core.llm import Bound, ServerSettings
from recollect.core.numbers import estimate, thousands
from recollect.errors import InputError
from recollect.match import DEFAULT_JUDGE

if TYPE_CHECKING:
    from recollect.core.estimates import Estimate
    from recollect.evaluate import Accuracy, Agreement, EvaluateFound

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Pay for the judge llm without being asked.")]


def agree_to_pay(bound: Bound, server: ServerSettings, what: str, *, yes: bool) -> None:
    """Say what asking would cost at most, and ask whether to go on; InputError where nobody can be asked.

    Nothing is asked where it costs nothing.
    """
    cached = f"; {bound.cached:,} are in the cache" if bound.cached else ""
    note(
        f"judge llm ({server.llm} at {server.endpoint}): at most {bound.cost:.2f} for "
        f"{bound.questions - bound.cached:,} {what} ({bound.tokens_in:,} tokens in, {bound.tokens_out:,} out{cached}); "
        f"max_cost is {server.max_cost:.2f}"
    )
    if bound.cost > server.max_cost:
        raise InputError(
            f"judging by the LLM may cost {bound.cost:.2f}, but --server.max-cost is {server.max_cost:.2f} (same "
            "currency as --server.price-in). Raise it, or lower --limit."
        )
    if yes or not bound.cost:
        return
    if not sys.stdin.isatty():
        raise InputError("judging by the LLM costs money, and nobody can be asked here. Agree to it with --yes.")
    heartbeat.heard()
    if not typer.confirm("Go on?", err=True):
        raise InputError("stopped before anything was asked or paid.")


def print_judges(found: EvaluateFound) -> None:
    """The micro accuracy by each judge where others than the usual two were asked, agreement with people, the cost."""
    if set(found.judges) - {DEFAULT_JUDGE, "word"}:
        table = Table(title="by judge, all facts, in % (95 % interval)", title_justify="left", title_style="bold")
        table.add_column("judge")
        parts = list(found.accuracy)
        for part in parts:
            table.add_column(f"right, {part}", justify="right")
            table.add_column("mean score", justify="right")
        for name, by_part in found.judges.items():
            cells = [text for part in parts for text in _judged(by_part[part])]
            table.add_row(f"{name} (main)" if name == found.judge else name, *cells)
        print_table(table)
    for name, one in found.agreement.items():
        console_out.print(agreement_line(name, one), soft_wrap=True)
    if found.llm is not None:
        spent = found.llm
        unread = f"; {spent.unread:,} replies were no verdict and count as wrong" if spent.unread else ""
        console_out.print(
            f"judge llm: {spent.answers:,} answers by {spent.model}, {spent.cached:,} of them kept from before, "
            f"{thousands(spent.tokens_in)} tokens in, {thousands(spent.tokens_out)} out, cost {spent.cost:.2f}{unread}",
            soft_wrap=True,
        )
        if "llm" not in found.agreement:
            note("note: how far this LLM agrees with people is not known; give answers judged by hand: --judge-labels")


def _judged(one: Accuracy) -> tuple[str, str]:
    return estimate(one.micro), estimate(one.score) if one.score else ""


def agreement_line(name: str, one: Agreement) -> str:
    """How far a judge agrees with people, in a sentence."""
    kappa = "kappa not defined, all verdicts are the same" if one.kappa is None else f"kappa {_plain(one.kappa)}"
    return (
        f"{name} against {one.share.n:,} answers judged by hand: {estimate(one.share)} % the same, {kappa}; "
        f"right where people say wrong {one.too_kind:,}, wrong where they say right {one.too_strict:,}"
    )


def judges_in_json(found: EvaluateFound) -> dict[str, object]:
    """The results by judge for the JSON answer; nothing of the usual two alone."""
    more: dict[str, Any] = {}
    if set(found.judges) - {DEFAULT_JUDGE, "word"}:
        more["judge"] = found.judge
        more["judges"] = {
            name: {part: _numbers(one) for part, one in by_part.items()} for name, by_part in found.judges.items()
        }
    if found.agreement:
        more["agreement"] = {name: one.plain() for name, one in found.agreement.items()}
    if found.llm is not None:
        more["llm"] = found.llm.plain()
    return more


def _numbers(one: Accuracy) -> dict[str, object]:
    means = {"micro": one.micro, "macro": one.macro, "score": one.score, "macro_score": one.macro_score}
    return {name: None if found is None else found.percent for name, found in means.items()} | {"n": one.n}


def _plain(found: Estimate) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
