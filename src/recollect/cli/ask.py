"""The command `ask`: one question, or one after the other, to base, tuned and restored side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from recollect.chat.asking import Prompt
from recollect.cli.options import answer, console, console_out, heartbeat, machine_line
from recollect.cli.printing import print_notes
from recollect.core.numbers import number
from recollect.core.workspace import write_json
from recollect.errors import InputError

if TYPE_CHECKING:
    from recollect.ask import Answer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ask", help="Ask base, tuned and restored side by side: their answers, and how sure each is of them.")(
        _ask
    )


def _ask(
    where: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="A train or restore step, a study's cell, a model folder, or a model's name."
        ),
    ],
    question: Annotated[str | None, typer.Argument(help="The question; without one, ask one a line.")] = None,
    facts: Annotated[
        str, typer.Option("--facts", help="Facts that tell what is right. Default: those that a fit was made from.")
    ] = "",
    base: Annotated[str, typer.Option("--base", help="The untouched model, where DIR does not name it.")] = "",
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1, help="Longest answer in tokens.")] = 64,
    prompt: Annotated[
        Prompt, typer.Option("--prompt", help="chat, plain; auto: as the tuned model was trained.")
    ] = "auto",
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, mps or auto.")] = "auto",
    dtype: Annotated[str, typer.Option("--dtype", help="float32, bfloat16, float16 or auto.")] = "auto",
    out: Annotated[Path | None, typer.Option("--out", help="JSON file for the last answer.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Taken for uniformity; nothing here is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a question.")] = False,
) -> None:
    from recollect.ask import is_right, known_answers, side_by_side
    from recollect.models import ModelSettings, machine_of

    settings = ModelSettings.make(model=where, device=device, dtype=dtype)
    if question is not None and not question.strip():
        raise InputError("the question is empty. Give one, or leave it out to ask several.")
    machine_line(("asking", machine_of(settings)))
    with heartbeat.held():
        known = known_answers(where, facts)
        models = side_by_side(where, base, prompt, settings)
    print_notes(models.sides.notes)
    for asked in [question] if question is not None else _questions():
        found = models.ask(asked, max_new_tokens)
        told: dict[str, object] = {
            "answers": {one.side: one.text for one in found},
            "probabilities": {one.side: one.probability for one in found},
        }
        right = {}
        if accepted := known.accepted(asked):
            right = {one.side: is_right(one.text, accepted) for one in found}
            told |= {"accepted": list(accepted), "right": right}
        if out is not None:
            write_json(out, told)
        if not as_json:
            _print(found, accepted, right)
        answer(told, as_json)


def _questions() -> Iterator[str]:
    """The lines of the terminal, or of what is piped in, until an empty one or the end."""
    typed = sys.stdin.isatty()
    while True:
        if typed:
            console.print("question (empty: end): ", end="")
        line = sys.stdin.readline().strip()
        if not line:
            return
        yield line


def _print(found: Sequence[Answer], accepted: Sequence[str], right: Mapping[str, bool]) -> None:
    """A column for each side: its answer, whether it is right, and how probable it is to each of them."""
    said = f"right: {', '.join(accepted)}" if accepted else "no known fact asks this: nothing tells what is right"
    console_out.print(said, style="bold" if accepted else "dim", soft_wrap=True)
    table = Table(show_lines=True)
    table.add_column("")
    for one in found:
        table.add_column(one.side, overflow="fold", ratio=1)
    table.add_row("answer", *(Text(one.text + (" …" if one.cut else "")) for one in found))
    if right:
        colours = {True: "green", False: "red"}
        words = {True: "right", False: "wrong"}
        table.add_row("", *(Text(words[right[one.side]], colours[right[one.side]]) for one in found))
    for judge in (one.side for one in found):
        name = "probability" if len(found) == 1 else f"probability to {judge}"
        table.add_row(name, *(_percent(one.probability[judge]) for one in found))
    console_out.print(table)


def _percent(share: float) -> str:
    """In percent at any size: "12.0 %", "0.02 %", "under 0.001 %"; the exact one is in the JSON."""
    digits = 1 if share >= 0.0005 else 3
    return f"{number(100 * share, digits)} %" if share >= 0.000005 else "under 0.001 %"
